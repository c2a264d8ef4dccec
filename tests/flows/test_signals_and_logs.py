"""A run that is told to stop, a store that is checked, and what is in the logs of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import SyncClientContext
from prefect.states import Completed
from support.fake_stages import FakeStages, make_videos, settings

from lavad.flows.check_store import check_store
from lavad.flows.score_videos import score_videos
from lavad.tasks import ending
from lavad_core.masking import MASK
from lavad_core.runs.manifest import list_runs, load_run

pytestmark = pytest.mark.usefixtures("prefect_server")

RUN = """
import sys, time
from pathlib import Path
import pytest
from support.fake_stages import FakeStages, settings
from lavad.flows.score_videos import score_videos

def busy(context):
    print("busy", flush=True)
    for _ in range(3000):
        time.sleep(0.02)
        context.count("captions_made", 1)

def deaf(context):
    print("busy", flush=True)
    time.sleep(60)

videos, store, how = sys.argv[1:]
stages = FakeStages(pytest.MonkeyPatch())
for name in ("one", "two"):
    stages.actions[name, "clean"] = {"busy": busy, "deaf": deaf}[how]
score_videos([videos], settings=settings(Path(store)), return_state=True)
"""

STOPPED_S = 30.0
"""What a stopped run has until it must be gone; a deaf stage is then ended by the command line's clock, not by the flow."""


@pytest.mark.parametrize(
    ("number", "how"),
    [
        pytest.param(signal.SIGTERM, "busy", id="SIGTERM"),
        pytest.param(signal.SIGINT, "busy", id="SIGINT"),
        pytest.param(signal.SIGTERM, "deaf", id="a stage that does not listen", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_leaves_its_record_and_nothing_half_done(
    tmp_path: Path, repository: Path, number: int, how: str
) -> None:
    videos, store = make_videos(tmp_path / "videos", "one.mp4", "two.mp4"), tmp_path / "store"
    path = os.pathsep.join([str(repository), str(repository / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(videos), str(store), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("busy")
        process.send_signal(number)
        deadline = time.monotonic() + STOPPED_S
        while load_run(store).status == "running" or not (store / "runs" / f"{list_runs(store)[-1]}.json").exists():
            assert time.monotonic() < deadline, "no manifest"
            time.sleep(0.2)
        if how == "busy":
            assert process.wait(max(0.1, deadline - time.monotonic())) != 0
    finally:
        process.kill()
        process.wait()
    run = load_run(store)
    assert run.status == "interrupted"
    assert {outcome.status for outcome in run.videos} == {"not-run"}
    assert not list((store / "clean").glob("*/*/commit.json"))
    assert len(list((store / "embed_frames").glob("*/*/commit.json"))) == 2


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the results of two videos."""
    FakeStages(monkeypatch)
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4")
    score_videos([str(videos)], settings=settings(tmp_path / "store"), return_state=True)
    return tmp_path / "store"


def test_a_sound_store_is_green_and_a_damaged_one_red(scored: Path) -> None:
    sound: State[Any] = check_store(settings={"store": str(scored)}, return_state=True)
    assert sound.is_completed(), sound.message
    part = next((scored / "refine").glob("*/*/part-*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    damaged: State[Any] = check_store(settings={"store": str(scored)}, return_state=True)
    assert damaged.is_failed()
    assert "1 result is damaged" in str(damaged.message)
    rows = of_run(damaged, "artifacts", "artifacts")
    table = next(one for one in rows if one["key"] == "lavad-store-findings")
    assert [row["kind"] for row in json.loads(table["data"])] == ["damaged"]


def test_a_store_that_is_not_there_is_red(tmp_path: Path) -> None:
    state: State[Any] = check_store(settings={"store": str(tmp_path / "none")}, return_state=True)
    assert state.is_failed()


def of_run(state: State[Any], what: str, name: str) -> list[dict[str, Any]]:
    wanted = {name: {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}}
    answer = httpx.post(f"{os.environ['PREFECT_API_URL']}/{what}/filter", json=wanted, timeout=30)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


def test_the_library_logs_to_the_run_and_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    stages = FakeStages(monkeypatch)
    videos = make_videos(tmp_path / "videos", "one.mp4")

    def talk(context: Any) -> None:
        logging.getLogger("lavad_core.stages.clean").info("asking %s", "http://user:hunter2@host/v1")

    stages.actions["one", "clean"] = talk
    monkeypatch.setenv("LAVAD_CHAT__API_KEY", "sk-hunter2")
    state: State[Any] = score_videos([str(videos)], settings=settings(tmp_path / "store"), return_state=True)
    deadline = time.monotonic() + 20
    messages: list[str] = []
    while not any("asking" in text for text in messages) and time.monotonic() < deadline:
        time.sleep(0.3)
        messages = [one["message"] for one in of_run(state, "logs", "logs")]
    assert f"asking http://{MASK}@host/v1" in "\n".join(messages)
    assert "hunter2" not in "\n".join(messages)
    run = httpx.get(f"{os.environ['PREFECT_API_URL']}/flow_runs/{state.state_details.flow_run_id}", timeout=30)
    assert "hunter2" not in run.text
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


@pytest.mark.parametrize("decided", [False, True], ids=["in its middle", "its end decided"])
def test_a_process_that_ends_by_force_leaves_no_run_running(decided: bool) -> None:
    seen: list[str] = []

    @flow
    def going() -> None:
        ending.begun()
        if decided:
            ending.decided(Completed(message="all of it"))
        ending.report_now("the process was ended", 20.0)
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(runtime.flow_run.id)
        seen.extend([str(found.state_name), str(found.state.message if found.state else "")])

    going(return_state=True)
    assert seen == (["Completed", "all of it"] if decided else ["Crashed", "the process was ended"])


def test_a_server_that_is_silent_at_the_end_is_not_given_the_time_of_one_that_is_there() -> None:
    seen: list[Any] = []

    @flow
    def going() -> None:
        client = SyncClientContext.get_or_create()
        with client as context, ending.own_settings():
            ending.hurry(1)
            seen.append(context.client._client.timeout)  # a contract with Prefect: what `hurry` reaches for is there

    going(return_state=True)
    assert seen == [httpx.Timeout(ending.LAST_ANSWER_S)]
