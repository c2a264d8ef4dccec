"""A durable cache of the language model's answers, so that a killed run asks again only what was in flight."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lavad_core.digest import ascii_json
from lavad_core.errors import InternalError, StoreUnavailable
from lavad_core.store.faults import store_errors
from lavad_core.store.local import kernel_lock, make_folders

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 60.0
"""Longest wait for other processes' writes, each of which is some milliseconds."""

MAX_ANSWER_BYTES = 1 << 20
"""Most bytes of one answer as JSON; those of language models have a few hundred."""

KEYS_PER_QUERY = 500
"""SQLite takes at least 999 parameters in a statement, in any build."""

_CREATE = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value BLOB NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID"
)

_UNAVAILABLE = {
    sqlite3.SQLITE_FULL: "free space",
    sqlite3.SQLITE_IOERR: "free space on a healthy file system",
    sqlite3.SQLITE_READONLY: "permission to write",
    sqlite3.SQLITE_CANTOPEN: "permission to read and write",
    sqlite3.SQLITE_PERM: "permission to read and write",
    sqlite3.SQLITE_BUSY: f"other processes to leave it free for once in {BUSY_TIMEOUT_S:g} s",
    sqlite3.SQLITE_LOCKED: f"other processes to leave it free for once in {BUSY_TIMEOUT_S:g} s",
    sqlite3.SQLITE_NOLFS: "a file system that allows larger files",
    sqlite3.SQLITE_NOMEM: "memory",
    sqlite3.SQLITE_PROTOCOL: "a file system with working locks (not all network ones have them)",
}

_T = TypeVar("_T")


class _Corrupt(Exception):
    """SQLite says that the file is not, or is no longer, a sound database."""


@dataclass
class _Waiting:
    """Answers of one caller, on their way to disk."""

    rows: list[tuple[str, bytes, bytes]]
    done: bool = False
    error: BaseException | None = field(default=None, repr=False)


