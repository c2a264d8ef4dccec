"""What a video *is*: the digest of its content, remembered per path, size and time of change."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from lavad_core.digest import FINGERPRINT_DIGITS, digest, full_digest
from lavad_core.errors import VideoRejected
from lavad_core.object_storage import StoredObject
from lavad_core.video.numbered_frames import list_frames
from lavad_core.video.object_copy import content_digest, find_object
from lavad_core.video.types import VideoSource

LOCK_TIMEOUT_S = 10.0
"""How long the cache waits for another process; a file is hashed again rather than waiting longer."""

SETTLED_S = 2.0
"""A file that changed so recently may change again within the same tick of its time stamp (FAT's is two seconds): its digest
is not remembered."""


@dataclass(frozen=True)
class VideoIdentity:
    """Which content a video has."""

    video_id: str
    """32 hexadecimal digits of ``sha256``; names the video in the store."""
    sha256: str
    """SHA-256 of the file's bytes; of a folder, that of the sorted pairs of name and digest."""
    size_bytes: int
    """Size of the file, or of all frames, bytes."""


@dataclass(frozen=True)
class _State:
    """What must be unchanged for a digest to hold: a change of content changes at least one of them."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class IdentityCache:
    """Digests of files, kept in a SQLite file that several processes and threads may use at once.

    It only saves time: what cannot be read, does not check or is out of date is computed again, and a file that is not a
    healthy database is replaced. Each row carries a checksum, so that a flipped bit is not taken for a digest.

    Args:
        path: where the database is; its folder is made.
        by_inode: a digest holds only while its file is the same one. Not for videos: some network file systems count their
            files again at each mount, and videos are many times larger than models.
    """

    # The rollback journal, not WAL: WAL needs shared memory, which network file systems lack, and rows are few.
    _TABLE = (
        "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, "
        "sha256 TEXT, checksum TEXT)"
    )

    def __init__(self, path: str | Path, *, by_inode: bool = False) -> None:
        self.path = Path(path)
        self._by_inode = by_inode
        self._checked = False

    def lookup(self, states: Mapping[str, _State]) -> dict[str, str]:
        """Digests of those files whose state is the remembered one."""
        found: dict[str, str] = {}
        with suppress(OSError, sqlite3.Error), closing(self._connect()) as database:
            for path, state in states.items():
                row = database.execute(
                    "SELECT size, mtime_ns, ctime_ns, sha256, checksum FROM digests WHERE path = ?",
                    (os.fsencode(path),),
                ).fetchone()
                if row is None or row[:3] != (state.size_bytes, state.mtime_ns, state.ctime_ns):
                    continue
                if isinstance(row[3], str) and row[4] == self._checksum(path, state, row[3]):
                    found[path] = row[3]
        return found

    def store(self, rows: Iterable[tuple[str, _State, str]]) -> None:
        """Remember digests."""
        values = [
            (os.fsencode(p), s.size_bytes, s.mtime_ns, s.ctime_ns, sha256, self._checksum(p, s, sha256))
            for p, s, sha256 in rows
        ]
        if values:
            with suppress(OSError, sqlite3.Error), closing(self._connect()) as database, database:
                database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", values)

    def _checksum(self, path: str, state: _State, sha256: str) -> str:
        fields = [os.fsencode(path).hex(), state.size_bytes, state.mtime_ns, state.ctime_ns, sha256]
        return digest([*fields, state.inode] if self._by_inode else fields)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise  # locked, or no permission: not a broken file
        except sqlite3.DatabaseError:
            for ending in ("", "-journal", "-wal", "-shm"):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)
            return self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_S)
        try:
            columns = [row[1] for row in database.execute("PRAGMA table_info(digests)")]
            if columns and columns != ["path", "size", "mtime_ns", "ctime_ns", "sha256", "checksum"]:
                raise sqlite3.DatabaseError("another layout")
            # Read through once: of a large data set it is megabytes, and rows have checksums of their own.
            if columns and not self._checked and database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
            self._checked = True
            with database:
                database.execute(self._TABLE)
        except sqlite3.Error:
            database.close()
            raise
        return database


def identify(source: VideoSource, cache: IdentityCache | None) -> VideoIdentity:
    """The identity of a video's content.

    Args:
        cache: digests of earlier calls; None hashes everything again.

    Raises:
        VideoRejected: ``missing``, ``unreadable``, ``empty``, or ``changed`` if it changes while it is read.
        ServiceUnavailable: it is on an object storage that does not answer.
    """
    if (there := find_object(source)) is not None:
        return _identify_object(source, *there, cache)
    path = Path(os.path.abspath(source.path))
    try:
        if source.kind == "file":
            if not stat.S_ISREG(path.stat().st_mode):
                raise VideoRejected("missing", f"{source.name!r}: not a regular file")
            files = [path]
        else:
            files = [path / name for name in list_frames(path)]
        digests = _digests(files, cache)
    except (FileNotFoundError, NotADirectoryError):
        raise VideoRejected("missing", f"{source.name!r}: it does not exist") from None
    except _Changed:
        raise VideoRejected(
            "changed", f"{source.name!r}: it changes while it is read; is it still being written?"
        ) from None
    except OSError as error:
        raise VideoRejected("unreadable", f"{source.name!r}: it cannot be read: {error.strerror}") from None
    size_bytes = sum(size for _, size in digests)
    if not size_bytes:
        raise VideoRejected("empty", f"{source.name!r}: " + ("zero bytes" if files else "a folder without frames"))
    sha256 = digests[0][0] if source.kind == "file" else _combined(path, files, [d for d, _ in digests])
    return VideoIdentity(sha256[:FINGERPRINT_DIGITS], sha256, size_bytes)


def is_identified(source: VideoSource, cache: IdentityCache) -> bool:
    """Whether :func:`identify` needs no copy of an object: it is on this machine, or its digest is known.

    Raises:
        VideoRejected: ``missing``.
        ServiceUnavailable: it is on an object storage that does not answer.
    """
    there = find_object(source)
    if there is None or not there[1].bytes or there[1].sha256:
        return True
    address, found = there
    return address in cache.lookup({address: _object_state(found)})


def _object_state(found: StoredObject) -> _State:
    """An object's ETag stands where a file's time of change does."""
    return _State(found.bytes, round(found.modified_s * 1e9), int(digest(found.etag)[:15], 16), 0)


def _identify_object(
    source: VideoSource, address: str, found: StoredObject, cache: IdentityCache | None
) -> VideoIdentity:
    if not found.bytes:
        raise VideoRejected("empty", f"{source.name!r}: zero bytes")
    state = _object_state(found)
    sha256 = cache.lookup({address: state}).get(address) if cache is not None else None
    if sha256 is None:
        sha256 = content_digest(source, address, found)
        if cache is not None:
            cache.store([(address, state, sha256)])
    return VideoIdentity(sha256[:FINGERPRINT_DIGITS], sha256, found.bytes)


def file_digest(path: str | Path, cache: IdentityCache | None) -> str:
    """SHA-256, 64 hexadecimal digits, of a file's content.

    Raises:
        OSError: it cannot be read, or changes while it is read.
    """
    return _digests([Path(os.path.abspath(path))], cache)[0][0]


def files_digest(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256, 64 hexadecimal digits, over the sorted (relative name, digest) pairs of some files of a folder.

    Raises:
        OSError: a file cannot be read or changes while it is read.
    """
    root = Path(os.path.abspath(folder))
    found = sorted(Path(os.path.abspath(file)) for file in files)
    return _combined(root, found, [sha256 for sha256, _ in _digests(found, None)])


class _Changed(OSError):
    """The file is being written."""


def _digests(files: list[Path], cache: IdentityCache | None) -> list[tuple[str, int]]:
    """Digest and size of each file."""
    states = {os.fspath(file): _state(os.stat(file)) for file in files}
    known = cache.lookup(states) if cache is not None else {}
    fresh = []
    for path, state in states.items():
        if path not in known:
            # Taken before the file is read: a change from now on makes it too young to be remembered.
            now_ns = time.time_ns()
            known[path] = _hash(path, state)
            if now_ns - max(state.mtime_ns, state.ctime_ns) > SETTLED_S * 1e9:
                fresh.append((path, state, known[path]))
    if cache is not None:
        cache.store(fresh)
    return [(known[os.fspath(file)], states[os.fspath(file)].size_bytes) for file in files]


def _hash(path: str, state: _State) -> str:
    # Not blocking, for a file that was replaced by a named pipe since it was looked at.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if _state(os.fstat(file.fileno())) != state:
            raise _Changed(f"{path!r} changed while it was read")
    return sha256


def _state(status: os.stat_result) -> _State:
    return _State(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _combined(folder: Path, files: list[Path], digests: list[str]) -> str:
    pairs = sorted(
        (os.fsencode(file.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace"), sha256)
        for file, sha256 in zip(files, digests, strict=True)
    )
    return full_digest(pairs)
