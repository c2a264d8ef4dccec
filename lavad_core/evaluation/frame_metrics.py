"""Metrics of all frames together (micro): the numbers that papers quote."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from lavad_core.plain_text import number_of


class FrameMetrics(TypedDict):
    """Metrics over frames; None where undefined, and then ``reason`` says why."""

    frames: int
    """How many frames, or the sum of their weights."""
    positive: int
    """How many of these are labelled anomalous."""
    roc_auc: float | None
    """Area under the ROC curve, 0 … 1."""
    average_precision: float | None
    """Σ (R_n − R_{n−1})·P_n, scikit-learn's ``average_precision_score``."""
    pr_auc_trapezoid: float | None
    """Area under the precision-recall curve by trapezoids, as LAVAD's program prints it; higher than average
    precision on scores with few distinct values."""
    reason: str
    """Why metrics are undefined; empty if all are defined."""


def frame_metrics(
    labels: NDArray[np.bool_], scores: NDArray[np.floating], weights: NDArray[np.floating] | None = None
) -> FrameMetrics:
    """ROC AUC, average precision and trapezoidal PR-AUC of frames, by scikit-learn.

    Args:
        labels: bool, [n].
        scores: [n], higher is more anomalous.
        weights: [n], at least 0: how many frames each label and score is of; one if not given. The 16 frames that have a
            score in common need not be written out.

    Raises:
        ValueError: shapes differ, or a score is not finite.
    """
    # Here, not above: scikit-learn and scipy take a second to import, and the command line imports this module.
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve

    area, reason = frame_auc(labels, scores, weights)
    marked = labels.astype(bool)
    frames, positive = _counts(marked, weights)
    result = FrameMetrics(
        frames=frames, positive=positive, roc_auc=area, average_precision=None, pr_auc_trapezoid=None, reason=reason
    )
    if not reason:
        precision, recall, _ = precision_recall_curve(marked, scores, sample_weight=weights)
        # Sums of floats: 1.0000000000000002 is 1.
        result["average_precision"] = min(float(average_precision_score(marked, scores, sample_weight=weights)), 1.0)
        result["pr_auc_trapezoid"] = min(float(auc(recall, precision)), 1.0)
    return result


def frame_auc(
    labels: NDArray[np.bool_], scores: NDArray[np.floating], weights: NDArray[np.floating] | None = None
) -> tuple[float | None, str]:
    """ROC AUC alone, or None and the reason where it is undefined. Arguments and errors are those of :func:`frame_metrics`."""
    from sklearn.metrics import roc_auc_score

    if labels.shape != scores.shape or labels.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError(f"labels {labels.shape} and finite scores of the same shape are needed, got {scores.shape}")
    marked = labels.astype(bool)
    frames, positive = _counts(marked, weights)
    if reason := one_label(positive, frames, "frame"):
        return None, reason
    return min(float(roc_auc_score(marked, scores, sample_weight=weights)), 1.0), ""


def one_label(positive: int, total: int, what: str) -> str:
    """Why a metric is undefined: ``positive`` of ``total`` frames or videos are anomalous, and that is all of them or none
    (``what``: their name, in the singular). Empty otherwise."""
    if not total:
        return f"there are no {what}s"
    if positive in (0, total):
        return f"all {number_of(total, what, 'are')} labelled {'anomalous' if positive else 'normal'}"
    return ""


def _counts(marked: NDArray[np.bool_], weights: NDArray[np.floating] | None) -> tuple[int, int]:
    """Frames, and anomalous ones."""
    if weights is None:
        return len(marked), int(marked.sum())
    return round(float(weights.sum())), round(float(weights[marked].sum()))
