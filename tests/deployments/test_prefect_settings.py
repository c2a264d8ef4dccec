"""Whose settings of Prefect reach which server, and what is said about those that are wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from lavad.deployments.prefect_check import busy_server_notice, checked_api
from lavad.deployments.prefect_server import prefect_api
from lavad.deployments.prefect_settings import HEARTBEAT_S, loopback_unproxied, using_api
from lavad_core.errors import ServiceUnavailable


class _Api(BaseHTTPRequestHandler):
    """What a Prefect server, or something else, answers: path to (status, body)."""

    answers: ClassVar[dict[str, tuple[int, str]]] = {}
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("Authorization")))
        status, body = self.answers.get(self.path, self.answers.get("*", (404, '{"detail": "Not Found"}')))
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *arguments: object) -> None: ...


@contextmanager
def answering(answers: dict[str, tuple[int, str]]) -> Iterator[tuple[str, type[_Api]]]:
    handler = type("Handler", (_Api,), {"answers": answers, "seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}", handler
        finally:
            server.shutdown()


API = {"/api/health": (200, "true"), "/api/admin/version": (200, '"0.8.4"')}
UI = {**API, "*": (200, "<!doctype html><title>Prefect Server</title>")}
BELOW = {"/p/api/health": (200, "true")}

CHECKED = {
    "as it should be": (API, "http://{}/api", "http://{}/api"),
    "with a slash": (API, "http://{}/api/", "http://{}/api/"),
    "without /api": (UI, "http://{}", "http://{}/api"),
    "without /api, with a slash": (UI, "http://{}/", "http://{}/api"),
    "of a page of the UI": (UI, "http://{}/dashboard", "http://{}/api"),
    "without /api, no UI": (API, "http://{}", "http://{}/api"),
    "below a path": (BELOW, "http://{}/p", "http://{}/p/api"),
}


@pytest.mark.parametrize(("answers", "given", "used"), CHECKED.values(), ids=CHECKED.keys())
def test_a_configured_api_is_asked_first_and_found(answers: dict[str, tuple[int, str]], given: str, used: str) -> None:
    with answering(answers) as (place, _):
        assert checked_api(given.format(place)) == used.format(place)


REFUSED = {
    "broken": ({"*": (500, "no")}, "http://{}/api", "answers 500"),
    "busy": ({"*": (503, "no")}, "http://{}/api", "answers 503"),
    "not Prefect": ({"*": (200, "<html>")}, "http://{}/api", "is not Prefect's API"),
    "another JSON": ({"*": (200, '{"ok": 1}')}, "http://{}/api", "is not Prefect's API"),
    "nothing there": ({}, "http://{}", "is not Prefect's API"),
    "a gate": ({"*": (401, "{}")}, "http://{}/api", "does not let us in .401.; it wants PREFECT_API_AUTH_STRING"),
    "no key": ({**API, "/api/admin/version": (401, "{}")}, "http://{}/api", "does not let us in"),
    "TLS where there is none": (API, "https://{}/api", "no secure connection .*PREFECT_API_SSL_CERT_FILE"),
    "no http": (API, "ftp://{}/api", "does not begin with http"),
}


@pytest.mark.parametrize(("answers", "given", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_with_a_configured_api_is_said(
    answers: dict[str, tuple[int, str]], given: str, says: str
) -> None:
    with answering(answers) as (place, _):
        url = given.format(place).replace("://", "://user:hunter2@")
        with pytest.raises(ServiceUnavailable, match=says) as caught:
            checked_api(url)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("answer", "said"), [("2", False), ("3", True), ("7", True), ('"no"', False), ("{", False)])
def test_a_server_with_many_runs_is_named_before_anything_starts(answer: str, said: bool) -> None:
    with answering({**API, "/api/flow_runs/count": (200, answer), "/api/csrf-token": (404, "{}")}) as (place, _):
        assert ("unset PREFECT_API_URL" in busy_server_notice(f"http://{place}/api")) is said
        notice = busy_server_notice(f"http://{place}/api", workers=True)
        assert (bool(notice), "unset PREFECT_API_URL" in notice) == (said, False), (
            "a run with workers needs this server"
        )
    assert busy_server_notice("http://127.0.0.1:9/api") == ""


def test_the_users_own_keys_are_sent_to_the_configured_api() -> None:
    with answering(API) as (place, handler), temporary_settings({PREFECT_API_AUTH_STRING: "me:hunter2"}):
        checked_api(f"http://{place}/api")
    assert {sent for _, sent in handler.seen} == {"Basic bWU6aHVudGVyMg=="}


@pytest.mark.parametrize("given", ["gopher://u:hunter2@host:1", "http://u:hunter2@[::1"])
def test_proxies_that_cannot_be_used_are_said_before_a_server_starts(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", given)
    said: list[str] = []
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ServiceUnavailable, match="proxies of the environment") as caught,
        prefect_api(said.append),
    ):
        pass
    assert (said, "hunter2" in str(caught.value)) == ([], False)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://127.0.0.2:1/api", ",127.0.0.2"),
        ("http://[::1]:1/api", ""),
        ("http://box.localhost:1/api", ",box.localhost"),
        ("http://0.0.0.0:1/api", ",0.0.0.0"),
        ("http://gpu-box:1/api", None),
    ],
)
def test_hosts_that_no_proxy_is_asked_for(url: str, hosts: str | None) -> None:
    expected = None if hosts is None else f"127.0.0.1,localhost,::1{hosts}"
    assert loopback_unproxied({}, url).get("no_proxy") == expected


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_catches_what_stays_on_this_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    with answering(API) as (place, _):
        assert checked_api(f"http://{place}/api")
        with using_api(f"http://{place}/api", private=True):
            assert os.environ["no_proxy"] == "elsewhere.example,127.0.0.1,localhost,::1"
            assert httpx.get(f"http://{place}/api/health").json() is True


FOREIGN = {
    "PREFECT_API_KEY": "pnu_x",
    "PREFECT_API_AUTH_STRING": "a:b",
    "PREFECT_API_SSL_CERT_FILE": "/nowhere.pem",
    "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Host": "other"}',
    "PREFECT_CLIENT_MAX_RETRIES": "50",
    "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "s3-bucket/mine",
    "PREFECT_LOGGING_SETTINGS_PATH": "/nowhere.yml",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_SERVER_API_AUTH_STRING": "a:b",
    "PREFECT_SERVER_API_BASE_PATH": "/elsewhere",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u:p@h/d",
    "PREFECT_SERVER_API_PORT": "1",
    "prefect_server_ui_enabled": "false",
    "UVICORN_ROOT_PATH": "/elsewhere",
}

SHOWN = """
import json, os, sys
from lavad.deployments.prefect_settings import import_prefect, private_environment, using_api
import_prefect()
from pathlib import Path
from prefect.settings import get_current_settings
child = private_environment(os.environ, Path("/home"))
with using_api("http://127.0.0.1:1/api", private=True):
    s = get_current_settings()
    print(json.dumps({"child": sorted(n for n in child if n.upper().startswith(("PREFECT_", "UVICORN"))),
        "url": s.api.url, "key": s.api.key is None, "auth": s.api.auth_string is None, "cert": s.api.ssl_cert_file,
        "headers": s.client.custom_headers, "retries": s.client.max_retries, "block": s.results.default_storage_block,
        "logs": s.logging.to_api.enabled, "persist": s.results.persist_by_default, "home": str(s.home),
        "refresh": s.tasks.refresh_cache}))
