"""What the page of a set says in short, and its protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.evaluation.protocol import protocol_lines
from lavad_core.evaluation.types import METRIC_TITLES, Evaluation, VideoRow
from lavad_core.plain_text import first_few
from lavad_core.reports.reported_set import ReportedSet
from lavad_core.reports.video import VideoReport
from lavad_core.results.types import in_words

TILES = ("auc", "average_precision")
"""Metrics that stand above all tables."""


NAMED = 5
"""Videos that the data set does not have and that are named."""


@dataclass(frozen=True)
class Tile:
    """A number above all tables."""

    value: str
    """The number, as text."""
    name: str
    """What it is."""
    note: str
    """A few words on it."""


def title(reported: ReportedSet, evaluation: Evaluation | None) -> str:
    """The headline."""
    what = "Run" if reported.results.origin == "run" else "Import"
    of = f"{evaluation.header.dataset}: " if evaluation is not None else ""
    run = reported.results.record
    named = f" ({run.name})" if run is not None and run.name else ""
    return f"{of}{what.lower() if of else what} {reported.results.set_id}{named}".rstrip()


def tiles(evaluation: Evaluation | None, pages: int, without: int) -> Sequence[Tile]:
    """The set in short: its evaluation, if it has labels, and how many videos have scores (``pages``) and have none."""
    videos = Tile(f"{pages} of {pages + without}", "videos with scores", f"{without} without" if without else "all")
    if evaluation is None:
        return [videos, Tile("–", "no labels", "nothing to evaluate against")]
    header, best = evaluation.header, evaluation.rows[0]
    numbers = [
        Tile(one.number, METRIC_TITLES[key], f"95 %: {one.interval}" if one.interval else one.reason)
        for key, one in ((key, best.metrics[key]) for key in TILES)
    ]
    share = 100 * header.positive / max(header.frames, 1)
    frames = Tile(f"{header.frames:,}", "frames", f"{header.positive:,} labelled ({share:.1f} %)")
    return [*numbers, videos, frames]


def facts(reported: ReportedSet, evaluation: Evaluation | None) -> list[tuple[str, str]]:
    """The protocol, and what the scores come from."""
    results = reported.results
    if evaluation is None:
        found = [("results", in_words(results.reference)), *results.recipe.lines.items()]
        found.append(("labels", "none: nothing to evaluate against"))
    else:
        found = protocol_lines(evaluation.header)
        if unlabelled := evaluation.header.unlabelled:
            found.append(("not in the data set", f"{len(unlabelled)}, left out: {first_few(unlabelled, NAMED)}"))
    if results.origin == "run" and (run := results.record) is not None:
        found += [
            ("started", f"{run.started}, {run.seconds:.0f} s"),
            ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
        ]
    return found


def of_video(video: VideoReport, row: VideoRow | None) -> list[tuple[str, str]]:
    """What a video's own page says beside what every card does; ``row`` is None if the evaluation does not have the video."""
    found = [
        ("scores", f"{len(video.grid)}, one every {video.interval} frames"),
        ("threshold", f"{video.threshold:g}"),
    ]
    if video.rescoring:
        found.append(("second rating", video.rescoring))
    if row is not None:
        found.append(("AUC", row.auc.reason or f"{row.auc.number}, over its own frames"))
    return found
