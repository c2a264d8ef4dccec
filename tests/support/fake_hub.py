"""A model hub on this machine: the few endpoints that ``huggingface_hub`` uses to list and download a repository."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """A model on the hub."""

    files: dict[str, bytes]
    """Name to content; what is larger than 1 kB counts as a large file, whose SHA-256 is stated."""
    gated: bool = False
    """Files are given to whoever sends the token."""
    licence: str = "mit"
    """The licence that the card names."""


@dataclass
class Hub:
    """The hub."""

    models: dict[str, Repository]
    """The models, by id; each has one commit, which is also its ``main``."""
    url: str = ""
    """The address, for ``HF_ENDPOINT``."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """Bytes after which the connection is cut, once for each name that is here."""
    held: set[str] = field(default_factory=set)
    """Names of files of which a half is sent, and the rest never."""
    holding: threading.Event = field(default_factory=threading.Event)
    lies: set[str] = field(default_factory=set)
    """Names of files whose stated SHA-256 is another."""

    def downloads(self) -> list[str]:
        """Names of the files whose content was asked for."""
        return [path.rpartition("/")[2] for method, path in self.asked if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = api or file
        repository = self.hub.models.get(found.group(1)) if found else None
        if found is None or repository is None:
            self.refuse(401, "RepoNotFound" if self.headers.get("Authorization") else "")
        elif (found.group(3) if api else found.group(2)) not in (COMMIT, "main"):
            self.refuse(404, "RevisionNotFound")
        elif api:
            self.describe(found.group(1), repository, found.group(2))
        elif repository.gated and self.headers.get("Authorization") != "Bearer hf_token":
            self.refuse(403, "GatedRepo")
        else:
            self.give(found.group(3), repository.files, body)

    def refuse(self, status: int, code: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code} if code else {})

    def describe(self, model: str, repository: Repository, what: str) -> None:
        files = repository.files.items()
        if what == "tree":
            rows = [{"type": "file", "path": name, **self.of_file(name, data)} for name, data in files]
            self.send(200, json.dumps(rows).encode())
            return
        siblings = [{"rfilename": name, **self.of_file(name, data), "blobId": "0" * 40} for name, data in files]
        info = {
            "id": model, "sha": COMMIT, "gated": "manual" if repository.gated else False, "siblings": siblings,
            "cardData": {"license": repository.licence}, "private": False, "tags": [], "downloads": 0, "likes": 0,
        }  # fmt: skip
        self.send(200, json.dumps(info).encode())

    def of_file(self, name: str, data: bytes) -> dict[str, object]:
        values: dict[str, object] = {"size": len(data), "oid": "0" * 40}
        if len(data) > 1024:
            digest = hashlib.sha256(name.encode() if name in self.hub.lies else data).hexdigest()
            values["lfs"] = {"oid": digest, "sha256": digest, "size": len(data), "pointerSize": 130}
        return values

    def give(self, name: str, files: dict[str, bytes], body: bool) -> None:
        if name not in files:
            self.refuse(404, "EntryNotFound")
            return
        data = files[name]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not body:
            self.send(200, b"", {**headers, "Content-Length": str(len(data))})
            return
        start, status = 0, 200
        if asked := re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", "")):
            start, status = int(asked.group(1)), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if name in self.hub.held:
            self.send(status, data[: len(data) // 2], {**headers, "Content-Length": str(len(data))})
            self.wfile.flush()
            self.hub.holding.set()
            self.rfile.read(1)  # until the other side goes away
            self.close_connection = True
            return
        cut = self.hub.cut_after.pop(name, None)
        self.send(
            status,
            data[start:] if cut is None else data[start:cut],
            {**headers, "Content-Length": str(len(data) - start)},
        )
        if cut is not None:
            self.close_connection = True

    def send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def served(models: dict[str, Repository]) -> Iterator[Hub]:
    """The hub, while it answers."""
    hub = Hub(models)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
