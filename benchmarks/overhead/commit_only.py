"""Runs whose stages only commit, and files that are no videos."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from lavad_core.config.load import load_config
from lavad_core.pipeline import resources as resources_module
from lavad_core.pipeline.resources import RunResources
from lavad_core.stages.registry import STAGES

SCHEMA = pa.schema([pa.field("value", pa.int64(), nullable=False)])

ROLES = ("captioner:a", "encoder", "chat")

DEVICES = 1
"""So few that the shards of a large set have as many videos as they may, however large it is."""


def commit_alone(context: Any) -> Any:
    """A stage: one row, committed."""
    with context.writer(SCHEMA) as writer:
        writer.write(pa.table([pa.array([1])], schema=SCHEMA))
        return writer.commit(facts={"frames": 1600})


def without_work() -> None:
    """Every stage of this process only commits, and no model is looked for."""
    for name, stage in STAGES.items():
        STAGES[name] = SimpleNamespace(  # type: ignore[assignment]
            VERSION=stage.VERSION, DESCRIPTION=name, SCHEMA=SCHEMA, reads=stage.reads, run=commit_alone
        )
    resources_module.model_identities = lambda config, cache: dict.fromkeys(ROLES, "none")  # type: ignore[assignment]


def settings(store: Path) -> dict[str, Any]:
    """Of a run over files that are no videos."""
    captioners = {"a": {"kind": "blip2", "model": "none"}}
    return {"store": str(store), "captioners": captioners, "run": {"workers": 2}}


def resources_of(store: Path) -> RunResources:
    """Those of such a run."""
    return RunResources(load_config(settings=settings(store), environ={}))


def make_files(folder: Path, names: list[str]) -> Path:
    """Files of different content."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.mp4").write_text(name)
    return folder


def numbered(count: int) -> list[str]:
    """Names of videos."""
    return [f"{number:07d}" for number in range(count)]
