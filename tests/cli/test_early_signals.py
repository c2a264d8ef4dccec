"""A signal that comes before a command has begun ends the process quietly, whatever is just being imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from support.command import REPOSITORY, environment

LAST = """
import os, signal, sys
sys.argv = ["lavad", *sys.argv[1:]]
import lavad.deployments.cli.entry as entry
os.kill(os.getpid(), int(os.environ["LAVAD_TEST_SIGNAL"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_before_the_first_import(number: signal.Signals, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAST, "status"],
        env=environment(LAVAD_TEST_SIGNAL=str(int(number))),
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "lavad: stopped before anything was begun\n")


END = """
import atexit, sys
import lavad.deployments.cli.entry as entry

class Late:
    def __del__(self):
        print("the interpreter was taken down")

sys.modules["kept"] = Late()
atexit.register(print, "handlers were called")
sys.argv = ["lavad", *sys.argv[1:]]
entry.main()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["--none"], 2)])
def test_the_process_leaves_before_the_interpreter_ends_threads_by_force(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", END, *arguments],
        env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, "handlers were called")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "command", [["run", "none.mp4"], ["status"], ["config", "show"]], ids=["run", "status", "show"]
)
def test_at_any_moment_of_the_start(number: signal.Signals, command: list[str]) -> None:
    # Python itself, before the first line of ours, is not ours to mend: from 0.2 s on.
    for delay in (0.2, 0.4, 0.65, 1.0, 1.5, 2.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "lavad.deployments.cli.entry", *command],
            env=environment(), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(delay)
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said, (delay, said)


def test_what_the_user_typed_moves_no_cursor() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lavad.deployments.cli.main", "--\x1b[31mno\u202e"],
        env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "\\x1b[31mno\\u202e" in done.stderr
    assert "\x1b" not in done.stderr
