"""The flow over a set of videos, against a real Prefect server: what runs, what is cached, how it ends, what it leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings
from support.command import lavad
from support.fake_stages import FakeStages, make_videos, raising, rejecting, settings
from support.flow_runs import artifacts, outcomes, planned_waits, run, task_runs

from lavad.flows.score_video import score_video
from lavad.flows.score_videos import score_videos
from lavad.tasks import channel as channel_module
from lavad.tasks.job import watching
from lavad.tasks.stage_task import JITTER
from lavad_core.errors import ModelError, ServiceUnavailable, VideoRejected
from lavad_core.pipeline.execute import run_stage
from lavad_core.runs import work
from lavad_core.runs.manifest import load_run
from lavad_core.runs.records import StageRecord
from lavad_core.runs.video_list import unfinished_of

pytestmark = pytest.mark.usefixtures("prefect_server")


NODES = 12


def of_stages(runs: list[TaskRun]) -> list[TaskRun]:
    return [one for one in runs if " · " in one.name and not one.name.startswith("prepare")]


def test_first_everything_runs_then_everything_is_cached(
    stages: FakeStages, tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lavad_core")
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4")
    first = run(videos, store)
    assert (first.name, first.message) == ("Completed", "2 of 2 videos scored")
    assert len(stages.calls) == 2 * NODES
    assert set(stages.calls.values()) == {1}
    again = run(videos, store)
    assert again.is_completed()
    assert sum(stages.calls.values()) == 2 * NODES
    shown = of_stages(task_runs(first, 2 * NODES + 4))
    assert len(shown) == 2 * NODES
    assert {one.state_name for one in shown} == {"Completed"}
    assert "caption a · one" in {one.name for one in shown}
    assert not any(one.tags for one in shown)
    assert of_stages(task_runs(again, 4)) == [], "what is in the store needs no task runs"
    assert f"{2 * NODES} of {2 * NODES} results are in the store; 2 of 2 videos have all" in caplog.text
    assert len((store / "runs" / f"{load_run(store).run_id}.jsonl").read_text().splitlines()) == 2 * NODES + 4
    totals = load_run(store).stages
    assert {node: (total.done, total.cached) for node, total in totals.items()} == dict.fromkeys(totals, (0, 2))
    assert len(totals) == NODES


def test_stages_in_graph_order_and_each_model_goes_when_its_last_stage_is_over(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    run(make_videos(tmp_path / "videos", "one.mp4", "two.mp4", "three.mp4"), store)
    seen = [node for _, node in stages.order]
    assert seen == sorted(seen, key=lambda node: list(dict.fromkeys(seen)).index(node)), "one stage after the other"
    assert stages.released[:4] == ["captioner:a", "captioner:b", "chat", "encoder"]


def test_a_run_that_is_killed_behind_its_last_stage_has_its_videos(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4", "bad.mp4", "c.mp4")
    (videos / "same.mp4").write_bytes((videos / "a.mp4").read_bytes())
    stages.actions["bad", "probe"] = rejecting()
    run(videos, store)
    ended = load_run(store)
    log = store / "runs" / f"{ended.run_id}.jsonl"
    log.with_suffix(".json").unlink()
    lines = log.read_bytes().splitlines(keepends=True)
    assert b'"kind": "end"' in lines[-1] or b'"kind":"end"' in lines[-1]
    log.write_bytes(b"".join(lines[:-1]))
    killed = load_run(store)
    assert killed.status == "interrupted"
    assert {video.name: video.status for video in killed.videos} == {video.name: video.status for video in ended.videos}
    assert sorted(video.status for video in killed.videos) == ["ok", "ok", "ok", "rejected"]


def test_prefect_keeps_nothing_for_each_result(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    kept: dict[str, int] = {}

    def count(context: Any) -> None:
        flow_run = FlowRunContext.get()
        assert flow_run is not None
        kept[context.node.id] = len(flow_run.run_results)

    stages.actions["one", "probe"] = stages.actions["one", "detect"] = count
    assert run(make_videos(tmp_path / "videos", "one.mp4"), store).is_completed()
    assert kept["detect"] == kept["probe"]


@pytest.mark.parametrize("way", ["parameter", "setting"])
def test_refresh_computes_what_is_cached(stages: FakeStages, tmp_path: Path, store: Path, way: str) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4")
    run(videos, store)
    with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: way == "setting"}):
        assert run(videos, store, refresh=way == "parameter").is_completed()
    assert set(stages.calls.values()) == {2}


def test_what_another_run_has_made_since_is_shown_as_cached(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    def another_run(context: Any) -> None:
        record = StageRecord(context.video.name, context.video.video_id, "clean", "")
        run_stage(context.resources, context.video, "clean", record)

    stages.actions["one", "probe"] = another_run
    state = run(make_videos(tmp_path / "videos", "one.mp4", "two.mp4"), store)
    assert state.is_completed()
    names = {one.name: one.state_name for one in of_stages(task_runs(state, 2 * NODES + 4))}
    assert [name for name, shown in names.items() if shown == "Cached"] == ["clean · one"]
    assert set(stages.calls.values()) == {1}
    ran = load_run(store).stages
    assert {node: (total.done, total.cached) for node, total in ran.items() if total.cached} == {"clean": (1, 1)}


def test_a_rejected_video_fails_each_time_without_being_decoded_again(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    videos = make_videos(tmp_path / "videos", "bad.mp4")
    stages.actions["bad", "probe"] = rejecting()
    first, again = run(videos, store), run(videos, store)
    assert [first.name, again.name] == ["Failed", "Failed"]
    assert again.message == "1 of 1 videos have no scores (1 rejected)"
    assert stages.calls["bad", "probe"] == 1
    del stages.actions["bad", "probe"]
    assert run(videos, store, retry_rejected=True).is_completed()
    assert stages.calls["bad", "probe"] == 2


def test_a_video_that_is_known_to_be_bad_is_shown_and_not_red(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "good.mp4", "bad.mp4")
    stages.actions["bad", "probe"] = rejecting()
    assert run(videos, store).name == "PartiallyFailed"
    shown = lavad("store", "known-bad", "--all", "--store", str(store))
    assert shown.exit_code == 0
    assert "this is not a video" in shown.stdout
    again = run(videos, store)
    assert (again.name, again.message) == ("Completed", "1 of 2 videos scored, 1 known to be bad")
    assert of_stages(task_runs(again, 4)) == [], "not one red task run"
    assert json.loads(artifacts(again)["lavad-videos"])[0]["status"] == "known bad"
    make_videos(videos, "other.mp4")
    stages.actions["other", "probe"] = rejecting()
    new = run(videos, store)
    assert (new.name, new.message) == (
        "PartiallyFailed",
        "1 of 3 videos have no scores (1 rejected), 1 known to be bad",
    )
    assert [source.name for source in unfinished_of(store, None).unfinished] == ["other"]
    kept = (videos / "bad.mp4").read_bytes()
    (videos / "bad.mp4").write_bytes(b"the camera's owner has sent it again")
    left = unfinished_of(store, None)
    assert ([source.name for source in left.unfinished], left.known_bad) == (["other", "bad"], frozenset())
    (videos / "bad.mp4").write_bytes(kept)
    log = store / "runs" / f"{load_run(store).run_id}.jsonl"
    log.with_suffix(".json").unlink()
    assert {video.name: video.known_bad for video in load_run(store).videos} == {
        "good": False, "bad": True, "other": False,
    }  # fmt: skip
    refused = lavad("store", "known-bad", "good", "--store", str(store))
    assert refused.exit_code == 2
    assert "can be known to be bad" in refused.stderr
    assert lavad("store", "known-bad", "bad", "--forget", "--store", str(store)).exit_code == 0
    assert run(videos, store).message == "2 of 3 videos have no scores (2 rejected)"


def test_a_service_is_asked_again_and_nothing_else_is(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "bad.mp4", "slow.mp4", "odd.mp4")

    def busy_twice(context: Any) -> None:
        if stages.calls["slow", "summarise"] < 3:
            raise ServiceUnavailable("503 ValueError InputError")

    stages.actions["slow", "summarise"] = busy_twice
    stages.actions["bad", "clean"] = raising(VideoRejected("changed", "ServiceUnavailable, they say"))
    stages.actions["odd", "clean"] = raising(ZeroDivisionError("ServiceError"))
    state = run(videos, store, settings=settings(store, retry_backoff_s=0.1))
    assert state.message == "2 of 3 videos have no scores (1 failed, 1 rejected)"
    assert stages.calls["slow", "summarise"] == 3
    assert stages.calls["bad", "clean"] == stages.calls["odd", "clean"] == 1
    runs = {one.name: one for one in task_runs(state, 30)}
    assert runs["summarise · slow"].run_count == 3
    waits = planned_waits(runs["summarise · slow"])
    assert waits == pytest.approx([0.1, 0.2], rel=JITTER + 0.01), "twice as long, give or take the jitter"
    assert runs["clean · bad"].run_count == 1


def test_new_answers_begin_the_count_of_retries_anew(
    stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New answers of each failed try; with two retries, and how often it was tried."""
    cases = {
        "four-outages": ([2, 1, 3, 1, 0], 6, "ok"),
        "then-none": ([5, 0, 0, 0], 3, "failed"),
        "at-the-last-try": ([0, 0, 4, 0, 0, 0], 5, "failed"),
        "never": ([0, 0, 0], 3, "failed"),
    }

    monkeypatch.setattr("lavad.tasks.job.GIVE_UP_AFTER", 9)

    def outage(answers: list[int]) -> Callable[[Any], None]:
        left = iter(answers)

        def act(context: Any) -> None:
            if (came := next(left, None)) is not None:
                context.count(work.LLM_REQUESTS, came)
                raise ServiceUnavailable("connection refused")

        return act

    stages.actions.update({(name, "summarise"): outage(answers) for name, (answers, _, _) in cases.items()})
    videos = make_videos(tmp_path / "videos", *(f"{name}.mp4" for name in cases))
    run(videos, store, settings=settings(store, retry_backoff_s=0.0, workers=4))
    assert {name: stages.calls[name, "summarise"] for name in cases} == {n: tries for n, (_, tries, _) in cases.items()}
    assert outcomes(load_run(store)) == {name: status for name, (_, _, status) in cases.items()}


