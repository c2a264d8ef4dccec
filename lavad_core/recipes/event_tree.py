"""Events of a video at two levels (VADTree, NeurIPS 2025): where its pictures change, and where they change
most.

Boundary scores → peaks → splits, the best first → two levels. The published tree lists all its nodes, sorts them into two lists
by the confidences of their boundaries, and fills the gaps of the second list from the first. What comes out is always this: the
fine events lie between all splits, the coarse ones between those of at least θ. So nothing else is computed here
(tests/method/test_event_tree.py has the tree written out, and both agree).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_CHANGE = 1e-4
"""Differences between a video's changes below which they are all the same: the noise of 16-bit vectors."""

DECIMALS = 4
"""Digits that a boundary score keeps, as the published ones: so that the last bits of a vector decide no tie."""


@dataclass(frozen=True)
class EventSpan:
    """A part of a video between two boundaries."""

    start_frame: int
    """First frame."""
    end_frame: int
    """Last frame, inclusive."""
    left: float
    """Score of the boundary that it begins at; 1 at the beginning of the video."""
    right: float
    """Score of the boundary that it ends at; 1 at the end of the video."""


def changes(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much each picture differs from the one before it: 1 − cosine, 0 … 2.

    Args:
        vectors: unit vectors, [n, dimension], in order of time.

    Returns:
        float64 [n − 1].
    """
    exact = vectors.astype(np.float64)
    return np.asarray(np.clip(1.0 - (exact[1:] * exact[:-1]).sum(axis=1), 0.0, 2.0))


def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Changes of a video as boundary scores, 0 … 1: its smallest is 0, its largest 1; all 0 where nothing changes.

    Args:
        values: float64 [n].
    """
    least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    if most - least < LEAST_CHANGE:
        return np.zeros_like(values)
    return np.asarray(np.round((values - least) / (most - least), DECIMALS))


def peaks(frames: Sequence[int], scores: Sequence[float], threshold: float) -> dict[int, float]:
    """Frames at which a boundary may be, with its score: of at least ``threshold``, and no less than on either side. A plateau
    has several; the first and the last position do not count.

    Args:
        frames: [n], strictly increasing.
        scores: [n], boundary scores.
        threshold: γ.
    """
    return {
        frames[at]: scores[at]
        for at in range(1, len(scores) - 1)
        if scores[at] >= threshold and scores[at] >= scores[at - 1] and scores[at] >= scores[at + 1]
    }


def splits(found: Mapping[int, float], frames: int, min_length: int = 1) -> list[int]:
    """The peaks at which a video is cut, in order of time: each part at its best peak, the first of equal ones.

    Where one of the two new parts would be shorter than ``min_length``, that is allowed at the beginning and at the end of the
    video, and the short part is cut no more; anywhere else that peak does not count. Where both would be, the part stays whole.

    Args:
        found: frame to score (:func:`peaks`).
        frames: M.
        min_length: frames, at least 1.
    """
    last = frames - 1
    cuts = [0, last]
    whole: set[int] = set()  # where parts begin that are cut no more
    for frame in sorted((at for at in found if 0 < at < last), key=lambda at: (-found[at], at)):
        after = bisect_right(cuts, frame)
        start, end = cuts[after - 1], cuts[after]
        if start in whole:
            continue
        left_short, right_short = frame - start < min_length, end - frame < min_length
        if left_short and right_short:
            whole.add(start)
        elif not (left_short and start > 0) and not (right_short and end < last):
            insort(cuts, frame)
    return cuts[1:-1]


def strong_from(scores: Sequence[float]) -> float | None:
    """θ: the smallest score of the stronger of two groups (k-means); None where there are fewer than two different scores.

    Args:
        scores: those of the splits, in order of time.
    """
    if len(set(scores)) < 2:
        return None
    from sklearn.cluster import KMeans  # takes a second, which other methods need not wait for

    groups = KMeans(n_clusters=2, random_state=0, n_init=10).fit(np.reshape(scores, (-1, 1)))
    strong = groups.labels_ == groups.cluster_centers_[:, 0].argmax()
    return float(np.asarray(scores)[strong].min())


def levels(found: Mapping[int, float], frames: int, min_length: int = 1) -> tuple[list[EventSpan], list[EventSpan]]:
    """The coarse and the fine events, each in order of time and together the whole video; the same ones where the scores of the
    splits do not differ.

    Args:
        found: frame to score (:func:`peaks`).
        frames: M.
        min_length: as :func:`splits` has it.
    """
    fine = splits(found, frames, min_length)
    theta = strong_from([found[at] for at in fine])
    coarse = fine if theta is None else [at for at in fine if found[at] >= theta]
    return _between(coarse, found, frames), _between(fine, found, frames)


def _between(cuts: Iterable[int], found: Mapping[int, float], frames: int) -> list[EventSpan]:
    starts = [0, *cuts]
    confidence = [1.0, *(found[at] for at in starts[1:]), 1.0]
    ends = [*(at - 1 for at in starts[1:]), frames - 1]
    return [EventSpan(*each) for each in zip(starts, ends, confidence[:-1], confidence[1:], strict=True)]


def event_of(starts: Sequence[int], frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of the event that each frame is in.

    Args:
        starts: first frames of the events of a level, increasing from 0.
        frames: int64 [n].
    """
    return np.searchsorted(np.asarray(starts, np.int64), frames, side="right") - 1


def fused(coarse: NDArray[np.float64] | None, fine: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Scores of frames by those of the events that they are in: the mean of the levels. The published weights (β) were
    chosen for each data set with its test labels; this is β = 0.

    Args:
        coarse, fine: float64 [n], the scores of the frames' events; None for a level that is not wanted. One of them is given.
    """
    given = [level for level in (coarse, fine) if level is not None]
    return np.asarray(np.mean(given, axis=0))
