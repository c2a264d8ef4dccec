"""A published run on UCF-Crime: the evaluator gives the metrics that were computed from it elsewhere."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lavad_core.datasets.annotations import read_annotations
from lavad_core.imports.values import read_frame_scores
from lavad_core.method.detection import to_frames
from lavad_core.evaluation.frames import frame_metrics, labels_from_intervals
from lavad_core.method.sampling import grid

INTERVAL = 16


@pytest.mark.parametrize("scores", ["raw", "refined"])
def test_metrics_of_a_published_run(scores: str, shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    if not (data / "urf_ucf_crime" / "expected_metrics.json").exists():
        pytest.skip("no ../shared/data/urf_ucf_crime: the comparison with a published run is not made")
    expected = json.loads((data / "urf_ucf_crime" / "expected_metrics.json").read_text())[f"{scores}/sigma0"]
    lengths = {}
    for line in (data / "ucf_crime" / "test.txt").read_text().splitlines():
        name, first, last, _ = line.split()
        lengths[name] = int(last) - int(first) + 1
    annotations = read_annotations(data / "ucf_crime" / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
    assert set(annotations) == set(lengths)
    with tarfile.open(data / "urf_ucf_crime" / f"scores_{scores}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")

    labels, predictions, clipped = [], [], 0
    for name, frames in lengths.items():
        marked, beyond = labels_from_intervals(annotations[name].intervals, frames)
        values, _ = read_frame_scores(tmp_path / f"scores_{scores}", name)
        assert list(values) == grid(frames, INTERVAL).tolist()
        labels.append(marked)
        predictions.append(to_frames(np.array(list(values.values())), frames, INTERVAL, video=name))
        clipped += beyond
    metrics = frame_metrics(np.concatenate(labels), np.concatenate(predictions))

    assert clipped == 7
    assert len(lengths) == expected["videos"]
    assert metrics["frames"] == expected["frames"]
    assert metrics["positive"] == expected["positive"]
    assert metrics["roc_auc"] == pytest.approx(expected["roc_auc"], abs=1e-5)
    assert metrics["average_precision"] == pytest.approx(expected["average_precision"], abs=1e-5)
    assert metrics["pr_auc_trapezoid"] == pytest.approx(expected["pr_auc_trapezoid"], abs=1e-5)
