"""ROC and precision-recall curves, thinned."""

from __future__ import annotations

import numpy as np

from lavad_core.evaluation.labelled_scores import LabelledScores
from lavad_core.evaluation.ties import Array
from lavad_core.evaluation.types import Curve

POINTS = 400
"""Points of a thinned curve, at most; a step is then a pixel or two of a picture."""


def curves_of(labelled: LabelledScores, scores: Array) -> tuple[Curve, Curve] | None:
    """ROC (false, true positive rate) and precision-recall (recall, precision) over all frames; None where undefined."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not labelled.positive.any() or not labelled.negative.any():
        return None
    labels, values, weights = labelled.entries(scores)
    false, true, _ = roc_curve(labels, values, sample_weight=weights)
    precision, recall, _ = precision_recall_curve(labels, values, sample_weight=weights)
    return thinned(false, true), thinned(recall[::-1], precision[::-1])


def thinned(x: Array, y: Array) -> Curve:
    """Points of a curve at about equal distances along it; its ends are kept."""
    if len(x) > POINTS:
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)))
        kept[0], kept[-1] = 0, len(x) - 1
        x, y = x[kept], y[kept]
    return Curve(tuple(x.tolist()), tuple(y.tolist()))
