"""The flow over a data set in shards, against a real Prefect server: who waits for what, and what is issued again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Cancelled, Crashed, Failed, Pending
from support.fake_stages import FakeStages, make_videos, raising, rejecting, settings
from support.flow_runs import artifacts, outcomes

from lavad.deployments.cli.terminal.progress import flow_lines
from lavad.flows.score_data_set import score_data_set
from lavad.flows.score_shard import score_shard
from lavad.tasks import set_run, shard_flow_runs
from lavad.tasks.flow_run import OF_AN_EXCEPTION
from lavad_core.errors import InputError, ModelError
from lavad_core.runs.manifest import load_run
from lavad_core.runs.video_list import runs_of_set, unfinished_of
from lavad_core.store.files import FileStore

pytestmark = pytest.mark.usefixtures("prefect_server")

VIDEOS = [f"v{number}.mp4" for number in range(5)]
NODES = 12


class Workers:
    """In the place of a work pool: each shard is scored when it is started, or dies as a test says.

    Attributes:
        started: (shard, whether its process dies at once) of each flow run.
        deaths: shard to how many of its processes die.
        last: how the flow run of one that dies ends.
        answers: what becomes of the first requests to start one: an error, before the server has taken it or after.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[tuple[int, bool]] = []
        self.deaths: dict[int, int] = {}
        self.last: State[Any] = Crashed(message="its process died")
        self.answers: list[tuple[str, Exception]] = []
        self.known: dict[str, Any] = {}
        monkeypatch.setattr(shard_flow_runs, "start", self._start)
        monkeypatch.setattr(shard_flow_runs, "known", lambda keys: {k: self.known[k] for k in keys if k in self.known})
        monkeypatch.setattr(set_run, "LOOK_S", 0.0)

    def _start(self, deployment: str, parameters: Any, name: str, key: str) -> Any:
        assert deployment == "score-shard/shard"
        when, error = self.answers.pop(0) if self.answers else ("", None)
        if when != "before" and key not in self.known:
            self._taken(parameters, name, key)
        if error is not None:
            raise error
        return self.known[key]

    def _taken(self, parameters: Any, name: str, key: str) -> None:
        number = parameters["number"]
        dies = self.deaths.get(number, 0) > 0
        self.started.append((number, dies))
        if dies:
            self.deaths[number] -= 1
            with get_client(sync_client=True) as client:
                made = client.create_flow_run(score_shard, parameters=parameters, name=name)
                client.set_flow_run_state(made.id, self.last, force=True)
                flow_run_id = made.id
        else:
            state = score_shard(**parameters, return_state=True)
            flow_run_id = state.state_details.flow_run_id
        self.known[key] = SimpleNamespace(id=flow_run_id, parameters=parameters)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    return Workers(monkeypatch)


def run(tmp_path: Path, store: Path, **parameters: Any) -> Any:
    given = {"settings": settings(store), "shards": 3, **parameters}
    return score_data_set([str(tmp_path / "videos")], return_state=True, **given)


def everything(store: Path) -> dict[str, str]:
    return {name: status for one in runs_of_set(store, load_run(store)) for name, status in outcomes(one).items()}


