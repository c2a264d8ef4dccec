"""A Prefect server of a test's own, which it may restart, and for which it may set what it likes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from lavad.deployments.prefect_server import QUIET, RECORDER
from lavad.deployments.prefect_settings import environment_with, private_environment
from lavad_core import attached
from lavad_core.ports import free_port

START_S = 120.0


class OwnServer:
    """A server on a home and port that stay the same over restarts.

    Attributes:
        url: address of its API.
        environment: for processes that are to speak to it.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self._port = free_port()
        self._log = Path(os.devnull) if log is None else log
        self._home = home
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}/api"
        self.environment = {**os.environ, "PREFECT_API_URL": self.url, "PREFECT_HOME": str(home)}

    def start(self) -> None:
        command = [sys.executable, "-P", "-m", "prefect", "--no-prompt", "server", "start", "--host", "127.0.0.1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                attached.attached([*command, "--port", str(self._port)]),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**private_environment(os.environ, self._home), **RECORDER, **QUIET, **self._settings},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(URLError, OSError), urlopen(f"{self.url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"no server at {self.url} after {START_S} s")

    def kill(self) -> None:
        assert self._process is not None
        attached.kill(self._process)

    def client(self) -> SyncPrefectClient:
        return get_client(sync_client=True)


def _forget_other_servers() -> None:
    """The thread that sends this process's events keeps to the server that it knows, until it is ended."""
    EventsWorker.drain_all(timeout=30, at_exit=False)


@contextmanager
def own_server(home: Path, settings: Mapping[str, str] | None = None, log: Path | None = None) -> Iterator[OwnServer]:
    """Within it Prefect in this process uses the server, whose output goes to ``log``."""
    home.mkdir(parents=True, exist_ok=True)
    server = OwnServer(home, settings, log)
    server.start()
    own = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(home)}
    try:
        with environment_with(own), temporary_settings({PREFECT_API_URL: server.url, PREFECT_HOME: home}):
            _forget_other_servers()
            yield server
            _forget_other_servers()
    finally:
        server.kill()
