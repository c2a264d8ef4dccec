"""One HTML file with a card a video, for a set that a page holds: no script, no network, nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lavad_core.reports import html
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
    return html.render("demo", page=page)
