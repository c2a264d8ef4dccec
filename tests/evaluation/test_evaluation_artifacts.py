"""The table of metrics in the orchestrator."""

from __future__ import annotations

from support.sets import random_set

from lavad.tasks.evaluation_artifacts import metric_table
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import METRIC_TITLES


def test_cells_have_the_interval_or_the_reason() -> None:
    evaluation = evaluate(*random_set(1, 30), EvaluationOptions(sigmas=(2.0,), resamples=100))
    rows = metric_table(evaluation)
    assert [row["scores"] for row in rows][:2] == ["refined", "refined σ2 \\(32 frames, 1.28 s\\)"]
    assert all(set(row) == {"scores", *METRIC_TITLES.values()} for row in rows)
    auc = evaluation.rows[0].metrics["auc"]
    assert auc.value is not None
    assert rows[0]["AUC (micro)"] == f"{auc.value:.4f} ({auc.low:.3f}–{auc.high:.3f})"
    for row, shown in zip(evaluation.rows, rows, strict=True):
        for key, title in METRIC_TITLES.items():
            metric = row.metrics[key]
            assert shown[title].startswith("undefined: " if metric.value is None else f"{metric.value:.4f}")
