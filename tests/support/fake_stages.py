"""Stages that do nothing but commit a row, or fail as a test says; everything around them is real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lavad_core.errors import VideoRejected
from lavad_core.models.pool import ModelPool
from lavad_core.pipeline import resources
from lavad_core.stages.registry import STAGES

SCHEMA = pa.schema([pa.field("value", pa.int64(), nullable=False)])

Action = Callable[[Any], None]


class FakeStages:
    """Attributes:
    calls: (video, node id) to how often the stage's own code ran.
    order: the same, one after the other.
    actions: (video, node id) to what happens before the commit; may raise.
    released: roles of models in the order in which they were released.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.order: list[tuple[str, str]] = []
        self.actions: dict[tuple[str, str], Action] = {}
        self.status: dict[tuple[str, str], str] = {}
        self.released: list[str] = []
        for name, stage in STAGES.items():
            fake = SimpleNamespace(VERSION=stage.VERSION, SCHEMA=SCHEMA, reads=stage.reads, run=self._run)
            monkeypatch.setitem(STAGES, name, fake)
        roles = ("captioner:a", "captioner:b", "encoder", "chat")
        monkeypatch.setattr(resources, "model_identities", lambda config, cache: dict.fromkeys(roles, "fake"))
        monkeypatch.setattr(ModelPool, "release", lambda pool, role: self.released.append(role))

    def _run(self, context: Any) -> Any:
        where = (context.video.name, context.node.id)
        self.calls[where] += 1
        self.order.append(where)
        if where in self.actions:
            self.actions[where](context)
        context.count("captions_made", 1)
        with context.writer(SCHEMA) as writer:
            writer.write(pa.table([pa.array([len(where[0])])], schema=SCHEMA))
            return writer.commit(
                self.status.get(where, "ok"), message="3 gaps" if where in self.status else "", facts={"frames": 7}
            )


def raising(error: Exception) -> Action:
    """Fails each time."""

    def act(context: Any) -> None:
        raise error

    return act


def rejecting(reason: str = "format") -> Action:
    """The video is bad."""
    return raising(VideoRejected(reason, f"this is not a video ({reason})"))


def settings(store: Path, **run: Any) -> dict[str, Any]:
    """Of a run with two captioners, quick retries, and two workers."""
    return {
        "store": str(store),
        "captioners": {name: {"kind": "blip2", "model": "x"} for name in ("a", "b")},
        "run": {"workers": 2, "retries": 2, "retry_backoff_s": 0.05, **run},
    }


def make_videos(folder: Path, *names: str) -> Path:
    """Files of different bytes that nobody decodes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"content of " + name.encode("utf-8", "surrogateescape"))
    return folder
