"""The metrics of one kind of scores, with what the bootstrap makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.evaluation.bootstrap import (
    interval,
    pairs_in_order,
    ratio,
    resampled_auc,
    resampled_precision,
)
from lavad_core.evaluation.frames import frame_auc, frame_metrics, one_label
from lavad_core.evaluation.grid import Array, GridVideo, Weights, weights_of
from lavad_core.evaluation.ties import means
from lavad_core.evaluation.types import Metric


@dataclass(frozen=True)
class Measured:
    """A metric.

    Attributes:
        value: None where it is undefined, and then ``reason`` says why.
        samples: float64, [R], of the resamples, NaN where undefined; None where none were asked for.
        n: videos of a mean.
    """

    value: float | None
    reason: str = ""
    samples: Array | None = field(default=None, repr=False)
    n: int | None = None

    @property
    def metric(self) -> Metric:
        """With its interval."""
        low, high = interval(self.samples if self.value is not None else None)
        return Metric(self.value, self.reason, low, high, self.n)


@dataclass(frozen=True)
class Ground:
    """What all rows have in common.

    Attributes:
        videos: V scored ones.
        weights: of their scores.
        positive, negative: float64, [V], frames.
        anomalous: bool, [V], as the data set calls the videos.
        draws: float64, [R, V], of the bootstrap; None for no intervals.
    """

    videos: Sequence[GridVideo] = field(repr=False)
    weights: Weights
    positive: Array = field(repr=False)
    negative: Array = field(repr=False)
    anomalous: NDArray[np.bool_] = field(repr=False)
    draws: Array | None = field(repr=False)


def ground_of(videos: Sequence[GridVideo], draws: Array | None) -> Ground:
    """The ground of the rows of ``videos``."""
    weights = weights_of(videos)
    anomalous = np.array([video.is_anomalous for video in videos])
    return Ground(videos, weights, weights.positive_of, weights.negative_of, anomalous, draws)


def labelled_entries(weights: Weights, kept: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.intp], int]:
    """Which scores have anomalous frames, then which have others; and how many the former are.

    Args:
        weights: of the scores.
        kept: bool, [n], scores that count; all if not given.
    """
    first, second = weights.positive > 0, weights.negative > 0
    if kept is not None:
        first, second = first & kept, second & kept
    anomalous = np.flatnonzero(first)
    return np.concatenate([anomalous, np.flatnonzero(second)]), len(anomalous)


def entries(
    weights: Weights, scores: Array, kept: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Labels, scores and weights for scikit-learn: what is of both kinds of frames comes twice."""
    at, anomalous = labelled_entries(weights, kept)
    labels = np.arange(len(at)) < anomalous
    return labels, scores[at], np.where(labels, weights.positive[at], weights.negative[at])


def measure(ground: Ground, scores: Array) -> tuple[dict[str, Measured], Array]:
    """All metrics of a row.

    Args:
        ground: of the set.
        scores: float64, [n].

    Returns:
        by the keys of :data:`lavad_core.evaluation.types.METRICS`; and the pairs in order, [V, V].
    """
    weights, draws = ground.weights, ground.draws
    pairs = pairs_in_order(weights, scores)
    frames = frame_metrics(*entries(weights, scores))
    auc = average = trapezoid = None
    if draws is not None:
        auc = resampled_auc(draws, pairs, ground.positive, ground.negative)
        average, trapezoid = resampled_precision(draws, weights, scores)
    reason = frames["reason"]
    return {
        "auc": Measured(frames["roc_auc"], reason, auc),
        "average_precision": Measured(frames["average_precision"], reason, average),
        "pr_auc_trapezoid": Measured(frames["pr_auc_trapezoid"], reason, trapezoid),
        "auc_anomalous": subset_auc(ground, scores, pairs, ground.positive > 0),
        "auc_macro": _macro(ground, pairs),
        **{f"auc_video_{how}": _video_level(ground, scores, how) for how in ("max", "mean")},
    }, pairs


def subset_auc(ground: Ground, scores: Array, pairs: Array, kept: NDArray[np.bool_]) -> Measured:
    """ROC AUC over the frames of the ``kept`` videos, bool, [V]."""
    value, reason = frame_auc(*entries(ground.weights, scores, ground.weights.within(kept)))
    return Measured(value, reason, kept_samples(ground, pairs, kept))


def kept_samples(ground: Ground, pairs: Array, kept: NDArray[np.bool_]) -> Array | None:
    """float64, [R], ROC AUC over the frames of the ``kept`` videos of each resample; None if none were asked for."""
    if ground.draws is None:
        return None
    return resampled_auc(ground.draws, pairs, ground.positive, ground.negative, kept)


def own_auc(ground: Ground, pairs: Array) -> Array:
    """float64, [V], ROC AUC over each video's own frames; NaN where they have the same label."""
    return ratio(pairs.diagonal(), ground.positive * ground.negative)


def _macro(ground: Ground, pairs: Array) -> Measured:
    values = own_auc(ground, pairs)
    both = np.flatnonzero(np.isfinite(values))
    if not len(both):
        return Measured(None, "no video has both anomalous and normal frames", n=0)
    samples = None
    if ground.draws is not None:
        samples = ratio(ground.draws[:, both] @ values[both], ground.draws[:, both].sum(axis=1))
    return Measured(float(values[both].mean()), "", samples, len(both))


def _video_level(ground: Ground, scores: Array, how: str) -> Measured:
    levels = video_scores(ground, scores, how)
    reason = one_label(int(ground.anomalous.sum()), len(levels), "videos")
    if reason:
        return Measured(None, reason)
    value, _ = frame_auc(ground.anomalous, levels)
    if ground.draws is None:
        return Measured(value)
    anomalous = ground.anomalous.astype(np.float64)
    each = Weights(np.arange(len(levels)), anomalous, 1 - anomalous, len(levels))
    return Measured(value, "", resampled_auc(ground.draws, pairs_in_order(each, levels), anomalous, 1 - anomalous))


def video_scores(ground: Ground, scores: Array, how: str) -> Array:
    """float64, [V], the highest (``max``) or mean (``mean``) of each video's grid scores; equal ones are equal."""
    begins = np.flatnonzero(np.diff(ground.weights.video, prepend=-1))
    if how == "max":
        return np.maximum.reduceat(scores, begins)
    return means(np.split(scores, begins[1:]))
