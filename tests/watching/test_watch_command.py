"""``lavad watch`` as a process that is killed: nothing is lost, and nothing comes twice but under its own id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.command import lavad
from support.watched_folder import Hook, WatchedFolder

from lavad_core.runs.manifest import list_runs
from lavad_core.runs.run_log import load_records

REPOSITORY = Path(__file__).resolve().parents[2]
LONG_S = 120


@pytest.fixture
def folder(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path)


def start(folder: WatchedFolder, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PREFECT_HOME": str(folder.root / "prefect")}
    return subprocess.Popen(
        folder.arguments(*more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=REPOSITORY,
    )


def wait_until(what: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + LONG_S
    while not what():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def computed(folder: WatchedFolder) -> list[tuple[str, str]]:
    """Video and stage of each result that was computed, not found."""
    store = folder.root / "store"
    return [
        (record.video_id, record.node)
        for run_id in list_runs(store)
        for record in load_records(store, run_id)
        if not record.cached and record.seconds is not None and record.status == "ok"
    ]


@pytest.mark.slow
def test_killed_in_the_middle_it_loses_nothing_and_repeats_nothing_new(folder: WatchedFolder) -> None:
    """Killed while the second notice is on its way: the receiver has it, and the sender does not know."""
    clips = folder.prepare("a", "b", "c", "d")
    processes: list[subprocess.Popen[str]] = []

    def answer(notice: dict[str, Any]) -> int:
        if len(hook.notices) == 2:
            processes[0].kill()  # SIGKILL, before it is answered
        return 204

    with Hook(answer) as hook:
        processes.append(start(folder, "--webhook", hook.address))
        folder.arrive(clips["a"])
        wait_until(lambda: len(hook.notices) == 1, processes[0])
        folder.arrive(clips["b"], chunk=512)
        out, _ = processes[0].communicate(timeout=LONG_S)
        assert processes[0].returncode == -signal.SIGKILL
        assert [notice["video"] for notice in hook.notices] == ["a", "b"]
        folder.arrive(clips["c"])  # while nobody watches
        processes.append(start(folder, "--webhook", hook.address))
        wait_until(lambda: len(set(hook.events)) == 3, processes[1])
        folder.arrive(clips["d"])
        wait_until(lambda: len(set(hook.events)) == 4, processes[1])
        time.sleep(0.5)  # a repetition would come now
        processes[1].terminate()
        more, said = processes[1].communicate(timeout=LONG_S)
    assert processes[1].returncode == 128 + signal.SIGTERM, said
    told = [notice["video"] for notice in hook.notices]
    assert told == ["a", "b", "b", "c", "d"], "b was on its way, and comes under the same id"
    assert hook.events[1] == hook.events[2]
    assert hook.keys == hook.events
    lines = [json.loads(line) for line in (out + more).splitlines()]
    assert [line["video"] for line in lines] == ["a", "b", "c", "d"]
    assert [line["event"] for line in lines] == list(dict.fromkeys(hook.events))
    done = computed(folder)
    assert len(done) == len(set(done)), "a result was computed again"
    assert {node for _, node in done} == {"probe", "summarise", "score", "refine", "detect"}
    assert len({video for video, _ in done}) == 4
    assert "from the end of a file to that: median" in said
    assert "s3cret" not in said


@pytest.mark.slow
def test_killed_before_it_told_anything_it_tells_it_all(folder: WatchedFolder) -> None:
    clips = folder.prepare("a", "b")
    with Hook(lambda notice: 503) as hook:
        first = start(folder, "--webhook", hook.address)
        for clip in clips.values():
            folder.arrive(clip)
        wait_until(lambda: len(hook.notices) == 1, first)
        first.kill()
        first.communicate(timeout=LONG_S)
        hook.answer = lambda notice: 204
        hook.notices.clear()
        again = start(folder, "--webhook", hook.address, "--once")
        out, said = again.communicate(timeout=LONG_S)
    assert again.returncode == 0, said
    assert [notice["video"] for notice in hook.notices] == ["a", "b"]
    assert {json.loads(line)["video"] for line in out.splitlines()} <= {"a", "b"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param(["--webhook", "no address"], "not an address", id="webhook"),
        pytest.param(["--program", "rm -rf x"], "'rm -rf x' is not an executable file", id="a shell's line"),
        pytest.param(["--program", "[]"], "--program [] is no program", id="an empty list"),
        pytest.param(["--set", "imports.list=l.txt", "--set", "imports.frame_rate=30"], "imports.list", id="a list"),
    ],
)
def test_what_cannot_work_is_said_at_once(more: list[str], says: str, folder: WatchedFolder) -> None:
    folder.prepare("a")
    ended = lavad(*folder.arguments(*more)[3:])
    assert ended.exit_code == 2
    assert says in ended.stderr


def test_it_stops_when_all_is_told(folder: WatchedFolder) -> None:
    clips = folder.prepare("a")
    folder.arrive(clips["a"])
    more = ["--once", "--pages-address", "https://host/lavad/", "--program", shutil.which("true") or ""]
    ended = lavad(*folder.arguments(*more)[3:])
    assert ended.exit_code == 0, ended.stderr
    (notice,) = map(json.loads, ended.stdout.splitlines())
    assert notice["page"] == f"https://host/lavad/{notice['run']}/videos/0001-a.html"
    assert "told 2 times; from the end of a file to that: median" in ended.stderr
    assert "told program: a, anomaly" in ended.stderr
    assert "nothing found" not in ended.stderr
    again = lavad(*folder.arguments("--once")[3:])
    assert (again.exit_code, again.stdout) == (0, "")
