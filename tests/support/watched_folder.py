"""A folder that is watched without models: clips whose scores and summaries are given, and a webhook on loopback."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.video_factory import make_video

FRAMES, INTERVAL = 48, 16
REASON = "A man climbs over a fence."


@dataclass(frozen=True)
class WatchedFolder:
    """Folders of a test."""

    root: Path

    @property
    def inbox(self) -> Path:
        """Where clips arrive."""
        return self.root / "inbox"

    def prepare(self, *names: str, peak: float = 0.9) -> dict[str, Path]:
        """Clips that lie beside the watched folder, with a score of ``peak`` in the middle; name to file."""
        for folder in ("inbox", "clips", "scores", "summaries"):
            (self.root / folder).mkdir(exist_ok=True)
        for number, name in enumerate(names):
            grid = range(0, FRAMES, INTERVAL)
            scores, texts = dict(zip(grid, [0.1, peak, 0.2], strict=True)), dict.fromkeys(grid, REASON)
            (self.root / "scores" / f"{name}.json").write_text(json.dumps(scores), encoding="utf-8")
            (self.root / "summaries" / f"{name}.json").write_text(json.dumps(texts), encoding="utf-8")
            make_video(self.root / "clips" / f"{name}.mp4", frames=FRAMES, fps=25 + number)  # each another content
        return {name: self.root / "clips" / f"{name}.mp4" for name in names}

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration: nothing is asked of a model."""
        imports = {"scores": str(self.root / "scores"), "summaries": str(self.root / "summaries")}
        return {
            "store": str(self.root / "store"),
            "imports": imports,
            "refine": {"enabled": False},
            "run": {"targets": ["detect"], "workers": 1},
        }

    def arguments(self, *more: str) -> list[str]:
        """The command line of ``lavad watch``."""
        settings = [f"{section}={json.dumps(value)}" for section, value in self.settings.items()]
        own = [part for text in settings for part in ("--set", text)]
        command = [sys.executable, "-m", "lavad.deployments.cli.main", "watch", str(self.inbox)]
        return [*command, "--settle-s", "0.3", "--every-s", "0.1", *own, *more]

    def arrive(self, clip: Path, chunk: int = 4096) -> None:
        """Copy a clip in pieces, under its own name from the first byte on."""
        content = clip.read_bytes()
        with (self.inbox / clip.name).open("wb") as file:
            for start in range(0, len(content), chunk):
                file.write(content[start : start + chunk])
                file.flush()
                os.fsync(file.fileno())


@dataclass
class Hook:
    """A webhook on loopback that keeps what it is told."""

    answer: Callable[[dict[str, Any]], int] = lambda notice: 204
    """Given a notice, the status of the answer; called before it is sent."""
    notices: list[dict[str, Any]] = field(default_factory=list)
    """What was told, in order."""
    keys: list[str | None] = field(default_factory=list)
    """The header ``Idempotency-Key`` of each."""

    def __enter__(self) -> Self:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.notices.append(notice)
                hook.keys.append(self.headers["Idempotency-Key"])
                status = hook.answer(notice)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # whoever asked is gone

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Where it is told, with something secret in it."""
        return f"http://127.0.0.1:{self._server.server_port}/told?token=s3cret"

    @property
    def events(self) -> list[str]:
        """The ids of the events that were told, in order."""
        return [notice["event"] for notice in self.notices]
