"""The flow that evaluates results: its artifacts and report, and how it ends beside a baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from support import filled_store
from support.filled_store import fill
from support.flow_runs import artifacts

from lavad.flows.evaluate import evaluate
from lavad.tasks import set_evaluation
from lavad.tasks.evaluation_artifacts import evaluation_text, metric_table
from lavad.tasks.set_evaluation import SetRef, evaluate_set
from lavad_core.errors import InputError
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.runs.known_bad import KnownBad, acknowledge, forget

pytestmark = pytest.mark.usefixtures("prefect_server")

NAME = "=one](http://x)<b>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store with a run whose scores are right, and a later one whose scores are wrong."""
    root = tmp_path_factory.mktemp("evaluate")
    (root / "labels.txt").write_text(f"{NAME} Fighting 16 31 -1 -1\ntwo Normal -1 -1 -1 -1\n")
    right, _ = fill(root / "store", NAME, "two", name="the right one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filled_store, "SCORES", [0.7, 0.1, 0.25])
        wrong, _ = fill(root / "store", NAME, "two", more=("refine.neighbours=3",))
    return {"root": str(root), "right": right, "wrong": wrong}


def run(runs: dict[str, str], **parameters: Any) -> State[Any]:
    root = Path(runs["root"])
    given = {"labels": str(root / "labels.txt"), "settings": {"store": str(root / "store")}, "resamples": 50}
    state: State[Any] = evaluate(**{**given, **parameters}, return_state=True)
    return state


def test_the_parameters_of_deployments_keep_their_names() -> None:
    """Users have them in prefect.yaml, in schedules and in ``prefect deployment run --param``."""
    assert set(evaluate.parameters.properties) == {
        "labels", "dataset", "list_file", "run_id", "preset", "settings", "videos", "first_frame", "frame_count_tolerance",
        "sigmas", "thresholds", "threshold_file", "low_threshold", "min_length", "max_gap", "resamples", "seed", "baseline",
        "tolerances", "report", "config", "smooth_again",
    }  # fmt: skip


def test_metrics_curves_and_report(runs: dict[str, str], tmp_path: Path) -> None:
    state = run(runs, run_id=runs["right"], sigmas=[1.0], report=str(tmp_path / "report"))
    assert (state.name, state.message) == ("Completed", "AUC (micro) 0.8750, AP 0.5000")
    found = artifacts(state)
    table = json.loads(found["lavad-metrics"])
    assert [row["scores"] for row in table][:2] == ["refined", "refined σ1 \\(16 frames, 0.64 s\\)"]
    assert table[0]["AUC (micro)"] == "0.8750"
    assert "labels.txt, SHA-256 " in found["lavad-evaluation"]
    assert "index.html" in found["lavad-evaluation"]
    for key in ("lavad-roc", "lavad-precision-recall"):
        assert found[key].startswith("data:image/svg+xml;base64,")
    assert {"index.html", "evaluation.json", "roc.svg", "pr.svg"} <= {p.name for p in (tmp_path / "report").iterdir()}
    assert EVALUATION.read(tmp_path / "report" / "evaluation.json").header.results["id"] == runs["right"]


def test_the_latest_run_and_the_report_beside_the_store(runs: dict[str, str]) -> None:
    state = run(runs)
    assert state.name == "Completed"
    report = Path(runs["root"]) / "store" / "cache" / "reports" / runs["wrong"] / "index.html"
    assert report.is_file()


def test_red_where_metrics_fell_below_a_run(runs: dict[str, str]) -> None:
    state = run(runs, run_id=runs["wrong"], baseline=runs["right"])
    assert (state.type.value, state.name) == ("FAILED", "Regressed")
    assert state.message is not None
    assert f"fell against baseline {runs['right']} (paired over 2 videos): AUC (micro) 0.8750 → " in state.message
    assert "Regressed" in artifacts(state)["lavad-evaluation"]
    assert run(runs, run_id=runs["wrong"], baseline="the right one").message == state.message, "a run has a name, too"
    assert run(runs, run_id=runs["right"], baseline=runs["wrong"]).name == "Completed"
    assert run(runs, run_id=runs["wrong"], baseline=runs["right"], tolerances={"auc": 1.0}).name == "Completed"


def test_beside_the_numbers_of_a_file(runs: dict[str, str], tmp_path: Path) -> None:
    run(runs, run_id=runs["right"], report=str(tmp_path / "report"))
    state = run(runs, run_id=runs["wrong"], baseline=str(tmp_path / "report" / "evaluation.json"))
    assert state.name == "Regressed"
    assert state.message is not None
    assert "(over 2 videos)" in state.message


def test_red_where_videos_of_the_data_set_have_no_scores(runs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("two Fighting 16 31 -1 -1\nmissing Normal -1 -1\n")
    state = run(runs, labels=str(tmp_path / "labels.txt"))
    assert (state.type.value, state.name) == ("FAILED", "PartiallyFailed")
    assert state.message is not None
    assert state.message.endswith("1 of 2 videos of temporal annotation have no scores")
    assert "* missing: not in the run" in artifacts(state)["lavad-evaluation"]


def test_a_video_that_is_known_to_be_bad_is_counted_and_not_red(runs: dict[str, str], tmp_path: Path) -> None:
    root, labels = Path(runs["root"]) / "store", tmp_path / "labels.txt"
    bad = KnownBad("f" * 32, "no-video", "bad", "an audio file")
    labels.write_text("two Fighting 16 31 -1 -1\nbad.mp4 Normal -1 -1\n")
    before = run(runs, labels=str(labels))
    assert (before.name, str(before.message).partition("; ")[2]) == (
        "PartiallyFailed",
        "1 of 2 videos of temporal annotation have no scores",
    )
    acknowledge(root, bad)
    try:
        state = run(runs, labels=str(labels))
        assert (state.name, str(state.message).partition("; ")[2]) == (
            "Completed",
            "over 1 of 2 videos of temporal annotation, 1 known to be bad",
        )
        shown = artifacts(state)["lavad-evaluation"]
        assert r"\(1 known to be bad\)" in shown
        assert r"* bad: known bad\: no-video\: an audio file" in shown
        labels.write_text(f"{labels.read_text()}lost Normal -1 -1\n")
        more = run(runs, labels=str(labels))
        assert (more.name, str(more.message).partition("; ")[2]) == (
            "PartiallyFailed",
            "1 of 3 videos of temporal annotation have no scores, 1 known to be bad",
        )
    finally:
        forget(root, bad)


@pytest.mark.parametrize(
    ("case", "parameters", "says"),
    [
        ("no labels", {"labels": None}, "whose labels?"),
        ("no such data set", {"dataset": "ucf-krime"}, "no data set 'ucf-krime'"),
        ("no such run", {"run_id": "20260101T000000000-abcdef"}, "has no run 20260101T000000000-abcdef"),
        ("no such baseline", {"baseline": "/nowhere.json"}, "'/nowhere.json' does not exist"),
        ("no such metric", {"tolerances": {"x": 0.1}}, "no metric 'x'"),
        ("no smoothing", {"sigmas": [0.0]}, "does not smooth"),
        ("no threshold", {"threshold_file": "/nowhere.json"}, "'/nowhere.json' does not exist"),
    ],
)
def test_what_is_wrong_ends_the_flow_with_its_words(
    case: str, parameters: dict[str, Any], says: str, runs: dict[str, str]
) -> None:
    state = run(runs, **parameters)
    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert isinstance(error, InputError)
    assert says in str(error)


def test_numbers_that_a_run_has_made_are_not_made_again(
    runs: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root, options = Path(runs["root"]), EvaluationOptions(resamples=20)
    ref = SetRef(root / "store", runs["right"], None, root / "labels.txt", None, None)
    made = evaluate_set.fn(ref, options, None)
    before = replace(made, header=replace(made.header, results={"id": "", "origin": "run"}, recipe={}))
    monkeypatch.setattr(set_evaluation, "evaluate_results", None)
    assert evaluate_set.fn(ref, options, None, before) == made


def test_names_are_escaped_in_the_artifacts(runs: dict[str, str], tmp_path: Path) -> None:
    run(runs, run_id=runs["right"], report=str(tmp_path / "r"))
    evaluation = EVALUATION.read(tmp_path / "r" / "evaluation.json")
    header = evaluation.header
    evil = type(header)(**{**vars(header), "unscored": {NAME: NAME}, "warnings": (NAME,), "dataset": NAME})
    text = evaluation_text(type(evaluation)(**{**vars(evaluation), "header": evil}), NAME, NAME, None, NAME)
    assert "<b>" not in text
    assert "](http" not in text
    assert all("<" not in value for row in metric_table(evaluation) for value in row.values())
