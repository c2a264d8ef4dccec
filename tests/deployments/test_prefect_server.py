"""The API that a run uses: the configured one, or a private server that goes with the run, whatever way the run goes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, PREFECT_HOME, temporary_settings

import lavad.deployments.prefect_server as prefect_server_module
from lavad.deployments.prefect_check import checked_api
from lavad.deployments.prefect_server import prefect_api, private_server
from lavad_core.errors import ServiceUnavailable

PARENT = """
import sys, time
from pathlib import Path
from lavad.deployments.prefect_server import private_server
with private_server(lambda text: None, home=Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def home(prefect_server: str, tmp_path: Path) -> Path:
    """A Prefect home with a database that is migrated already: a copy of the session's."""
    copy = tmp_path / "home"
    copy.mkdir()
    with (
        sqlite3.connect(f"file:{PREFECT_HOME.value() / 'prefect.db'}?mode=ro", uri=True, timeout=30) as source,
        sqlite3.connect(copy / "prefect.db") as target,
    ):
        source.backup(target)
    return copy


def test_workers_are_not_sought_on_a_private_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with (
        temporary_settings({PREFECT_HOME: tmp_path}, restore_defaults={PREFECT_API_URL}),
        pytest.raises(ServiceUnavailable, match=r"none is configured: set PREFECT_API_URL.*lavad run --shard I/N"),
        prefect_api(lambda text: None, workers=True),
    ):
        pass
    assert not (tmp_path / "prefect.db").exists()


@pytest.mark.slow
def test_a_private_server_is_told_to_prefect_and_goes_at_the_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.delenv("PREFECT_API_URL")
    said: list[str] = []
    with temporary_settings({PREFECT_HOME: home}, restore_defaults={PREFECT_API_URL}):
        with prefect_api(said.append) as url:
            assert PREFECT_API_URL.value() == os.environ["PREFECT_API_URL"] == url
            assert httpx.get(f"{url}/health").json() is True
        assert "PREFECT_API_URL" not in os.environ
        assert PREFECT_API_URL.value() is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
    assert str(home) in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_no_orphan_stays_when_the_parent_is_killed(home: Path, repository: Path, number: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=repository,
        env={name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
    )
    try:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        servers = psutil.Process(parent.pid).children(recursive=True)
        assert servers
        assert httpx.get(f"{url}/health").status_code == 200
        parent.send_signal(number)
        parent.wait(20)
        _, alive = psutil.wait_procs(servers, timeout=20)
        assert not alive
    finally:
        parent.kill()
        parent.wait()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with (
        pytest.raises(ServiceUnavailable, match=r"ended with code .*"),
        private_server(lambda text: None, home=blocked),
    ):
        pass


def test_a_configured_api_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(ServiceUnavailable, match=r"does not answer .*unset PREFECT_API_URL"),
        prefect_api(lambda text: None),
    ):
        pass


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown() -> None:
    with (
        temporary_settings({PREFECT_API_KEY: "pnu_hun\nter2"}),
        pytest.raises(ServiceUnavailable, match="PREFECT_API_KEY has characters") as caught,
    ):
        checked_api("http://127.0.0.1:9/api")
    assert "hun" not in str(caught.value)


def test_a_start_waits_for_another_on_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(prefect_server_module, "WAIT_TIMEOUT_S", 0.1)
    with prefect_server_module._alone(tmp_path, said.append):
        assert said == []
        with (
            pytest.raises(ServiceUnavailable, match="other runs have been starting Prefect servers"),
            prefect_server_module._alone(tmp_path, said.append),
        ):
            pass
    assert "another run is just starting" in said[0]
    with prefect_server_module._alone(tmp_path, said.append):
        assert len(said) == 1


@pytest.mark.slow
def test_first_starts_at_the_same_moment_on_a_new_home(tmp_path: Path, repository: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path / "home")],
            stdout=subprocess.PIPE, text=True, env={**environ, "PYTHONPATH": str(repository)},
        )
        for _ in range(3)
    ]  # fmt: skip
    try:
        for start in starts:
            assert start.stdout is not None
            assert start.stdout.readline().startswith("http://127.0.0.1:")
    finally:
        for start in starts:
            start.terminate()
            start.wait(30)
            assert start.stdout is not None
            start.stdout.close()
