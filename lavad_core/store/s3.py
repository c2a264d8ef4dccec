"""Blobs as objects of an S3-compatible storage. What is read of them is kept on this machine for a while."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from io import BufferedIOBase
from pathlib import Path

from lavad_core.errors import StoreUnavailable
from lavad_core.object_storage import Bucket, StoredObject
from lavad_core.store.blobs import BlobInfo
from lavad_core.store.commits import COMMIT_NAME, MAX_COMMIT_BYTES, is_part
from lavad_core.store.faults import store_errors
from lavad_core.store.local import OUTSIDE, TEMPORARY

GRACE_S = 3600.0
"""Parts and commit of a result are put within minutes of each other, also after many retries."""

MAX_CACHED_BYTES = 8 << 30
"""Parts that are kept on this machine; half of what its disk has for them where that is less."""

MAX_KNOWN = 100_000
"""ETags that a process remembers; when full the memory is cleared."""

TRIALS = 5
"""Objects with which a process tries whether the storage looks at conditions."""

STALE_S = 86_400.0
"""A download that is older was cut off."""


class S3Blobs:
    """Implements :class:`lavad_core.store.blobs.Blobs` below an ``s3://`` address.

    Args:
        root: its home, where parts that were read or put are kept (``parts``).
        address: the address.
    """

    grace_s = GRACE_S

    def __init__(self, root: Path, address: str) -> None:
        self.root = root
        self._bucket = Bucket(address)
        self._parts = _Parts(root / "parts")
        self._etags: dict[str, str] = {}
        self._is_conditional = False

    def put(self, name: str, source: Path) -> None:
        """One request; the storage compares the content's SHA-256 before it takes it."""
        with self._errors("write", name):
            etag = self._bucket.put(name, source)
        if etag and is_part(name.rpartition("/")[2]):
            self._parts.take(_cached_name(name, etag), source)

    def put_if_absent(self, name: str, source: Path) -> bool:
        """A conditional put (``If-None-Match: *``)."""
        with self._errors("write", name):
            self._check_conditional()
            return self._bucket.put(name, source, if_absent=True) is not None

    def _check_conditional(self) -> None:
        """Once a process: some storages take the condition and do not look at it, and commits would be put over."""
        if self._is_conditional:
            return
        for _ in range(TRIALS):
            name = f"{TEMPORARY}/{secrets.token_hex(8)}"
            try:
                first, again = (self._bucket.put(name, b"", if_absent=True) is not None for _ in range(2))
            finally:
                self._bucket.delete(name)
            if again:
                raise StoreUnavailable(
                    f"the storage of {self._bucket.address!r} puts one object over another although it is asked not to "
                    "(If-None-Match: *): two writers could not share the store; it needs a storage that knows conditional "
                    "writes"
                )
            if first:
                self._is_conditional = True
                return
            # Neither was taken: the answer to the first was lost, and the SDK's next try found what it had put.
        raise StoreUnavailable(
            f"the storage of {self._bucket.address!r} has refused {TRIALS} new objects as if they existed (If-None-Match: *); "
            "it needs a storage that knows conditional writes, and a network that does not lose their answers"
        )

    def open(self, name: str, *, again: bool = False) -> BufferedIOBase | None:
        """A part from this machine if it is kept here; everything else from the storage, and whole, as from a file. Of a commit
        no more is read than it may have."""
        last = name.rpartition("/")[2]
        if not is_part(last):
            with self._errors("read", name):
                content = self._bucket.read(name, MAX_COMMIT_BYTES + 1 if last == COMMIT_NAME else None)
            return None if content is None else io.BytesIO(content)
        etag = None if again else self._etags.get(name)
        if etag is None:
            found = self.stat(name)
            if found is None:
                return None
            etag = found.version
        with self._errors("read", name):
            return self._parts.open(
                _cached_name(name, etag), lambda target: self._bucket.download(name, target), again=again
            )

    def stat(self, name: str) -> BlobInfo | None:
        """One request."""
        with self._errors("read", name):
            found = self._bucket.stat(name)
        if found is None:
            return None
        if len(self._etags) >= MAX_KNOWN:
            self._etags.clear()
        self._etags[name] = found.etag
        return _info(found)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Page by page."""
        with self._errors("list", prefix):
            for found in self._bucket.list(prefix):
                if prefix or found.name.split("/")[0] not in OUTSIDE:
                    yield _info(found)

    def leftovers(self) -> Iterator[BlobInfo]:
        """What a process that was killed in between had put to try the storage."""
        return self.list(TEMPORARY)

    def delete(self, name: str) -> None:
        """One request."""
        with self._errors("remove", name):
            self._bucket.delete(name)

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Nothing: there are no locks. Of two writers the conditional put decides, and what the other has put stays for
        :attr:`grace_s`."""
        return nullcontext()

    def exists(self) -> bool:
        """Whether there is anything at the address."""
        with self._errors("list", ""):
            return next(iter(self._bucket.list()), None) is not None

    def _errors(self, action: str, name: str) -> AbstractContextManager[None]:
        return store_errors(action, self.root / name)


