"""The store's commit is Prefect's cache record.

Prefect decides whether a task is cached by reading a record under the task's key from ``CachePolicy.key_storage``. Here
that read looks the commit up in the store. So there is one truth: no moment at which a stage is committed and Prefect
does not know it, none at which Prefect says Cached and the result is damaged or gone, and a deleted result runs again.

This uses three of Prefect's internals, each held by tests/tasks/test_commit_cache.py: key storage is read through
``read_path(path, _sync=True)``; its bytes are a ``ResultRecordMetadata``; whatever it raises is a miss.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect._internal.result_records import ResultRecordMetadata
from prefect.cache_policies import CacheKeyFnPolicy, CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.serializers import JSONSerializer
from prefect.settings import get_current_settings

from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key
from lavad_core.user_files import replacing

MAX_STORES = 8
"""Stores that a process keeps open at once; a worker works on one, tests on several."""

LOOSE_RECORDS_S = 86_400.0
"""Prefect leaves a small file for each failed task run; nothing reads it, it goes after a day."""


def value_folder(store_root: Path) -> Path:
    """Where Prefect keeps what tasks return: small JSON, outside the compared tree of results."""
    return Path(store_root).absolute() / "cache" / "prefect"


def record_path(key: Key) -> str:
    """The cache key of a result."""
    return f"{key.stage}/{key.video_id}/{key.fingerprint}.json"


def reference(commit: Commit) -> dict[str, Any]:
    """What a stage's task returns, whether it ran or was cached: which result, and how it went."""
    return {
        "stage": commit.key.stage,
        "video_id": commit.key.video_id,
        "fingerprint": commit.key.fingerprint,
        "status": commit.status,
        "message": commit.message,
        "counts": dict(commit.counts),
        "frames": commit.facts.get("frames"),
    }


@lru_cache(maxsize=MAX_STORES)
def _store(root: str) -> FileStore:
    return FileStore(Path(root))


class CommitKeyStorage(WritableFileSystem):
    """Prefect's cache records, read from the commits of a store."""

    # Prefect dispatches its own two methods to coroutines where a loop runs; these need no loop, and are called with _sync.
    _block_type_name = "LAVAD commits"
    _block_type_slug = "lavad-commits"

    root: str
    """The store's folder."""

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        """The record of the result at ``path``, made from its commit.

        Raises:
            FileNotFoundError: there is none, it is not usable, or it says that the video is rejected: the task then
                runs, finds the rejection committed, and fails without computing anything: red each time.
        """
        stage, video_id, name = path.split("/")
        store = _store(self.root)
        commit = store.find(Key(stage, video_id, name.removesuffix(".json")))
        if commit is None or commit.status == "rejected" or not store.is_whole(commit):
            raise FileNotFoundError(path)
        serializer = JSONSerializer()
        value = value_folder(Path(self.root)) / path
        _put(value, serializer.dumps(reference(commit)))
        return ResultRecordMetadata(storage_key=str(value), serializer=serializer).dump_bytes()

    async def aread_path(self, path: str) -> bytes:
        """The asynchronous form of :meth:`read_path`."""
        return self.read_path(path)

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> str:  # type: ignore[override]
        """Nothing to do: the stage has committed before it returned."""
        return path

    async def awrite_path(self, path: str, content: bytes) -> str:
        """The asynchronous form of :meth:`write_path`."""
        return path


def _put(path: Path, content: bytes) -> None:
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(content)


def _cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return record_path(parameters["key"])


def commit_policy(store_root: Path) -> CachePolicy:
    """The cache policy of every stage's task: its parameter ``key`` names the commit."""
    storage = CommitKeyStorage(root=str(Path(store_root).absolute()))
    return CacheKeyFnPolicy(cache_key_fn=_cache_key).configure(key_storage=storage)


def refresh_wanted() -> bool:
    """Whether the task run that calls this ignores what is cached: its ``refresh_cache``, otherwise the setting for all."""
    context = TaskRunContext.get()
    own = context.task.refresh_cache if context is not None else None
    return bool(get_current_settings().tasks.refresh_cache if own is None else own)


def remove_loose_records(store_root: Path) -> None:
    """Delete what Prefect left for failed task runs of earlier days."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(value_folder(store_root)):
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < time.time() - LOOSE_RECORDS_S:
                    os.unlink(entry.path)
