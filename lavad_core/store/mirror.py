"""Files of a store beside its results, for a store on an object storage: written here, sent whole, fetched where they are read.

They are the records of runs and what is known about served models. For a store in a folder nothing of this does anything.
"""

from __future__ import annotations

import functools
import os
import secrets
import threading
import time
from pathlib import Path

from lavad_core.errors import StoreUnavailable
from lavad_core.location import s3_address
from lavad_core.object_storage import Bucket, StoredObject
from lavad_core.store.faults import store_errors
from lavad_core.store.local import make_folders, try_lock

FRESH_S = 2.0
"""How long a listing counts."""

LOG = ".jsonl"
"""The ending of files that only grow, and that a living process has locked: the longer copy is the newer."""


def fetch(root: Path, path: Path) -> None:
    """Bring a file in the home of a store up to date with the storage, before it is read.

    Raises:
        StoreUnavailable: the storage cannot be read, or the file cannot be written.
    """
    if (mirror := _mirror(root)) is not None:
        mirror.fetch(path)


def send(root: Path, path: Path, content: Path | None = None) -> None:
    """Put a file of a store where other machines see it.

    Args:
        path: its name is the object's.
        content: the file to send; ``path`` itself if None.

    Raises:
        StoreUnavailable: the storage does not take it.
    """
    if (mirror := _mirror(root)) is not None:
        mirror.send(path, path if content is None else content)


def names(root: Path, folder: str) -> list[str]:
    """The names that the storage has in a folder of a store; none for a store in a folder, which has no other than its files.

    Raises:
        StoreUnavailable: the storage cannot be read.
    """
    mirror = _mirror(root)
    return [] if mirror is None else [name.rpartition("/")[2] for name in mirror.listed(folder)]


def is_mirrored(root: Path) -> bool:
    """Whether a store is on an object storage."""
    return s3_address(root) is not None


def _mirror(root: Path) -> _Mirror | None:
    return _mirror_of(root) if is_mirrored(root) else None


@functools.lru_cache(maxsize=64)
def _mirror_of(root: Path) -> _Mirror:
    address = s3_address(root)
    assert address is not None
    return _Mirror(root, address)


class _Mirror:
    """The home of one address; safe with threads, and with processes that share it."""

    def __init__(self, root: Path, address: str) -> None:
        self._root, self._bucket = root, Bucket(address)
        self._guard = threading.RLock()
        self._listings: dict[str, tuple[float, dict[str, StoredObject]]] = {}

    def listed(self, folder: str) -> dict[str, StoredObject]:
        """Name to object of everything in a folder, as it was at most :data:`FRESH_S` ago."""
        with self._guard:
            at, found = self._listings.get(folder, (float("-inf"), {}))
            if time.monotonic() - at > FRESH_S:
                with store_errors("list", self._root / folder):
                    found = {one.name: one for one in self._bucket.list(folder)}
                self._listings[folder] = time.monotonic(), found
            return found

    def fetch(self, path: Path) -> None:
        """See :func:`fetch`."""
        name = self._name(path)
        with self._guard, store_errors("read", path):
            remote = self.listed(name.rpartition("/")[0]).get(name)
            local = path.stat() if path.exists() else None
            if local is None:
                stale = remote is not None
            elif path.suffix == LOG:
                if _is_held(path):
                    return
                if remote is not None and local.st_size == remote.bytes:
                    os.utime(path, (remote.modified_s, remote.modified_s))  # when its run was last heard of
                    return
                if remote is None or local.st_size > remote.bytes:  # of a process that died before it had sent all
                    self.send(path, path)
                    return
                stale = True
            else:
                stale = remote is not None and not _is_copy(local, remote)
            if stale and remote is not None:
                self._download(name, path, remote)

    def _download(self, name: str, path: Path, remote: StoredObject) -> None:
        make_folders(path.parent)
        draft = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            if self._bucket.download(name, draft):
                os.utime(draft, (remote.modified_s, remote.modified_s))
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def send(self, path: Path, content: Path) -> None:
        """See :func:`send`."""
        name = self._name(path)
        with store_errors("write", path):
            self._bucket.put(name, content.read_bytes())  # not the file itself: a log may grow while it is sent
        with self._guard:
            self._listings.pop(name.rpartition("/")[0], None)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _is_copy(local: os.stat_result, remote: StoredObject) -> bool:
    """Whether a file was fetched, and not written here: then its time is that of the object, but for rounding."""
    return local.st_size == remote.bytes and abs(local.st_mtime - remote.modified_s) < 1e-3


def _is_held(path: Path) -> bool:
    try:
        descriptor = try_lock(path)
    except OSError as error:
        raise StoreUnavailable(f"cannot lock {str(path)!r}: {error.strerror}") from error
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