def test_a_service_that_stays_down_is_not_waited_for_once_more_for_each_video(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    names = [f"v{number}.mp4" for number in range(6)]
    videos = make_videos(tmp_path / "videos", *names)
    for name in names:
        stages.actions[name[:-4], "summarise"] = raising(ServiceUnavailable("connection refused"))
    state = run(videos, store, settings=settings(store, workers=1))
    assert state.message == "6 of 6 videos have no scores (2 failed, 4 not-run)"
    assert sum(count for (_, node), count in stages.calls.items() if node == "summarise") == 2 * 3
    for name in names:
        del stages.actions[name[:-4], "summarise"]
    assert run(videos, store).is_completed()
    assert stages.calls["v0", "clean"] == 1


def test_a_model_that_fails_for_one_video_does_not_stop_the_others(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4", "three.mp4")
    stages.actions["one", "embed_windows"] = raising(ModelError("1 of 9 vectors have no direction"))
    state = run(videos, store, settings=settings(store, workers=1))
    assert state.message == "1 of 3 videos have no scores (1 failed)"


def test_a_server_that_does_not_take_artifacts_does_not_end_the_run(
    stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(channel_module, "get_client", away)
    assert run(make_videos(tmp_path / "videos", "one.mp4"), store).is_completed()
    assert "not shown in Prefect: table of videos, summary (ConnectError: connection refused)" in caplog.text
    assert "not shown in Prefect: progress bar" in caplog.text


def test_equal_content_is_computed_once_and_reported_twice(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4", "b.mp4")
    (videos / "b.mp4").write_bytes((videos / "a.mp4").read_bytes())
    state = run(videos, store)
    assert state.message == "2 of 2 videos scored"
    assert {name for name, _ in stages.calls} == {"a"}
    assert {row["video"]: row["message"] for row in json.loads(artifacts(state)["lavad-videos"])} == {
        "a": "",
        "b": "same content as 'a'",
    }


HOSTILE = [
    "\x1b[31mred.mp4",
    "new\nline.mp4",
    "[link](http:\\\\x).mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "a\u202eb.mp4",
]


def test_names_are_escaped(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *HOSTILE)
    broken = tmp_path / "videos" / "bytes\udcff.mp4"
    broken.write_bytes(b"x")
    state = run(tmp_path / "videos", store)
    assert state.message == "6 of 6 videos scored"
    runs = task_runs(state, 6 * NODES + 4)
    found = artifacts(state)
    texts = [one.name for one in runs] + [row["video"] for row in json.loads(found["lavad-videos"])]
    for text in texts:
        assert not any(ord(char) < 32 or char in "\u202e\x7f" for char in text), text
    for row in json.loads(found["lavad-videos"]):
        assert "<" not in row["video"]
        assert "](" not in row["video"].replace("\\]", "").replace("\\(", "")


def test_two_runs_at_once_on_one_store(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4", "three.mp4")
    states: list[State[Any]] = []
    threads = [
        threading.Thread(target=copy_context().run, args=(lambda: states.append(run(videos, store)),)) for _ in range(2)
    ]  # Prefect's settings are in the context
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [state.name for state in states] == ["Completed", "Completed"]
    assert len(list(store.glob("*/*/*/commit.json"))) == 3 * NODES
    for state in states:
        assert all(one.state is not None and one.state.is_final() for one in task_runs(state, 4))


def test_listeners_hear_of_every_stage(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4")
    for expected_cached in (False, True):
        heard: list[tuple[str, bool]] = []
        with watching(lambda record, heard=heard: heard.append((record.node, record.seconds is None))):  # type: ignore[misc]
            run(videos, store)
        assert len([node for node, started in heard if not started]) == NODES, f"cached: {expected_cached}"


def test_unknown_setting_fails_the_flow_and_names_the_nearest(tmp_path: Path, store: Path) -> None:
    state: State[Any] = score_videos(["x"], settings={"store": str(store), "windw": {}}, return_state=True)
    assert state.is_failed()
    assert "window" in str(state.message)


def test_no_video_found_leaves_a_manifest(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    state: State[Any] = score_videos([str(tmp_path / "absent")], settings=settings(store), return_state=True)
    assert state.is_failed()
    assert load_run(store).status == "failed"


def test_one_video(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4")
    state: State[Any] = score_video(str(videos / "one.mp4"), settings=settings(store), return_state=True)
    assert state.message == "1 of 1 videos scored"
    several: State[Any] = score_video(str(videos), settings=settings(store), return_state=True)
    assert several.is_failed()
    assert "score-videos" in str(several.message)
