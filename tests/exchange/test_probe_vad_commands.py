"""Published scores of Probe-VAD by the commands that a user gives, and its ablations on UCF-Crime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.command import lavad

from lavad_core.imports.scores import GivenScores, between


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    if not (shared / "data/probe_vad/msad_scores.tar.xz").exists():
        pytest.skip("no ../shared/data/probe_vad: no published scores are imported")
    return shared / "data"


def figures(
    scores: Path, dataset: str, labels: Path, videos: Path, store: Path, *more: str, reading: tuple[str, ...] = ()
) -> list[tuple[float, float]]:
    """ROC AUC and average precision, without smoothing and with a Gaussian of 10 grid steps."""
    common = ("--dataset", dataset, "--labels", str(labels), "--list", str(videos), "--store", str(store), *more)
    imported = lavad("import", "--scores", str(scores), *common, *reading)
    assert imported.exit_code == 0, imported.stderr
    found = lavad("evaluate", *common, "--sigma", "10", "--resamples", "0", "--json")
    assert found.exit_code == 0, found.stderr
    rows = [row for row in json.loads(found.stdout)["rows"] if row["ours"]]
    return [tuple(row["metrics"][name]["value"] for name in ("auc", "average_precision")) for row in rows]


UCF = [
    pytest.param("ucf_crime_scores", (0.8482, 0.3765), (0.8627, 0.3948), id="clips"),
    pytest.param("ucf_crime_e0_stride32_threshold5", None, (0.8623, 0.3946), id="every other clip, five thresholds"),
    pytest.param("ucf_crime_caption_e0_likelihood_stride16", None, (0.8028, 0.3257), id="captions"),
    pytest.param("ucf_crime_direct_11class_likelihood_promptfix", None, (0.8443, 0.4026), id="expected value of 11"),
    pytest.param("ucf_crime_direct_generation", None, (0.7020, 0.2423), id="the number that is said"),
]


@pytest.mark.slow  # some seconds each
@pytest.mark.parametrize(("scores", "plain", "smoothed"), UCF)
def test_ucf_crime(
    scores: str, plain: tuple[float, float] | None, smoothed: tuple[float, float], data: Path, tmp_path: Path
) -> None:
    ucf = data / "ucf_crime"
    labels = ucf / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    # Of those of every 32nd frame their program interpolates the ones between.
    reading = ("--interval", "16", "--interpolate") if "stride32" in scores else ()
    place = data / "probe_vad" / f"{scores}.tar.xz"
    found = figures(place, "ucf-crime", labels, ucf / "test.txt", tmp_path, reading=reading)
    assert plain is None or found[0] == pytest.approx(plain, abs=1e-4)
    assert found[1] == pytest.approx(smoothed, abs=1e-4)


def test_msad(data: Path, tmp_path: Path) -> None:
    """Its own program counts frames from 0, where the data set counts them from 1."""
    lists = data / "probe_vad" / "msad_annotations"
    files = (lists / "temporal_annotations.txt", lists / "test.txt")
    found = figures(data / "probe_vad" / "msad_scores.tar.xz", "msad", *files, tmp_path, "--first-frame", "0")
    assert found[0] == pytest.approx((0.9430, 0.8199), abs=1e-4)
    assert found[1] == pytest.approx((0.9436, 0.8121), abs=1e-4)


@pytest.mark.parametrize(
    ("given", "frames", "expected"),
    [
        pytest.param({0: 0.0, 32: 1.0, 64: 0.5}, 90, [0.0, 0.5, 1.0, 0.75, 0.5, 0.5], id="between, and to the end"),
        pytest.param({0: 0.0, 32: 1.0, 96: 0.5}, 100, None, id="one is missing, and is not made up"),
        pytest.param({0: 0.0, 24: 1.0}, 30, None, id="between the grid's frames"),
    ],
)
def test_scores_of_fewer_frames(given: dict[int, float], frames: int, expected: list[float] | None) -> None:
    scores = GivenScores("a.json", np.array([*given.values()]), np.array([*given]))
    found = between(scores, frames, 16)
    assert found.values.tolist() == ([*given.values()] if expected is None else expected)
    assert found.count == (len(given) if expected is None else -(-frames // 16))


def test_interpolation_needs_to_know_how_far() -> None:
    found = lavad("import", "--scores", "x", "--interpolate")
    assert found.exit_code == 2
    assert "--interval" in found.stderr
