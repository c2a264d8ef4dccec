"""What a run makes of failures: a bad video, a model that cannot be loaded, damaged results; and retries of what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from support.command import lavad
from support.fake_stages import FakeStages, make_videos, raising, rejecting, settings
from support.flow_runs import artifacts, flow_run, outcomes, run, task_runs
from support.s3_server import S3Server

from lavad.flows.retry_failed import retry_failed
from lavad.tasks import run_evaluation
from lavad_core.errors import InputError, ModelError, ServiceUnavailable
from lavad_core.location import s3_home
from lavad_core.models.pool import ModelPool
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import load_run
from lavad_core.runs.video_list import runs_of_set, unfinished_of
from lavad_core.stages.node import PreparedVideo
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import verify

pytestmark = pytest.mark.usefixtures("prefect_server")

NODES = 12


def test_one_bad_video_ends_partially_failed_with_the_others_done(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    videos = make_videos(tmp_path / "videos", "bad.mp4", "good.mp4", "other.mp4")
    (videos / "empty.mp4").touch()
    stages.actions["bad", "probe"] = rejecting()
    stages.actions["other", "summarise"] = raising(InputError("no caption for frame 3"))
    stages.status["good", "probe"] = "ok_with_gaps"
    state = run(videos, store)
    assert (state.type.value, state.name) == ("FAILED", "PartiallyFailed")
    assert state.message == "3 of 4 videos have no scores (1 failed, 2 rejected)"
    found = artifacts(state)
    table = {row["video"]: (row["status"], row["reason"]) for row in json.loads(found["lavad-videos"])}
    assert table == {
        "bad": ("rejected", "format"),
        "empty": ("rejected", "empty"),
        "good": ("ok with gaps", "gaps"),
        "other": ("failed", "InputError"),
    }
    assert "PartiallyFailed" in found["lavad-summary"]
    assert found["lavad-progress"] == 100
    bars = {
        key.removeprefix("lavad-progress-"): data for key, data in found.items() if key.startswith("lavad-progress-")
    }
    assert {"caption-a", "clean", "detect"} <= set(bars), "one of each stage"
    assert set(bars.values()) == {100}
    assert stages.calls["good", "detect"] == 1
    assert stages.calls["other", "detect"] == stages.calls["bad", "caption:a"] == 0
    assert outcomes(load_run(store)) == {
        "bad": "rejected",
        "empty": "rejected",
        "good": "ok_with_gaps",
        "other": "failed",
    }
    assert {one.state_name for one in task_runs(state, NODES + 9)} == {"Completed", "Failed"}
    assert len(list((store / "detect").glob("*/*/commit.json"))) == 1


def test_an_object_that_is_not_given_fails_alone_and_is_tried_again(
    stages: FakeStages, store: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        s3.client.put_object(Bucket="bucket", Key=f"set/{number}.mp4", Body=f"content {number}".encode())
    with s3.failing("set/1.mp4", "403 InvalidObjectState", "GET"):
        state = run(s3_home("s3://bucket/set"), store)
    assert (state.name, state.message) == ("PartiallyFailed", "1 of 3 videos have no scores (1 rejected)")
    (bad,) = [video for video in load_run(store).videos if video.status == "rejected"]
    assert (bad.name, bad.reason) == ("1", "unreadable")
    assert "'s3://bucket/set/1.mp4': InvalidObjectState" in bad.message
    again: State[Any] = retry_failed(settings={"store": str(store)}, return_state=True)
    assert (again.name, outcomes(load_run(store))) == ("Completed", {"1": "ok"})


@pytest.mark.parametrize("fails", ["prepare", "look"])
def test_a_storage_that_is_away_is_in_the_record(
    fails: str, stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4", "three.mp4")
    error = ServiceUnavailable("'two': cannot read 's3://bucket/two.mp4'")

    def away(*_: Any) -> None:
        raise error

    if fails == "prepare":
        monkeypatch.setattr(RunResources, "prepare", away)
    else:
        monkeypatch.setattr(FileStore, "find", away)
    state = run(videos, store)
    assert state.type.value == "FAILED"
    record = load_run(store)
    assert (record.status, record.message) == ("failed", f"ServiceUnavailable: {error}")


def test_a_model_that_cannot_be_loaded_is_tried_once(
    stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelPool, "failed_to_load", lambda pool, role: role == "captioner:a")
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4", "three.mp4")
    for name in ("one", "two", "three"):
        stages.actions[name, "caption:a"] = raising(ModelError("no such checkpoint"))
    state = run(videos, store, settings=settings(store, workers=1))
    assert state.message == "3 of 3 videos have no scores (1 failed, 2 not-run)"
    assert sum(count for (_, node), count in stages.calls.items() if node == "caption:a") == 1


@pytest.mark.parametrize("damage", ["truncated part", "flipped part", "flipped commit", "part gone", "commit gone"])
def test_damage_is_recomputed_not_cached(stages: FakeStages, tmp_path: Path, store: Path, damage: str) -> None:
    videos = make_videos(tmp_path / "videos", "one.mp4")
    run(videos, store)
    part = next((store / "refine").glob("*/*/part-*.parquet"))
    commit = part.with_name("commit.json")
    if damage == "truncated part":
        part.write_bytes(part.read_bytes()[:-9])
    elif damage == "flipped part":
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
    elif damage == "flipped commit":
        commit.write_bytes(commit.read_bytes().replace(b'"ok"', b'"OK"'))
    else:
        (part if damage == "part gone" else commit).unlink()
    state = run(videos, store)
    assert state.is_completed()
    assert {node: count for (_, node), count in stages.calls.items() if count == 2} == {"refine": 2}
    assert not [finding for finding in verify(FileStore(store)) if finding.kind == "damaged"]


def test_retry_does_only_what_failed(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "bad.mp4", "good.mp4", "late.mp4")
    (videos / "empty.mp4").touch()
    stages.actions["bad", "probe"] = rejecting()
    stages.actions["late", "score"] = raising(InputError("something"))
    assert run(videos, store).name == "PartiallyFailed"
    stages.actions.clear()
    stages.order.clear()
    (videos / "empty.mp4").write_bytes(b"not empty any more")
    state: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert state.message == "3 of 3 videos scored"
    assert {name for name, _ in stages.order} == {"bad", "late", "empty"}
    assert [node for name, node in stages.order if name == "late"] == ["score", "embed_summaries", "refine", "detect"]
    nothing: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert nothing.is_completed()
    assert "nothing left" in str(nothing.message)


def test_a_limited_run_and_its_retry_are_of_the_first_videos(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "c.mp4", "a.mp4", "b.mp4")
    stages.actions["b", "detect"] = raising(ModelError("no"))
    state = run(videos, store, name="trial", limit=2)
    assert state.message == "1 of 2 videos have no scores (1 failed)"
    first = load_run(store, "trial")
    assert (outcomes(first), first.limit) == ({"a": "ok", "b": "failed"}, 2)
    with get_client(sync_client=True) as client:
        name = client.read_flow_run(flow_run(state)).name
    assert name == f"trial · {first.run_id} · 1 of 2 videos have no scores (1 failed)"
    assert f"Run `{first.run_id}` (trial), " in artifacts(state)["lavad-summary"]
    del stages.actions["b", "detect"]
    again = retry_failed(run_id="trial", settings=settings(store), return_state=True)
    assert again.message == "1 of 1 videos scored"
    second = load_run(store, "trial")
    with get_client(sync_client=True) as client:
        name = client.read_flow_run(flow_run(again)).name
    assert name == f"retry-failed · of {first.run_id} · {second.run_id}"
    assert second.run_id != first.run_id
    assert (outcomes(second), second.limit) == ({"b": "ok"}, 2)


def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], set[str]]]:
    """Filled with the names of the videos of each evaluation, and of those without scores."""
    evaluated: list[tuple[set[str], set[str]]] = []

    def noted(resources: Any, videos: list[PreparedVideo], unscored: list[str]) -> None:
        evaluated.append(({video.name for video in videos}, set(unscored)))

    monkeypatch.setattr(run_evaluation, "evaluate_run", noted)
    return evaluated


def test_retries_of_retries_evaluate_the_whole_set(
    stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metric over the two videos of the last retry would not be the data set's."""
    evaluated = evaluations(monkeypatch)
    videos = make_videos(tmp_path / "videos", "first.mp4", "second.mp4", "good.mp4", "other.mp4")
    names = ("first", "second", "good", "other")
    (tmp_path / "labels.txt").write_text("".join(f"{name} Normal -1 -1\n" for name in names))
    labelled = settings(store) | {"evaluate": {"labels": str(tmp_path / "labels.txt")}}
    for name in ("first", "second"):
        stages.actions[name, "probe"] = rejecting()
    assert run(videos, store, settings=labelled).name == "PartiallyFailed"
    del stages.actions["first", "probe"]
    once: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert once.name == "PartiallyFailed"
    stages.actions.clear()
    twice: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert twice.message == "1 of 1 videos scored"
    assert evaluated == [
        ({"good", "other"}, {"first", "second"}),
        ({"good", "other", "first"}, {"second"}),
        ({"good", "other", "first", "second"}, set()),
    ]
    left = unfinished_of(store, None)
    assert (left.unfinished, {source.name for source in left.done}) == ([], {"first", "second", "good", "other"})
    parts = runs_of_set(store, load_run(store))
    assert [{outcome.name: outcome.status for outcome in part.videos} for part in parts] == [
        {"second": "ok"}, {"good": "ok", "other": "ok"}, {"first": "ok"},
    ]  # fmt: skip


