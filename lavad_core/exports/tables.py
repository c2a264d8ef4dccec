"""Results as CSV, JSON and Parquet: one row per grid frame with its texts, or one per frame."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lavad_core.escape import escape_cell
from lavad_core.exports.target import new_file
from lavad_core.method.detection import to_frames
from lavad_core.results.types import ResultSet
from lavad_core.store.commits import storable
from lavad_core.store.parquet import PartWriter

FRAME_SCHEMA = pa.schema(
    [
        pa.field("video", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64()),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("raw_score", pa.float64()),
    ]
)
GRID_SCHEMA = pa.schema(
    [
        *FRAME_SCHEMA,
        pa.field("summary", pa.string()),
        pa.field("cleaned", pa.string()),
        pa.field("captions", pa.list_(pa.struct([("captioner", pa.string()), ("caption", pa.string())]))),
    ]
)

JSON_FORMAT = 1


def schema_of(results: ResultSet, frames: bool) -> pa.Schema:
    """The columns of a table of results, ``frames`` for one row per frame: with ``unsmoothed_score`` beside ``score`` where the
    run smoothed its scores, and ``reason`` beside ``summary`` where scores have reasons of their own."""
    schema = FRAME_SCHEMA if frames else GRID_SCHEMA
    if results.smoothing:
        place = schema.get_field_index("score") + 1
        schema = schema.insert(place, pa.field("unsmoothed_score", pa.float64(), nullable=False))
    if (
        not frames and results.names and results.texts(results.names[0]).reasons
    ):  # one run's videos have them, all or none
        schema = schema.insert(schema.get_field_index("summary") + 1, pa.field("reason", pa.string()))
    return schema


def write_csv(results: ResultSet, target: Path, *, frames: bool = False) -> None:
    """A CSV file, UTF-8; each captioner has a column of its own. Texts are as in :func:`lavad_core.escape.escape_cell`.

    Args:
        results: those of a run or an import.
        target: a new file.
        frames: one row per frame, without texts, instead of one per grid frame.

    Raises:
        InputError: the file exists.
        OSError: it cannot be written.
        DamagedResult: results are gone from the store.
    """
    schema = schema_of(results, frames)
    captioners = [] if frames else sorted({name for video in results.names for name in results.texts(video).captions})
    plain = [name for name in schema.names if name != "captions"]
    with new_file(target) as path, open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*plain, *(escape_cell(f"caption: {name}") for name in captioners)])
        for table in tables_of(results, frames):
            for row in table.to_pylist():
                said = {item["captioner"]: item["caption"] for item in row.get("captions", ())}
                writer.writerow(
                    [escape_cell(row[name]) for name in plain] + [escape_cell(said.get(c)) for c in captioners]
                )


def write_parquet(results: ResultSet, target: Path, *, frames: bool = False) -> None:
    """A Parquet file; arguments and errors as :func:`write_csv`."""
    schema = schema_of(results, frames)
    with new_file(target) as path, PartWriter(path, schema) as writer:
        for table in tables_of(results, frames):
            writer.write(table)
        writer.finish()


def write_json(results: ResultSet, target: Path, *, frames: bool = False) -> None:
    """A JSON file: the set, and a list of videos with their rows; arguments and errors as :func:`write_csv`."""
    head = {"format": JSON_FORMAT, "run": results.set_id, "origin": results.origin, "unscored": dict(results.unscored)}
    head |= {"smoothing": results.smoothing} if results.smoothing else {}
    with new_file(target) as path, open(path, "w", encoding="ascii") as file:
        file.write(json.dumps(head)[:-1] + ', "videos": [')
        for number, (name, table) in enumerate(zip(results.names, tables_of(results, frames), strict=True)):
            video = results.scores(name)
            rows = [{key: value for key, value in row.items() if key != "video"} for row in table.to_pylist()]
            for row in rows:
                if "captions" in row:
                    row["captions"] = {item["captioner"]: item["caption"] for item in row["captions"]}
            value = {
                "video": name,
                "frames": video.frames,
                "interval": video.interval,
                "frame_rate": video.frame_rate,
                "rows": rows,
            }
            file.write((",\n" if number else "\n") + json.dumps(value, allow_nan=False))
        file.write("\n]}\n")


def tables_of(results: ResultSet, frames: bool) -> Iterator[pa.Table]:
    """The rows of one video after the other."""
    schema = schema_of(results, frames)
    return (_table(results, name, frames, schema) for name in results.names)


def _table(results: ResultSet, name: str, every_frame: bool, schema: pa.Schema) -> pa.Table:
    video = results.scores(name)
    frames = np.arange(video.frames) if every_frame else video.grid
    curves = {"score": video.scores, "raw_score": video.raw_scores}
    if results.smoothing:
        curves["unsmoothed_score"] = video.unsmoothed
    if every_frame:
        curves = {
            kind: None if curve is None else to_frames(curve, video.frames, video.interval, video=name)
            for kind, curve in curves.items()
        }
    times = video.seconds(frames)
    columns: dict[str, Any] = {
        "video": [storable(video.name)] * len(frames),
        "frame": frames,
        "time_s": [None] * len(frames) if times is None else times,
        **{kind: [None] * len(frames) if curve is None else curve for kind, curve in curves.items()},
    }
    if every_frame:
        return pa.Table.from_pydict(columns, schema=schema)
    texts, grid = results.texts(name), frames.tolist()
    columns["summary"] = [texts.summaries.get(frame) for frame in grid]
    if "reason" in schema.names:
        columns["reason"] = [texts.reasons.get(frame) for frame in grid]
    cleaned = {frame: caption.text for frame, caption in texts.cleaned.items()}
    columns["cleaned"] = [cleaned.get(frame) for frame in grid]
    columns["captions"] = [
        [
            {"captioner": captioner, "caption": said[frame]}
            for captioner, said in sorted(texts.captions.items())
            if frame in said
        ]
        for frame in grid
    ]
    return pa.Table.from_pydict(columns, schema=schema)
