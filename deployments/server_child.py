"""Runs ``prefect server start`` and ends it with the process that started it, however that one ends.

Started as a file by :mod:`lavad.deployments.prefect_server`. Standard input is a pipe whose other end only the parent holds: it
closes when the parent is gone, SIGKILL included, and then this process stops the server as SIGTERM would.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

STOP_WAIT_S = 10.0
"""From SIGTERM to the end by force; draining the queue of task run records takes about two seconds."""


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_WAIT_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    sys.argv = ["prefect", "--no-prompt", "server", "start", "--host", "127.0.0.1", "--port", sys.argv[1]]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
