"""A whole set on one HTML page, with a card for each video: what the demonstration writes. No script, no network, nothing
beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.reports import html
from lavad_core.reports.pictures import VideoCard


@dataclass(frozen=True)
class MetricRow:
    """A row of the table of metrics.

    Attributes:
        name: what was scored.
        roc_auc, average_precision: over all frames; None is undefined.
        ours: whether it is the run's own scores, not something to compare them with.
    """

    name: str
    roc_auc: float | None
    average_precision: float | None
    ours: bool = False


@dataclass(frozen=True)
class OnePage:
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


def render(page: OnePage) -> str:
    """The HTML."""
    return html.render("one_page", page=page)
