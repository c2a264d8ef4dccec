"""Files and folders of a user at ``s3://`` addresses: copied here when they are read, and put there when they are written.

What takes a path takes the home of an address (:mod:`lavad_core.location`). :func:`near` gives the place of its copy on this
machine, which keeps the names and is compared with the storage again; :func:`written` gives a place to write to.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import platformdirs

from lavad_core.errors import InputError, ServiceUnavailable
from lavad_core.location import COPY_THERE, address_scheme, refuse_address, s3_address, s3_home
from lavad_core.object_storage import Bucket, S3Error, StoredObject

READ = "a file or folder of this machine, or an s3://BUCKET/KEY"
"""What can be given where :func:`near` reads."""

WRITTEN = "a path of this machine, or an s3://BUCKET/KEY"
"""What can be given where :func:`written` writes."""

MAX_BYTES = 4 << 30
"""Most that one place may hold; a larger one is copied by the user, who knows where there is room."""

MAX_FILES = 100_000

FRESH_S = 60.0
"""So long a copy is not compared with the storage again: a folder's files are read one by one."""

THREADS = 8

DRAFT = ".lavad-part"
"""Ending of a copy that is being made, perhaps by another process."""

REPORT = ".lavad-report"
"""File that marks a folder as a report."""

_fresh: dict[Path, float] = {}
_fresh_guard = threading.Lock()


def near(path: Path, what: str) -> Path:
    """Where a file or folder can be opened: ``path`` itself; a copy on this machine of what is at an ``s3://`` address. Where
    there is no object, there is nothing at the copy's place either.

    Args:
        path: a path, an ``s3://`` address or the home of one.
        what: what it is, for errors: ``frame labels``.

    Raises:
        InputError: it is an address of another kind, or holds more than is copied.
        ServiceUnavailable: the storage refuses or does not answer.
    """
    path = _home(path, what, READ, None)
    address = s3_address(path)
    if address is None:
        return path
    place = _copies(address)
    with _fresh_guard:
        if any(_fresh.get(one, 0) > time.monotonic() - FRESH_S for one in (place, *place.parents)):
            return place
    try:
        _bring(address, place, what)
    except S3Error as error:
        raise ServiceUnavailable(
            f"{what}: cannot read {error.filename!r}: {error.strerror}; it needs {error.needs}"
        ) from None
    with _fresh_guard:
        _fresh[place] = time.monotonic()
    return place


@contextmanager
def written(path: Path, rule: Literal["new", "replace", "report"]) -> Iterator[Path]:
    """Where to write a file or folder: ``path`` itself; for an ``s3://`` address a place on this machine, of which everything
    is put there when the block ends without an error, a folder's ``index.html`` last.

    Args:
        path: a path, an ``s3://`` address or the home of one.
        rule: what about existing objects: ``new`` refuses, ``replace`` puts over them, ``report`` puts over an earlier
            report (a folder that holds :data:`REPORT`) and takes away what is no longer part of it.

    Raises:
        InputError: something else is there.
        S3Error: the storage refuses or does not answer.
    """
    path = _home(path, "the file or folder to write", WRITTEN, COPY_THERE)
    address = s3_address(path)
    if address is None:
        yield path
        return
    there = list(_objects(address)) if rule != "replace" else []
    if there and (rule == "new" or Path(REPORT) not in [Path(one.name) for one in there]):
        what = "exists already" if rule == "new" else "holds something that is not a report"
        raise InputError(f"{address!r} {what} and is not overwritten; name another, or remove it first")
    with tempfile.TemporaryDirectory(prefix="lavad-output-") as folder:
        place = Path(folder) / path.name
        yield place
        if place.is_file():
            _put(address, place, if_absent=rule == "new")
            return
        bucket, last = Bucket(address), Path("index.html")
        made = sorted(one.relative_to(place) for one in place.rglob("*") if one.is_file())
        if rule == "report":  # the old index goes first: what is half put has none
            for old in [last.as_posix(), *(one.name for one in there if Path(one.name) not in made)]:
                if old.startswith("videos/") or old == last.as_posix():
                    bucket.delete(old)
        for name in sorted(made, key=lambda name: name == last):
            _put(bucket.shown(name.as_posix()), place / name, if_absent=rule == "new")


