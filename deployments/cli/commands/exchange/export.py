"""``lavad export``: results for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import OutputLost, escape, say
from lavad_core.location import shown
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from lavad_core.method.detection import SegmentRule
    from lavad_core.results.types import ResultSet

Format = Literal["csv", "json", "parquet", "intervals", "fiftyone", "authors"]
TABLES = ("csv", "json", "parquet")
SEGMENTS = ("intervals", "fiftyone")


@guarded
def export(
    format_: Annotated[
        Format,
        typer.Argument(
            metavar="FORMAT",
            help="csv, json, parquet: one row per grid frame with its texts; intervals: segments as lines of UCF-Crime's "
            "annotation; fiftyone: segments as temporal detections; authors: the folders of the authors' program.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT", help="A new file; a new folder for fiftyone and authors.", parser=options.place
        ),
    ],
    run: options.Run = None,
    frames: Annotated[bool, typer.Option("--frames", help="Tables with one row per frame, without texts.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Segments: a score of at least this; the run's own, or 0.5."),
    ] = None,
    low_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Segments go on while scores stay at or above this."),
    ] = None,
    min_length_s: Annotated[float | None, typer.Option(min=0, help="Shorter segments are left out.")] = None,
    max_gap_s: Annotated[
        float | None,
        typer.Option(min=0, help="Segments with at most this between them become one."),
    ] = None,
    store: options.StoreFolder = None,
    json_: options.AsJson = False,
) -> None:
    """Write the results of a run or an import for other programs. Nothing is written over."""
    from lavad_core.remote_files import written
    from lavad_core.results.open import open_results

    if frames and format_ not in TABLES:
        raise typer.BadParameter(f"{format_} has no rows", param_hint="--frames")
    given = {
        "threshold": threshold,
        "low_threshold": low_threshold,
        "min_length_s": min_length_s,
        "max_gap_s": max_gap_s,
    }
    if format_ not in SEGMENTS and any(value is not None for value in given.values()):
        raise typer.BadParameter(f"{format_} has scores, not segments", param_hint="--threshold")
    results = open_results(options.store_root(store), run)
    try:
        with written(output, "new") as place:
            notes = _write(results, format_, place, frames, _rule(results, given) if format_ in SEGMENTS else None)
    except OSError as error:
        raise OutputLost(f"{shown(output)}: {error.strerror or error}") from error
    say(f"{number_of(len(results.names), 'video')} of {results.origin} {results.set_id}: {escape(shown(output))}")
    if results.smoothing:
        say(f"scores are smoothed: {escape(results.smoothing)}")
    for note in notes:
        say(f"note: {escape(note)}")
    if results.unscored:
        say(f"{number_of(len(results.unscored), 'video', 'have')} no scores, and no place in it")
    if json_:
        facts = {"kind": format_, "output": shown(output), "run": results.set_id, "videos": list(results.names)}
        show_document("export", {**facts, "notes": list(notes), "unscored": dict(results.unscored)})


def _rule(results: ResultSet, given: dict[str, float | None]) -> SegmentRule:
    """The run's own rule of segments, with what the command line says otherwise."""
    from lavad_core.method.detection import SegmentRule

    own = asdict(results.rule or SegmentRule())
    return SegmentRule(**own | {name: value for name, value in given.items() if value is not None})


def _write(results: ResultSet, format_: Format, output: Path, frames: bool, rule: SegmentRule | None) -> Sequence[str]:
    """Write the export; notes for the user about it."""
    from lavad_core.exports import layout_writer, segments, tables

    notes: list[str] = []
    if format_ in TABLES:
        write = {"csv": tables.write_csv, "json": tables.write_json, "parquet": tables.write_parquet}[format_]
        write(results, output, frames=frames)
    elif rule is not None:
        (segments.write_intervals if format_ == "intervals" else segments.write_fiftyone)(results, output, rule)
    else:
        written = layout_writer.write_layout(results, output)
        if ranks := written.ranks:
            which = f"each frame has {ranks} neighbours, padding among them"
            notes.append(f"{which}: the authors' program needs --num_neighbors {ranks}")
        notes += written.notes
    return notes
