"""Which other runs are at work on a store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lavad_core.planning.sharding import take_shard
from lavad_core.planning.shards import Shard
from lavad_core.runs.beside import run_in_words, runs_beside, warn_of_runs_beside
from lavad_core.runs.manifest import Origin, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun

OTHER = """
import sys, time
from pathlib import Path
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun
run = RunRecorder(Path(sys.argv[1]), sys.argv[2], config={}, origin=sys.argv[3])
if sys.argv[4:]:
    run.part_of(ShardOfRun("ab", int(sys.argv[4]), 3))
print("ready", flush=True)
time.sleep(60)
"""


def _other(repository: Path, store: Path, run_id: str, origin: str, *shard: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(store), run_id, origin, *shard],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip


@pytest.mark.parametrize(("origin", "said"), [("run", "run {}"), ("import", "import {}")])
def test_a_run_of_another_process_is_named_while_it_lives(
    origin: Origin, said: str, tmp_path: Path, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other, ended = new_run_id(), new_run_id(), new_run_id()
    RunRecorder(tmp_path, ended, config={}).finish("completed", [])
    process = _other(repository, tmp_path, other, origin)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with RunRecorder(tmp_path, own, config={}):
            (found,) = runs_beside(tmp_path, own)
            assert found.run_id == other
            assert f"run {other} (process {process.pid} on " in run_in_words(found)
            for own_origin in ("run", "import"):
                caplog.clear()
                warn_of_runs_beside(tmp_path, own, own_origin)
                assert (f"{said.format(other)} (process" in caplog.text) is (own_origin == origin)
        process.kill()
    assert runs_beside(tmp_path, own) == []
    caplog.clear()
    warn_of_runs_beside(tmp_path, own, origin)  # the other was killed: its record is stale
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("shard", "warns"),
    [
        pytest.param(["2"], True, id="the same shard"),
        pytest.param(["1"], False, id="another shard"),
        pytest.param([], False, id="nobody knows yet"),
    ],
)
def test_a_shard_that_another_process_works_on_is_warned_of(
    shard: list[str], warns: bool, tmp_path: Path, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = new_run_id(), new_run_id()
    with _other(repository, tmp_path, other, "run", *shard) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with RunRecorder(tmp_path, own, config={}) as recorder:
            take_shard(recorder, tmp_path, Shard(2, ()), ShardOfRun("ab", 2, 3))
        process.kill()
    assert (f"run {other} (process" in caplog.text) is warns


def test_no_store_and_no_runs(tmp_path: Path) -> None:
    assert runs_beside(tmp_path / "none", new_run_id()) == []
