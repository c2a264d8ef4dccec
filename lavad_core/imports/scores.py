"""The scores of one video in somebody else's file, and whether they are those of the grid."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.config.schema import MAX_FRAME_COUNT_TOLERANCE
from lavad_core.datasets.frame_counts import LIKELY_OFF, deviation
from lavad_core.errors import InputError
from lavad_core.imports.found import FoundFile
from lavad_core.imports.values import Nested, parse_score_file, parse_scores
from lavad_core.npy_files import read_npy
from lavad_core.quoting import first_line
from lavad_core.user_files import decode_utf8

DEFAULT_INTERVAL = 16
"""The paper's grid, which is also taken where a file does not say."""

CSV_EXPECTED = "one score per line, or `frame,score`, with or without a line of column names"

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class GivenScores:
    """The scores that a file holds."""

    where: str
    """The file that they come from."""
    values: NDArray[np.float64] = field(repr=False)
    """float64 [n], in [0, 1]."""
    frames: NDArray[np.int64] | None = field(default=None, repr=False)
    """int64 [n], increasing, the frame of each value; None where values follow one another from frame 0."""
    ranked: Nested[float] | None = field(default=None, repr=False)
    """Scores of each frame's neighbours by rank, as the authors' program ranks them; then there are no values yet."""

    @property
    def count(self) -> int:
        """How many scores there are."""
        return len(self.values if self.frames is None else self.frames)


def read_given(file: FoundFile) -> GivenScores:
    """Scores of ``{frame: score}`` (JSON), of ``{frame: {rank: score}}``, of an array (``.npy``) or of a CSV file.

    Raises:
        InputError: it cannot be read, is of another form, or a value is not a number in [0, 1].
    """
    if file.ending == ".npy":
        return GivenScores(file.where, _array(file))
    if file.ending == ".csv":
        return _csv(file)
    found = parse_score_file(file.read(), file.where)
    if any(isinstance(value, dict) for value in found.values()):
        ranked: Nested[float] = found  # type: ignore[assignment]
        return GivenScores(file.where, np.empty(0), np.array(list(found), np.int64), ranked)
    return _by_frame(file.where, found)  # type: ignore[arg-type]


def read_plain(file: FoundFile) -> GivenScores:
    """A file of raw scores, which has no neighbours."""
    return _by_frame(file.where, parse_scores(file.read(), file.where)) if file.ending == ".json" else read_given(file)


def _by_frame(where: str, found: dict[int, float]) -> GivenScores:
    return GivenScores(where, np.array(list(found.values()), np.float64), np.array(list(found), np.int64))


def _array(file: FoundFile) -> NDArray[np.float64]:
    try:
        found = read_npy(file.read())
        values = np.atleast_1d(found.squeeze())
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise ValueError(f"it has the shape {found.shape} and the type {found.dtype}")
    except ValueError as error:
        raise InputError(f"{file.where!r} is not an array of a video's scores: {first_line(error)}") from error
    return _checked(values.astype(np.float64), file.where)


def _csv(file: FoundFile) -> GivenScores:
    text = decode_utf8(file.read(), file.where, "scores")
    try:
        rows = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text), strict=True), 1) if any(row)]
    except csv.Error as error:
        raise InputError(f"{file.where!r} is not CSV: {error}; expected is {CSV_EXPECTED}") from error
    if rows and not all(_NUMBER.fullmatch(cell.strip()) for cell in rows[0][1]):
        rows = rows[1:]  # names of the columns
    if not rows:
        raise InputError(f"{file.where!r} has no scores; expected is {CSV_EXPECTED}")
    columns = len(rows[0][1])
    for number, row in rows:
        if columns not in (1, 2) or len(row) != columns or not all(_NUMBER.fullmatch(cell.strip()) for cell in row):
            raise InputError(f"{file.where!r}, line {number}: {','.join(row)[:80]!r}; expected is {CSV_EXPECTED}")
    values = _checked(np.array([float(row[-1]) for _, row in rows]), file.where)
    if columns == 1:
        return GivenScores(file.where, values)
    frames = np.array([float(row[0]) for _, row in rows])
    if (frames % 1 != 0).any() or frames[0] < 0 or (np.diff(frames) <= 0).any() or frames[-1] >= 1e12:
        raise InputError(f"{file.where!r}: the first column must be frame numbers, each above the one before")
    return GivenScores(file.where, values, frames.astype(np.int64))