"""


@pytest.mark.parametrize("source", ["variables", "profile", ".env", "prefect.toml"])
def test_settings_for_another_server_stay_away_from_the_private_one(
    source: str, tmp_path: Path, repository: Path
) -> None:
    own = {**FOREIGN, "PREFECT_TASKS_REFRESH_CACHE": "true"}
    names = {name: value for name, value in own.items() if name.startswith("PREFECT_")}
    environ = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
    environ |= {"PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(repository), "SSL_CERT_FILE": "/nowhere"}
    if source == "variables":
        environ |= own
    elif source == "profile":
        lines = [f"{name} = {json.dumps(value)}" for name, value in names.items()]
        (tmp_path / "profiles.toml").write_text('active = "x"\n[profiles.x]\n' + "\n".join(lines) + "\n")
    elif source == ".env":
        (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in names.items()))
    else:
        (tmp_path / "prefect.toml").write_text(
            'tasks = {refresh_cache = true}\nclient = {max_retries = 50}\n[api]\nkey = "x"\nauth_string = "a:b"\n'
        )
    done = subprocess.run(
        [sys.executable, "-c", SHOWN],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "child": ["PREFECT_HOME", "PREFECT_LOGGING_SETTINGS_PATH", "PREFECT_PROFILES_PATH"],
        "url": "http://127.0.0.1:1/api",
        "key": True, "auth": True, "cert": None, "headers": {}, "retries": 5, "block": None,
        "logs": True, "persist": False, "home": str(tmp_path), "refresh": True,
    }  # fmt: skip


@pytest.mark.parametrize(("given", "then"), [(180, HEARTBEAT_S), (None, None)])
def test_a_run_on_a_configured_server_is_not_taken_for_lost(given: int | None, then: int | None) -> None:
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: given}),
        using_api("http://127.0.0.1:1/api", private=False),
    ):
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() == then


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PREFECT_LOGGING_LEVEL", "hunter2", "level"),
        ("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "", "heartbeat"),
        ("PREFECT_API_REQUEST_TIMEOUT", "soon", "timeout"),
    ],
)
def test_a_setting_that_prefect_does_not_take_is_the_users_fault(
    name: str, value: str, says: str, repository: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from lavad.deployments.prefect_settings import import_prefect; import_prefect()"],
        env={**os.environ, "PYTHONPATH": str(repository), "PREFECT_HOME": str(tmp_path), name: value},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lavad_core.errors.ConfigError: Prefect does not take its settings"), done.stderr
    assert says in last
    assert "hunter2" not in last
