"""Published results with one's own among them: nothing unlike stands beside another unmarked."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import lavad
from support.small_set import FRAMES, dataset, dataset_files, scores

from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.leaderboard import (
    FOLDED,
    HEADERS,
    NOT_KNOWN,
    PROTOCOL,
    cells,
    folded,
    later_methods,
    leaderboard,
    leaderboard_datasets,
    own_rows,
)
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.published import published_rows
from lavad_core.evaluation.smoothing import Sigma
from lavad_core.plain_text import aligned
from lavad_core.results.types import Recipe, ResultSet, ScoredVideo, VideoResults


@pytest.mark.parametrize(("name", "table"), [("ucf-crime", "1"), ("xd-violence", "2"), ("msad", None)])
def test_the_papers_rows_are_those_of_its_tables(name: str, table: str | None) -> None:
    found = [(row.auc, row.ap_trapezoid) for row in leaderboard(name).rows if row.figures == "paper"]
    assert sorted(map(str, found)) == sorted(
        str((row.auc, row.ap)) for row in published_rows() if row.table == table and table is not None
    )


def test_later_methods_say_how_their_figures_were_made() -> None:
    rows = [row for _, row in later_methods()]
    assert {row.figures for row in rows} == {"recomputed", "claim"}
    assert all(0.5 < row.auc < 1 for row in rows if row.auc is not None)
    assert all(getattr(row, field) for row in rows for field in (*PROTOCOL, "method", "source"))
    assert all((row.labels == "published") is (row.figures == "recomputed") for row in rows)
    kept = {(one, row.method, row.smoothing): (row.auc, row.ap) for one, row in later_methods()}
    assert kept["ucf-crime", "Probe-VAD, clips", "σ 10 scores"] == (0.8627, 0.3948)
    assert kept["ucf-crime", "URF", "none"] == (0.7448, 0.2102)
    assert kept["msad", "URF", "σ 10 scores"] == (0.9306, 0.7784)
    assert kept["xd-violence", "Flashback", "Gaussian, width not known"] == (0.9054, 0.7513)


@pytest.mark.parametrize(("name", "by"), [("ucf-crime", "auc"), ("msad", "auc"), ("xd-violence", "ap")])
def test_the_best_first_and_rows_without_the_number_last(name: str, by: str) -> None:
    values = [row.auc if by == "auc" else row.ap or row.ap_trapezoid for row in leaderboard(name).rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=True)
    assert values[: len(known)] == known


def test_what_is_unlike_lavad_is_marked() -> None:
    rows = {(row.method, row.smoothing): row for row in leaderboard("ucf-crime").rows}
    assert rows["LAVAD", "none"].unlike == ()
    assert rows["URF", "none"].unlike == ("fitted",)
    assert rows["URF", "σ 10 scores"].unlike == ("smoothing", "fitted")
    assert rows["ZS CLIP (ViT)", NOT_KNOWN].unlike == ("smoothing?", "labels?", "lookahead?", "fitted?")


def results(name: str, switches: str) -> ResultSet:
    def video(one: str) -> VideoResults:
        grid = np.arange(0, FRAMES[one], 16)
        return VideoResults(ScoredVideo(one, FRAMES[one], 16, scores=np.where(grid % 32, 0.5, 0.1)))

    return ResultSet(name, "run", sorted(FRAMES), {}, Recipe({"switches": switches}), video)


def test_ours_are_among_them_with_their_own_protocol(tmp_path: Path) -> None:
    options = EvaluationOptions((Sigma(10.0),), resamples=0)
    own = own_rows(evaluate(dataset(tmp_path), results("20260101T000000000-abcdef", "clean on, refine on"), options))
    assert [row.smoothing for row in own] == ["none", own[1].smoothing]
    assert own[1].smoothing.startswith("σ10 (160 frames")
    assert own[0].labels.startswith("4 videos instead of 290, 139 frames instead of 1111808")
    assert own[0].lookahead == "whole video"
    board = leaderboard("ucf-crime", own)
    ours = [row for row in board.rows if row.figures == "ours"]
    assert {row.method for row in ours} == {"run 20260101T000000000-abcdef"}
    assert {row.smoothing: row.unlike for row in ours}["none"] == ()
    lavad_row = next(row for row in board.rows if row.method == "LAVAD")
    assert lavad_row.unlike == ("labels", "fitted?")
    assert any("the first of ours" in note for note in board.notes)
    assert all(len(cells(row)) == len(HEADERS) for row in board.rows)


def test_a_data_set_without_published_results() -> None:
    assert leaderboard_datasets() == ["msad", "ucf-crime", "xd-violence"]
    with pytest.raises(InputError, match=r"no published results on 'ucf-crim'.*did you mean 'ucf-crime'"):
        leaderboard("ucf-crim")


@pytest.mark.parametrize("name", leaderboard_datasets())
def test_it_fits_a_terminal_and_loses_nothing(name: str, tmp_path: Path) -> None:
    own = own_rows(
        evaluate(
            dataset(tmp_path), results("20260101T000000000-abcdef", "clean on"), EvaluationOptions((), resamples=0)
        )
    )
    board = leaderboard(name, own)
    rows, footnotes = folded(board)
    text = aligned(FOLDED, rows, right=(1, 2, 3))
    assert max(map(len, text.splitlines())) <= 120
    texts = dict(note.split(" ", 1) for note in footnotes)
    for row, line in zip(board.rows, rows, strict=True):
        shown = dict(zip(FOLDED[5:9], line[5:9], strict=True))
        for field, cell in zip(PROTOCOL, shown.values(), strict=True):
            value = getattr(row, field)
            assert cell.endswith(" ≠") is (field in row.unlike)
            bare = cell.removesuffix(" ≠")
            assert texts.get(bare, bare) == ("?" if value == NOT_KNOWN else value)
        assert texts[line[-1]].endswith(row.source)
    assert len(set(texts)) == len(footnotes)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """An import, and its evaluation as a file."""
    store, labels = tmp_path / "store", dataset_files(tmp_path / "labels")
    done = lavad(
        "import", "--scores", str(scores(tmp_path / "scores")), *labels, "--store", str(store), "--name", "mine"
    )
    assert done.exit_code == 0, done.output
    file = tmp_path / "own.json"
    done = lavad("evaluate", *labels, "--resamples", "0", "--store", str(store), "--output", str(file))
    assert done.exit_code == 0, done.output
    return {"store": store, "labels": labels[2:], "file": file}


def test_the_command(files: dict[str, Any], tmp_path: Path) -> None:
    def shown(*options: str) -> str:
        done = lavad("leaderboard", "ucf-crime", *options)
        assert done.exit_code == 0, done.output
        return done.stdout

    from_file = ["--evaluation", str(files["file"])]
    from_run = ["--run", "mine", *files["labels"], "--store", str(files["store"])]
    document = json.loads(shown(*from_file, "--json"))
    assert (document["format"], document["dataset"]) == ("lavad-leaderboard", "ucf-crime")
    (ours,) = [row for row in document["rows"] if row["figures"] == "ours"]
    assert ours == next(row for row in json.loads(shown(*from_run, "--json"))["rows"] if row["figures"] == "ours")
    rows = list(csv.DictReader(io.StringIO(shown(*from_file, "--format", "csv"))))
    assert len(rows) == len(document["rows"])
    assert {row["figures"] for row in rows} == {"paper", "recomputed", "claim", "ours"}
    markdown = shown("--format", "markdown").splitlines()
    assert markdown[0] == f"| {' | '.join(HEADERS)} |"
    assert "--evaluation or --study" in markdown[-1]
    latex = shown(*from_file, "--format", "latex")
    assert latex.count(r" \\") == len(rows) + 1
    assert "$\\neq$" in latex
    assert shown("--json", *from_run) == shown("--json", *from_run[2:])  # the latest
    assert "LAVAD" in shown()
    page = tmp_path / "board.html"
    shown(*from_file, "--format", "html", "--output", str(page))
    text = page.read_text("utf-8")
    assert text.count('<tr class="ours">') == 1
    assert "<script" not in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["ucf-crime", "--format", "html"], "--output FILE.html"),
        (["ucf-crime", "--output", "a.html"], "--output FILE.html"),
        (["ucf-crime", "--run", "a"], "give --labels"),
        (["avenue"], "no published results on 'avenue'"),
    ],
)
def test_what_cannot_be_shown(options: list[str], words: str) -> None:
    done = lavad("leaderboard", *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())


def test_an_evaluation_on_another_data_set(files: dict[str, Any]) -> None:
    done = lavad("leaderboard", "xd-violence", "--evaluation", str(files["file"]))
    assert done.exit_code == 2
    assert "is an evaluation on 'ucf-crime', and not on 'xd-violence'" in done.stderr


def test_labels_of_another_data_set(tmp_path: Path) -> None:
    """As a study's table and an evaluation on them are refused."""
    labels = tmp_path / "labels.txt"
    labels.write_text("a.mp4  collision  2  9  -1  -1\nb.mp4  Burglary  2  9  -1  -1\nc.mp4  panic  2  9  -1  -1\n")
    done = lavad("leaderboard", "ucf-crime", "--labels", str(labels), "--store", str(tmp_path))
    assert done.exit_code == 2
    assert "are not of 'ucf-crime': their classes are Burglary, collision, panic" in " ".join(done.stderr.split())
