"""Published scores of Probe-VAD, imported and evaluated: figures that were computed another way."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import Evaluation
from lavad_core.imports.per_video import ImportSources
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    if not (shared / "data/probe_vad/msad_scores.tar.xz").exists():
        pytest.skip("no ../shared/data/probe_vad: no published scores on MSAD are imported")
    return shared / "data"


def evaluated(data: Path, scores: str, dataset: Dataset, store: Path) -> Evaluation:
    recorded = record_import(store, ImportSources(scores=data / "probe_vad" / scores), dataset)
    assert not recorded.report.problems
    found = open_results(store, recorded.run.run_id)
    return evaluate(dataset, found, EvaluationOptions(sigmas=(10.0,), resamples=0))


def figures(evaluation: Evaluation) -> list[tuple[float, float]]:
    """AUC and AP in per cent, without smoothing and with."""
    return [
        (round(100 * (row.metrics["auc"].value or 0), 2), round(100 * (row.metrics["average_precision"].value or 0), 2))
        for row in evaluation.rows
        if row.ours
    ]


@pytest.mark.parametrize(
    ("first_frame", "expected", "positive", "clipped"),
    [
        # As the data set counts: 68 of the 120 intervals end in the last frame.
        (None, [(94.32, 82.14), (94.39, 81.37)], 33_739, 0),
        # As Probe-VAD's own program reads it: a frame late, and 68 intervals end a frame after their video.
        (0, [(94.30, 81.99), (94.36, 81.21)], 33_671, 68),
    ],
)
def test_msad(
    first_frame: int | None,
    expected: list[tuple[float, float]],
    positive: int,
    clipped: int,
    data: Path,
    tmp_path: Path,
) -> None:
    files = data / "probe_vad" / "msad_annotations"
    dataset = open_dataset(
        "msad", files / "temporal_annotations.txt", files / "test.txt", reading=LabelReading(first_frame=first_frame)
    )
    assert len(dataset.videos) == 240
    found = evaluated(data, "msad_scores.tar.xz", dataset, tmp_path)
    assert (found.header.scored, found.header.frames) == (240, 146_408)
    assert (found.header.positive, found.header.clipped_intervals) == (positive, clipped)
    assert found.header.reading == f"frames of intervals counted from {1 if first_frame is None else first_frame}"
    assert figures(found) == expected


def test_ucf_crime(data: Path, tmp_path: Path) -> None:
    files = data / "ucf_crime"
    annotation = files / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    dataset = open_dataset("ucf-crime", annotation, files / "test.txt")
    found = evaluated(data, "ucf_crime_scores.tar.xz", dataset, tmp_path)
    assert figures(found) == [(84.82, 37.65), (86.27, 39.48)]
