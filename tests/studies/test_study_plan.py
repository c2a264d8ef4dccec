"""What each row of a study adds, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.small_demonstration import CLIPS, write_demonstration

GRID = sum(-(-frames // 16) for frames in CLIPS.values())

MINE = """
title: Mine
reference: all
metrics: [auc]
rows:
  - {name: all}
  - {name: K = 2, settings: {refine: {neighbours: 2}}}
  - {name: one captioner, captioners: [random-blip2-t5]}
  - {name: without summaries, settings: {summarise: {enabled: false}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_demonstration(tmp_path_factory.mktemp("demonstration"))
    (made / "mine.yaml").write_text(MINE)
    return made


def planned(*arguments: str) -> dict[str, dict[str, int]]:
    done = lavad("study", "plan", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["format"], document["study"]) == ("lavad-study-plan", "mine")
    return {row["row"]: row for row in document["rows"]}


def test_a_row_adds_what_no_row_above_it_has(folder: Path) -> None:
    rows = planned(str(folder / "mine.yaml"), "--demo", "--demo-folder", str(folder))
    assert [row["captions_made"] for row in rows.values()] == [2 * GRID, 0, 0, 0]
    assert [row["llm_requests"] for row in rows.values()] == [2 * GRID, 0, 2 * GRID, GRID]
    assert rows["all"]["images_encoded"] == GRID


def test_without_a_store_too(folder: Path, tmp_path: Path) -> None:
    given = [str(folder / "mine.yaml"), str(folder / "videos"), "--preset", "tiny", "--store", str(tmp_path / "none")]
    rows = planned(*given)
    assert [row["captions_made"] for row in rows.values()] == [2 * GRID, 0, 0, 0]
    assert not (tmp_path / "none").exists()


def test_the_table_has_a_line_for_each_row(folder: Path) -> None:
    done = lavad("study", "plan", str(folder / "mine.yaml"), "--demo", "--demo-folder", str(folder))
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        "row", "all", "K = 2", "one captioner", "without summaries",
    ]  # fmt: skip


def test_the_list_names_what_each_study_stands_for() -> None:
    rows = {row["study"]: row["stands_for"] for row in json.loads(lavad("study", "list", "--json").stdout)}
    assert rows == {
        **{f"table{number}": f"Table {number}" for number in range(1, 9)},
        "fig2": "Fig. 2",
        "fig6": "Fig. 6",
        "smoothing": "",
    }


def test_a_plan_of_nothing_says_what_it_can_be_of() -> None:
    done = lavad("study", "plan", "table3")
    assert done.exit_code == 2
    assert all(option in done.stderr for option in ("INPUTS", "--demo", "--dataset", "--labels", "--list"))
