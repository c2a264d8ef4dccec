"""Videos at ``s3://`` addresses: what they are, and copies on a local disk while they are decoded.

A copy is a file without a name, as kept frames are (:mod:`lavad_core.video.frame_cache`): the system takes it away with the
process, however that ends. What has a name is a link to it, for the decoding process, with the ending that the video has.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import re
import secrets
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO

from lavad_core.digest import digest
from lavad_core.errors import ServiceUnavailable, VideoRejected
from lavad_core.location import s3_address
from lavad_core.object_storage import Bucket, S3Error, StoredObject
from lavad_core.video.scratch import default_scratch
from lavad_core.video.types import VideoSource

_LINK = "lavad-video-"

LINK_AGE_S = 7 * 86_400.0
"""Links without a file are removed when they are older. Those of a process in another container, or on another machine, have
none here either; of those that were made among the processes that are seen from here nobody is left, and they go at once."""

ENDS_BYTES = 8 << 20
"""How much of a video's beginning and end is read for a look at its header: FFmpeg reads 5 MB to know the streams, and the
index of an MP4 file takes about 2 MB an hour."""

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,15}")


@dataclass
class _Copy:
    file: IO[bytes]
    link: Path
    size: int
    users: int = 1
    is_whole: bool = False
    used: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        self.link.unlink(missing_ok=True)
        self.file.close()


class VideoCopies:
    """Copies of objects; safe with threads. They stay for later passes while there is room, the longest unused go first.

    Args:
        folder: on a local disk, of which half of what is free is used at most; None for
            :func:`~lavad_core.video.scratch.default_scratch`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._change = threading.Condition()
        self._copies: dict[tuple[str, str], _Copy] = {}
        self._is_swept = False

    @property
    def folder(self) -> Path:
        """Where copies are."""
        return self._folder or default_scratch()

    def use(self, folder: Path | None) -> None:
        """Put copies from now on there; None changes nothing."""
        if folder is not None:
            self._folder = folder

    @contextmanager
    def of(self, source: VideoSource, address: str, found: StoredObject) -> Iterator[tuple[Path, IO[bytes]]]:
        """A whole copy of an object, by a path that other processes can open, and as an open file.

        Raises:
            VideoRejected: ``missing``, ``changed``: it is gone or another one by now; ``unreadable``: there is no room for it,
                or the storage does not give it, though it answers.
            ServiceUnavailable: the storage does not answer.
        """
        key = (address, found.etag)
        copy = self._take(source, key, found.bytes)
        try:
            if not copy.is_whole:
                self._fill(source, copy, address, found)
            yield copy.link, copy.file
        finally:
            with self._change:
                copy.users, copy.used = copy.users - 1, time.monotonic()
                if not copy.is_whole and self._copies.pop(key, None) is not None:
                    copy.close()
                self._change.notify_all()

    @contextmanager
    def ends_of(self, source: VideoSource, address: str, found: StoredObject) -> Iterator[Path]:
        """A file as long as an object, of whose content it has only the first and last :data:`ENDS_BYTES`; errors as
        :meth:`of`."""
        copy = self._new(source, address, found.bytes)
        bucket, name = _place(address)
        try:
            with self._disk(source), _away(source):
                for first in (0, found.bytes - ENDS_BYTES):
                    part = bucket.read_range(name, first, ENDS_BYTES, found.etag)
                    if part is None:
                        raise VideoRejected("changed", f"{source.name!r}: {address!r} was replaced while it was read")
                    copy.file.seek(first)
                    copy.file.write(part)
                copy.file.flush()
            yield copy.link
        finally:
            copy.close()

    def clear(self) -> None:
        """Remove the copies that nobody uses."""
        with self._change:
            for key in [key for key, copy in self._copies.items() if not copy.users]:
                self._copies.pop(key).close()

    def _take(self, source: VideoSource, key: tuple[str, str], size: int) -> _Copy:
        """A whole copy, or an empty one that the caller fills."""
        with self._change, self._disk(source):
            while True:
                known = self._copies.get(key)
                if known is None and self._has_room(source, size):
                    self._copies[key] = found = self._new(source, key[0], size)
                    return found
                if known is not None and known.is_whole:
                    known.users += 1
                    return known
                self._change.wait()

    def _has_room(self, source: VideoSource, size: int) -> bool:
        unused = sorted((copy.used, key) for key, copy in self._copies.items() if not copy.users)
        while True:
            kept = sum(copy.size for copy in self._copies.values())
            disk = os.statvfs(self.folder)
            unwritten = sum(copy.size for copy in self._copies.values() if not copy.is_whole)
            limit = (disk.f_bavail * disk.f_frsize + kept - unwritten) // 2
            if kept + size <= limit:
                return True
            if not unused:
                break
            self._copies.pop(unused.pop(0)[1]).close()
        if not self._copies:
            raise VideoRejected(
                "unreadable",
                f"{source.name!r}: its {size >> 20} MB do not fit the {limit >> 20} MB that copies of videos may take in "
                f"{str(self.folder)!r}; run.scratch names another folder",
            )
        return False

    def _new(self, source: VideoSource, address: str, size: int) -> _Copy:
        with self._disk(source):
            if not self._is_swept:
                self._is_swept = True
                _sweep(self.folder)
            ending = PurePosixPath(address).suffix
            link = (
                self.folder
                / f"{_LINK}{_processes()}-{secrets.token_hex(8)}{ending if _ENDING.fullmatch(ending) else ''}"
            )
            file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 (closed with the copy)
            os.symlink(f"/proc/{os.getpid()}/fd/{file.fileno()}", link)
        return _Copy(file, link, size)

    def _fill(self, source: VideoSource, copy: _Copy, address: str, found: StoredObject) -> None:
        bucket, name = _place(address)
        with self._disk(source), _away(source):
            if not bucket.download_into(name, copy.file):
                raise VideoRejected("missing", f"{source.name!r}: there is no object {address!r} any more")
            copy.file.flush()
            now = bucket.stat(name)
        if now is None or now.etag != found.etag or os.fstat(copy.file.fileno()).st_size != found.bytes:
            raise VideoRejected("changed", f"{source.name!r}: {address!r} was replaced while it was copied")
        with self._change:
            copy.is_whole = True
            self._change.notify_all()

    @contextmanager
    def _disk(self, source: VideoSource) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise VideoRejected(
                "unreadable",
                f"{source.name!r}: a copy of it cannot be made in {str(self.folder)!r} ({error.strerror}); run.scratch names "
                "another folder",
            ) from None