def _info(found: StoredObject) -> BlobInfo:
    return BlobInfo(found.name, found.bytes, found.etag, found.modified_s, found.sha256)


def _cached_name(name: str, etag: str) -> str:
    return f"{name.rpartition('/')[2]}.{etag}"


class _Parts:
    """Copies of parts in a folder that several processes use at once; the longest unused go first.

    A part is called after its content's SHA-256, so that a copy that the disk has damaged is found, and fetched again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._sound: set[str] = set()
        self._new_bytes: int | None = None

    def take(self, name: str, source: Path) -> None:
        """Keep a file that was just put, as a second name of it: most are read next by the stage that follows."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            os.link(source, self._folder / name)
            self._count(source.stat().st_size)

    def open(self, name: str, fetch: Callable[[Path], bool], *, again: bool) -> BufferedIOBase | None:
        """The copy, fetched if it is not here, or is not sound; None if there is nothing to fetch."""
        path = self._folder / name
        if not again and self._is_sound(name):
            with suppress(FileNotFoundError):
                os.utime(path)
                return open(path, "rb")
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f".{secrets.token_hex(8)}"
        try:
            if not fetch(draft):
                return None
            file = open(draft, "rb")  # noqa: SIM115 (the caller's)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self._count(os.fstat(file.fileno()).st_size)
        return file

    def _is_sound(self, name: str) -> bool:
        """Looked at once for each process: what is fetched or put by it is compared by the store."""
        with self._guard:
            if name in self._sound:
                return True
        try:
            with open(self._folder / name, "rb") as file:
                sound = hashlib.file_digest(file, "sha256").hexdigest().startswith(name[len("part-") :].split(".")[0])
        except FileNotFoundError:
            return False
        if sound:
            with self._guard:
                if len(self._sound) >= MAX_KNOWN:
                    self._sound.clear()
                self._sound.add(name)
        return sound

    def _count(self, size: int) -> None:
        """Make room now and then, the first time at once."""
        with self._guard:
            self._new_bytes = MAX_CACHED_BYTES if self._new_bytes is None else self._new_bytes + size
            if self._new_bytes < MAX_CACHED_BYTES // 16:
                return
            self._new_bytes = 0
        with suppress(OSError):
            self._make_room()

    def _make_room(self) -> None:
        found = []
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                state = entry.stat()
                if not entry.name.startswith("."):
                    found.append((state.st_mtime, state.st_size, entry.path))
                elif state.st_mtime < time.time() - STALE_S:
                    os.unlink(entry.path)
        kept = sum(size for _, size, _ in found)
        limit = min(MAX_CACHED_BYTES, (shutil.disk_usage(self._folder).free + kept) // 2)
        for _, size, path in sorted(found):
            if kept <= limit:
                return
            with suppress(FileNotFoundError):
                os.unlink(path)
            kept -= size
