"""What a stop by a signal does: what is said, and that the process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.command import REPOSITORY, environment
from support.filled_store import fill

from lavad.deployments.cli import signals
from lavad.deployments.cli.exits import GO_ON, SAME_AGAIN, SHARDS_GO_ON, guarded
from lavad.deployments.cli.signals import Stop, interruptible


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("hint", "begun", "retried"),
    [
        pytest.param(GO_ON, True, True, id="run"),
        pytest.param(GO_ON, False, False, id="run-without-videos-yet"),
        pytest.param(SAME_AGAIN, True, False, id="study"),
    ],
)
def test_what_is_stopped_says_how_to_go_on(
    number: signal.Signals,
    code: int,
    hint: str,
    begun: bool,
    retried: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Otherwise the clock that starts with the signal ends the process of the tests 20 s later.
    monkeypatch.setattr(signals, "end_by_force", lambda number, stop: None)

    def command() -> None:
        with interruptible(go_on=hint) as stop:
            stop.can_retry = lambda: begun
            signal.raise_signal(number)

    with pytest.raises(typer.Exit) as caught:
        guarded(command)()
    assert caught.value.exit_code == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert "the same command again" in line
    assert ("`lavad retry`" in line) == retried


def test_a_run_over_a_set_says_that_its_shards_go_on() -> None:
    said = Stop(SHARDS_GO_ON).go_on
    assert "go on there" in said
    assert "prefect flow-run cancel" in said
    assert "gives out every shard again" in said


def in_a_terminal(*arguments: str, **variables: str) -> str:
    """What the command writes to a pseudo-terminal."""
    import pty

    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lavad.deployments.cli.main", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=subprocess.DEVNULL,
        env=environment(TERM="xterm-256color", COLUMNS="100", **variables),
        cwd=REPOSITORY,
    )
    os.close(child)
    written = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(parent)
    assert process.wait(60) == 0
    return written.decode()


def test_colours_on_a_terminal_unless_unwanted(tmp_path: Path) -> None:
    fill(tmp_path, "a", "[red]b[/red] \x1b[31m")
    coloured = in_a_terminal("status", "--store", str(tmp_path))
    assert "\x1b[1m" in coloured  # the header is bold
    assert "[red]b[/red] \\x1b[31m" in coloured
    plain = in_a_terminal("status", "--store", str(tmp_path), NO_COLOR="1", TERM_PROGRAM="")
    assert "\x1b[3" not in plain.replace("\\x1b[3", "")
    assert "[red]b[/red]" in plain


STUBBORN = """
import sys, threading, time
from lavad.deployments.cli.exits import SignalReceived
from lavad.deployments.cli.signals import Stop, interruptible
try:
    with interruptible(grace_s=float(sys.argv[2])) as stop:
        print("ready", flush=True)
        if sys.argv[1] == "stubborn":
            while True:
                try:
                    time.sleep(60)
                except SignalReceived:
                    pass  # a library that swallows it
        elif sys.argv[1] == "thread":
            threading.Thread(target=time.sleep, args=(60,)).start()  # waited for at the end of the process
            time.sleep(60)
        time.sleep(60)
except SignalReceived as error:
    sys.exit(128 + error.signal)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("manner", ["polite", "stubborn", "thread"])
def test_signals_end_the_process_in_time(number: signal.Signals, code: int, manner: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, manner, "0.5"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=REPOSITORY,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "stopping; what is finished is kept" in said


@pytest.mark.parametrize(("told", "lines"), [(False, 1), (True, 0)])
def test_a_run_ended_by_force_says_it_too_but_not_twice(told: bool, lines: int) -> None:
    script = (
        "from lavad.deployments.cli.exits import AlreadyReported; from lavad.deployments.cli.signals import end_by_force; "
        f"AlreadyReported.go_on = {told}; end_by_force(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), cwd=REPOSITORY, check=False
    )
    assert done.returncode == 130
    assert done.stderr.count("`lavad retry`") == lines


def test_a_second_signal_ends_it_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, "stubborn", "600"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=REPOSITORY,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert "stopping" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    # By the watcher, or by the signal itself where the main thread was just leaving and had put the handlers back; a shell
    # shows 143 for both.
    assert process.wait(30) in (143, -signal.SIGTERM)
    process.stdout.close()
    process.stderr.close()
