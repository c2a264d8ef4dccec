"""Runs a command and ends it with the process that started this one, however that one ends.

Started as a file, in a process group of its own, with a pipe as standard input whose other end only the parent holds: it
closes when the parent is gone, SIGKILL included, or wants the end. The command gets SIGTERM then, and after a while the whole
group SIGKILL: a server may wait for ever for a request in flight, and its engine processes outlive it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

STOP_WAIT_S = 8.0
"""From SIGTERM to SIGKILL; an idle vLLM server takes one second."""


def _end_with_parent(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    child.terminate()
    threading.Event().wait(STOP_WAIT_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_parent, args=(child,), name="parent", daemon=True).start()
    sys.exit(child.wait())
