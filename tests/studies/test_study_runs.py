"""Studies on tiny clips with small random models: what is shared, what is loaded, and what a failure and a kill leave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.small_demonstration import CAPTIONERS, CLIPS
from support.small_study import numbers, run
from support.whole_runs import commits

from lavad_core.errors import InputError
from lavad_core.pipeline.side_by_side import merged_steps
from lavad_core.runs.records import StageRecord
from lavad_core.stages.node import Graph, Node
from lavad_core.studies.study_run import saved_table
from lavad_core.studies.study_table import StudyTable

GRID = sum(-(-frames // 16) for frames in CLIPS.values())


class Stopped(BaseException):
    """The kill."""


def test_each_model_is_loaded_once_over_all_rows(ran: tuple[Path, StudyTable]) -> None:
    assert ran[1].loads == {**{f"captioner:{name}": 1 for name in CAPTIONERS}, "encoder": 1, "chat": 1}


def test_what_rows_share_is_computed_once(ran: tuple[Path, StudyTable]) -> None:
    folder, table = ran
    assert table.work["captions_made"] == GRID * len(CAPTIONERS)
    # Grid frames for cleaning, alike in all rows; windows are other pictures of the same encoder.
    assert len(list((folder / "store/embed_frames").glob("*/*/commit.json"))) == len(CLIPS)
    made, found = len(commits(folder / "store")), len(CLIPS)  # frames and windows are one pass: the second one is found
    assert table.results == {"made": made - found, "found": found}


def test_again_nothing_is_computed_and_nothing_loaded(ran: tuple[Path, StudyTable]) -> None:
    folder, table = ran
    again = run(folder)
    assert numbers(again) == numbers(table)
    assert (again.work, again.loads, again.results["made"]) == ({}, {}, 0)
    assert saved_table(folder / "store", "mine") == again


def test_a_row_is_its_runs_mean_and_differs_from_the_reference_by_an_interval(ran: tuple[Path, StudyTable]) -> None:
    rows = {row.name: row for row in ran[1].rows}
    mean = rows["without cleaning"]
    assert len(mean.runs) == len(CAPTIONERS)
    values = [run["auc"] for run in mean.runs if run["auc"] is not None]
    assert mean.cells["auc"].ours == pytest.approx(sum(values) / 2)
    assert rows["all"].cells["auc"].to_reference is None
    for name, row in rows.items():
        cell = row.cells["auc"]
        if name != "all":
            assert cell.ours is not None
            assert cell.to_reference == pytest.approx(cell.ours - (rows["all"].cells["auc"].ours or 0))
            assert cell.low is not None
            assert cell.high is not None
            assert cell.low <= cell.high


def test_a_row_alone_has_the_numbers_that_it_has_among_others(
    ran: tuple[Path, StudyTable], empty: Path, tmp_path: Path
) -> None:
    alone = run(shutil.copytree(empty, tmp_path / "copy"), only=["all", "one captioner"])
    among = {row.name: row.runs for row in ran[1].rows}
    assert {row.name: row.runs for row in alone.rows} == {name: among[name] for name in ("all", "one captioner")}


@pytest.mark.parametrize(
    "stage",
    ["caption:random-blip2-t5", *(pytest.param(stage, marks=pytest.mark.slow) for stage in ("summarise", "refine"))],
)
def test_stopped_in_the_middle_it_goes_on(
    ran: tuple[Path, StudyTable], empty: Path, tmp_path: Path, stage: str
) -> None:
    folder = shutil.copytree(empty, tmp_path / "copy")

    def kill(record: StageRecord) -> None:
        if record.node == stage and record.seconds is not None:
            raise Stopped

    with pytest.raises(Stopped):
        run(folder, listener=kill)
    before = commits(folder / "store")
    assert 0 < len(before) < ran[1].results["made"]
    with pytest.raises(InputError, match="no table of study 'mine' yet"):
        saved_table(folder / "store", "mine")
    again: list[StageRecord] = []
    after = run(folder, listener=again.append)
    assert numbers(after) == numbers(ran[1])
    now = commits(folder / "store")
    assert {path: now[path] for path in before} == before, "a committed result was written again"
    made = [f"{one.node.split(':')[0]}/{one.video_id}/{one.fingerprint}/commit.json" for one in again if not one.cached]
    assert made
    assert not {*made} & {*before}, "a committed result was computed again"


def test_a_row_that_lacks_a_video_is_partial(ran: tuple[Path, StudyTable], tmp_path: Path) -> None:
    folder = shutil.copytree(ran[0], tmp_path / "copy")
    (folder / "videos/03_fight.mp4").write_bytes(b"no video")
    table = run(folder)
    assert [(row.scored, row.videos, row.partial) for row in table.rows] == [(2, 3, "partial: 2 of 3 videos")] * 5
    assert [note.count("partial: 2 of 3 videos, first '03_fight'") for note in table.notes] == [1]
    assert table.rows[1].cells["auc"].to_reference is not None, "over the videos that both have"


def test_a_video_that_fails_in_one_row_is_missing_there_alone(empty: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(empty, tmp_path / "copy")
    for name in CLIPS:
        (folder / "scores").mkdir(exist_ok=True)
        scores = {str(frame): 0.5 for frame in range(0, CLIPS[name], 16)}
        (folder / "scores" / f"{name}.json").write_text("" if name == "02_fire" else json.dumps(scores))
    text = f"""
title: Mine
reference: all
metrics: [auc]
rows:
  - {{name: all}}
  - {{name: imported, settings: {{imports: {{scores: {folder / "scores"}}}}}}}
"""
    table = run(folder, text)
    assert [(row.scored, [*row.failed]) for row in table.rows] == [(3, []), (2, ["02_fire"])]


def node(stage: str, *inputs: str, role: str = "", variant: str = "") -> Node:
    return Node(inputs, {}, role, variant, stage=stage, version=1)


def test_a_model_is_done_with_what_is_ready_before_another_is_begun() -> None:
    def graph() -> Graph:
        return Graph(
            (
                node("probe"),
                node("caption", "probe", role="captioner:a", variant="a"),
                node("clean", "caption:a"),
                node("summarise", "clean", role="chat"),
                node("score", "summarise", role="chat"),
                node("refine", "score"),
            ),
            {},
        )

    steps = merged_steps(
        [graph(), graph()], lambda at, one: f"{one.role} {at if one.role == 'chat' else 0}" if one.role else None
    )
    assert [(step.stage, [at for at, _ in step.nodes]) for step in steps] == [
        ("probe", [0, 1]),
        ("caption", [0, 1]),
        ("clean", [0, 1]),
        ("summarise", [0]),
        ("score", [0]),
        ("refine", [0]),
        ("summarise", [1]),
        ("score", [1]),
        ("refine", [1]),
    ]


def test_rows_with_two_chat_models_load_each_model_once(empty: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(empty, tmp_path / "copy")
    text = """
title: Mine
reference: all
metrics: [auc]
rows:
  - {name: all, captioners: [random-blip2-t5]}
  - {name: other, captioners: [random-blip2-t5], settings: {chat: {model: "random:llama?seed=9"}}}
"""
    table = run(folder, text)
    assert table.loads == {"captioner:random-blip2-t5": 1, "encoder": 1, "chat": 2}
    assert table.work["captions_made"] == GRID
