"""What gated re-scoring is worth on UCF-Crime, by URF's published scores before and after it, imported and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.evaluation.compare import compare_results
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.imports.per_video import ImportSources
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import


@pytest.mark.slow  # two imports of 290 videos, and 1,000 resamples of them
def test_the_gain_and_its_interval_are_those_that_the_page_of_recipes_prints(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    if not (data / "urf_ucf_crime/scores_refined.tar.xz").exists():
        pytest.skip("no ../shared/data/urf_ucf_crime: what re-scoring is worth is not recomputed")
    ucf = data / "ucf_crime"
    labels = ucf / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    dataset = open_dataset("ucf-crime", labels, ucf / "test.txt")
    before, after = (
        open_results(
            tmp_path, record_import(tmp_path, ImportSources(scores=data / "urf_ucf_crime" / name), dataset).run.run_id
        )
        for name in ("scores_raw.tar.xz", "scores_refined.tar.xz")
    )
    found = compare_results(dataset, after, before, EvaluationOptions(sigmas=(10.0,)))
    rows = [
        tuple(
            tuple(f"{100 * value:.2f}" for value in (one.b, one.a, one.difference, one.low, one.high))
            for one in (row.metrics["auc"], row.metrics["average_precision"])
        )
        for row in found.rows
    ]
    page = " ".join(
        (Path(__file__).parents[2] / "docs/design/recipes/rescoring.md").read_text(encoding="utf-8").split()
    )
    (auc_0, ap_0), (auc_10, ap_10) = rows
    assert (auc_10[:2], ap_10[:2]) == (("81.95", "84.36"), ("34.80", "36.16"))
    for name, (auc, ap) in (("none", (auc_0, ap_0)), ("σ 10", (auc_10, ap_10))):
        cells = [f"{b} → {a} | {difference} ({low} … {high})" for b, a, difference, low, high in (auc, ap)]
        assert f"| {name} | {cells[0]} | {cells[1]} |".replace("-", "−") in page
