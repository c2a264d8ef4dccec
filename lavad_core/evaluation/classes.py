"""Metrics of the videos of a class, in the two conventions that papers have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import Dataset
from lavad_core.evaluation.frames import frame_metrics
from lavad_core.evaluation.grid import Array
from lavad_core.evaluation.rows import Ground, Measured, entries, kept_samples
from lavad_core.evaluation.types import ClassRow, Metric


def class_rows(ground: Ground, dataset: Dataset, scores: Array, pairs: Array) -> tuple[ClassRow, ...]:
    """Every class of the data set, those without a scored video among them.

    Args:
        ground: of the scored videos.
        dataset: whose classes.
        scores, pairs: of the unsmoothed final scores.
    """
    normal = ~ground.anomalous
    rows = []
    for name in dataset.classes:
        own = np.array([name in video.labels.classes for video in ground.videos])
        rows.append(
            ClassRow(
                name=name,
                videos=int(own.sum()),
                positive=int(ground.positive[own].sum()),
                within=_metrics(ground, scores, pairs, own),
                with_normal=_metrics(ground, scores, pairs, own | normal) if own.any() else _nothing(),
                normal_videos=int(normal.sum()),
            )
        )
    return tuple(rows)


def _metrics(ground: Ground, scores: Array, pairs: Array, kept: NDArray[np.bool_]) -> dict[str, Metric]:
    if not kept.any():
        return _nothing()
    found = frame_metrics(*entries(ground.weights, scores, ground.weights.within(kept)))
    return {
        "auc": Measured(found["roc_auc"], found["reason"], kept_samples(ground, pairs, kept)).metric,
        "average_precision": Measured(found["average_precision"], found["reason"]).metric,
    }


def _nothing() -> dict[str, Metric]:
    return dict.fromkeys(("auc", "average_precision"), Metric(None, "no video of the class has scores"))
