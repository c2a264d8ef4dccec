"""``lavad threshold``, and an evaluation with what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import fill


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``one`` and ``two`` with scores 0.1, 0.7, 0.25 of 16, 16 and 8 frames."""
    root = tmp_path_factory.mktemp("threshold") / "store"
    fill(root, "one", "two")
    (root.parent / "training.txt").write_text("one Fighting 16 31 -1 -1\ntwo Normal -1 -1 -1 -1\n")
    (root.parent / "Testing.txt").write_text("two Fighting 16 31 -1 -1\n")
    return root


def labelled(store: Path, name: str) -> list[str]:
    return ["--labels", str(store.parent / name), "--dataset", "ucf-crime", "--store", str(store)]


def test_chosen_printed_and_written(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    result = lavad("threshold", *labelled(store, "training.txt"), "--rule", "youden", "--output", str(path))
    assert result.exit_code == 0, result.stderr
    said = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert said["threshold"].strip() == "0.7"
    assert said["chosen on"].strip() == "2 videos of UCF-Crime (ucf-crime) with scores"
    assert "--set detect.threshold=0.7" in said["to use it"]
    assert len(said["labels"].split()[-1]) == 32
    assert "chosen on training or validation videos" in result.stderr
    assert "WARNING" not in result.stderr
    assert json.loads(path.read_text())["rule"] == "youden"


def test_evaluated_with_it(store: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "t.json", tmp_path / "e.json"
    lavad("threshold", *labelled(store, "training.txt"), "--output", str(path))
    result = lavad("evaluate", *labelled(store, "training.txt"), "--threshold-from", str(path), "--output", str(output))
    assert result.exit_code == 0, result.stderr
    assert "WARNING: the threshold 0.7 was fitted on 2 of the 2 evaluated videos" in result.stderr
    evaluation = json.loads(output.read_text())
    assert any("was fitted on" in warning for warning in evaluation["header"]["warnings"])
    assert {row["threshold"] for row in evaluation["events"]} == {0.7}


def test_labels_of_a_test_set_are_no_place_to_choose_on(store: Path) -> None:
    result = lavad("threshold", *labelled(store, "Testing.txt"), "--json")
    assert result.exit_code == 0, result.stderr
    assert "'Testing.txt' looks like the labels of a test set" in result.stderr
    assert json.loads(result.stdout)["names"] == ["two"]


@pytest.mark.parametrize(
    ("case", "arguments", "code", "says"),
    [
        ("no rule", ["--rule", "best"], 2, "'best' is not a rule"),
        ("no such run", ["--run", "x"], 2, "'x' is not an id"),
        ("not quiet enough", ["--rule", "false-alarms-per-hour=-1"], 2, "is not a rule"),
    ],
)
def test_what_is_wrong_is_said(case: str, arguments: list[str], code: int, says: str, store: Path) -> None:
    result = lavad("threshold", *labelled(store, "training.txt"), *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
