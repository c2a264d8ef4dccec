"""``lavad show``: scores and segments of a video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.text import escape, is_terminal, say, short, show, show_csv, show_table

if TYPE_CHECKING:
    from pathlib import Path

    from lavad.deployments.cli.terminal.results import Found, Results

SUMMARY_WIDTH = 72
"""Characters of a summary or caption in a table on a terminal; CSV and JSON have all."""

SEGMENT_COLUMNS = ["segment", "start_frame", "end_frame", "start_s", "end_s", "peak_score", "peak_frame"]
SEGMENT_TEXTS = ["summary", "caption"]
"""At the peak; the cleaned caption is there since version 2 of the stage."""


@guarded
def show_video(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="Name of the video, as `lavad status` prints it.")],
    frames: Annotated[bool, typer.Option("--frames", help="A row a frame, not a grid frame.")] = False,
    segments: Annotated[bool, typer.Option("--segments", help="The anomalous segments only.")] = False,
    format_: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print.")] = "table",
    run: Annotated[str | None, typer.Option(help="A run; the latest that had the video if not given.")] = None,
    store: options.StoreFolder = None,
) -> None:
    """Print the scores of a video: each grid frame with its summary, each frame, or the anomalous segments."""
    from lavad.deployments.cli.terminal.results import Results, described, find_video, newest_scores

    if frames and segments:
        raise typer.BadParameter("give --frames or --segments, not both")
    root = options.store_root(store)
    found = find_video(root, video, run)
    if found.run.origin == "import":
        _imported(root, found, "segments" if segments else "frames" if frames else "grid", format_)
        return
    results = Results(root, found)
    if not results.has_scores:
        say(f"lavad: {escape(repr(video))} has no scores in run {found.run.run_id}: {_why(found.outcome, results)}")
        if (other := newest_scores(root, video, besides=found.run.run_id)) is not None:
            say(f"the newest run that has scores for it: --run {other}")
        raise typer.Exit(Exit.SOME_FAILED)
    headers, rows, right = _segments(results) if segments else _frames(results) if frames else _grid(results)
    kind = "segments" if segments else "frames" if frames else "grid"
    _print(video, (headers, rows, right), kind, format_, {**described(found), **_facts(results)})
    if format_ == "table":
        say(_footer(results))


def _print(video: str, table: Table, kind: str, format_: str, facts: dict[str, Any]) -> None:
    headers, rows, right = table
    if format_ == "json":
        values = [dict(zip(headers, row, strict=True)) for row in rows]
        show(json.dumps({**facts, kind: values}, indent=None if kind == "frames" else 2))
    elif format_ == "csv":
        show_csv(["video", *headers], [[video, *row] for row in rows])
    else:
        _table(headers, rows, right)


def _imported(root: Path, found: Found, kind: str, format_: str) -> None:
    """A video of an import."""
    from lavad.deployments.cli.terminal.imported import imported_table
    from lavad.deployments.cli.terminal.results import described

    name = found.outcome.name
    if found.outcome.status == "failed":
        say(f"lavad: {escape(repr(name))} has no scores in import {found.run.run_id}: {escape(found.outcome.message)}")
        raise typer.Exit(Exit.SOME_FAILED)
    table, facts, footer = imported_table(root, found.run.run_id, name, kind)
    _print(name, table, kind, format_, {**described(found), **facts})
    if format_ == "table":
        say(footer)


def _why(outcome: Any, results: Results) -> str:
    from lavad_core.runs.manifest import SCORED

    if outcome.status in SCORED:
        targets = results.config.run.targets
        if not {"refine", "detect", "evaluate"} & set(targets):
            return f"its run.targets were {', '.join(targets)}; run again with 'refine' or 'detect' among them"
        return "they are gone from the store; run again"
    return escape(": ".join(part for part in (outcome.status, outcome.reason, outcome.message) if part))


def _facts(results: Results) -> dict[str, Any]:
    probe, detect = results.commit("probe"), results.commit("detect")
    facts: dict[str, Any] = {"frame_interval": results.config.video.frame_interval}
    if probe is not None:
        facts |= {name: probe.facts[name] for name in ("frames", "duration_s")}
        # Probes of earlier versions did not check it.
        facts |= {name: probe.facts[name] for name in ("completeness", "unchecked") if name in probe.facts}
    if detect is not None:
        facts |= {name: detect.facts[name] for name in ("peak_score", "peak_frame")}
        facts |= results.config.detect.model_dump()
    return facts


Table = tuple[list[str], list[list[Any]], Sequence[int]]


def _grid(results: Results) -> Table:
    refined = results.table("refine", ["frame", "time_s", "score", "raw_score"])
    assert refined is not None
    said = results.table("summarise", ["frame", "summary"]) or {"frame": [], "summary": []}
    summaries = dict(zip(said["frame"], said["summary"], strict=True))
    rows = [
        [frame, time_s, score, raw, summaries.get(frame)]
        for frame, time_s, score, raw in zip(*refined.values(), strict=True)
    ]
    return ["frame", "time_s", "score", "raw_score", "summary"], rows, (0, 1, 2, 3)


def _frames(results: Results) -> Table:
    import numpy as np

    from lavad_core.errors import DamagedResult
    from lavad_core.method.detection import to_frames

    refined = results.table("refine", ["score"])
    timeline = results.table("probe", ["frame", "time_s"])
    assert refined is not None
    if timeline is None:
        raise DamagedResult(f"the timeline of {results.name!r} is gone from the store; run again")
    count = len(timeline["frame"])
    scores = to_frames(np.asarray(refined["score"]), count, results.config.video.frame_interval)
    rows = [
        [frame, time_s, score]
        for frame, time_s, score in zip(timeline["frame"], timeline["time_s"], scores.tolist(), strict=True)
    ]
    return ["frame", "time_s", "score"], rows, (0, 1, 2)


def _segments(results: Results) -> Table:
    from lavad_core.errors import InputError

    commit = results.commit("detect")
    texts = [name for name in SEGMENT_TEXTS if commit is None or any(name in part.schema for part in commit.files)]
    columns = [*SEGMENT_COLUMNS, *texts]
    found = results.table("detect", columns)
    if found is None:
        raise InputError(f"the run made no segments for {results.name!r}: 'detect' was not among run.targets")
    rows = [list(row) for row in zip(*found.values(), strict=True)]
    return columns, rows, range(len(SEGMENT_COLUMNS))


def _table(headers: list[str], rows: list[list[Any]], right: Sequence[int]) -> None:
    if is_terminal():
        texts = {number for number, header in enumerate(headers) if header in SEGMENT_TEXTS}
        rows = [
            [short(escape(value or ""), SUMMARY_WIDTH) if at in texts else value for at, value in enumerate(row)]
            for row in rows
        ]
    show_table(headers, rows, right=right)


def _footer(results: Results) -> str:
    facts = _facts(results)
    parts = [f"{facts['frames']} frames, {facts['duration_s']:.1f} s"] if "frames" in facts else []
    if "peak_score" in facts:
        parts.append(f"peak {facts['peak_score']:.3f} at frame {facts['peak_frame']}")
        detect = results.commit("detect")
        assert detect is not None
        parts.append(f"{detect.counts['segments']} segments at threshold {facts['threshold']:g}")
    if facts.get("unchecked"):
        parts.append(f"whether the end is missing could not be checked: {escape(facts['unchecked'])}")
    return "; ".join(parts)
