"""A Prefect API for a run: the configured one, or a private server that lives as long as the run.

The private server keeps its records in the user's own Prefect database (``PREFECT_HOME``), so that they outlive the run and
``prefect server start`` shows them. It is a process, not Prefect's ephemeral server: that one loses the task runs whose
records are still on their way when the flow ends.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    temporary_settings,
)

from deployments.ports import free_port
from lavad_core.config.secrets import sendable_key
from lavad_core.errors import ServiceUnavailable

START_TIMEOUT_S = 180.0
"""A new database is migrated first: 20 s on two busy cores."""

STOP_TIMEOUT_S = 12.0
"""From SIGTERM to SIGKILL; the records on their way to the database are written first."""

CHECK_TIMEOUT_S = 10.0
"""For a configured API to say that it is there."""

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
"""Services that act on other flow runs of the database: not for a server that is there for one run."""


@contextmanager
def prefect_api(announce: Callable[[str], None], *, console_logs: bool = True) -> Iterator[str]:
    """The API's address, made known to Prefect in this process and in those that it starts.

    Args:
        announce: told in a sentence which API is used.
        console_logs: False keeps the lines of flow and task runs off the terminal; the API gets them all the same.

    Raises:
        ServiceUnavailable: a configured API does not answer, or the private server does not start.
    """
    configured = PREFECT_API_URL.value()
    with _console(console_logs):
        if configured:
            check_api(configured, PREFECT_API_KEY.value())
            announce(f"Prefect: {_shown(configured)}")
            yield configured
            return
        with private_server(announce) as url:
            # The heartbeat thread is joined at the end of each flow, up to a second; it serves automations on a server that
            # outlives the flow's process, and this one does not.
            settings = {PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
            with _environment({"PREFECT_API_URL": url}), temporary_settings(updates=settings):
                yield url


def check_api(url: str, key: str | None = None) -> None:
    """Ask a configured API whether it is there.

    Raises:
        ServiceUnavailable: it is not.
    """
    way_out = "start that server, or unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL`) for a private one"
    try:
        key = sendable_key(key or "")
    except ValueError as error:
        raise ServiceUnavailable(f"PREFECT_API_KEY {error}") from None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        request = Request(f"{_shown(url).rstrip('/')}/health", headers=headers)  # urllib knows no user:password@
        with build_opener().open(request, timeout=CHECK_TIMEOUT_S):
            return
    except HTTPError as error:
        if error.code in (401, 403, 404):  # it is there; what it wants the client will say
            return
        raise ServiceUnavailable(f"the Prefect API at {_shown(url)} answers {error.code}; {way_out}") from error
    except (URLError, OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise ServiceUnavailable(f"the Prefect API at {_shown(url)} does not answer ({why}); {way_out}") from error


@contextmanager
def private_server(
    announce: Callable[[str], None], *, environ: Mapping[str, str] | None = None, extra: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server of our own on a free port of 127.0.0.1; the address of its API.

    It has a process group of its own, so that Ctrl-C reaches the run first, and it ends with this process even when that is
    killed (:mod:`deployments.server_child`).

    Args:
        announce: told where it is.
        environ: the environment it gets, this process's if not given.
        extra: variables over our own settings.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    home = PREFECT_HOME.value()
    variables = {
        **(os.environ if environ is None else environ),
        **RECORDER,
        **QUIET,
        **NOT_OURS,
        "PREFECT_SERVER_UI_API_URL": url,
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }
    variables.pop("PREFECT_API_URL", None)
    announce(f"Prefect: starting a private server (records in {str(home)!r}; `prefect server start` shows them later)")
    with tempfile.TemporaryFile("w+b") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("server_child.py")), str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )
        try:
            _wait_until_ready(child, url, output)
            announce(f"Prefect: http://127.0.0.1:{port} while the run lasts")
            yield url
        finally:
            _stop(child)


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


def _stop(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    finally:
        if child.stdin is not None:
            child.stdin.close()


def _shown(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _console(wanted: bool) -> Iterator[None]:
    """Without ``wanted``: Prefect's console handlers off, its API handlers on."""
    from prefect.logging.handlers import PrefectConsoleHandler

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
