"""Lists of segments with scores, as detectors of events write them, turned into scores of frames."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.names import without_ending
from lavad_core.errors import InputError
from lavad_core.user_files import parse_json, read_text

MAX_BYTES = 256 * 2**20
"""Millions of segments."""

EXPECTED = (
    "columns (CSV) or keys (a JSON list of objects) `video`, `start`, `end`, `score`: frames, both inclusive; or `start_s` and "
    "`end_s` in seconds. A line without start and end says that nothing was found"
)
_FRAMES = (("start", "end"), ("start_frame", "end_frame"))
_SECONDS = ("start_s", "end_s")
_TOLERANCE = 1e-6
"""Frames: 1.2 s at 25 a second is frame 30, whatever the last bit of the product says."""


@dataclass(frozen=True)
class ScoredSegment:
    """A segment with its score."""

    start: float
    """First frame, or where it begins in seconds."""
    end: float
    """Last frame, inclusive, or where it ends in seconds, exclusive."""
    score: float
    """Its score."""
    in_seconds: bool
    """Whether the two are seconds."""


def read_segments(path: Path) -> dict[str, list[ScoredSegment]]:
    """Segments by video name, without the ending of a video file.

    Raises:
        InputError: the file cannot be read, is of another form, or a number is not one; says where.
    """
    text = read_text(path, "segments", MAX_BYTES)
    rows = _json(text, path) if path.suffix.lower() == ".json" else _csv(text, path)
    found: dict[str, list[ScoredSegment]] = {}
    for place, row in rows:
        name = row.get("video", row.get("name"))
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"segments: {str(path)!r}, {place}: there is no video; expected are {EXPECTED}")
        spans = found.setdefault(without_ending(name.strip()), [])
        try:
            span = _span(row)
        except ValueError as problem:
            raise InputError(f"segments: {str(path)!r}, {place}: {problem}; expected are {EXPECTED}") from problem
        if span is not None:
            spans.append(span)
    if not found:
        raise InputError(f"segments: {str(path)!r} is empty; expected are {EXPECTED}")
    return found


def _csv(text: str, path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True, skipinitialspace=True)
    rows: list[tuple[str, Mapping[str, Any]]] = []
    try:
        for row in reader:
            rows.append((f"line {reader.line_num}", {(key or "").strip(): value for key, value in row.items()}))
    except csv.Error as error:
        raise InputError(
            f"segments: {str(path)!r}, line {reader.line_num}: {error}; expected are {EXPECTED}"
        ) from error
    return rows


def _json(text: str, path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    found = parse_json(text, f"segments: {str(path)!r}", f"expected are {EXPECTED}", nan=True)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(f"segments: {str(path)!r} is not a list of objects; expected are {EXPECTED}")
    return [(f"item {number}", row) for number, row in enumerate(found)]


def _span(row: Mapping[str, Any]) -> ScoredSegment | None:
    known = [columns for columns in (*_FRAMES, _SECONDS) if set(columns) <= row.keys()]
    if len(known) != 1:
        raise ValueError(f"it has {', '.join(sorted(row)) or 'nothing'}, and not one pair of start and end")
    (first, last) = known[0]
    if all(row[name] in (None, "") for name in (first, last)):
        return None
    start, end, score = (_number(row, name) for name in (first, last, "score"))
    in_seconds = known[0] == _SECONDS
    if not 0 <= start <= end:
        raise ValueError(f"{start:g} to {end:g} is not a segment")
    if not in_seconds and (start % 1 or end % 1):
        raise ValueError(f"{start:g} to {end:g} are not frames; seconds are called start_s and end_s")
    if not 0 <= score <= 1:
        raise ValueError(f"the score {score:g} is outside [0, 1]")
    return ScoredSegment(start, end, score + 0.0, in_seconds)  # -0 is 0


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a number")
    return number


def scores_of(
    spans: Sequence[ScoredSegment], frames: int, interval: int, frame_rate: float | None
) -> tuple[NDArray[np.float64], int]:
    """The score of each grid frame: that of the highest segment that it is in, 0 outside of all.

    Args:
        frame_rate: frames per second, for segments in seconds.

    Returns:
        float64 [⌈M / interval⌉], and how many segments were cut at the end of the video.

    Raises:
        InputError: segments are in seconds and there is no rate.
    """
    every = np.zeros(frames, np.float64)
    cut = 0
    for span in spans:
        if span.in_seconds and frame_rate is None:
            raise InputError(
                "its segments are in seconds, and nothing says how many frames a second has: give --frame-rate"
            )
        rate = frame_rate if span.in_seconds and frame_rate is not None else 1.0
        first = math.ceil(span.start * rate - _TOLERANCE)
        end_exclusive = math.ceil(span.end * rate - _TOLERANCE) if span.in_seconds else int(span.end) + 1
        cut += end_exclusive > frames
        every[first:end_exclusive] = np.maximum(every[first:end_exclusive], span.score)
    return every[::interval].copy(), cut
