"""All metrics of one kind of scores, with their resamples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.evaluation.bootstrap import interval, pairs_in_order, ratio, resampled_auc, resampled_precision
from lavad_core.evaluation.frame_metrics import frame_auc, frame_metrics, one_label
from lavad_core.evaluation.labelled_scores import LabelledScores, Weights
from lavad_core.evaluation.ties import Array, means
from lavad_core.evaluation.types import Metric


@dataclass(frozen=True)
class Measured:
    """A metric with its resamples."""

    value: float | None
    """The metric; None where it is undefined, and then ``reason`` says why."""
    reason: str = ""
    """Why it is undefined; empty where it is defined."""
    samples: Array | None = field(default=None, repr=False)
    """float64, [R], its value in each resample, NaN where undefined; None without a bootstrap."""
    n: int | None = None
    """How many videos a mean is over."""

    @property
    def metric(self) -> Metric:
        """The metric with its interval."""
        low, high = interval(self.samples if self.value is not None else None)
        return Metric(self.value, self.reason, low, high, self.n)


def measure(labelled: LabelledScores, scores: Array) -> tuple[dict[str, Measured], Array]:
    """All metrics of a row whose scores are float64, [n].

    Returns:
        by the keys of :data:`lavad_core.evaluation.types.METRIC_TITLES`; and the pairs in order, [V, V].
    """
    weights, draws = labelled.weights, labelled.draws
    pairs = pairs_in_order(weights, scores)
    frames = frame_metrics(*labelled.entries(scores))
    auc = average = trapezoid = None
    if draws is not None:
        auc = resampled_auc(draws, pairs, labelled.positive, labelled.negative)
        average, trapezoid = resampled_precision(draws, weights, scores)
    reason, marked = frames["reason"], labelled.positive > 0
    return {
        "auc": Measured(frames["roc_auc"], reason, auc),
        "average_precision": Measured(frames["average_precision"], reason, average),
        "pr_auc_trapezoid": Measured(frames["pr_auc_trapezoid"], reason, trapezoid),
        "auc_anomalous": Measured(*frame_auc(*labelled.entries(scores, marked)), kept_samples(labelled, pairs, marked)),
        "auc_macro": _macro(labelled, pairs),
        **{f"auc_video_{how}": _video_level(labelled, scores, how) for how in ("max", "mean")},
    }, pairs


def kept_samples(labelled: LabelledScores, pairs: Array, kept: NDArray[np.bool_]) -> Array | None:
    """float64, [R], ROC AUC over the frames of each resample's ``kept`` videos, bool, [V]; None if none were asked for."""
    if labelled.draws is None:
        return None
    return resampled_auc(labelled.draws, pairs, labelled.positive, labelled.negative, kept)


def own_auc(labelled: LabelledScores, pairs: Array) -> Array:
    """float64, [V], ROC AUC over each video's own frames; NaN where they have the same label."""
    return ratio(pairs.diagonal(), labelled.positive * labelled.negative)


def _macro(labelled: LabelledScores, pairs: Array) -> Measured:
    values = own_auc(labelled, pairs)
    both = np.flatnonzero(np.isfinite(values))
    if not len(both):
        return Measured(None, "no video has both anomalous and normal frames", n=0)
    samples = None
    if labelled.draws is not None:
        samples = ratio(labelled.draws[:, both] @ values[both], labelled.draws[:, both].sum(axis=1))
    return Measured(float(values[both].mean()), "", samples, len(both))


def _video_level(labelled: LabelledScores, scores: Array, how: str) -> Measured:
    levels = video_scores(labelled, scores, how)
    reason = one_label(int(labelled.anomalous.sum()), len(levels), "video")
    if reason:
        return Measured(None, reason)
    value, _ = frame_auc(labelled.anomalous, levels)
    if labelled.draws is None:
        return Measured(value)
    anomalous = labelled.anomalous.astype(np.float64)
    each = Weights(np.arange(len(levels)), anomalous, 1 - anomalous, len(levels))
    return Measured(value, "", resampled_auc(labelled.draws, pairs_in_order(each, levels), anomalous, 1 - anomalous))


def video_scores(labelled: LabelledScores, scores: Array, how: str) -> Array:
    """float64, [V], the highest (``max``) or mean (``mean``) of each video's grid scores; equal ones are equal."""
    begins = np.flatnonzero(np.diff(labelled.weights.video, prepend=-1))
    if how == "max":
        return np.maximum.reduceat(scores, begins)
    return means(np.split(scores, begins[1:]))
