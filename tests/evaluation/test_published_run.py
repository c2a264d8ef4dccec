"""A published run on UCF-Crime: the evaluation gives the metrics that were computed from it elsewhere."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.published import against_published
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.evaluation.types import Evaluation
from lavad_core.results.types import ScoredVideo, results_of_values

INTERVAL = 16

KEYS = {
    "roc_auc": "auc",
    "average_precision": "average_precision",
    "pr_auc_trapezoid": "pr_auc_trapezoid",
    "anomalous_videos_only_auc": "auc_anomalous",
    "macro_video_auc": "auc_macro",
}
"""Metrics of ``expected_metrics.json`` to those of a row."""

COUNTS = {"videos", "frames", "positive", "macro_n", "missing", "zero_padded"}


def read_scores(archive: Path) -> dict[str, np.ndarray]:
    """Values by video. The archive also holds the prompts, and lists of phrases."""
    found = {}
    with tarfile.open(archive) as files:
        for member in files:
            stream = files.extractfile(member) if member.name.endswith("_x264.json") else None
            if stream is not None:
                values = json.load(stream)
                assert [int(frame) for frame in values] == list(range(0, len(values) * INTERVAL, INTERVAL))
                found[Path(member.name).stem] = np.array(list(values.values()), np.float64)
    return found


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    folder = shared / "data"
    if not (folder / "urf_ucf_crime" / "expected_metrics.json").exists():
        pytest.skip("no ../shared/data/urf_ucf_crime: the comparison with a published run is not made")
    return folder


@pytest.fixture(scope="module")
def evaluation(data: Path) -> Evaluation:
    ucf = data / "ucf_crime"
    dataset = open_dataset("ucf-crime", ucf / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt", ucf / "test.txt")
    refined, raw = (read_scores(data / "urf_ucf_crime" / f"scores_{kind}.tar.xz") for kind in ("refined", "raw"))
    videos = {
        name: ScoredVideo(name, labels.frames or 0, INTERVAL, refined[name], raw[name])
        for name, labels in dataset.videos.items()
    }
    return evaluate(dataset, results_of_values(videos, set_id="urf"), EvaluationOptions(sigmas=(10,), resamples=50))


@pytest.mark.parametrize("sigma", [0, 10])
@pytest.mark.parametrize("scores", ["raw", "refined"])
def test_every_metric_is_the_expected_one(evaluation: Evaluation, data: Path, scores: str, sigma: int) -> None:
    expected = json.loads((data / "urf_ucf_crime" / "expected_metrics.json").read_text())[f"{scores}/sigma{sigma}"]
    assert set(expected) == set(KEYS) | COUNTS, "a key that this test does not look at"
    (row,) = [row for row in evaluation.rows if (row.name, row.sigma) == (scores, sigma)]
    for theirs, ours in KEYS.items():
        assert row.metrics[ours].value == pytest.approx(expected[theirs], abs=1e-5), theirs
    header = evaluation.header
    assert (header.scored, header.frames, header.positive) == tuple(
        expected[key] for key in ("videos", "frames", "positive")
    )
    assert row.metrics["auc_macro"].n == expected["macro_n"]
    assert len(header.unscored) == expected["missing"] == 0


def test_the_protocol_and_the_rows_without_a_model(evaluation: Evaluation) -> None:
    assert evaluation.header.clipped_intervals == 7
    assert evaluation.header.warnings == ()
    assert evaluation.rows[0].name == "refined"
    trivial = {row.name: row.metrics for row in evaluation.rows if not row.ours}
    assert trivial["video-label oracle"]["auc"].value == pytest.approx(0.816, abs=5e-4)
    assert trivial["constant"]["auc"].value == 0.5
    assert trivial["constant"]["average_precision"].value == pytest.approx(84_331 / 1_111_808)
    assert len(evaluation.classes) == 13
    assert (min(row.videos for row in evaluation.classes), max(row.videos for row in evaluation.classes)) == (2, 23)
    assert sum(row.positive for row in evaluation.classes) == 84_331
    assert {row.normal_videos for row in evaluation.classes} == {150}
    assert {row.annotated for row in evaluation.events} == {156}


def test_it_is_json_and_can_be_compared_with_the_paper(evaluation: Evaluation) -> None:
    assert EVALUATION.parse(EVALUATION.text(evaluation)) == evaluation
    beside = against_published(evaluation)
    (lavad,) = [found for found in beside.rows if (found.row.table, found.row.method) == ("1", "LAVAD")]
    assert lavad.auc == pytest.approx(0.744822 - 0.8028, abs=1e-5)
    assert not any("not the published test set" in note for note in beside.notes)
