"""The first and the last moment of the process.

Signals before a command has begun: nothing is at work, so there is nothing to leave in order, and the process just goes. An
exception would not do: in the middle of an import some are printed with a traceback and lost. So this module is imported
before anything that takes time to import.

The end: the interpreter ends threads that are still in a library's C++ (a model at work when Ctrl-C comes) in a way that this
library may take for a fault, and the process aborts (SIGABRT, "FATAL: exception not rethrown"). So the process leaves before
that, after threads that are waited for and everybody's exit handlers.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_installed = False
_code: int | None = None
_stopped = "lavad: stopped before anything was begun"
_tidy: Callable[[], None] = lambda: None  # noqa: E731


def install() -> None:
    """From now on SIGINT and SIGTERM end the process at once, with a word and the usual exit code."""
    global _installed
    _installed = True
    atexit.register(_end)  # the first to be registered is the last to be called
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's background jobs have it
            signal.signal(number, _leave)


def stoppable(line: str, tidy: Callable[[], None]) -> None:
    """From now on a signal still ends the process at once, but ``tidy`` is called and ``line`` is printed first."""
    global _stopped, _tidy
    _stopped, _tidy = line, tidy


def begin() -> None:
    """From now on they interrupt the main thread: a command is at work that may have something to tidy."""
    if _installed:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)


def ends_with(code: int) -> None:
    """The process ends with this exit code once its exit handlers have been called."""
    global _code
    _code = code


def flush_streams() -> None:
    """Write what is still buffered, as far as possible."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # none, gone, closed
            continue


def _end() -> None:
    if _code is not None:
        flush_streams()
        os._exit(_code)


def _leave(number: int, frame: FrameType | None) -> None:
    try:
        try:
            _tidy()
        finally:
            os.write(2, f"{_stopped}\n".encode())  # the last line: other threads are still at work until then
    finally:
        os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    from lavad.deployments.cli.exits import SignalReceived

    raise SignalReceived(number, go_on="")
