"""What is told, and the file that remembers which files are done and what is still to be told.

A notice and the mark that its file is done are written in one transaction, and each telling is crossed out after the receiver
has taken it. So nothing is lost, and nothing is told again, but for one case: the process dies after a receiver took a notice
and before that was crossed out. The notice then comes once more, under the same event id. This is *at least once*; a receiver
that remembers the ids that it has seen makes it once.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lavad_core.digest import ascii_json
from lavad_core.errors import InputError, StoreUnavailable
from lavad_core.store.commits import storable
from lavad_core.watching.arrivals import Arrival

_CREATE = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, outcome TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, next_try REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (event TEXT PRIMARY KEY, number INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due (
    event TEXT NOT NULL, receiver TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_try REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (event, receiver)
) WITHOUT ROWID;
"""

FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 600.0
"""Seconds from a telling that failed to the next, which double each time, and the most of them."""

AGAIN = "again"
"""Outcome of a file that is tried again."""


@dataclass(frozen=True)
class Notice:
    """Something to tell."""

    event: str
    """What it is of: the same for the same event, in whatever process it was made. Receivers know by it what they have seen."""
    body: Mapping[str, Any]
    """What is told about it, as JSON's types."""


@dataclass(frozen=True)
class Due:
    """A notice that a receiver has not taken yet."""

    notice: Notice
    """What is to be told."""
    receiver: str
    """Whom."""
    tries: int
    """How often it was tried."""


class NoticeBook:
    """Files that are done, notices, and what is still to be told, in one SQLite file that one process has at a time.

    Args:
        path: the file; made, with its folder, if it does not exist.

    Raises:
        InputError: another process has it.
        StoreUnavailable: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            # Kept until the process is gone: two watchers would tell everything twice.
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.execute("BEGIN EXCLUSIVE")
            self._file.execute("COMMIT")
            self._file.executescript(_CREATE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def waiting(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Those of some files that are not done: never seen, changed since, or to be tried again by now."""
        found = []
        with self._errors():
            for one in arrivals:
                row = self._file.execute(
                    "SELECT size, mtime_ns, outcome, next_try FROM files WHERE path = ?", [storable(str(one.path))]
                ).fetchone()
                same = row is not None and row[:2] == (one.size_bytes, one.mtime_ns)
                if not same or (row[2] == AGAIN and row[3] <= time.time()):
                    found.append(one)
        return found

    def tries(self, arrival: Arrival) -> int:
        """How often a file was tried without success, as it is now."""
        with self._errors():
            row = self._file.execute(
                "SELECT tries FROM files WHERE path = ? AND size = ? AND mtime_ns = ?",
                [storable(str(arrival.path)), arrival.size_bytes, arrival.mtime_ns],
            ).fetchone()
        return 0 if row is None else int(row[0])

    def again(self, arrival: Arrival, wait_s: float) -> None:
        """Note that a file is to be tried again, after this many seconds."""
        self._note(arrival, AGAIN, self.tries(arrival) + 1, time.time() + wait_s)

    def done(self, arrival: Arrival, outcome: str, notices: Sequence[Notice], receivers: Sequence[str]) -> None:
        """Note that a file is done, and what is to be told about it to whom, together or not at all. What was told before under
        the same event id is not told again."""
        with self._errors(), self._together():
            self._note(arrival, outcome, 0, 0.0)
            for notice in notices:
                made = self._file.execute(
                    "INSERT OR IGNORE INTO notices (event, number, body) "
                    "VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM notices), ?)",
                    [notice.event, ascii_json(dict(notice.body))],
                )
                if made.rowcount:
                    self._file.executemany(
                        "INSERT INTO due (event, receiver) VALUES (?, ?)",
                        [(notice.event, receiver) for receiver in receivers],
                    )

    def due(self, receivers: Sequence[str], *, later: bool = False) -> list[Due]:
        """What is to be told to some receivers by now, in the order in which it was noted; with ``later`` also what is to be
        tried again later, and what waits behind that."""
        marks = ", ".join("?" * len(receivers))
        now = float("inf") if later else time.time()
        with self._errors():
            rows = self._file.execute(
                "SELECT due.event, receiver, tries, body, next_try FROM due JOIN notices ON notices.event = due.event "
                f"WHERE receiver IN ({marks}) ORDER BY number, receiver",
                list(receivers),
            ).fetchall()
        away = {receiver for _, receiver, _, _, next_try in rows if next_try > now}  # each is tried with its first one
        return [
            Due(Notice(event, json.loads(body)), receiver, tries)
            for event, receiver, tries, body, _ in rows
            if receiver not in away
        ]

    def told(self, due: Due) -> None:
        """Cross out what a receiver has taken."""
        with self._errors():
            self._file.execute("DELETE FROM due WHERE event = ? AND receiver = ?", [due.notice.event, due.receiver])

    def not_told(self, due: Due) -> float:
        """Note that a telling failed, and return the seconds to the next."""
        wait_s = float(min(FIRST_WAIT_S * 2**due.tries, LONGEST_WAIT_S))
        with self._errors():
            self._file.execute(
                "UPDATE due SET tries = tries + 1, next_try = ? WHERE event = ? AND receiver = ?",
                [time.time() + wait_s, due.notice.event, due.receiver],
            )
        return wait_s

    def _note(self, arrival: Arrival, outcome: str, tries: int, next_try: float) -> None:
        with self._errors():
            self._file.execute(
                "INSERT OR REPLACE INTO files (path, size, mtime_ns, outcome, tries, next_try) VALUES (?, ?, ?, ?, ?, ?)",
                [storable(str(arrival.path)), arrival.size_bytes, arrival.mtime_ns, outcome, tries, next_try],
            )

    @contextmanager
    def _together(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise InputError(
                    f"another process is watching with {str(self.path)!r}; end it, or give this one its own (--state FILE)"
                ) from error
            raise StoreUnavailable(f"{str(self.path)!r}: {error}; it needs space and permission to write") from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise StoreUnavailable(
                f"{str(self.path)!r} cannot be used: {error}; move it away to begin again, which tells everything once more"
            ) from error
