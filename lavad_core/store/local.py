"""Blobs as files of a local (or NFSv4) file system."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path

from lavad_core.errors import StoreUnavailable
from lavad_core.store.blobs import BlobInfo
from lavad_core.store.faults import store_errors, unavailable

TEMPORARY = ".tmp"
"""Folder of unfinished files and locks. On the store's own file system, so that a rename into place is atomic."""

OUTSIDE = frozenset({TEMPORARY, "cache", "runs", "sets", "known-bad"})
"""Folders of the root that hold no results."""

LOCK_TIMEOUT_S = 120.0
"""Publishing holds a lock for some renames and fsyncs, milliseconds; past this its holder is stopped or the disk is."""

LOCK_SHARDS = 16
"""Locks for publishing: names share them, so that no lock file is ever removed (which is where locks go wrong)."""

_LOCK_POLL_S = 0.005

_TRIES = 20
"""How often an empty folder is made again that another process removed before a file came into it."""


def sync_folder(path: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path) -> None:
    """Make a folder and those above it, durably."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir()
        sync_folder(folder.parent)


class LocalBlobs:
    """Implements :class:`lavad_core.store.blobs.Blobs` below ``root``, which is made when something is put."""

    grace_s = 0.0

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where a blob is."""
        return self.root / name

    def put(self, name: str, source: Path) -> None:
        """Rename into place; the folder is synced."""
        self._place(name, lambda target: os.replace(source, target))

    def put_if_absent(self, name: str, source: Path) -> bool:
        """Hard-link into place: the system refuses if the name exists."""
        try:
            self._place(name, lambda target: os.link(source, target))
        except FileExistsError:
            return False
        return True

    def _place(self, name: str, place: Callable[[Path], None]) -> None:
        target = self.path(name)
        for left in reversed(range(_TRIES)):
            try:
                make_folders(target.parent)
                place(target)
                sync_folder(target.parent)
                return
            except FileExistsError:
                raise
            except FileNotFoundError as error:
                if not left:
                    raise unavailable("write", target, error) from error
            except OSError as error:
                raise unavailable("write", target, error) from error

    def open(self, name: str, *, again: bool = False) -> BufferedIOBase | None:
        """An open file."""
        target = self.path(name)
        with store_errors("read", target):
            try:
                return open(target, "rb")
            except FileNotFoundError:
                return None

    def stat(self, name: str) -> BlobInfo | None:
        """From the file system; a symbolic link is not followed, and is not a blob."""
        target = self.path(name)
        with store_errors("read", target):
            try:
                found = os.lstat(target)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return BlobInfo(name, found.st_size, f"{found.st_ino}.{found.st_mtime_ns}", found.st_mtime)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """By a walk of the folders; links are reported as they are, never followed."""
        folder = self.path(prefix) if prefix else self.root
        with store_errors("list", folder):
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return
        for entry in entries:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            if not prefix and entry.name in OUTSIDE:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self.list(name)
            elif (info := self.stat(name)) is not None:
                yield info

    def leftovers(self) -> Iterator[BlobInfo]:
        """None: what is temporary is in the folder of a writer."""
        return iter(())

    def delete(self, name: str) -> None:
        """Unlink, then drop the folders that are left empty."""
        target = self.path(name)
        with store_errors("remove", target), suppress(FileNotFoundError, NotADirectoryError):
            target.unlink()
            sync_folder(target.parent)
        for folder in target.parents:
            if folder == self.root:
                return
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return  # not empty, or not ours to remove: an empty folder harms nothing

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """A lock of the kernel, gone with its process."""
        shard = int(hashlib.sha256(name.encode()).hexdigest(), 16) % LOCK_SHARDS
        with kernel_lock(self.root / TEMPORARY / f"publish-{shard:02d}.lock"):
            yield


def try_lock(path: Path) -> int | None:
    """Lock a file, made if need be: the descriptor that holds the lock until it is closed, or None if it is held.

    ``flock`` itself, not a library: where it is missing this must fail, and not fall back to files that a kill leaves.

    Raises:
        OSError: the file cannot be made, or the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def kernel_lock(path: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a lock file, against other processes and other threads.

    Raises:
        StoreUnavailable: it was not free in time, or cannot be made.
    """
    give_up_at = time.monotonic() + timeout_s
    with store_errors("lock", path):
        make_folders(path.parent)
        while (descriptor := try_lock(path)) is None:
            if time.monotonic() > give_up_at:
                raise StoreUnavailable(
                    f"cannot lock {str(path)!r}: another process has held it for {timeout_s:g} s; "
                    "it needs that process to go on or to end (the lock goes with it)"
                )
            time.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)
