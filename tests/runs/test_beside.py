"""Which other runs are at work on a store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lavad_core.runs.beside import run_in_words, runs_beside, warn_of_runs_beside
from lavad_core.runs.manifest import Origin, new_run_id
from lavad_core.runs.recorder import RunRecorder

OTHER = """
import sys, time
from pathlib import Path
from lavad_core.runs.recorder import RunRecorder
run = RunRecorder(Path(sys.argv[1]), sys.argv[2], config={}, origin=sys.argv[3])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("origin", "said"), [("run", "run {}"), ("import", "import {}")])
def test_a_run_of_another_process_is_named_while_it_lives(
    origin: Origin, said: str, tmp_path: Path, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other, ended = new_run_id(), new_run_id(), new_run_id()
    RunRecorder(tmp_path, ended, config={}).finish("completed", [])
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path), other, origin],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
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


def test_no_store_and_no_runs(tmp_path: Path) -> None:
    assert runs_beside(tmp_path / "none", new_run_id()) == []
