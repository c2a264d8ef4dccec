"""Work on a store in other processes, for the tests of tests/store. Child processes come from a fork server that has
imported this module, so that one costs milliseconds."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lavad_core.errors import DamagedResult
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder in memory, where there is such a place: many tests sync often, and kill processes, not machines."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "support.store_work"])

SCHEMA = pa.schema(
    [("frame", pa.int32()), ("text", pa.string()), ("score", pa.float32()), ("vector", pa.list_(pa.float32(), 8))]
)
KEYS = [Key("probe", "a1" * 16, "f0" * 16), Key("score", "a1" * 16, "f1" * 16), Key("score", "a2" * 16, "f1" * 16)]


def rows(key: Key, count: int, salt: str = "") -> pa.Table:
    """Rows that depend on the key and on a salt alone."""
    source = random.Random(f"{key}{salt}")
    return pa.table(
        {
            "frame": list(range(count)),
            "text": [f"a person walks {source.random():.6f}" for _ in range(count)],
            "score": [source.random() for _ in range(count)],
            "vector": [[source.random() for _ in range(8)] for _ in range(count)],
        },
        schema=SCHEMA,
    )


def save(store: FileStore, key: Key, table: pa.Table, *, video: str = "a video", replace: bool = False) -> Commit:
    """Write and commit a table."""
    with store.writer(key, video=video, schema=table.schema, provenance={"version": 1}, replace=replace) as writer:
        writer.write(table)
        return writer.commit(counts={"rows": table.num_rows})


def is_used(store: FileStore) -> bool:
    """Whether a reader takes the result of the first key."""
    commit = store.find(KEYS[0])
    if commit is None:
        return False
    try:
        store.read(commit)
    except DamagedResult:
        return False
    return True


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything below a folder: content by name, None for a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


@cache
def _start_server() -> None:
    # Python 3.11's fork server does not get sys.path, and would quietly preload nothing.
    tests = Path(__file__).resolve().parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tests}{os.pathsep}{tests.parent}")
        forkserver.ensure_running()


def start(target: Callable[..., None], *arguments: Any) -> Any:
    """A process that does something."""
    _start_server()
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def finish(target: Callable[..., None], *arguments: Any) -> int:
    """Do something in a process; its exit code."""
    process = start(target, *arguments)
    process.join(60)
    assert process.exitcode is not None, "hangs"
    code: int = process.exitcode
    return code


def fill(root: Path, salt: str, kill_at: int, replace: bool = False, count: int = 40) -> None:
    """Make every result that is not there. Dies by SIGKILL just before its ``kill_at``-th change of the store (or
    opening of one of its files), counted from 1; exits with 0 if it got to the end before."""
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event not in ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            return
        if str(arguments[0]).startswith(str(root)):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at:
        sys.addaudithook(watch)
    fill_plainly(root, salt, replace, count)


def fill_plainly(root: Path, salt: str, replace: bool, count: int) -> None:
    """Make every result that is not there."""
    store = FileStore(root)
    store.sweep()
    for key in KEYS:
        if replace or store.find(key) is None:
            save(store, key, rows(key, count, salt), replace=replace)


def race(root: Path, number: int, barrier: Any, results: Any) -> None:
    """Commit other bytes than everybody else to the same keys, at the same moment."""
    store = FileStore(root)
    for key in KEYS:
        table = rows(key, 200, salt=str(number))
        with store.writer(key, video=f"writer {number}", schema=SCHEMA, provenance={}) as writer:
            writer.write(table)
            barrier.wait(30)
            commit = writer.commit()
        results.put((key, commit))
        assert store.read(commit).num_rows == 200


def replace_often(root: Path, times: int) -> None:
    """Put one result in place of another, over and over."""
    store = FileStore(root)
    for number in range(times):
        save(store, KEYS[0], rows(KEYS[0], 50, salt=str(number)), video=str(number), replace=True)


def hold(root: Path, connection: Any) -> None:
    """Have a result half written until killed."""
    store = FileStore(root)
    with store.writer(KEYS[0], video="v", schema=SCHEMA, provenance={}) as writer:
        writer.write(rows(KEYS[0], 5000))
        connection.send("writing")
        connection.recv()


def unprivileged(root: Path, results: Any, action: Callable[[FileStore], Any]) -> None:
    """Do something on a store that this process may read and not write; its result or exception."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        results.put(action(FileStore(root)))
    except Exception as error:  # the edge of a process: the test looks at it
        results.put(error)


rows(KEYS[0], 1)  # pyarrow imports pandas for its first table: once in the fork server, not in every child
