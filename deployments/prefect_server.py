"""A Prefect API for a run: the configured one, or a private server that lives as long as the run.

The private server keeps its records in the user's own Prefect database (``PREFECT_HOME``), so that they outlive the run and
``prefect server start`` shows them. It is a process, not Prefect's ephemeral server: that one loses the task runs whose
records are still on their way when the flow ends.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from filelock import FileLock, Timeout
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from lavad.deployments.prefect_check import busy_server_notice, check_environment, checked_api, shown
from lavad.deployments.prefect_settings import private_environment, using_api
from lavad_core import attached
from lavad_core.errors import ServiceUnavailable
from lavad_core.ports import free_port

START_TIMEOUT_S = 180.0
"""A new database is migrated first: 20 s on two busy cores."""

WAIT_TIMEOUT_S = 600.0
"""For other runs that are starting a server on the same records; a start on an existing database takes 5 s."""

START_LOCK = "lavad-start.lock"
"""File in ``PREFECT_HOME``, locked while a private server starts."""

RECORDER = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
"""One task run costs the server 8 ms of CPU with these, 43 ms without, and is in the database after 2 s, not 50
(docs/design/scheduling.md)."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""Nothing is reported anywhere."""

NOT_OURS = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in ("SCHEDULER", "LATE_RUNS", "FOREMAN", "CANCELLATION_CLEANUP", "PAUSE_EXPIRATIONS", "TRIGGERS")
}
"""Services that act on other flow runs of the database: not for a server that lives for one run."""


@contextmanager
def prefect_api(announce: Callable[[str], None], *, console_logs: bool = True, workers: bool = False) -> Iterator[str]:
    """The API's address, made known to Prefect in this process and in those that it starts.

    Args:
        announce: told in a sentence which API is used.
        console_logs: False keeps the lines of flow and task runs off the terminal; the API gets them all the same.
        workers: whether the run needs workers, which only a configured API has.

    Raises:
        ServiceUnavailable: a configured API does not answer, or the private server does not start, or would not do.
    """
    configured = PREFECT_API_URL.value()
    if configured:
        url = checked_api(configured)
        corrected = "" if url == configured else f" (PREFECT_API_URL is {shown(configured)}, and the API is below it)"
        announce(f"Prefect: {shown(url)}{corrected}")
        if busy := busy_server_notice(url, workers=workers):
            announce(busy)
        with using_api(url, private=False), _console(console_logs):
            yield url
        return
    if workers:
        raise ServiceUnavailable(
            "--shards N gives the shards to the workers of a Prefect server, and none is configured: set PREFECT_API_URL, or "
            "start the shards yourself, on one store and without a server: `lavad run --shard I/N`"
        )
    check_environment()
    with private_server(announce) as url, using_api(url, private=True), _console(console_logs):
        yield url


@contextmanager
def private_server(
    announce: Callable[[str], None], *, home: Path | None = None, extra: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server of our own on a free port of 127.0.0.1; the address of its API.

    It has a process group of its own, so that Ctrl-C reaches the run first, and it ends with this process even when that is
    killed (:mod:`lavad_core.attached`). Settings for another server do not reach it (``prefect_settings``).

    Args:
        announce: told where it is.
        home: the folder of its database, ``PREFECT_HOME`` if not given.
        extra: variables over our own settings.
    """
    home = Path(home or PREFECT_HOME.value()).expanduser().absolute()
    announce(f"Prefect: starting a private server (records in {str(home)!r}; `prefect server start` shows them later)")
    with tempfile.TemporaryFile("w+b") as output, ExitStack() as cleanup:
        with _alone(home, announce):
            port = free_port()
            url = f"http://127.0.0.1:{port}/api"
            server = ["-m", "prefect", "--no-prompt", "server", "start", "--host", "127.0.0.1", "--port"]
            child = subprocess.Popen(
                attached.attached([sys.executable, "-P", *server, str(port)]),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parent,  # no .env, prefect.toml or pyproject.toml of the user is there
                env={
                    **private_environment(os.environ, home),
                    **RECORDER,
                    **QUIET,
                    **NOT_OURS,
                    "PREFECT_SERVER_UI_API_URL": url,
                    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
                    "PYTHONUNBUFFERED": "1",
                    **(extra or {}),
                },
                start_new_session=True,
            )
            cleanup.callback(attached.stop, child)
            _wait_until_ready(child, url, output)
        announce(f"Prefect: http://127.0.0.1:{port} while the run lasts")
        yield url


@contextmanager
def _alone(home: Path, announce: Callable[[str], None]) -> Iterator[None]:
    """One start at a time on a home: a new database is migrated by the first server, and two at once break each other.

    The kernel lets go of the lock with the process that has it. A home that takes no lock is left to the server to judge.
    """
    lock = FileLock(home / START_LOCK)
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        announce("Prefect: another run is just starting a server on these records; waiting for it")
        try:
            lock.acquire(timeout=WAIT_TIMEOUT_S)
        except Timeout:
            raise ServiceUnavailable(
                f"for {WAIT_TIMEOUT_S:.0f} s other runs have been starting Prefect servers on {str(home)!r}; give this run "
                "a PREFECT_HOME of its own, or a server for all (PREFECT_API_URL)"
            ) from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _wait_until_ready(child: subprocess.Popen[bytes], url: str, output: object) -> None:
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise ServiceUnavailable(
                f"the private Prefect server ended with code {child.returncode} before it was ready: {_tail(output)}"
            )
        with suppress(OSError), opener.open(f"{url}/health", timeout=5.0) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise ServiceUnavailable(f"the private Prefect server was not ready after {START_TIMEOUT_S:.0f} s: {_tail(output)}")


def _tail(output: object) -> str:
    """The last lines of the server's output, in one."""
    output.seek(0)  # type: ignore[attr-defined]
    lines = deque((line.decode("utf-8", "backslashreplace").strip() for line in output), maxlen=5)  # type: ignore[attr-defined]
    return " | ".join(line for line in lines if line) or "it said nothing"


@contextmanager
def _console(wanted: bool) -> Iterator[None]:
    """Without ``wanted``: Prefect's console handlers off, its API handlers on."""
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()  # else Prefect makes its console handlers later, and they cannot be left out
    if wanted:
        yield
        return
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    found = [(lg, h) for lg in loggers for h in lg.handlers if isinstance(h, PrefectConsoleHandler)]
    for logger, handler in found:
        logger.removeHandler(handler)
    try:
        yield
    finally:
        for logger, handler in found:
            logger.addHandler(handler)
