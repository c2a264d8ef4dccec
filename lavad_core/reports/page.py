"""One HTML file that shows the results of a set of videos: no script, no network, nothing beside it.

Everything that a video's name or a model brings in is text: escaped by the template, and characters that are not printable
are shown as escapes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lavad_core.reports.curves import curve_svg
from lavad_core.reports.video import KeyFrame, VideoReport


@dataclass(frozen=True)
class MetricRow:
    """A line of the table of metrics.

    Attributes:
        name: what was scored.
        roc_auc, average_precision: over all frames; None is undefined.
        ours: it is the run's own scores, not something to compare them with.
    """

    name: str
    roc_auc: float | None
    average_precision: float | None
    ours: bool = False


@dataclass(frozen=True)
class VideoCard:
    """A video on the page.

    Attributes:
        video: its results.
        key_frames: in order of time.
        pictures: JPEG by frame; at least those of ``key_frames``.
    """

    video: VideoReport
    key_frames: Sequence[KeyFrame]
    pictures: Mapping[int, bytes] = field(repr=False)


@dataclass(frozen=True)
class Page:
    """What the page says.

    Attributes:
        title: its headline.
        lead: paragraphs below it.
        facts: name and value: the run, the models.
        metrics: the run's own first.
        metrics_note: a sentence below them: over which frames.
        cards: the videos.
    """

    title: str
    lead: Sequence[str]
    facts: Sequence[tuple[str, str]]
    metrics: Sequence[MetricRow]
    metrics_note: str
    cards: Sequence[VideoCard]


def render(page: Page) -> str:
    """The HTML."""
    environment = Environment(
        loader=PackageLoader("lavad_core.reports", "templates"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "clock": _clock}
    curves = [Markup(curve_svg(card.video, f"v{number}")) for number, card in enumerate(page.cards)]
    return environment.get_template("page.html.jinja").render(page=page, curves=curves)


def _visible(value: Any) -> Any:
    """Text without characters that turn it around or cannot be seen; what is markup already stays."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in value)


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _clock(seconds: float) -> str:
    """1:07.3: minutes and seconds."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"
