"""``lavad status`` and ``lavad retry`` of a set in shards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import fill
from support.shard_runs import SET, ShardRuns

from lavad.deployments.cli.terminal.missing_files import missing_files
from lavad.deployments.cli.terminal.run_end import end_of_set, worth_a_retry
from lavad_core.config.secrets import public_settings
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.set_state import set_state
from lavad_core.runs.known_bad import KnownBad, acknowledge
from lavad_core.runs.manifest import VideoOutcome, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun
from lavad_core.runs.video_list import save_sources, unfinished_of
from lavad_core.video.types import VideoSource


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_state_of_a_set_has_each_video_and_what_is_missing(store: Path) -> None:
    runs = ShardRuns(store)
    first, third = runs.run(1, "ok rejected"), runs.run(3, "ok", ends="killed")
    state = set_state(store, load_run(store, first))
    assert state is not None
    assert (state.without_run, state.going, state.cut_off, state.whole) == ((2,), (), (3,), False)
    told = {video.outcome.name: (video.outcome.status, video.outcome.reason, video.run_id) for video in state.videos}
    assert told == {
        "v1": ("ok", "", first),
        "v2": ("rejected", "format", first),
        "v3": ("not-run", "no-run", ""),
        "v4": ("not-run", "no-run", ""),
        "v5": ("not-run", "interrupted", third),
        "v6": ("not-run", "interrupted", third),
    }
    assert (state.scored, state.others) == (1, {"not-run": 4, "rejected": 1})
    runs.run(2)
    runs.run(3)
    state = set_state(store, load_run(store, first))
    assert state is not None
    assert (state.whole, state.scored) == (True, 5), "the fourth shard has no videos, and needs no run"
    assert set_state(store, load_run(store, fill(store, "a")[0])) is None


def test_status_of_a_shard_is_about_the_whole_set(store: Path) -> None:
    runs, folder = ShardRuns(store), ["--store", str(store)]
    first, third = runs.run(1), runs.run(3, "", ends="killed")
    status = lavad("status", first, *folder)
    said = in_one_line(status.stderr)
    assert f"set {SET} in 4 shards: 2 of 6 videos have scores, 4 not-run" in said
    assert "shard 2 of 4 has no run here yet: give the same `lavad run` again with --shard 2/4" in said
    assert (
        "shard 3 of 4 was cut off: give the same `lavad run` again with --shard 3/4; what is finished is found" in said
    )
    assert f"run {first}, shard 1/4: completed" in said
    rows = {line.split()[0]: line for line in status.stdout.splitlines()}
    assert {"v1", "v2", "v3", "v4", "v5", "v6"} < rows.keys()
    assert "no-run" in rows["v3"]
    document = json.loads(lavad("status", first, "--json", *folder).stdout)
    assert [video["name"] for video in document["videos"]] == ["v1", "v2"]
    assert {video["name"]: video["run"] for video in document["earlier"]} == {
        "v3": "", "v4": "", "v5": third, "v6": third,
    }  # fmt: skip
    assert document["set"] == {
        "set_id": SET,
        "shards": 4,
        "videos": 6,
        "scored": 2,
        "outcomes": {"not-run": 4},
        "without_run": [2],
        "going": [],
        "cut_off": [3],
        "metrics": None,
    }
    listed = lavad("status", "--all", *folder).stdout
    assert f"shard 3/4 of set {SET[:12]}" in listed
    runs.run(2, "ok failed")
    third = runs.run(3)
    said = in_one_line(lavad("status", first, *folder).stderr)
    assert f"1 of 6 videos have no scores; `lavad retry {first} --store {store}` tries them again" in said
    assert "other video" not in said
    assert "named" not in said


def test_what_becomes_of_shards_at_workers_depends_on_the_run_over_the_set(store: Path) -> None:
    runs, folder = ShardRuns(store), ["--store", str(store)]
    over = RunRecorder(store, new_run_id(), config=public_settings(runs.config))
    with over:
        over.part_of(ShardOfRun(SET, 0, len(runs.shards)))
        save_sources(store, over.run_id, [video.source for shard in runs.shards for video in shard.videos])
        first, _ = runs.run(1, over=over.run_id), runs.run(3, "", ends="killed", over=over.run_id)
        said = in_one_line(lavad("status", first, *folder).stderr)
        assert f"shard 3 of 4 was cut off: run {over.run_id}, which is over the set, issues it again" in said
        assert "lavad retry" not in said, "it would do what workers are about to do"
        over.finish("interrupted", [])
    retry = f"`lavad retry {over.run_id} --store {store}`"
    for run in (first, over.run_id):
        said = in_one_line(lavad("status", run, *folder).stderr)
        assert f"shard 2 of 4 has no run: {retry} takes up their videos" in said
        assert f"shard 3 of 4 was cut off: {retry} makes the rest" in said
        assert {source.name for source in unfinished_of(store, run).unfinished} == {"v3", "v4", "v5", "v6"}


def test_a_retry_needs_no_plan_of_the_set(store: Path) -> None:
    runs = ShardRuns(store)
    for number in (1, 2, 3):
        runs.run(number)
    plan = store / "sets" / SET / "shards.json"
    plan.write_text(plan.read_text().replace("v1", "w1"))
    done = lavad("retry", "--store", str(store))
    assert done.exit_code == 0, done.stderr
    assert "was changed after it was written" in done.stderr
    assert "has nothing left to do" in done.stderr


@pytest.mark.parametrize("labelled", [True, False], ids=["labels", "no-labels"])
def test_the_end_of_a_shard_says_how_its_set_goes_on(
    labelled: bool, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ShardRuns(store, *([f"evaluate.labels={tmp_path / 'labels.txt'}"] if labelled else []))
    runs.run(1, "ok failed")
    run = load_run(store, runs.run(2))
    for whole in (False, True):
        if whole:
            runs.run(3, "failed failed")
        state = set_state(store, run)
        assert state is not None
        if not (whole and labelled):  # the labels are nowhere
            end_of_set(run, RunResources(runs.config), state)
        said = in_one_line(capsys.readouterr().err)
        if whole:
            assert ("3 of 6 videos have scores, 3 failed" in said) != labelled
            assert (f"3 of 6 videos have no scores; `lavad retry {run.run_id} --store" in said) != labelled
        else:
            assert "3 of 6 videos have scores, 1 failed, 2 not-run" in said
            assert "shard 3 of 4 has no run here yet: give the same `lavad run` again with --shard 3/4" in said
            assert (f"lavad evaluate --run {run.run_id} --store {store}" in said) == labelled


def test_evaluate_takes_the_labels_that_the_run_names(store: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a.mp4  Fire  16  32  -1  -1\n")
    fill(store, "a", more=(f"evaluate.labels={labels}",))
    evaluated = json.loads(lavad("evaluate", "--json", "--store", str(store)).stdout)
    assert evaluated == json.loads(lavad("evaluate", "--labels", str(labels), "--json", "--store", str(store)).stdout)
    from_1 = json.loads(lavad("evaluate", "--first-frame", "1", "--json", "--store", str(store)).stdout)
    assert from_1 != evaluated


def test_runs_of_one_set_share_a_name(store: Path) -> None:
    runs, folder = ShardRuns(store), ["--store", str(store)]
    for number in (1, 2, 1):
        last = runs.run(number, name="movers")
    status = lavad("status", "movers", *folder)
    assert f"run {last} (movers)" in status.stderr
    assert "are named" not in status.stderr
    other, _ = fill(store, "a", name="movers")
    assert f"2 runs are named 'movers'; the latest is taken: {other}" in lavad("status", "movers", *folder).stderr


def test_retry_names_the_parts_without_a_run(store: Path) -> None:
    runs, folder = ShardRuns(store), ["--store", str(store)]
    run_id = runs.run(1)
    again = lavad("retry", *folder)
    said = in_one_line(again.stderr)
    assert again.exit_code == 0
    assert f"run {run_id} has nothing left to do in the shards that have a run: all 2 videos have scores" in said
    assert (
        "shards 2 and 3 of 4 have no run here yet: give the same `lavad run` again with --shard 2/4 and with --shard 3/4"
        in said
    )
    for number in (2, 3):
        runs.run(number)
    assert "have a run" not in lavad("retry", *folder).stderr


def test_a_run_that_never_began_is_named_with_the_way_out(store: Path) -> None:
    folder = ["--store", str(store)]
    runs = ShardRuns(store)
    before = runs.run(1)
    empty = new_run_id()
    (store / "runs" / f"{empty}.jsonl").touch()  # a full disk
    status = lavad("status", *folder)
    assert "an earlier version wrote them" not in status.stderr
    assert "started ," not in status.stderr
    assert "it never began" in in_one_line(status.stderr)
    retried = lavad("retry", *folder)
    assert retried.exit_code == 2
    assert f"run {empty} has no list of videos" in retried.stderr
    assert f"give its `lavad run` again, or `lavad retry {before}`" in in_one_line(retried.stderr)


def test_a_video_that_was_moved_has_its_old_path_and_the_way_out(store: Path) -> None:
    run_id, _ = fill(store, "a")
    save_sources(store, run_id, [VideoSource("a", Path("/old/a.mp4"))])
    run = load_run(store, run_id)
    assert missing_files(run) == ""
    gone = replace(run, videos=(VideoOutcome("a", "", "rejected", "missing", "'a': it does not exist"),))
    said = missing_files(gone)
    assert "1 video is missing at the place where this run looks ('/old/a.mp4')" in said
    assert "give `lavad run` the folder where they are now" in said
    assert worth_a_retry(gone) is None, "a retry looks at the same place"


def test_one_part_and_all_parts_at_once_are_refused() -> None:
    def refused(*more: str) -> str:
        result = lavad("run", "videos", "--shard", "1/3", *more)
        assert result.exit_code == 2
        return " ".join(result.stderr.replace("│", " ").split())

    assert "--dry-run" not in refused("--shards", "3")
    assert "--shards" not in refused("--dry-run")


def test_what_was_acknowledged_later_is_known_bad_in_every_table(store: Path) -> None:
    runs, folder = ShardRuns(store), ["--store", str(store)]
    runs.run(1, "ok rejected")
    assert "known bad" not in lavad("status", *folder).stdout
    acknowledge(store, KnownBad(f"{2:032x}", "format", "v2", "not a video"))
    status = lavad("status", *folder)
    assert "known bad" in next(line for line in status.stdout.splitlines() if line.startswith("v2"))
    assert "1 known bad, 1 ok" in status.stderr
    assert "1 known bad, 1 ok" in lavad("status", "--all", *folder).stdout
    videos = json.loads(lavad("status", "--json", *folder).stdout)["videos"]
    assert [video["known_bad"] for video in videos] == [False, True]
