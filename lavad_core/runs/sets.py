"""Which runs are parts of a set: ``sets/<set id>/<run over the set, or apart>/<shard>-<run id>.json``, a note for each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = "sets"
"""Folder of the store for what is known about sets: their shards (``planning.sharding``), and the runs of these."""

APART = "apart"
"""In the place of a run over the set, for shards that were started one by one."""

_NOTE = re.compile(r"([0-9]{6,})-(.*)\.json")
"""The name of a note: number of the shard, id of the run. Other systems leave files of their own in folders."""


@dataclass(frozen=True)
class ShardOfRun:
    """Which part of a set a run is of."""

    set_id: str
    """Digest of the set's videos, of the number of its shards and of the configuration."""
    number: int
    """Number of the shard, from 1; 0 for the run over the whole set, which waits for the runs of its shards."""
    of: int
    """How many shards the set has."""
    run: str = ""
    """Id of the run over the set that started this one; empty if it was started by itself."""

    def __str__(self) -> str:
        return f"shard {self.number}/{self.of}" if self.number else f"{self.of} shards"


def shard_of_record(values: Mapping[str, Any] | None) -> ShardOfRun | None:
    """A shard from the JSON of a record or of a line of the log."""
    if not values:
        return None
    return ShardOfRun(values["set_id"], int(values["number"]), int(values["of"]), values.get("run", ""))


def note_run(store_root: Path, shard: ShardOfRun, run_id: str) -> None:
    """Make a run known as one of a shard. The run over a set is known by those of its shards."""
    from lavad_core.store.files import FileStore  # they need pyarrow, and a recorder does not
    from lavad_core.store.notes import put_note

    if shard.number:
        name = f"{FOLDER}/{shard.set_id}/{shard.run or APART}/{shard.number:06d}-{run_id}.json"
        put_note(FileStore(store_root), name, {**asdict(shard), "run_id": run_id})


def runs_of_shards(store_root: Path, shard: ShardOfRun, run_id: str) -> dict[int, list[str]]:
    """Shard to the ids of its runs, oldest first: of the shards that belong together with a run.

    Args:
        store_root: the store's folder.
        shard: which part the run is of.
        run_id: id of the run.
    """
    from lavad_core.runs.manifest import is_run_id  # which reads shards from records
    from lavad_core.store.files import FileStore

    together = (shard.run or APART) if shard.number else run_id
    folder = f"{FOLDER}/{shard.set_id}/{together}/"
    found: dict[int, list[str]] = {}
    for blob in FileStore(store_root).blobs.list(folder.rstrip("/")):
        note = _NOTE.fullmatch(blob.name.removeprefix(folder))
        if note is not None and is_run_id(note[2]):
            found.setdefault(int(note[1]), []).append(note[2])
    return found
