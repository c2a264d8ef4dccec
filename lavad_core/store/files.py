"""The store: layout and commit protocol (docs/design/store.md), on a file system or an object storage."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pyarrow as pa

from lavad_core.errors import DamagedResult, InternalError, StoreUnavailable
from lavad_core.location import refuse_address, s3_address, shown
from lavad_core.store.blobs import BlobInfo, Blobs
from lavad_core.store.commits import (
    COMMIT_NAME,
    MAX_COMMIT_BYTES,
    UnknownFormat,
    check_key,
    decode_commit,
    encode_commit,
    is_part,
)
from lavad_core.store.faults import store_errors
from lavad_core.store.local import LocalBlobs
from lavad_core.store.parquet import read_batches, sha256_of
from lavad_core.store.s3 import S3Blobs
from lavad_core.store.staging import Staging, WriterFolder
from lavad_core.store.types import Commit, Key, PartFile, ResultWriter, Store
from lavad_core.store.writer import RowsWriter

log = logging.getLogger(__name__)

MAX_VERIFIED = 100_000
"""Parts whose digest this process remembers to have checked; when full the memory is cleared."""


class FileStore(Store):
    """Implements :class:`lavad_core.store.types.Store` in a folder. Safe with threads, and with other processes on it.

    Making one changes nothing on disk; the folder comes with the first writer, which also sweeps.

    Args:
        root: the store's folder, or the home of an ``s3://`` address (:func:`lavad_core.location.s3_home`).
        blobs: another storage of the same names (tests). Temporary files stay below ``root``.
    """

    def __init__(self, root: Path, *, blobs: Blobs | None = None) -> None:
        refuse_address(
            root, "the store", "the path of a folder, or lavad_core.location.s3_home of an s3:// address,", ""
        )
        self.root = Path(root).absolute()
        self.blobs: Blobs = blobs if blobs is not None else blobs_of(self.root)
        self.staging = Staging(self.root)
        self._guard = threading.Lock()
        self._verified: dict[str, tuple[str, str]] = {}
        self._warned: set[str] = set()
        self._swept = False

    def folder(self, key: Key) -> Path:
        """Where a result is or would be."""
        return self.root / _prefix(key)

    def paths(self, commit: Commit) -> list[Path]:
        """The Parquet files of a result, for other programs."""
        return [self.folder(commit.key) / part.name for part in commit.files]

    # -- reading ---------------------------------------------------------------------------------------------------

    def find(self, key: Key) -> Commit | None:
        """See :meth:`lavad_core.store.types.Store.find`. Damage is reported once, in a warning."""
        try:
            return self.load(key)
        except UnknownFormat as later:
            raise _of_a_later_version(later) from later
        except DamagedResult as damage:
            self._warn_once(f"{damage}; it is not used")
            return None

    def load(self, key: Key) -> Commit | None:
        """The commit as :meth:`find` gives it, except that damage is raised.

        Raises:
            DamagedResult: the commit file is not whole, or a part is missing or has another size.
        """
        check_key(key)
        data = self._commit_bytes(key)
        if data is None:
            return None
        commit = decode_commit(data, key)
        for part in commit.files:
            found = self.blobs.stat(f"{_prefix(key)}/{part.name}")
            if found is None or found.bytes != part.bytes:
                state = "is missing" if found is None else f"has {found.bytes} bytes, its commit says {part.bytes}"
                raise DamagedResult(f"{shown(self.folder(key) / part.name)!r} {state}")
        return commit

    def _commit_bytes(self, key: Key) -> bytes | None:
        file = self.blobs.open(f"{_prefix(key)}/{COMMIT_NAME}")
        if file is None:
            return None
        with file, store_errors("read", self.folder(key) / COMMIT_NAME):
            return file.read(MAX_COMMIT_BYTES + 1)

    def read(self, commit: Commit, columns: list[str] | None = None) -> pa.Table:
        """See :meth:`lavad_core.store.types.Store.read`. A ``rejected`` result gives a table without columns."""
        batches = list(self.batches(commit, columns))
        return pa.Table.from_batches(batches) if batches else pa.table({})

    def batches(self, commit: Commit, columns: list[str] | None = None, rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """See :meth:`lavad_core.store.types.Store.batches`. A result without rows gives one batch without rows."""
        for part in commit.files:
            unknown = [name for name in columns or [] if name not in part.schema]
            if unknown:
                raise InternalError(f"result {commit.key} has no column {unknown[0]!r}; it has {list(part.schema)[:8]}")
            with self._verified_part(commit.key, part) as file:
                yield from read_batches(file, part, self.folder(commit.key) / part.name, columns, rows)

    def is_whole(self, commit: Commit) -> bool:
        """See :meth:`lavad_core.store.types.Store.is_whole`."""
        try:
            for part in commit.files:
                kept = self.blobs.stat(f"{_prefix(commit.key)}/{part.name}")
                if kept is None or kept.sha256 != part.sha256:  # otherwise the storage has compared it
                    with self._verified_part(commit.key, part):
                        pass
        except DamagedResult as damage:
            self._warn_once(f"{damage}; it is not used")
            return False
        return True

    @contextmanager
    def _verified_part(self, key: Key, part: PartFile) -> Iterator[BufferedIOBase]:
        """A part's open file; DamagedResult if it is not what the commit says."""
        name = f"{_prefix(key)}/{part.name}"
        info = self.blobs.stat(name)  # before opening: a file put there in between is verified again next time
        file = self.blobs.open(name)
        if file is None or info is None:
            raise DamagedResult(f"{shown(self.root / name)!r} is missing")
        with file:
            self._verify(file, part, info)
            yield file

    def _verify(self, file: BufferedIOBase, part: PartFile, info: BlobInfo) -> None:
        """Compare the digest, once for each version of a file: readers come back to the same results often."""
        name, state = info.name, (f"{info.version}.{info.bytes}", part.sha256)
        with self._guard:
            if self._verified.get(name) == state:
                return
        found = sha256_of(file, self.root / name)
        if found != part.sha256:
            raise DamagedResult(
                f"{shown(self.root / name)!r} has SHA-256 {found[:16]}…, its commit says {part.sha256[:16]}…"
            )
        with self._guard:
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[name] = state

    def _warn_once(self, message: str) -> None:
        with self._guard:
            if message in self._warned or len(self._warned) >= MAX_VERIFIED:
                return
            self._warned.add(message)
        log.warning("%s", message)

    # -- writing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def writer(
        self, key: Key, *, video: str, schema: pa.Schema, provenance: Mapping[str, Any], replace: bool = False
    ) -> Iterator[ResultWriter]:
        """See :meth:`lavad_core.store.types.Store.writer`."""
        check_key(key)
        if not self._swept:
            self.sweep()
            self._swept = True
        with ExitStack() as stack:
            workfolder = stack.enter_context(self.staging.workfolder())

            def publish(commit: Commit, parts: Sequence[Path]) -> Commit:
                return self._publish(workfolder, commit, parts, replace)

            yield stack.enter_context(RowsWriter(workfolder, key, video, schema, provenance, publish))

    def _publish(self, workfolder: WriterFolder, commit: Commit, parts: Sequence[Path], replace: bool) -> Commit:
        """Put finished files in place. Up to here nothing is visible to anybody."""
        key, prefix = commit.key, _prefix(commit.key)
        data = encode_commit(commit)
        ours = decode_commit(data, key)  # what every later reader will see
        staged = workfolder.file(COMMIT_NAME)
        with store_errors("write", staged), open(staged, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with self.blobs.exclusive(prefix):
            present = self._usable(key)
            if present is not None and not replace:
                return present
            occupied = self.blobs.stat(f"{prefix}/{COMMIT_NAME}") is not None
            names = (info.name.rsplit("/", 1)[1] for info in (self.blobs.list(prefix) if occupied else ()))
            old = [name for name in names if is_part(name)]
            workfolder.begin(key, [*old, *(part.name for part in commit.files)])
            try:
                for part, path in zip(commit.files, parts, strict=True):
                    self.blobs.put(f"{prefix}/{part.name}", path)
                if occupied:
                    self.blobs.put(f"{prefix}/{COMMIT_NAME}", staged)
                elif not self.blobs.put_if_absent(f"{prefix}/{COMMIT_NAME}", staged):
                    winner = self._usable(key)  # a writer that our lock did not hold off
                    if winner is None:
                        raise StoreUnavailable(f"another writer's commit of {key} is damaged; run again to replace it")
                    ours = winner
            except BaseException:
                with suppress(StoreUnavailable):  # what cannot be tidied now is in the journal
                    self._tidy(key, [part.name for part in commit.files])
                    workfolder.end()
                raise
            self._tidy(key, [*old, *(part.name for part in commit.files)])
            workfolder.end()
        return ours

    def _usable(self, key: Key) -> Commit | None:
        try:
            return self.load(key)
        except UnknownFormat as later:
            raise _of_a_later_version(later) from later
        except DamagedResult:
            return None

    def _tidy(self, key: Key, files: Sequence[str]) -> None:
        """Remove those of ``files`` that the key's commit does not name."""
        data = self._commit_bytes(key)
        try:
            named = {part.name for part in decode_commit(data, key).files} if data is not None else set()
        except DamagedResult:
            named = set()
        for name in sorted(set(files) - named):
            if is_part(name) and not self._is_young(f"{_prefix(key)}/{name}"):
                self.blobs.delete(f"{_prefix(key)}/{name}")

    def _is_young(self, name: str) -> bool:
        if not self.blobs.grace_s:
            return False
        found = self.blobs.stat(name)
        return found is not None and found.modified_s > time.time() - self.blobs.grace_s

    def discard(self, commit: Commit) -> None:
        """See :meth:`lavad_core.store.types.Store.discard`. A result that has since taken its place stays."""
        key = commit.key
        check_key(key)
        with self.staging.workfolder() as workfolder, self.blobs.exclusive(_prefix(key)):
            if self._commit_bytes(key) == encode_commit(commit):
                self.remove(workfolder, key, [part.name for part in commit.files])

    def remove(self, workfolder: WriterFolder, key: Key, parts: Sequence[str]) -> None:
        """Remove a result, its commit first; for callers that hold its ``exclusive``."""
        workfolder.begin(key, parts)
        self.blobs.delete(f"{_prefix(key)}/{COMMIT_NAME}")
        self._tidy(key, parts)
        workfolder.end()

    def sweep(self) -> int:
        """Remove what dead writers left: their folders, and files that they had put in place without a commit.

        Returns:
            How many writers. A store that does not exist, or has nothing to sweep, is not touched.
        """
        with self.staging.take_dead() as dead:
            for path, journal in dead:
                if journal is not None:
                    with self.blobs.exclusive(_prefix(journal.key)):
                        self._tidy(journal.key, journal.files)
                self.staging.remove(path)
        return len(dead)


def blobs_of(root: Path) -> Blobs:
    """The storage of a store: that of the address whose home ``root`` is, otherwise the folder itself."""
    address = s3_address(root)
    return LocalBlobs(root) if address is None else S3Blobs(root, address)


def _prefix(key: Key) -> str:
    return f"{key.stage}/{key.video_id}/{key.fingerprint}"


def _of_a_later_version(later: UnknownFormat) -> StoreUnavailable:
    """Such a result is sound, but for other versions: it is neither used nor replaced."""
    return StoreUnavailable(f"{later}; use that version, or another store")
