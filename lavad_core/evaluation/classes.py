"""Metrics of the videos of a class, in the two conventions that papers have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import Dataset
from lavad_core.evaluation.frame_metrics import frame_metrics
from lavad_core.evaluation.labelled_scores import LabelledScores
from lavad_core.evaluation.measure import Measured, kept_samples
from lavad_core.evaluation.ties import Array
from lavad_core.evaluation.types import ClassRow, Metric


def class_rows(labelled: LabelledScores, dataset: Dataset, scores: Array, pairs: Array) -> tuple[ClassRow, ...]:
    """A row for every class of the data set, also for those without a scored video; ``scores`` and ``pairs`` are the
    unsmoothed final ones."""
    normal = ~labelled.anomalous
    rows = []
    for name in dataset.classes:
        own = np.array([name in video.labels.classes for video in labelled.videos])
        rows.append(
            ClassRow(
                name=name,
                videos=int(own.sum()),
                positive=int(labelled.positive[own].sum()),
                within=_metrics(labelled, scores, pairs, own),
                with_normal=_metrics(labelled, scores, pairs, own | normal) if own.any() else _nothing(),
                normal_videos=int(normal.sum()),
            )
        )
    return tuple(rows)


def _metrics(labelled: LabelledScores, scores: Array, pairs: Array, kept: NDArray[np.bool_]) -> dict[str, Metric]:
    if not kept.any():
        return _nothing()
    found = frame_metrics(*labelled.entries(scores, kept))
    return {
        "auc": Measured(found["roc_auc"], found["reason"], kept_samples(labelled, pairs, kept)).metric,
        "average_precision": Measured(found["average_precision"], found["reason"]).metric,
    }


def _nothing() -> dict[str, Metric]:
    return dict.fromkeys(("auc", "average_precision"), Metric(None, "no video of the class has scores"))