def in_addresses(text: str) -> str:
    """A message with addresses in the place of their copies."""
    return text.replace(f"{_copies('s3://bucket').parent}/", "s3://")


def _home(path: Path, what: str, taken: str, way: str | None) -> Path:
    if address_scheme(path) != "s3":
        refuse_address(path, what, taken, way)
        return path
    try:
        return s3_home(path)
    except ValueError as error:
        raise InputError(f"{what}: it {error}") from None


def _copies(address: str) -> Path:
    """Apart from homes, which stores have their files in."""
    cache = Path(platformdirs.user_cache_dir("lavad")) / "files"
    home = s3_home(address)
    return cache.joinpath(*home.parts[len(s3_home("s3://bucket").parts) - 3 :])


def _at(address: str) -> tuple[Bucket, str]:
    name, _, key = address.removeprefix("s3://").partition("/")
    return Bucket(f"s3://{name}"), key


def _objects(address: str) -> Iterator[StoredObject]:
    """The object of that name, if there is one; otherwise all below it, with names relative to it."""
    bucket, key = _at(address)
    if key and (found := bucket.stat(key)) is not None:
        yield StoredObject("", found.bytes, found.etag, found.modified_s, found.sha256)
        return
    for one in Bucket(address).list():
        if one.name and not one.name.endswith("/"):
            yield one


def _bring(address: str, place: Path, what: str) -> None:
    found: list[StoredObject] = []
    size = 0
    for one in _objects(address):
        found.append(one)
        size += one.bytes
        if any(part in ("", ".", "..") for part in one.name.split("/") if one.name):
            raise InputError(f"{what}: an object below {address!r} has an empty part, '.' or '..' in its name")
        if len(found) > MAX_FILES or size > MAX_BYTES:
            raise InputError(
                f"{what}: {address!r} holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GB, the most that is copied here; "
                "copy it to a local folder first, and give that"
            )
    wanted = {place / one.name if one.name else place: one for one in found}
    if not any(one.name for one in found) and place.is_dir():
        shutil.rmtree(place)
    elif found and place.is_file() and found[0].name:
        place.unlink()
    for old in [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]:
        if old not in wanted and old.suffix != DRAFT:
            old.unlink(missing_ok=True)
    left = [(target, one) for target, one in wanted.items() if not _is_same(target, one)]
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(lambda item: _copy(address, *item), left):
            pass


def _is_same(target: Path, one: StoredObject) -> bool:
    """The ETag of an object that was put in one part is the MD5 of its content; that of others says nothing."""
    try:
        if target.stat().st_size != one.bytes:
            return False
        with open(target, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == one.etag
    except OSError:
        return False


def _copy(address: str, target: Path, one: StoredObject) -> None:
    bucket, key = _at(address)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{secrets.token_hex(8)}{DRAFT}")
    try:
        if bucket.download("/".join(part for part in (key, one.name) if part), draft):
            os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _put(address: str, place: Path, *, if_absent: bool) -> None:
    bucket, key = _at(address)
    if bucket.put(key, place, if_absent=if_absent) is None and not _is_put(bucket, key, place):
        raise InputError(f"{address!r} exists already and is not overwritten; name another, or remove it first")


def _is_put(bucket: Bucket, key: str, place: Path) -> bool:
    """Whether the object is that of a file already: the answer to a put was lost then, and the SDK's next try has found it."""
    found = bucket.stat(key)
    if found is None:
        return False
    with open(place, "rb") as file:
        return found.sha256 == hashlib.file_digest(file, "sha256").hexdigest()