COPIES = VideoCopies()
"""Those of this process."""

atexit.register(COPIES.clear)


def find_object(source: VideoSource) -> tuple[str, StoredObject] | None:
    """The address of a video and what is known about the object; None for a video on this machine.

    Raises:
        VideoRejected: ``missing``; ``unreadable``: the storage does not give it, though it answers.
        ServiceUnavailable: the storage does not answer.
    """
    address = s3_address(source.path)
    if address is None or source.kind != "file":
        return None
    bucket, name = _place(address)
    with _away(source):
        found = bucket.stat(name)
    if found is None:
        raise VideoRejected("missing", f"{source.name!r}: there is no object {address!r}")
    return address, found


@contextmanager
def local_video(source: VideoSource) -> Iterator[VideoSource]:
    """The video where a decoder can open it; errors as :func:`find_object` and :meth:`VideoCopies.of`."""
    there = find_object(source)
    if there is None:
        yield source
        return
    with COPIES.of(source, *there) as (path, _):
        yield replace(source, path=path)


@contextmanager
def local_ends(source: VideoSource) -> Iterator[VideoSource | None]:
    """A file that has the beginning and the end of a video, for a look at what it announces; None where the whole is to be
    opened. Errors as :func:`local_video`."""
    there = find_object(source)
    if there is None or there[1].bytes <= 2 * ENDS_BYTES:
        yield None
        return
    with COPIES.ends_of(source, *there) as path:
        yield replace(source, path=path)


def content_digest(source: VideoSource, address: str, found: StoredObject) -> str:
    """SHA-256, hexadecimal, of an object's content; of its copy, which stays for the decoder."""
    if found.sha256:
        return found.sha256
    with COPIES.of(source, address, found) as (_, file):
        sha256 = hashlib.sha256()
        place = 0
        while part := os.pread(file.fileno(), 1 << 20, place):
            sha256.update(part)
            place += len(part)
    return sha256.hexdigest()


def _place(address: str) -> tuple[Bucket, str]:
    bucket, _, name = address.removeprefix("s3://").partition("/")
    return Bucket(f"s3://{bucket}"), name


@contextmanager
def _away(source: VideoSource) -> Iterator[None]:
    """What a storage refuses, as what it is: a fault of this one object, or of all."""
    try:
        yield
    except S3Error as error:
        why = f"{source.name!r}: cannot read {error.filename!r}: {error.strerror}"
        if not _place(str(error.filename))[0].is_about_one(error):
            raise ServiceUnavailable(f"{why}; it needs {error.needs}") from None
        if error.concern == "one":
            raise VideoRejected("unreadable", f"{why}; it needs {error.needs}") from None
        raise VideoRejected(
            "unreadable",
            f"{why}, again and again, while the storage answers otherwise; run again, and look at that object if it stays so",
        ) from None


@functools.cache
def _processes() -> str:
    """Which processes are seen from here: those of this boot and this container; empty where the system does not say."""
    try:
        boot, container = Path("/proc/sys/kernel/random/boot_id").read_text("ascii"), os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return digest([boot, container])[:16]


def _sweep(folder: Path) -> None:
    """Remove links of processes that were killed. The processes of other users may be hidden, and their links stay."""
    near = f"{_LINK}{_processes()}-" if _processes() else None
    for path in folder.glob(f"{_LINK}*"):
        with suppress(OSError):
            facts = path.lstat()
            if not stat.S_ISLNK(facts.st_mode) or not _dangles(path):
                continue
            ours = near is not None and path.name.startswith(near) and facts.st_uid == os.getuid()
            if ours or facts.st_mtime < time.time() - LINK_AGE_S:
                path.unlink()


def _dangles(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    return False
