"""Processes that end with the process that started them, however that one ends, SIGKILL included.

The parent keeps one end of a pipe that is the child's standard input. It closes when the parent is gone or wants the end.

Started as a file, this module runs a command in that way: the command gets SIGTERM when the pipe closes and, after
:data:`STOP_WAIT_S`, its whole process group gets SIGKILL. A server may wait for ever for a request in flight, and its engine's
processes outlive it. Imports the standard library only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

STOP_WAIT_S = 10.0
"""From SIGTERM to SIGKILL: vLLM takes one second, and Prefect's server two to write the records on their way."""


def when_parent_ends(act: Callable[[], None]) -> None:
    """Call ``act`` in a thread of its own as soon as standard input ends."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def attached(command: Sequence[str]) -> list[str]:
    """``command`` as one that ends with its parent.

    Start it with ``stdin=subprocess.PIPE`` and ``start_new_session=True``, and end it with :func:`stop`.
    """
    return [sys.executable, "-P", __file__, *command]


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that :func:`attached` started: SIGTERM, then SIGKILL to all that is left of its group."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_WAIT_S + 2)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()


def _main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end() -> None:
        child.terminate()
        threading.Event().wait(STOP_WAIT_S)
        os.killpg(0, signal.SIGKILL)

    when_parent_ends(end)
    return child.wait()


if __name__ == "__main__":
    sys.exit(_main())
