"""SIGKILL at random moments of a run: the re-run ends with the tree of an undisturbed one, and repeats nothing committed."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from support.video_factory import make_video
from support.whole_runs import commits, finish, start, tree

from lavad_core.runs.manifest import load_run
from lavad_core.runs.run_log import load_records

FEW, MANY = 3, 20


class Undisturbed:
    """Six short videos, and a run of them that nothing disturbed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.videos, self.environment, self.folder = folder / "videos", environment, folder
        self.videos.mkdir()
        for number in range(6):
            make_video(self.videos / f"{number}.mp4", frames=40 + 8 * number, fps=10)
        assert self.run("undisturbed") == 0, self.log("undisturbed").read_text()[-3000:]
        self.tree, self.commits = tree(folder / "undisturbed"), committed(folder / "undisturbed")
        assert len(self.tree) >= 6 * 12 * 2

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def arguments(self, name: str) -> list[str]:
        return ["run", str(self.videos), "--preset", "tiny", "--store", str(self.folder / name), "--plain"]

    def run(self, name: str) -> int:
        return finish(self.arguments(name), self.environment, self.log(name))


@pytest.fixture(scope="module")
def undisturbed(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    environment = {"PREFECT_API_URL": prefect_server, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    return Undisturbed(tmp_path_factory.mktemp("kill"), environment)


def committed(store: Path) -> int:
    """How many results a run has committed so far."""
    return sum(1 for _ in store.glob("[!.]*/*/*/commit.json"))


def kill_and_run_again(undisturbed: Undisturbed, number: int) -> None:
    """One kill, some time behind a commit, and one re-run, with all that must hold."""
    name = f"killed-{number}"
    store = undisturbed.folder / name
    source = random.Random(number)
    wanted, more_s = source.randrange(undisturbed.commits), source.uniform(0.0, 0.5)
    process = start(undisturbed.arguments(name), undisturbed.environment, undisturbed.log(name))
    while process.is_alive() and committed(store) < wanted:
        process.join(0.02)
    process.join(more_s)
    process.kill()
    process.join()
    before = commits(store)
    assert len(before) >= wanted
    assert undisturbed.run(name) == 0, undisturbed.log(name).read_text()[-3000:]
    assert tree(store) == undisturbed.tree, f"killed {more_s:.2f} s behind commit {wanted}"
    after = commits(store)
    assert {path: after[path] for path in before} == before, "a committed result was written again"
    run = load_run(store)
    repeated = [
        record
        for record in load_records(store, run.run_id)
        if not record.cached
        and any(path.startswith(f"{record.node.split(':')[0]}/{record.video_id}/") for path in before)
        and not record.node.startswith("caption:")  # one of two captioners may be there
    ]
    assert not repeated, "a committed stage ran again"


def test_a_few_kills(undisturbed: Undisturbed) -> None:
    for number in range(FEW):
        kill_and_run_again(undisturbed, number)


@pytest.mark.slow
def test_many_kills(undisturbed: Undisturbed) -> None:
    for number in range(FEW, FEW + MANY):
        kill_and_run_again(undisturbed, number)


def test_nothing_is_left_running(undisturbed: Undisturbed) -> None:
    """Decoders of killed runs end by themselves."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if (text := _command_line(path)) and "lavad_core" in text and str(undisturbed.folder) in text
        ]
        if not left:
            return
        time.sleep(0.2)
    pytest.fail(f"processes of killed runs are still there: {left}")


def _command_line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


assert os.name == "posix", "SIGKILL and /proc are what this file is about"
