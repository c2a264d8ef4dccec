"""Labels of one's own: a CSV or JSON file with a row for each anomaly, and one for each normal video."""

from __future__ import annotations

import math

from lavad_core.datasets.build import DatasetPaths, select, source_file
from lavad_core.datasets.names import match_key, without_ending
from lavad_core.datasets.table_files import TableRow, read_csv, read_json_rows
from lavad_core.datasets.types import Dataset, Interval, LabelledVideo

WHAT = "labels"
NEEDED = ("video",)
COLUMNS = ("video", "start", "end", "unit", "class", "frames", "frame_rate")
UNITS = ("frames", "seconds")
NORMAL = "normal"

_SLACK = 1e-6
"""Fraction of a frame that is rounding: 0.1 s at 30 frames a second is frame 3, whatever the last bit of the product is."""


def read(paths: DatasetPaths) -> Dataset:
    """Rows of :data:`COLUMNS`; all but ``video`` may be missing.

    ``start`` and ``end`` are frames (0-based, both inclusive) or seconds, as ``unit`` says; seconds need ``frame_rate``, and
    mean the frames that begin from ``start`` on and before ``end``. A row without them is a normal video. Rows of one video
    must not contradict each other.

    Raises:
        InputError: the file cannot be read, or a row is wrong; says which and why.
    """
    path = paths.labels(f"a CSV or JSON file with {', '.join(COLUMNS)}")
    rows = (read_json_rows if path.suffix.lower() == ".json" else read_csv)(path, WHAT, NEEDED)
    for row in rows:
        unknown = sorted(set(row.values) - set(COLUMNS))
        if unknown:
            row.fail(f"there is no column {unknown[0]!r}; columns are {', '.join(COLUMNS)}")
    grouped: dict[str, list[TableRow]] = {}
    for row in rows:
        grouped.setdefault(match_key(row.text("video")), []).append(row)
    labelled = {video.name: video for video in (_video(group, paths.first_frame or 0) for group in grouped.values())}
    videos, lists, notes = select(labelled, paths.list_file)
    rates = {row.number("frame_rate") for row in rows if "frame_rate" in row.values}
    every = len(rates) == 1 and all(any("frame_rate" in row.values for row in group) for group in grouped.values())
    return Dataset(
        "own", path.stem, videos, (source_file("annotation", path), *lists), rates.pop() if every else None, notes
    )


def _video(rows: list[TableRow], first_frame: int) -> LabelledVideo:
    """The labels of one video."""
    name = without_ending(rows[0].text("video"))
    frames = _agreed(rows, "frames")
    rate = _agreed(rows, "frame_rate")
    intervals: dict[Interval, TableRow] = {}
    classes: dict[str, None] = {}
    normal = None
    for row in rows:
        interval = _interval(row, rate, first_frame)
        if interval is None:
            if len(rows) > 1:
                other = next(one for one in rows if one is not row)
                row.fail(f"{name!r} has no anomaly here, and appears again in {other.place}; keep one of them")
            normal = row
            continue
        other_row = intervals.setdefault(interval, row)
        if other_row is not row:
            row.fail(f"the same anomaly of {name!r} is in {other_row.place}; keep one of them")
        if row.values.get("class", "").lower() == NORMAL:
            row.fail(f"{name!r} is of class {row.values['class']!r} and has an anomaly")
        if "class" in row.values:
            classes[row.values["class"]] = None
    if normal is not None and normal.values.get("class", NORMAL).lower() != NORMAL:
        normal.fail(f"{name!r} is of class {normal.values['class']!r} and has neither start nor end")
    return LabelledVideo(name, tuple(classes), tuple(sorted(intervals)), None if frames is None else int(frames))


def _agreed(rows: list[TableRow], column: str) -> float | None:
    """The value of a column that says the same in all rows which have one."""
    said = [
        (row, row.frames(column) if column == "frames" else row.number(column)) for row in rows if column in row.values
    ]
    for row, value in said:
        if value != said[0][1]:
            row.fail(f"{column!r} is {value:g}, and {said[0][1]:g} in {said[0][0].place}")
        if not value:
            row.fail(f"{column!r} is 0")
    return said[0][1] if said else None


def _interval(row: TableRow, rate: float | None, first_frame: int) -> Interval | None:
    if "start" not in row.values and "end" not in row.values:
        return None
    unit = row.values.get("unit", "frames").lower()
    if unit not in UNITS:
        row.fail(f"'unit' is {unit[:60]!r}; expected is {' or '.join(UNITS)}")
    if unit == "frames":
        first, last = (row.integer(column, least=first_frame) - first_frame for column in ("start", "end"))
    else:
        if rate is None:
            row.fail("'start' and 'end' are seconds, and there is no 'frame_rate' to make frames of them")
        start_s, end_s = row.number("start"), row.number("end")
        first = math.ceil(start_s * rate - _SLACK)
        # An instant is the one frame that is shown then.
        last = max(math.ceil(end_s * rate - _SLACK) - 1, first) if end_s >= start_s else -1
    if last < first:
        row.fail(f"the anomaly ends at {row.text('end')}, before its start at {row.text('start')}")
    return first, last
