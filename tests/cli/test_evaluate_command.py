"""``lavad evaluate`` and ``lavad compare`` on a store that runs have left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import EVIL, fill

from lavad_core.evaluation.sealed_json import EVALUATION

OWN = ["--dataset", "own", "--labels", "LABELS"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs over ``first`` and a video with a name that no terminal should see, the second with one video more."""
    root = tmp_path_factory.mktemp("store")
    fill(root, "first", EVIL)
    fill(root, "first", EVIL, "third")
    return root


@pytest.fixture(scope="module")
def runs(store: Path) -> list[str]:
    return [run["run"] for run in json.loads(lavad("status", "--all", "--json", "--store", str(store)).stdout)]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    rows = [
        "video,start,end,unit,class,frames",
        "first,16,31,frames,Fire,40",
        "third,,,,,40",
        "bad,0,9,frames,Smoke,40",
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_the_header_comes_first_then_the_tables(store: Path, labels: Path) -> None:
    result = lavad("evaluate", "--dataset", "own", "--labels", str(labels), "--store", str(store), "--sigma", "2")
    assert result.exit_code == 0, result.stderr
    heads = ["data set:", "annotation:", "results:", "videos:     2 scored of 3 listed; 1 scored beside", "smoothing:",
             "intervals:  95 %, bootstrap over videos, 1000 resamples, seed 0", "warning:", "scores  ", "no intervals: ",
             "class ", "threshold", "lowest AUC", "normal, highest mean score"]  # fmt: skip
    places = [f"\n{result.stdout}".find(f"\n{head}") for head in heads]
    assert places[0] == 0
    assert -1 not in places
    assert places == sorted(places)
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("refined", "raw"))][:4] == [
        ["refined", "0.8750"],
        ["refined", "σ2"],
        ["raw", "0.8750"],
        ["raw", "σ2"],
    ]
    assert any(line.startswith("Smoke") and " 0 " in line for line in lines), "a class without scores is in the table"
    assert all(line.isprintable() for line in lines), "a name is printed as it is"


def test_json_is_the_file_and_the_file_can_be_read(store: Path, labels: Path, tmp_path: Path) -> None:
    command = ("evaluate", "--dataset", "own", "--labels", str(labels), "--store", str(store), "--resamples", "0")
    result = lavad(*command, "--json", "--output", str(tmp_path / "e.json"))
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "e.json").read_text(encoding="utf-8") == result.stdout
    found = EVALUATION.read(tmp_path / "e.json")
    assert found.header.unscored == {"bad": "rejected: no-video: an audio file"}
    assert found.header.unlabelled == (EVIL,)
    assert found.rows[0].metrics["auc"].value == 0.875
    assert "written: " in result.stderr


def test_thresholds_and_their_segments(store: Path, labels: Path) -> None:
    command = ("evaluate", "--dataset", "own", "--labels", str(labels), "--store", str(store), "--json")
    shown = json.loads(lavad(*command, "--threshold", "0.7", "--threshold", "0.05", "--low-threshold", "0.05").stdout)
    assert [(row["threshold"], row["found"]) for row in shown["events"]] == [(0.7, 2)] * 3 + [(0.05, 2)] * 3
    assert shown["events"][0]["matched"] == 1


def test_labels_alone_are_a_temporal_annotation(store: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("first.mp4 Fire 16 31 -1 -1\nthird Normal -1 -1\n")
    result = lavad("evaluate", "--labels", str(tmp_path / "labels.txt"), "--store", str(store))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("data set:   temporal annotation (annotation)\n")


def test_compare_two_runs(store: Path, runs: list[str], labels: Path, tmp_path: Path) -> None:
    command = ("compare", *runs, "--dataset", "own", "--labels", str(labels), "--store", str(store))
    result = lavad(*command, "--output", str(tmp_path / "c.json"))
    assert result.exit_code == 0, result.stderr
    assert f"A: run {runs[0]}\nB: run {runs[1]}\nover 1 video" in result.stdout
    assert "A alone has 0, B alone 1" in result.stdout
    (auc,) = [line for line in result.stdout.splitlines() if line.startswith("AUC (micro)")]
    assert auc.split()[2:6] == ["1.0000", "1.0000", "+0.0000", "+0.0000"]
    assert auc.split()[-1] == "0.500"
    assert json.loads((tmp_path / "c.json").read_text())["rows"][0]["metrics"]["auc"]["b_better"] == 0.5


def test_compare_with_the_paper(store: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("first Arson 16 31 -1 -1\nthird Normal -1 -1 -1 -1\n")
    command = ("compare", "--published", "--dataset", "ucf-crime", "--labels", str(tmp_path / "labels.txt"))
    result = lavad(*command, "--store", str(store))
    assert result.exit_code == 0, result.stderr
    (lavad_row,) = [line for line in result.stdout.splitlines() if line.startswith("1 ") and " LAVAD " in line]
    assert lavad_row.split() == ["1", "training-free", "LAVAD", "ViT", "0.8028", "+0.0722", "–", "–"]
    assert "note: not the published test set: 2 videos instead of 290" in result.stdout
    shown = json.loads(lavad(*command, "--store", str(store), "--json").stdout)
    assert shown["source"] == "LAVAD, CVPR 2024"


@pytest.mark.parametrize(
    ("word", "arguments", "code", "said"),
    [
        ("no labels", ["evaluate"], 2, "--dataset"),
        ("a list without a data set", ["evaluate", "--labels", "LABELS", "--list", "x"], 2, "give --dataset"),
        ("no such data set", ["evaluate", "--dataset", "ucf-crimes", "--labels", "LABELS"], 2, "do you mean 'ucf-crime'"),
        ("no such run", ["evaluate", "--run", "19990101T000000000-000000", *OWN],
         2, "19990101T000000000-000000"),
        ("σ 0", ["evaluate", "--sigma", "0", *OWN], 2, "σ 0 does not smooth"),
        ("not to be written", ["evaluate", "--output", "/nowhere/e.json", *OWN], 5, "'/nowhere/e.json'"),
        ("one set", ["compare", "a", *OWN], 2, "1 sets were given; give two ids"),
        ("two sets and the paper", ["compare", "a", "b", "--published", *OWN], 2, "--published takes one"),
        ("no numbers", ["compare", "--published", *OWN], 2, "the paper has no number of 'own'"),
    ],
)  # fmt: skip
def test_wrong_use(store: Path, labels: Path, word: str, arguments: list[str], code: int, said: str) -> None:
    given = [str(labels) if argument == "LABELS" else argument for argument in arguments]
    result = lavad(*given, "--store", str(store))
    assert result.exit_code == code, result.output
    assert said in " ".join(result.stderr.split())
    assert not result.stdout


def test_no_store(labels: Path, tmp_path: Path) -> None:
    result = lavad("evaluate", "--dataset", "own", "--labels", str(labels), "--store", str(tmp_path / "none"))
    assert result.exit_code == 4
    assert "there is no store" in result.stderr