class AnswerCache:
    """Answers by key, in one SQLite file; safe with threads and with other processes on it.

    An answer is on disk when :meth:`put` returns. Callers that come while another's answers are being written are
    written together next, with one flush to disk. The first answer to a key stays.

    Every row carries its SHA-256, key included, and one that does not match is not used. A file that SQLite cannot
    use is moved aside (``….damaged-N``) with a warning, and an empty one takes its place: answers can be asked again.

    Args:
        path: the file; made, with its folder, at the first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path).absolute()
        self._use = threading.Lock()  # of the connection
        self._queue = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer to one key."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The stored answers, by key.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        wanted = sorted(set(keys))
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(wanted), KEYS_PER_QUERY):
            some = wanted[start : start + KEYS_PER_QUERY]
            with self._use:
                found.update(self._run(partial(_select, keys=some)))
        return found

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep an answer; durable on return. See :meth:`put_many`."""
        self.put_many({key: value})

    def put_many(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep answers; durable on return. A key that has one keeps it.

        Raises:
            InternalError: a value is not JSON or larger than :data:`MAX_ANSWER_BYTES`.
            StoreUnavailable: the file cannot be written.
        """
        if not answers:
            return
        mine = _Waiting([_row(key, value) for key, value in answers.items()])
        with self._queue:
            self._waiting.append(mine)
        with self._use:
            if not mine.done:  # nobody wrote it along with theirs while we waited: write all that came meanwhile
                with self._queue:
                    together, self._waiting = self._waiting, []
                self._write(together)
        if mine.error is not None:
            raise mine.error

    def _write(self, together: list[_Waiting]) -> None:
        rows = [row for waiting in together for row in waiting.rows]
        try:
            self._run(lambda connection: _insert(connection, rows))
        except BaseException as error:
            for waiting in together:
                waiting.error = error
        for waiting in together:
            waiting.done = True

    def close(self) -> None:
        """Close the file. It is opened again when needed."""
        with self._use:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something with the database; once more on an empty one if it turns out to be damaged."""
        try:
            return self._attempt(work)
        except _Corrupt as damage:
            self._move_aside(damage)
        try:
            return self._attempt(work)
        except _Corrupt as damage:
            raise StoreUnavailable(
                f"the answers in {str(self.path)!r} are damaged as soon as written: {damage}; it needs a healthy disk"
            ) from damage

    def _attempt(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            with _sqlite_errors(self.path):
                # Another process may have moved a damaged file aside: what we hold open then is that one.
                if self._connection is not None and _identity(self.path) != self._identity:
                    self._disconnect()
                if self._connection is None:
                    self._identity = _identity(self.path)
                    self._connection = _connect(self.path)
                    self._identity = _identity(self.path)
                return work(self._connection)
        except BaseException:
            self._disconnect()
            raise

    def _move_aside(self, damage: _Corrupt) -> None:
        seen, self._identity = self._identity, None
        with kernel_lock(self.path.with_name(self.path.name + ".lock")), store_errors("move", self.path):
            if seen is None or _identity(self.path) != seen:
                return  # another process was faster
            number = 1
            while (aside := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
                number += 1
            for suffix in ("-wal", "-shm"):  # they belong to the damaged file; a new one must not see them
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            os.replace(self.path, aside)
        log.warning(
            "the cache of answers %r is damaged (%s): moved to %r; its answers are asked again",
            str(self.path), damage, aside.name,
        )  # fmt: skip


def _identity(path: Path) -> tuple[int, int] | None:
    with store_errors("read", path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
    return found.st_dev, found.st_ino


def _connect(path: Path) -> sqlite3.Connection:
    with store_errors("write", path):
        make_folders(path.parent)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.text_factory = bytes  # a flipped bit in a text must come back, not fail to decode
        _until_free(lambda: connection.execute("PRAGMA journal_mode=WAL").fetchone())
        connection.execute("PRAGMA synchronous=FULL")
        _until_free(lambda: connection.execute(_CREATE))
    except BaseException:
        connection.close()
        raise
    return connection


def _until_free(action: Callable[[], object]) -> None:
    # Going over to WAL fails at once where another process does it at the same moment; the busy timeout is not asked.
    give_up_at = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(0.01)


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        need = _UNAVAILABLE.get(_code(error))
        if need is None:
            raise _Corrupt(str(error)) from error
        raise StoreUnavailable(f"cannot use the answers in {str(path)!r}: {error}; it needs {need}") from error


def _code(error: sqlite3.Error) -> int:
    # Extended codes have the primary one in their low byte. Errors of the Python side have none: the file made them.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF


def _row(key: str, value: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    try:
        text = ascii_json(dict(value)).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise InternalError(f"the answer to {key[:40]!r} holds what JSON cannot say: {error}") from error
    if len(text) > MAX_ANSWER_BYTES:
        raise InternalError(f"the answer to {key[:40]!r} has {len(text)} bytes, the limit is {MAX_ANSWER_BYTES}")
    return key, text, _checksum(key, text)


def _checksum(key: str, text: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + text).digest()


def _select(connection: sqlite3.Connection, keys: list[str]) -> dict[str, dict[str, Any]]:
    marks = ",".join("?" * len(keys))
    found: dict[str, dict[str, Any]] = {}
    damaged: list[str] = []
    asked = {key.encode(): key for key in keys}
    for stored, text, checksum in connection.execute(
        f"SELECT key, value, sha256 FROM answers WHERE key IN ({marks})", keys
    ):
        key = asked.get(stored)
        if key is None:
            continue
        if isinstance(text, bytes) and checksum == _checksum(key, text):
            found[key] = json.loads(text)
        else:
            damaged.append(key)
    if damaged:
        log.warning("%d damaged answers in the cache are not used; the first is %r", len(damaged), damaged[0][:40])
        connection.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in damaged])
    return found


def _insert(connection: sqlite3.Connection, rows: list[tuple[str, bytes, bytes]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
