"""A server that speaks S3, on loopback: moto's, in a process of its own, which runs this file."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from lavad_core.store.local import OUTSIDE

SECRET = "canary-7f3a9c1e5b2d4860"
"""The key that nothing may show."""

PAGE = 5
"""Objects of a page of a listing; S3's own pages have 1000."""


@dataclass
class S3Server:
    """A running server; its objects go with it."""

    port: int
    """On 127.0.0.1."""
    requests: Path
    """A line for each request that was served: method, path and query."""
    process: subprocess.Popen[bytes]
    """The server; one that is stopped (SIGSTOP) takes connections and does not answer."""
    environment: dict[str, str] = field(default_factory=dict)
    """What a client's environment must hold."""

    @functools.cached_property
    def client(self) -> Any:
        """The SDK's own client, for looking. One takes half a second to make."""
        return boto3.session.Session().client("s3")

    def names(self, address: str) -> dict[str, bytes]:
        """Name to content of every object below an address."""
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = {}
        for one in (one for page in pages for one in page.get("Contents", ())):
            content = self.client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            found[one["Key"].removeprefix(prefix).lstrip("/")] = content
        return found

    def tree(self, store: str) -> dict[str, str]:
        """Name to SHA-256 of the results that a store at an address has."""
        return {
            one: hashlib.sha256(content).hexdigest()
            for one, content in self.names(f"{store}/").items()
            if one.split("/")[0] not in OUTSIDE
        }

    def commits_put(self, prefix: str) -> Counter[str]:
        """How often each commit of a store at ``s3://bucket/PREFIX`` was sent."""
        return Counter(one for one in self.asked("PUT") if f"/{prefix}/" in one and one.endswith("commit.json?"))

    def asked(self, method: str) -> list[str]:
        """The requests of one method so far."""
        lines = self.requests.read_text(encoding="utf-8").splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{method} ")]

    def sent(self, address: str) -> int:
        """Bytes of objects below an address that were sent so far."""
        below = f"/{address.removeprefix('s3://')}"
        lines = (self.requests.with_name("sent")).read_text(encoding="utf-8").splitlines()
        return sum(int(size) for size, _, path in (line.partition(" ") for line in lines) if path.startswith(below))

    @contextmanager
    def failing(self, key: str, what: str, methods: str = "GET HEAD") -> Iterator[None]:
        """Requests for one object fail: ``cut`` sends half of it and closes the connection; ``403 InvalidObjectState`` answers
        so, and a status alone without words; ``lost`` does what is asked, once, and closes the connection without an answer. A
        key that ends in ``*`` stands for all that begin so."""
        faults = self.requests.with_name("faults")
        before = faults.read_text(encoding="utf-8") if faults.exists() else ""
        faults.write_text(f"{before}/bucket/{key}\t{methods}\t{what}\n", encoding="utf-8")
        try:
            yield
        finally:
            faults.write_text(before, encoding="utf-8")

    @property
    def outage(self) -> Path:
        """While there is this file, requests are answered with status 503, or their connections closed if it says ``drop``."""
        return self.requests.with_name("away")


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A server with an empty bucket ``bucket``, and this process's environment set for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    requests = folder / "requests.txt"
    requests.touch()
    tests = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "support.s3_server", str(port), str(requests)],
        env={**os.environ, "PYTHONPATH": str(tests), "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
        stdin=subprocess.DEVNULL,
        stderr=(folder / "server.log").open("wb"),
    )
    server = S3Server(port, requests, process)
    server.environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "XDG_CACHE_HOME": str(folder / "home"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        try:
            deadline = time.monotonic() + 60
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, "the server does not come up"
                time.sleep(0.05)
            server.client.create_bucket(Bucket="bucket")
            yield server
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server for the tests of a file; each test takes a prefix of its own."""
    with running(tmp_path_factory.mktemp("s3")) as server:
        yield server


def _serve(port: int, requests: str) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    served = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # moto looks at the condition of a put, and then puts: a storage does both at once.
        with one_at_a_time:
            outage = Path(requests).with_name("away")
            if outage.exists():
                if outage.read_text() == "drop":
                    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                start_response("503 Slow Down", [("Content-Length", "0")])
                return [b""]
            with open(requests, "a", encoding="utf-8") as log:
                log.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}\n")

            def counted(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                if environ["REQUEST_METHOD"] == "GET":
                    size = next((value for name, value in headers if name.lower() == "content-length"), "0")
                    with open(Path(requests).with_name("sent"), "a", encoding="utf-8") as log:
                        log.write(f"{size} {environ['PATH_INFO']}\n")
                return start_response(status, headers, *more)

            what = _fault(Path(requests).with_name("faults"), environ)
            if what == "lost":
                list(served(environ, lambda *_: None))
                Path(requests).with_name("faults").write_text("")
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            if what == "cut":
                return _cut(environ, b"".join(served(environ, counted)))
            if what:
                status, _, code = what.partition(" ")
                words = f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()
                body = words if code and environ["REQUEST_METHOD"] != "HEAD" else b""
                start_response(f"{status} Refused", [("Content-Length", str(len(body)))])
                return [body]
            return served(environ, counted)

    run_simple("127.0.0.1", port, application, threaded=True)


def _fault(faults: Path, environ: dict[str, Any]) -> str:
    """How a request is to fail; empty if it is not."""
    for line in faults.read_text(encoding="utf-8").splitlines() if faults.exists() else ():
        path, methods, what = line.split("\t")
        begins = path.endswith("*") and environ["PATH_INFO"].startswith(path[:-1])
        if (begins or environ["PATH_INFO"] == path) and environ["REQUEST_METHOD"] in methods.split():
            return what
    return ""


def _cut(environ: dict[str, Any], body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
