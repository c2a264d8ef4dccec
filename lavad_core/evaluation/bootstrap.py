"""Metrics of many resamples of the videos at once, without sorting all frames for each of them.

A resample is a count for each video. Every metric here is a function of these counts and of what is worked out once: for ROC
AUC how many pairs of frames of any two videos are in order, for the precision-recall curve the order of all scores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lavad_core.evaluation.labelled_scores import Weights
from lavad_core.evaluation.ties import Array

LEVEL = 0.95
"""Confidence level of the intervals."""

MIN_DEFINED = 0.9
"""Least part of the resamples in which a metric must be defined to have an interval; the other resamples are left out."""


def draw_resamples(videos: int, resamples: int, seed: int) -> Array:
    """How often each video is in each resample of as many videos, drawn with replacement.

    Returns:
        float64, [R, V], whole numbers.
    """
    counts = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=resamples)
    return counts.astype(np.float64)


def interval(samples: Array | None) -> tuple[float | None, float | None]:
    """The middle 95 % of a metric's resamples, NaN where it is undefined; (None, None) if there are too few."""
    if samples is None:
        return None, None
    defined = samples[np.isfinite(samples)]
    if not len(defined) or len(defined) < MIN_DEFINED * len(samples):
        return None, None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ratio(above: Array, below: Array) -> Array:
    """``above / below``, NaN where there is nothing below."""
    result = np.full(below.shape, np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def pairs_in_order(weights: Weights, scores: Array) -> Array:
    """Count, for any two videos, the pairs of an anomalous frame of the first and a normal frame of the second in which the
    anomalous frame has the higher of ``scores``, float64, [n]; equal scores count half.

    Returns:
        float64, [V, V], whole and half numbers (exact below 2^52).
    """
    anomalous, other = np.flatnonzero(weights.positive), np.flatnonzero(weights.negative)
    result = np.zeros((weights.videos, weights.videos))
    if not len(anomalous) or not len(other):
        return result
    levels, level = np.unique(scores[anomalous], return_inverse=True)
    begins = np.flatnonzero(np.diff(weights.video[anomalous], prepend=-1))  # of each video's anomalous scores
    rows = weights.video[anomalous][begins]
    # A frame counts half from the first level that is not below it on, and half from the first level above it on.
    reached = np.searchsorted(levels, scores[other], "left")
    passed = np.searchsorted(levels, scores[other], "right")
    ends = np.searchsorted(weights.video[other], np.arange(weights.videos + 1))
    for column in range(weights.videos):
        own = slice(ends[column], ends[column + 1])
        if own.start == own.stop:
            continue
        halves = weights.negative[other[own]] / 2
        size = len(levels) + 1
        won = np.cumsum(np.bincount(reached[own], halves, size) + np.bincount(passed[own], halves, size))
        result[rows, column] = np.add.reduceat(won[level] * weights.positive[anomalous], begins)
    return result


def resampled_auc(
    draws: Array, pairs: Array, positive: Array, negative: Array, kept: NDArray[np.bool_] | None = None
) -> Array:
    """ROC AUC over the frames of each resample's videos.

    Args:
        draws: [R, V].
        pairs: [V, V], of :func:`pairs_in_order`.
        positive, negative: [V], frames.
        kept: bool, [V], videos that count; all if not given.

    Returns:
        float64, [R], NaN where all frames have the same label.
    """
    kept = np.ones(len(positive), bool) if kept is None else kept
    rows, columns = np.flatnonzero(kept & (positive > 0)), np.flatnonzero(kept & (negative > 0))
    first, second = draws[:, rows], draws[:, columns]
    ordered = ((first @ pairs[np.ix_(rows, columns)]) * second).sum(axis=1)
    return ratio(ordered, (first @ positive[rows]) * (second @ negative[columns]))


def resampled_precision(draws: Array, weights: Weights, scores: Array) -> tuple[Array, Array]:
    """Average precision, and area under the precision-recall curve by trapezoids, of each resample of ``draws``, [R, V].

    Returns:
        two float64, [R], NaN where no frame, or every frame, is anomalous.
    """
    average, trapezoid = np.full(len(draws), np.nan), np.full(len(draws), np.nan)
    anomalous = _merged(weights.video, scores, weights.positive)
    other = _merged(weights.video, scores, weights.negative)
    if len(anomalous.video) and len(other.video):
        curve = _Curve(anomalous, other)
        for number, counts in enumerate(draws):
            average[number], trapezoid[number] = curve.areas(counts)
    return average, trapezoid


class _Entries(NamedTuple):
    """The scores that have frames of one label, highest score first."""

    video: NDArray[np.int64]
    """int64, [n]."""
    falling: Array
    """float64, [n], the negated scores."""
    frames: Array
    """float64, [n]."""


class _Curve:
    """The precision-recall curve of any resample. All working arrays are allocated once; to do so for each of a thousand
    resamples would take several times as long as the sums.

    Args:
        anomalous, other: entries of the two labels; neither is empty.
    """

    def __init__(self, anomalous: _Entries, other: _Entries) -> None:
        self._anomalous, self._other = anomalous, other
        self._begins = np.flatnonzero(np.diff(anomalous.falling, prepend=-np.inf))  # of each distinct score
        levels = anomalous.falling[self._begins]
        # How many of the other scores are above each of these, and how many are not below it.
        self._above = np.searchsorted(other.falling, levels, "left")
        self._reached = np.searchsorted(other.falling, levels, "right")
        self._drawn, self._other_drawn = np.empty(len(anomalous.video)), np.empty(len(other.video))
        self._false = np.zeros(len(other.video) + 1)
        self._step, self._true, self._all, self._part = (np.empty(len(levels)) for _ in range(4))

    def areas(self, counts: Array) -> tuple[float, float]:
        """Average precision and area by trapezoids, NaN where undefined, with each video as often as ``counts``, [V], says."""
        step, true, every, part = self._step, self._true, self._all, self._part
        # mode: without it numpy would work in a copy, to leave ``out`` as it was if an index were wrong
        np.take(counts, self._other.video, out=self._other_drawn, mode="clip")
        np.multiply(self._other_drawn, self._other.frames, out=self._other_drawn)
        np.cumsum(self._other_drawn, out=self._false[1:])
        np.take(counts, self._anomalous.video, out=self._drawn, mode="clip")
        np.multiply(self._drawn, self._anomalous.frames, out=self._drawn)
        np.add.reduceat(self._drawn, self._begins, out=step)
        np.cumsum(step, out=true)
        found = true[-1]
        if not found or not self._false[-1]:
            return np.nan, np.nan
        # Precision at each distinct score. Frames are whole: where there are none, none of them count, and 1 for 0 below the
        # line does no harm.
        np.take(self._false, self._reached, out=every, mode="clip")
        np.add(every, true, out=every)
        np.maximum(every, 1, out=every)
        np.divide(true, every, out=part)
        right = _dot(step, part)
        # Precision just before it, where the trapezoid to it begins.
        np.subtract(true, step, out=true)
        np.take(self._false, self._above, out=every, mode="clip")
        np.add(every, true, out=every)
        first = int(np.argmax(step > 0))
        begins_at_nothing = every[first] == 0
        np.maximum(every, 1, out=every)
        np.divide(true, every, out=part)
        # A curve that begins with anomalous frames alone begins at precision 1.
        left = _dot(step, part) + (float(step[first]) if begins_at_nothing else 0.0)
        return right / found, (left + right) / 2 / found


def _dot(step: Array, part: Array) -> float:
    """Their scalar product; overwrites ``part``. Not ``@``, whose threads take longer to start than this takes."""
    np.multiply(step, part, out=part)
    return float(part.sum())


def _merged(video: NDArray[np.int64], scores: Array, frames: Array) -> _Entries:
    """The scores that have any frames. Equal scores of one video are one entry: the 11 values of a language model then make a
    few thousand entries."""
    own = np.flatnonzero(frames)
    own = own[np.lexsort((video[own], -scores[own]))]
    of, falling = video[own], -scores[own]
    begins = np.flatnonzero((np.diff(falling, prepend=-np.inf) != 0) | (np.diff(of, prepend=-1) != 0))
    if not len(begins):
        return _Entries(of, falling, frames[own])
    return _Entries(of[begins], falling[begins], np.add.reduceat(frames[own], begins))
