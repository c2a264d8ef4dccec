"""Labels as intervals of frames, and as a value for each frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import Interval


def labels_from_intervals(intervals: Iterable[Interval], frames: int) -> tuple[NDArray[np.bool_], int]:
    """Mark the frames of annotated intervals.

    Args:
        intervals: (first, last) frame, 0-based, both inclusive; they may overlap.
        frames: M.

    Returns:
        bool, [M], and how many intervals reached outside 0 … M − 1 and were clipped (7 of UCF-Crime's do).

    Raises:
        ValueError: an interval ends before it starts.
    """
    labels = np.zeros(frames, dtype=bool)
    clipped = 0
    for first, last in intervals:
        if last < first:
            raise ValueError(f"interval {first} … {last} ends before it starts")
        clipped += first < 0 or last >= frames
        labels[max(first, 0) : max(last + 1, 0)] = True
    return labels, clipped


def intervals_from_labels(marked: NDArray[np.bool_]) -> tuple[Interval, ...]:
    """Runs of marked frames, first and last frame of each; ``marked`` is a bool [M]."""
    steps = np.diff(np.concatenate(([0], marked.astype(np.int8), [0])))
    return tuple(
        (int(first), int(end) - 1)
        for first, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    )
