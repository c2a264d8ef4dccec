"""The files of a folder or an archive, one after the other. Nothing of an archive is ever written to disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from lavad_core.errors import InputError
from lavad_core.imports.set_file import file_of, is_set_file, videos_of
from lavad_core.imports.values import MAX_BYTES
from lavad_core.remote_files import near
from lavad_core.user_files import read_bytes

MAX_FILES = 200_000
"""Most files in a folder or archive. XD-Violence's test set has 800 videos."""

MAX_UNPACKED_BYTES = 32 * 2**30
"""Most bytes of an archive's files together: raw captions of every frame, by five captioners, of XD-Violence take 1 GB."""

_Open = Callable[[Path], Any]
"""A compressed file as a stream of its content."""

_TAR: dict[str, _Open] = {
    ".tar": lambda path: path.open("rb"),
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
    ".tar.bz2": bz2.open,
}
ENDINGS = (*_TAR, ".zip")
"""Endings of archives."""

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,  # a zip file with a password
)


@dataclass(frozen=True)
class FoundFile:
    """One file of a folder or an archive."""

    place: Path
    """Folder or archive in which it is."""
    path: str
    """Path inside that folder or archive, with ``/``."""
    read: Callable[[], bytes] = field(repr=False)
    """Its content; to be called before the next file is asked for. Raises InputError."""

    @property
    def stem(self) -> str:
        """Its name without folders and its last ending."""
        return PurePosixPath(self.path).stem

    @property
    def ending(self) -> str:
        """The last ending, in lower case: ``.json``."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def where(self) -> str:
        """Its name in messages."""
        return f"{self.place}/{self.path}"


def find_files(place: Path, endings: tuple[str, ...], what: str) -> Iterator[FoundFile]:
    """The files with one of ``endings``, at any depth; of a folder in the order of their paths. Hidden names are left out.

    Args:
        place: a folder, a ``.zip`` or ``.tar`` archive (``.gz``, ``.xz``, ``.bz2``), or one ``.json`` file with all videos.
        endings: endings of the wanted files, lower case.
        what: they are, for errors.

    Raises:
        InputError: it is neither, is damaged, or has more than is read.
    """
    place = near(place, what)
    if place.is_dir():
        found = _of_folder(place, endings, what)
    elif (open_tar := _TAR.get(_archive_ending(place))) is not None:
        found = _of_tar(place, what, open_tar)
    elif _archive_ending(place) == ".zip":
        found = _of_zip(place, what)
    elif is_set_file(place):
        found = _of_set_file(place, what)
    else:
        state = "is neither a folder nor an archive" if place.exists() else "does not exist"
        raise InputError(
            f"{what}: {str(place)!r} {state}; expected is a folder or an archive ({', '.join(ENDINGS)}) with a file for each "
            "video, or one .json file of all"
        )
    for number, file in enumerate(found, start=1):
        if number > MAX_FILES:
            raise InputError(f"{what}: {str(place)!r} has more than {MAX_FILES} files, the most that is looked at")
        if file.ending in endings and not any(part.startswith((".", "__MACOSX")) for part in file.path.split("/")):
            yield file


def _archive_ending(place: Path) -> str:
    name = place.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def _of_folder(place: Path, endings: tuple[str, ...], what: str) -> Iterator[FoundFile]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{what}: {error.filename!r} cannot be listed: {error.strerror}") from error

    for folder, folders, names in os.walk(place, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            yield FoundFile(place, path.relative_to(place).as_posix(), partial(read_bytes, path, what, MAX_BYTES))


def _of_tar(place: Path, what: str, open_tar: _Open) -> Iterator[FoundFile]:
    with (
        _readable(place, what),
        open_tar(place) as stream,
        tarfile.open(fileobj=_Bounded(stream), mode="r:") as archive,
    ):
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile remembers every header
            if member.isreg():
                path = PurePosixPath(member.name).as_posix()
                yield FoundFile(place, path, partial(_of_member, archive, member, place, path, what))


def _of_member(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path, path: str, what: str) -> bytes:
    if member.size > MAX_BYTES:
        raise _too_large(place, path, what)
    with _readable(place, what):
        stream = archive.extractfile(member)
        assert stream is not None, "a regular file"
        content = stream.read()
        if len(content) != member.size:
            raise EOFError(f"it ends within {path!r}")
        return content


def _of_zip(place: Path, what: str) -> Iterator[FoundFile]:
    with _readable(place, what), zipfile.ZipFile(place) as archive:
        left = MAX_UNPACKED_BYTES

        def read(entry: zipfile.ZipInfo) -> bytes:
            nonlocal left
            with _readable(place, what), archive.open(entry) as stream:
                content = stream.read(MAX_BYTES + 1)
            left -= len(content)
            if len(content) > MAX_BYTES or left < 0:
                raise _too_large(place, entry.filename, what)
            return content

        for entry in archive.infolist():
            if not entry.is_dir():
                yield FoundFile(place, PurePosixPath(entry.filename).as_posix(), partial(read, entry))


def _of_set_file(place: Path, what: str) -> Iterator[FoundFile]:
    """A file for each video that the file names: what is wrong with one does not stop the others."""
    for name, values in videos_of(place, what):
        read: Callable[[], bytes]
        try:
            ending, content = file_of(values, what, f"{str(place)!r}, {name!r}")
            read = partial(bytes, content)
        except InputError as error:
            ending, read = ".json", partial(_refuse, error)
        yield FoundFile(place, f"{name}{ending}", read)


def _refuse(error: InputError) -> bytes:
    raise error


def _too_large(place: Path, path: str, what: str) -> InputError:
    return InputError(f"{what}: {path!r} in {str(place)!r} unpacks to more than is read")


@contextmanager
def _readable(place: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise InputError(f"{what}: {str(place)!r} cannot be read: {str(error) or type(error).__name__}") from error


class _Bounded(io.RawIOBase):
    """What is unpacked of an archive, with a limit of its own for a single read and for all.

    tarfile reads a whole extended header at once, however long it says that it is.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_BYTES or self._stream.tell() > MAX_UNPACKED_BYTES:
            raise ValueError("it unpacks to more than is read")
        return self._stream.read(size)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset > MAX_UNPACKED_BYTES:
            raise ValueError("it unpacks to more than is read")
        return self._stream.seek(offset)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
