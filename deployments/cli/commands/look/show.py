"""``lavad show``: scores and segments of a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, is_terminal, say, show, show_csv, show_table
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from pathlib import Path

    from lavad_core.results.types import ResultSet, VideoResults

SUMMARY_WIDTH = 72
"""Characters of a summary or caption in a table on a terminal; CSV and JSON have all."""

_Table = tuple[list[str], list[list[Any]]]
"""Headers and rows."""


@guarded
def show_video(
    video: options.Video,
    frames: Annotated[bool, typer.Option("--frames", help="One row per frame instead of one per grid frame.")] = False,
    segments: Annotated[bool, typer.Option("--segments", help="The anomalous segments only.")] = False,
    extremes: Annotated[
        bool,
        typer.Option(
            "--extremes",
            help="The most and the least suspicious part of the video: a tenth, or 300 frames.",
        ),
    ] = False,
    events: Annotated[
        bool, typer.Option("--events", help="The events that scores are made of, where score.method is events.")
    ] = False,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="What the language model was asked, to the last character.")
    ] = False,
    at: Annotated[
        int | None,
        typer.Option(
            "--at", help="With --prompts: of the grid frame nearest to this frame alone.", metavar="FRAME", min=0
        ),
    ] = None,
    format_: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print.")] = "table",
    run: Annotated[
        str | None,
        typer.Option(
            help="A run or an import, by its id or name; the latest that had the video if not given.",
            metavar="RUN",
            autocompletion=complete.results,
        ),
    ] = None,
    store: options.StoreFolder = None,
    json_: options.AsJson = False,
) -> None:
    """Print the scores of a video: each grid frame with its summary, each frame, the anomalous segments, its events, or what
    the language model was asked."""
    from lavad_core.results.find import newest_with_scores, run_with_video
    from lavad_core.results.open import open_results

    if json_ and format_ == "csv":
        raise typer.BadParameter("give --json or --format csv, not both")
    if frames + segments + extremes + events + prompts > 1:
        raise typer.BadParameter("give one of --frames, --segments, --extremes, --events and --prompts")
    if at is not None and not prompts:
        raise typer.BadParameter("--at chooses a prompt: give --prompts too")
    root = options.store_root(store)
    results = open_results(root, run_with_video(root, video, run))
    found = results[video]
    if not found.has_scores:
        say(f"lavad: {escape(repr(video))} has no scores in {results.origin} {results.set_id}: {_why(results, found)}")
        if results.origin == "run" and (other := newest_with_scores(root, video, besides=results.set_id)) is not None:
            say(f"the newest {other.origin} that has scores for it: --run {other.run_id}")
        raise typer.Exit(Exit.SOME_FAILED)
    if prompts:
        _show_prompts(found, results, root, at, "json" if json_ else format_)
        return
    tables = {"segments": _segments, "frames": _frames, "extremes": _extremes, "events": _events, "grid": _grid}
    asked = {"segments": segments, "frames": frames, "extremes": extremes, "events": events}
    kind = next((name for name, given in asked.items() if given), "grid")
    headers, rows = tables[kind](found)
    if json_ or format_ == "json":
        values = [dict(zip(headers, row, strict=True)) for row in rows]
        show_document("video", {**_described(found, results), **found.facts, kind: values}, compact=frames)
    elif format_ == "csv":
        show_csv(["video", *headers], [[video, *row] for row in rows])
    else:
        _print(headers, rows)
        say(_footer(found, results))


def _described(video: VideoResults, results: ResultSet) -> dict[str, Any]:
    """How the run or import ended for the video."""
    assert video.outcome is not None, "a run and an import know how they ended for each video"
    outcome = asdict(video.outcome)
    named = {"video": video.name, "video_id": outcome["video_id"], "run": results.set_id}
    more = {name: text for name, text in results.reference.items() if name in ("limited", "smoothing")}
    return named | {field: outcome[field] for field in ("status", "reason", "message")} | more


def _why(results: ResultSet, video: VideoResults) -> str:
    """Why a video has no scores, and the way out where there is one."""
    from lavad_core.runs.manifest import SCORED

    if video.outcome is not None and video.outcome.status not in SCORED:
        return escape(results.unscored[video.name])
    targets = [] if results.config is None else results.config.run.targets
    final = "smooth" if results.smoothing else "refine"
    if not {final, "smooth", "detect", "evaluate"} & set(targets):
        return f"its run.targets were {', '.join(targets)}; run again with {final!r} or 'detect' among them"
    return "they are gone from the store; run again"


def _grid(video: VideoResults) -> _Table:
    scored = video.scores
    found = {"summary": video.summaries, "reason": video.reasons}
    texts = {name: said for name, said in found.items() if said} or {"summary": {}}
    frames, own = scored.grid.tolist(), scored.own_scores
    curves = {"score": scored.scores, "unsmoothed_score": scored.unsmoothed, "raw_score": own}
    if scored.unsmoothed is None:
        del curves["unsmoothed_score"]
    columns = [[None] * len(frames) if curve is None else curve.tolist() for curve in curves.values()]
    rows = [
        [frame, *numbers, *(said.get(frame) for said in texts.values())]
        for frame, *numbers in zip(frames, _times(video, frames), *columns, strict=True)
    ]
    headers = ["frame", "time_s", *curves, *texts]
    if scored.kinds is None:
        return headers, rows
    return [*headers, "kind"], [[*row, kind] for row, kind in zip(rows, scored.kinds, strict=True)]


def _frames(video: VideoResults) -> _Table:
    from lavad_core.method.detection import to_frames

    scored = video.scores
    scores = to_frames(scored.scores, scored.frames, scored.interval, video=video.name).tolist()
    times = _times(video, range(scored.frames))
    rows = [[frame, time_s, score] for frame, (time_s, score) in enumerate(zip(times, scores, strict=True))]
    return ["frame", "time_s", "score"], rows


def _extremes(video: VideoResults) -> _Table:
    """The windows with the highest and the lowest mean score; the text is that of their highest and their lowest frame."""
    import numpy as np

    from lavad_core.recipes.extremes import extremes

    scored = video.scores
    name, texts = ("reason", video.reasons) if video.reasons else ("summary", video.summaries)
    found = extremes(scored.grid, scored.scores)
    rows: list[list[Any]] = []
    for which, part, sign in (("highest", found.highest, 1), ("lowest", found.lowest, -1)):
        end = min(part.end, scored.frames)
        inside = scored.grid[(scored.grid >= part.start) & (scored.grid < end)]
        at = int(inside[np.argmax(sign * scored.scores[inside // scored.interval])])
        seconds = _times(video, [part.start, end])
        rows.append([which, part.start, end - 1, *seconds, part.mean, at, texts.get(at)])
    return ["part", "start_frame", "end_frame", "start_s", "end_s", "mean_score", "frame", name], rows


def _times(video: VideoResults, frames: Sequence[int]) -> list[float | None]:
    found = video.scores.seconds(frames)
    return [None] * len(frames) if found is None else found.tolist()


def _segments(video: VideoResults) -> _Table:
    from lavad_core.errors import InputError

    found = video.segments()
    if found is None:
        raise InputError(f"the run made no segments for {video.name!r}: 'detect' was not among run.targets")
    return found.column_names, [list(row.values()) for row in found.to_pylist()]


def _events(video: VideoResults) -> _Table:
    from lavad_core.errors import InputError

    found = video.events
    if found is None:
        raise InputError(f"the scores of {video.name!r} are not made of events: score.method was not 'events'")
    return found.column_names, [list(row.values()) for row in found.to_pylist()]


def _show_prompts(video: VideoResults, results: ResultSet, store: Path, at: int | None, format_: str) -> None:
    from lavad_core.results.sent_prompts import sent_prompts

    sent = sent_prompts(results, video.name, store, at)
    if format_ == "json":
        given = asdict(sent)
        show_document(
            "video", {**_described(video, results), **video.facts, "system_folded": given.pop("folds"), **given}
        )
        return
    rows = [(one.frame, one.stage, one.text) for one in sent.prompts]
    if format_ == "csv":
        show_csv(["video", "frame", "stage", "prompt"], [[video.name, *row] for row in rows])
    else:
        for frame, stage, text in rows:
            show(f"# frame {frame}, {stage}\n{escape(text, keep_lines=True)}\n")
    if sent.folds:
        say("system messages were folded into the user's turn")
    for note in sent.notes:
        say(escape(note))


def _print(headers: list[str], rows: list[list[Any]]) -> None:
    texts = {number for number, header in enumerate(headers) if header in ("summary", "reason", "caption", "kind")}
    right = [number for number in range(len(headers)) if number not in texts]
    if is_terminal():
        rows = [
            [escape(value or "", limit=SUMMARY_WIDTH) if at in texts else value for at, value in enumerate(row)]
            for row in rows
        ]
    show_table(headers, rows, right=right)


def _footer(video: VideoResults, results: ResultSet) -> str:
    from lavad_core.config.header import threshold_note

    facts = video.facts
    length = f", {facts['duration_s']:.1f} s" if "duration_s" in facts else ""
    parts = [f"{number_of(facts['frames'], 'frame')}{length}"] if "frames" in facts else []
    if "peak_score" in facts and (segments := video.segment_count) is not None:
        parts.append(f"peak {facts['peak_score']:.3f} at frame {facts['peak_frame']}")
        parts.append(f"{number_of(segments, 'segment')} at threshold {facts['threshold']:g}")
        if results.config is not None and (note := threshold_note(results.config)):
            parts.append(note)
    if why := video.rescoring.get("why"):
        parts.append(escape(why))
    if "order_violations" in facts:
        parts.append(f"thresholds in the wrong order {facts['order_violations']:.0%}")
    if facts.get("unchecked"):
        parts.append(f"whether the end is missing could not be checked: {escape(facts['unchecked'])}")
    if results.smoothing:
        parts.append(f"scores smoothed: {results.smoothing}")
    if limited := results.reference.get("limited"):
        parts.append(f"its run has {limited}")
    return "; ".join([*parts, *(["imported"] if results.origin == "import" else [])])