def test_a_set_in_shards_is_one_run(stages: FakeStages, workers: Workers, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    stages.actions["v3", "clean"] = rejecting()
    state = run(tmp_path, store, name="whole")
    assert (state.name, state.message) == ("PartiallyFailed", "1 of 5 videos have no scores (1 rejected)")
    assert workers.started == [(1, False), (2, False), (3, False)]
    assert set(stages.calls.values()) == {1}
    whole = load_run(store)
    assert (whole.name, whole.status) == ("whole", "partially-failed")
    assert everything(store) == dict.fromkeys(["v0", "v1", "v2", "v4"], "ok") | {"v3": "rejected"}
    assert whole.stages["caption:a"].done == 5, "the work of the shards is counted"
    assert [source.name for source in unfinished_of(store, None).unfinished] == ["v3"]
    shown = artifacts(state)
    rows = json.loads(shown["lavad-shards"])
    assert [(row["shard"], row["videos"], row["done"], row["failed"], row["issued"]) for row in rows] == [
        (1, 2, 1, 1, 1),
        (2, 2, 2, 0, 1),
        (3, 1, 1, 0, 1),
    ]
    assert all("process" in row["worker"] and "GPU" in row["worker"] for row in rows)
    flow_runs = [str(one.id) for one in workers.known.values()]
    assert [row["run"].partition("](/runs/flow-run/")[2].rstrip(")") for row in rows] == flow_runs
    assert [row["video"] for row in json.loads(shown["lavad-videos"])] == ["v3"]


def test_what_a_dead_shard_left_is_issued_again(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    workers.deaths = {2: 2}
    lines: list[str] = []
    with flow_lines(lines.append):  # as in a terminal
        state = run(tmp_path, store)
    assert (state.name, state.message) == ("Completed", "5 of 5 videos scored")
    assert workers.started == [(1, False), (2, True), (3, False), (2, True), (2, False)]
    told = [line.partition(" with ")[0].partition(":")[0] for line in lines if line.startswith("shard ")]
    assert sorted(told) == ["shard 1 is done", "shard 2 ended", "shard 2 ended", "shard 2 is done", "shard 3 is done"]
    assert set(stages.calls.values()) == {1}
    rows = json.loads(artifacts(state)["lavad-shards"])
    assert [row["issued"] for row in rows] == [1, 3, 1]
    with get_client(sync_client=True) as client:
        names = [client.read_flow_run(one.id).name for key, one in workers.known.items() if key.split()[2] == "2"]
    assert [name.endswith(" · its process died") for name in names] == [True, True, False]


def test_a_shard_is_not_issued_for_ever(stages: FakeStages, workers: Workers, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    workers.deaths = {2: 9}
    state = run(tmp_path, store, issues=2)
    assert state.name == "PartiallyFailed"
    assert state.message == "2 of 5 videos have no scores (2 not-run)"
    assert workers.started.count((2, True)) == 2
    left = unfinished_of(store, None)
    assert [source.name for source in left.unfinished] == [
        name for name, status in everything(store).items() if status == "not-run"
    ]
    assert len(left.done) == 3
    workers.deaths = {}
    again = run(tmp_path, store)
    assert again.message == "5 of 5 videos scored"
    assert set(stages.calls.values()) == {1}


NO_MODEL = f"{OF_AN_EXCEPTION}ModelError: 'no-model' is not a local path"


@pytest.mark.parametrize(
    ("last", "issued", "told"),
    [
        pytest.param(Cancelled(), 1, "; 1 shard (2): cancelled", id="cancelled"),
        pytest.param(
            Failed(message=NO_MODEL), 1, "; 1 shard (2): ModelError: 'no-model' is not a local path", id="bad settings"
        ),
        pytest.param(Failed(message=f"{OF_AN_EXCEPTION}ServiceUnavailable: busy"), 3, "", id="a service was away"),
    ],
)
def test_what_would_end_so_again_is_not_issued_again(
    last: State[Any], issued: int, told: str, stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    run_id = "20260101T000000000-abcdef"
    workers.deaths, workers.last = {2: 9}, last
    state = run(tmp_path, store, run_id=run_id)
    assert state.message == f"2 of 5 videos have no scores (2 not-run){told}"
    assert workers.started.count((2, True)) == issued
    assert load_run(store, run_id).message == state.message
    workers.deaths = {}
    again = run(tmp_path, store, run_id=run_id)
    assert again.message == "5 of 5 videos scored", "whoever tries again means it"


def test_a_shard_with_an_error_of_its_own_says_so_for_each_video(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)

    def refused(*_: Any) -> None:
        raise ModelError("there is no such model")

    monkeypatch.setattr("lavad.tasks.scoring_run.check_ahead", refused)
    state = run(tmp_path, store)
    told = "3 shards (1, 2, 3): ModelError: there is no such model"
    assert (state.name, state.message) == ("Failed", f"5 of 5 videos have no scores (5 not-run); {told}")
    assert [number for number, _ in workers.started] == [1, 2, 3]
    found = [video for one in runs_of_set(store, load_run(store)) for video in one.videos]
    assert {(video.reason, video.message) for video in found} == {("ModelError", "there is no such model")}


REFUSED = httpx.HTTPStatusError("422", request=httpx.Request("POST", "http://server"), response=httpx.Response(422))


def test_a_server_that_is_away_when_a_shard_is_to_start(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    away = httpx.ConnectError("refused")
    workers.answers = [("before", away), ("before", away), ("after", away)]
    state = run(tmp_path, store)
    assert (state.name, state.message) == ("Completed", "5 of 5 videos scored")
    assert workers.started == [(1, False), (2, False), (3, False)], "the one whose answer was lost is not started twice"
    assert set(stages.calls.values()) == {1}


def test_a_server_that_refuses_a_shard(stages: FakeStages, workers: Workers, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    workers.answers = [("before", REFUSED)]
    assert (run(tmp_path, store).name, workers.started) == ("Failed", [])


def test_a_run_that_is_started_again_goes_on_with_its_shards(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    run_id = "20260101T000000000-abcdef"
    assert run(tmp_path, store, run_id=run_id).name == "Completed"
    assert run(tmp_path, store, run_id=run_id).name == "Completed"
    assert len(workers.started) == 3


def test_a_retry_gives_again_what_died_too_often_and_what_failed(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    run_id = "20260101T000000000-abcdef"
    stages.actions["v3", "clean"] = raising(OSError("no space"))
    workers.deaths = {2: 2}
    first = run(tmp_path, store, run_id=run_id, issues=2)
    assert (first.name, len(workers.started)) == ("PartiallyFailed", 4)
    stages.actions.clear()
    again = run(tmp_path, store, run_id=run_id, issues=2)
    assert (again.name, again.message) == ("Completed", "5 of 5 videos scored")
    assert len(workers.started) == 6, "each of the two once more"
    assert everything(store) == dict.fromkeys(["v0", "v1", "v2", "v3", "v4"], "ok")


def test_what_an_earlier_run_of_a_shard_has_done_counts_where_the_last_never_began(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    run_id = "20260101T000000000-abcdef"
    stages.actions["v1", "clean"] = raising(OSError("no space"))
    assert run(tmp_path, store, run_id=run_id, issues=1).message == "1 of 5 videos have no scores (1 failed)"
    workers.deaths = {2: 9}
    again = run(tmp_path, store, run_id=run_id, issues=1)
    assert again.message == "1 of 5 videos have no scores (1 failed)"
    assert workers.started == [(1, False), (2, False), (3, False), (2, True)]


def test_a_flow_run_has_the_same_id_when_it_is_tried_again(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    workers.deaths = {2: 9}
    state = run(tmp_path, store, issues=1)
    workers.deaths = {}
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(state.state_details.flow_run_id)
        client.set_flow_run_state(flow_run.id, AwaitingRetry(), force=True)
        due = client.read_flow_run(flow_run.id)
    again: Any = run_flow(score_data_set, flow_run=due, parameters=due.parameters, return_type="state")
    assert again.name == "Completed"
    assert workers.started == [(1, False), (2, True), (3, False), (2, False)]
    assert len({one.run_id for one in runs_of_set(store, load_run(store)) if one.shard and not one.shard.number}) == 1


def test_the_metrics_of_a_set_are_those_of_one_run(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    given: list[Any] = []

    def evaluated(store: FileStore, config: Any, videos: Any, unscored: Any, made: Any) -> None:
        given.append((sorted(videos), sorted(unscored), {keys["refine"].stage for keys in videos.values()}))

    monkeypatch.setattr(set_run, "evaluate_keys", evaluated)
    monkeypatch.setattr("lavad_core.local_run.check_labelled", lambda *_: None)
    stages.actions["v3", "clean"] = rejecting()
    labels = {**settings(store), "evaluate": {"labels": str(tmp_path / "labels.txt")}}
    run(tmp_path, store, settings=labels)
    assert given == [(["v0", "v1", "v2", "v4"], ["v3"], {"refine"})]


def test_a_set_that_cannot_be_evaluated_still_has_its_table(
    stages: FakeStages, workers: Workers, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)

    def refused(*_: Any) -> None:
        raise InputError("labels.txt is not as it was")

    monkeypatch.setattr(set_run, "evaluate_keys", refused)
    monkeypatch.setattr("lavad_core.local_run.check_labelled", lambda *_: None)
    labels = {**settings(store), "evaluate": {"labels": str(tmp_path / "labels.txt")}}
    state = run(tmp_path, store, settings=labels)
    message = "5 of 5 videos scored; not evaluated: labels.txt is not as it was"
    assert (state.name, state.message) == ("PartiallyFailed", message)
    assert (load_run(store).status, load_run(store).message) == ("partially-failed", message)
    assert [row["done"] for row in json.loads(artifacts(state)["lavad-shards"])] == [2, 2, 1]


@pytest.mark.parametrize(
    ("pid", "waited_s", "ends"),
    [
        pytest.param(None, 400.0, True, id="its worker has forgotten it"),
        pytest.param(None, 0.0, False, id="its worker is about to start it"),
        pytest.param("4711", 400.0, True, id="its process died before it began"),
        pytest.param("4711", 0.0, False, id="its process is about to begin"),
        pytest.param("cluster:lavad:shard-1", 400.0, False, id="its pod waits for a node"),
    ],
)
def test_a_shard_that_no_worker_starts(
    monkeypatch: pytest.MonkeyPatch, pid: str | None, waited_s: float, ends: bool
) -> None:
    monkeypatch.setattr(shard_flow_runs, "UNSTARTED_S", shard_flow_runs.UNSTARTED_S - waited_s)
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(score_shard, state=Pending())
        if pid is not None:
            client.update_flow_run(made.id, infrastructure_pid=pid)
        assert set(shard_flow_runs.over([made], {})) == ({made.id} if ends else set())
        state = client.read_flow_run(made.id).state
    assert state is not None
    assert state.name == ("Crashed" if ends else "Pending")


def test_a_shard_whose_flow_run_was_deleted() -> None:
    with get_client(sync_client=True) as client:
        made, kept = client.create_flow_run(score_shard), client.create_flow_run(score_shard)
        assert shard_flow_runs.over([made, kept], {}) == {}
        client.delete_flow_run(made.id)
    assert shard_flow_runs.over([made, kept], {}) == {made.id: made}, "nothing would ever be heard of it"


def test_a_server_without_the_deployment(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    state = run(tmp_path, store, deployment="score-shard/none")
    with pytest.raises(InputError, match="no deployment 'score-shard/none'"):
        state.result()
    assert load_run(store).status == "failed"
