"""A published run on UCF-Crime through the commands: in, evaluated, out in the authors' layout, and in again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command import REPOSITORY, environment, lavad

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.results.open import open_results

EXPECTED = {
    "auc": "roc_auc",
    "average_precision": "average_precision",
    "pr_auc_trapezoid": "pr_auc_trapezoid",
    "auc_anomalous": "anomalous_videos_only_auc",
    "auc_macro": "macro_video_auc",
}
MEMORY_LIMIT = 10**9
"""Bytes, of the import and the evaluation together."""

WHOLE = """
import pathlib, sys
from lavad.deployments.cli.main import app
for arguments in sys.argv[1].split("\\n"):
    try:
        app(arguments.split("\\t"), standalone_mode=False)
    except SystemExit as stop:
        assert not stop.code, stop.code
status = pathlib.Path("/proc/self/status").read_text()  # not rusage, which has the memory of whoever started the process
print(int(status.split("VmHWM:")[1].split()[0]) * 1024, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    if not (shared / "data/urf_ucf_crime/expected_metrics.json").exists():
        pytest.skip("no ../shared/data/urf_ucf_crime: no published run is imported")
    return shared / "data"


def labels(data: Path) -> list[str]:
    ucf = data / "ucf_crime"
    annotation = ucf / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    return ["--dataset", "ucf-crime", "--labels", str(annotation), "--list", str(ucf / "test.txt")]


def sources(data: Path) -> list[str]:
    urf = data / "urf_ucf_crime"
    return [
        *("--scores", str(urf / "scores_refined.tar.xz")),
        *("--raw-scores", str(urf / "scores_raw.tar.xz")),
        *("--captions", f"VideoLLaMA3-7B={urf / 'captions.tar.xz'}"),
    ]


@pytest.fixture(scope="module")
def store(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published") / "store"
    made = lavad("import", *sources(data), *labels(data), "--store", str(root), "--json")
    assert made.exit_code == 0, made.stderr
    (root.parent / "said.json").write_text(made.stdout)
    return root


def test_all_is_imported(store: Path) -> None:
    said: dict[str, Any] = json.loads((store.parent / "said.json").read_text())
    assert (said["videos_scored"], said["videos_expected"], said["frames"]) == (290, 290, 1_111_808)
    assert (said["interval"], said["unscored"], said["problems"]) == (16, {}, [])
    captions = open_results(store).texts("Abuse028_x264").captions["VideoLLaMA3-7B"]
    assert captions[0].startswith("A man is walking down a sidewalk")


def test_metrics_are_the_expected_ones(store: Path, data: Path) -> None:
    given = labels(data)
    dataset = open_dataset("ucf-crime", Path(given[3]), Path(given[5]))
    found = evaluate(dataset, open_results(store), EvaluationOptions(sigmas=(10,), resamples=0))
    expected = json.loads((data / "urf_ucf_crime/expected_metrics.json").read_text())
    rows = {(row.name, row.sigma): row for row in found.rows if row.ours}
    assert len(rows) == len(expected) == 4
    for (name, sigma), row in rows.items():
        theirs = expected[f"{name}/sigma{sigma:g}"]
        assert EXPECTED.keys() <= METRIC_TITLES.keys()
        for ours, key in EXPECTED.items():
            assert row.metrics[ours].value == pytest.approx(theirs[key], abs=1e-5), (name, sigma, ours)


def test_out_in_the_authors_layout_and_in_again(store: Path, data: Path, tmp_path: Path) -> None:
    said = json.loads((store.parent / "said.json").read_text())
    run = ["--store", str(store)]
    assert lavad("export", "authors", str(tmp_path / "out"), "--run", said["run"], *run).exit_code == 0
    again = lavad("import", "--layout", str(tmp_path / "out"), *labels(data), *run, "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["digest"] == said["digest"]
    assert json.loads(again.stdout)["videos"] == said["videos"]


def test_import_and_evaluation_take_less_than_a_gigabyte(data: Path, tmp_path: Path) -> None:
    """In a process of their own, as a user starts them."""
    store = ["--store", str(tmp_path / "store")]
    commands = [
        ["import", *sources(data), *labels(data), *store],
        ["evaluate", *labels(data), *store, "--sigma", "10", "--json"],
    ]
    lines = "\n".join("\t".join(command) for command in commands)
    done = subprocess.run(
        [sys.executable, "-c", WHOLE, lines],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.splitlines()[-1]) < MEMORY_LIMIT
    assert '"auc"' in done.stdout