def _checked(values: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(bad):
        raise InputError(
            f"{where!r}: {len(bad)} of {len(values)} scores are not in [0, 1], first at position {bad[0]}: {values[bad[0]]}"
        )
    return values + 0.0  # -0 is 0, and would be written as a number below it


def interval_of(given: Iterable[tuple[GivenScores, int | None]]) -> int:
    """The interval that most files have: the least distance between their frames, or 1 where there is one score per frame. If
    two are equally frequent, the lower. ``given`` holds the scores and the frame count of each video."""
    votes: Counter[int] = Counter()
    for scores, frames in given:
        if scores.frames is None:
            votes[1 if frames in (None, len(scores.values)) else DEFAULT_INTERVAL] += 1
        elif len(scores.frames) > 1:
            votes[int(np.diff(scores.frames).min())] += 1
    return max(votes, key=lambda interval: (votes[interval], -interval), default=DEFAULT_INTERVAL)


def between(scores: GivenScores, frames: int, interval: int) -> GivenScores:
    """Scores of one grid frame in some, with those of the grid frames between: linear, and the last one to the end. Any other
    scores are as they were.

    Args:
        frames: how many frames the video has.
        interval: frames from one grid frame to the next.
    """
    if scores.frames is None or len(scores.frames) < 2 or scores.ranked is not None:
        return scores
    step = int(scores.frames[1] - scores.frames[0])
    if step % interval or not np.array_equal(scores.frames, np.arange(0, frames, step)):
        return scores
    grid = np.arange(0, frames, interval, dtype=np.int64)
    return GivenScores(scores.where, np.interp(grid, scores.frames, scores.values), grid)


def on_grid(scores: GivenScores, frames: int, interval: int) -> NDArray[np.float64]:
    """The values, if there is a score for each frame of a video's grid 0, interval, …, and for no other.

    Raises:
        InputError: there is not; says what there is. Nothing is padded or cut.
    """
    needed = -(-frames // interval)
    off = deviation("", frames, scores.count, interval)
    whole = scores.frames is None or np.array_equal(scores.frames, np.arange(scores.count) * interval)
    if off is not None and 0 < off.uncovered <= LIKELY_OFF < interval and whole:
        raise InputError(
            f"{scores.where!r} has all scores of a video of {frames - off.uncovered} frames, and {frames} are counted: the "
            f"list probably counts {off.uncovered} too many; if so give --frame-count-tolerance {off.uncovered}"
        )
    if scores.frames is None:
        if len(scores.values) != needed:
            other = "; one a frame: give --interval 1" if len(scores.values) == frames else ""
            raise InputError(
                f"{scores.where!r} has {len(scores.values)} scores, but the video has {frames} frames: "
                f"one for every {interval} frames would be {needed}{other}{_or_the_list(scores, frames, interval)}"
            )
        return scores.values
    grid = np.arange(0, frames, interval, dtype=np.int64)
    if np.array_equal(scores.frames, grid):
        return scores.values
    last = int(scores.frames[-1])
    if last >= frames:
        raise InputError(
            f"{scores.where!r} has scores to frame {last}, but the video has {frames} frames: these are not of the same video, "
            "or the frame count of the list is wrong"
        )
    extra = np.setdiff1d(scores.frames, grid)
    if len(extra):
        raise InputError(
            f"{scores.where!r} has a score at frame {extra[0]}, which is not on the grid of every {interval} frames; "
            "give --interval if that is not the interval"
        )
    missing = np.setdiff1d(grid, scores.frames)
    if missing[0] > last:
        raise InputError(
            f"{scores.where!r} is shorter than its video: its scores end at frame {last}, the video has {frames} frames, "
            f"and the last score would be that of frame {grid[-1]}{_or_the_list(scores, frames, interval)}"
        )
    raise InputError(
        f"{scores.where!r} has no score for {len(missing)} of {len(grid)} frames of the grid of every {interval} frames "
        f"(first: {missing[:5].tolist()})"
    )


def _or_the_list(scores: GivenScores, frames: int, interval: int) -> str:
    off = deviation("", frames, scores.count, interval)
    if off is None or not 0 < off.uncovered <= MAX_FRAME_COUNT_TOLERANCE:
        return ""
    return (
        f"; or the frame count is wrong, and {off.uncovered} too high: the scores cover {frames - off.uncovered} frames "
        f"(--frame-count-tolerance {off.uncovered} leaves the rest out)"
    )