def test_a_retry_leaves_out_what_is_known_to_be_bad(
    stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = evaluations(monkeypatch)
    videos = make_videos(tmp_path / "videos", "bad.mp4", "good.mp4", "late.mp4", "later.mp4")
    (tmp_path / "labels.txt").write_text("".join(f"{name} Normal -1 -1\n" for name in ("bad", "good", "late", "later")))
    labelled = settings(store) | {"evaluate": {"labels": str(tmp_path / "labels.txt")}}
    stages.actions["bad", "probe"] = rejecting()
    for name in ("late", "later"):
        stages.actions[name, "score"] = raising(InputError("something"))
    assert run(videos, store, settings=labelled).name == "PartiallyFailed"
    assert lavad("store", "known-bad", "bad", "--store", str(store)).exit_code == 0
    del stages.actions["late", "score"]
    once: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert once.message == "1 of 2 videos have no scores (1 failed)"
    stages.actions.clear()
    twice: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert (twice.name, twice.message) == ("Completed", "1 of 1 videos scored")
    assert stages.calls["bad", "probe"] == 1
    assert evaluated[:2] == [({"good"}, {"bad", "late", "later"}), ({"good", "late"}, {"bad", "later"})]
    assert evaluated[2] == ({"good", "late", "later"}, {"bad"}), "a retry of a retry knows the bad one"
    nothing: State[Any] = retry_failed(settings=settings(store), return_state=True)
    assert str(nothing.message).endswith("has nothing left to do, 1 known to be bad")
    said = lavad("retry", "--store", str(store))
    assert (said.exit_code, "3 of 4 videos have scores, 1 known to be bad" in said.stderr) == (0, True)
    assert lavad("store", "known-bad", "bad", "--forget", "--store", str(store)).exit_code == 0
    assert [source.name for source in unfinished_of(store, None).unfinished] == ["bad"]


@pytest.mark.parametrize(
    ("case", "text", "says"),
    [
        ("a video is missing", "good Normal -1 -1\n", "have no line for 1 of 2 videos: 'other'"),
        ("other names", "x Normal -1 -1\n", "have no line for 2 of 2 videos: 'good', 'other'"),
        ("not labels", "good\n", "line 1: there are no frame numbers at its end"),
        ("no file", None, "does not exist"),
    ],
)
def test_labels_are_looked_at_before_the_work(
    case: str, text: str | None, says: str, stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    videos = make_videos(tmp_path / "videos", "good.mp4", "other.mp4")
    if text is not None:
        (tmp_path / "labels.txt").write_text(text)
    labelled = settings(store) | {"evaluate": {"labels": str(tmp_path / "labels.txt")}}
    state = run(videos, store, settings=labelled)
    assert state.is_failed(), case
    assert says in str(state.message), case
    assert not stages.calls, case
