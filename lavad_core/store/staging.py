"""Folders of unfinished work, one for each writer, and what dead writers leave in them.

A writer's folder holds its temporary files, a lock that the living process holds (the kernel lets go of it on any
death, ``kill -9`` included), and, while files are being put in place, a journal: the names that would be orphans if the
process died now. So a sweep can undo a half-done publication at once, without waiting for a lease.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lavad_core.store.commits import key_of
from lavad_core.store.faults import store_errors
from lavad_core.store.local import TEMPORARY, kernel_lock, try_lock
from lavad_core.store.types import Key

_LOCK = "alive.lock"
_JOURNAL = "journal.json"
_PREFIX = "writer-"
_PEEK_S = 0.001
_MAX_JOURNAL_BYTES = 1 << 20


@dataclass(frozen=True)
class Journal:
    """Files that a publication puts in place or takes away: whatever of them the key's commit does not name, goes."""

    key: Key
    """Key of the result."""
    files: tuple[str, ...]
    """Names of the files."""


@dataclass(frozen=True)
class WriterFolder:
    """A living writer's folder."""

    path: Path
    """Where it is."""

    def file(self, name: str) -> Path:
        """Path of a temporary file."""
        return self.path / name

    def begin(self, key: Key, files: Sequence[str]) -> None:
        """Write the journal. It need only outlive the process, not the machine: not synced (``gc`` finds the rest)."""
        text = json.dumps({"key": [key.stage, key.video_id, key.fingerprint], "files": sorted(set(files))})
        with store_errors("write", self.path):
            self.file(_JOURNAL).write_text(text)

    def end(self) -> None:
        """Forget the journal: everything is in place, or nothing is."""
        with store_errors("remove", self.path):
            self.file(_JOURNAL).unlink(missing_ok=True)


class Staging:
    """The folder ``.tmp`` of a store."""

    def __init__(self, root: Path) -> None:
        self.folder = root / TEMPORARY

    def _folders_locked(self) -> AbstractContextManager[None]:
        # Held while a folder gets its lock, so that a sweep never sees one that lives and is not locked yet.
        return kernel_lock(self.folder / "folders.lock")

    @contextmanager
    def workfolder(self) -> Iterator[WriterFolder]:
        """A folder for one writer, removed when the body is left, however it is left."""
        path = self.folder / f"{_PREFIX}{secrets.token_hex(8)}"
        with self._folders_locked(), store_errors("write", path):
            path.mkdir()
            while (lock := try_lock(path / _LOCK)) is None:
                time.sleep(_PEEK_S)  # someone is just looking whether we live
        try:
            yield WriterFolder(path)
        finally:
            # The lock file goes last: a folder whose removal is interrupted stays one that a sweep understands.
            with suppress(FileNotFoundError), store_errors("remove", path):
                _remove(path)
            os.close(lock)

    def dead(self) -> list[Path]:
        """Folders of writers that are gone. Only looks; works on a store that cannot be written."""
        with store_errors("read", self.folder):
            return [path for path in self._folders() if _is_dead(path)]

    @contextmanager
    def take_dead(self) -> Iterator[list[tuple[Path, Journal | None]]]:
        """The dead writers' folders with their journals, kept from other sweeps; :meth:`remove` them in the body."""
        if not self._folders():
            yield []
            return
        with self._folders_locked():
            found = []
            for path in self._folders():
                with store_errors("lock", path):
                    try:
                        lock = try_lock(path / _LOCK)
                    except FileNotFoundError:
                        continue  # its writer has just ended
                    if lock is not None:
                        found.append((path, _journal(path)))
                        os.close(lock)  # nobody revives it: names are random, and a writer locks only its own
            yield found

    def remove(self, path: Path) -> None:
        """Remove a dead writer's folder."""
        with store_errors("remove", path):
            _remove(path)

    def _folders(self) -> list[Path]:
        with store_errors("list", self.folder):
            try:
                names = sorted(os.listdir(self.folder))
            except (FileNotFoundError, NotADirectoryError):
                return []
        return [self.folder / name for name in names if name.startswith(_PREFIX)]


def _is_dead(path: Path) -> bool:
    try:
        descriptor = os.open(path / _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False  # just begun or just ended; if neither, a sweep finds out
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    for entry in os.scandir(path):
        if entry.name == _LOCK:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    with suppress(FileNotFoundError):
        os.unlink(path / _LOCK)
    os.rmdir(path)


def _journal(path: Path) -> Journal | None:
    # A journal that does not parse was cut while it was written: nothing had been put in place then.
    try:
        with open(path / _JOURNAL, "rb") as file:
            fields = json.loads(file.read(_MAX_JOURNAL_BYTES))
        key = key_of([str(name) for name in fields["key"]])
        return Journal(key, tuple(str(name) for name in fields["files"])) if key is not None else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None
