"""Signals before a command has begun: nothing is at work, so there is nothing to leave in order, and the process just goes.

Imported before anything that takes time to import. An exception would not do: in the middle of an import some are printed with
a traceback and lost.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_installed = False


def install() -> None:
    """From now on SIGINT and SIGTERM end the process at once, with a word and the usual exit code."""
    global _installed
    _installed = True
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's background jobs have it
            signal.signal(number, _leave)


def begin() -> None:
    """From now on they interrupt the main thread: a command is at work that may have something to tidy."""
    if _installed:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)


def _leave(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, b"lavad: stopped before anything was begun\n")
    finally:
        os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    from deployments.cli.exits import Interrupted

    raise Interrupted(number, begun=False)
