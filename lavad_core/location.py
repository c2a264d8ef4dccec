"""Addresses, ``SCHEME://…``, where a file or folder may be meant: a system would take one for a relative path.

An ``s3://`` address travels through the program as the path of its *home*: the place on this machine that is the address's own,
``<cache of the user>/lavad/s3:/BUCKET/KEY``. So whatever takes a path takes it, and only what reads or writes it asks for the
address (:func:`s3_address`). Records hold the address, which is the same on every machine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from lavad_core.errors import InputError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

_FLAT = re.compile(
    "(s3a?|s3n|gs|gcs|azure|az|abfss?|wasbs?|hdfs|webhdfs|oss|cos|minio|swift|https?|ftps?|sftp|ssh|scp|smb|nfs|file|rtsps?|"
    "rtmps?|rtp|udp|tcp|srt|mms|hls):/",
    re.IGNORECASE,
)
"""How an address begins that went through :class:`pathlib.Path`, which makes one slash of two."""

_WAYS = {
    "file": "give the path itself",
    "http": "download it first",
    "https": "download it first",
    "rtsp": "record the stream into a file first",
    "rtsps": "record the stream into a file first",
    "rtmp": "record the stream into a file first",
}

LOCAL = "a file or folder of this machine"

STORES = "a folder of this machine or an s3://BUCKET/PREFIX"

COPY_THERE = "write into a local folder, and copy it there"
"""The way out for what is written."""


def address_scheme(given: str | Path) -> str:
    """The scheme of an address, in small letters; empty for a path."""
    text = str(given)
    found = _FLAT.match(text) or (_ADDRESS.match(text) if isinstance(given, str) else None)
    return found[1].lower() if found else ""


def why_not_local(given: str | Path, taken: str = LOCAL, way: str | None = None) -> str | None:
    """What is wrong with an address in the place of a path; None for a path.

    Args:
        given: as the user gave it. No more of it is repeated than its scheme: it may hold a password or a signature.
        taken: what can be given instead.
        way: what to do; None for how what is at the address becomes a file.
    """
    scheme = address_scheme(given)
    if not scheme:
        return None
    way = _WAYS.get(scheme, "copy it to a local folder first") if way is None else way
    return f"{scheme}://… is an address, and only {taken} can be given here" + (way and f"; {way}")


def refuse_address(given: str | Path, what: str, taken: str = LOCAL, way: str | None = None) -> None:
    """Refuse an address in the place of a path; ``what`` names it in the error, the others are as in :func:`why_not_local`.

    Raises:
        InputError: it is an address; says what is supported.
    """
    if why := why_not_local(given, taken, way):
        raise InputError(f"{what}: {why}")


_S3 = re.compile(r"s3:/+([^/]*)/*(.*)", re.IGNORECASE | re.DOTALL)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")

_HOMES = ("lavad", "s3:")
"""The last folders of where homes are."""


def s3_home(address: str | Path) -> Path:
    """The home of an ``s3://`` address; nothing is made there.

    Raises:
        ValueError: it cannot be used. It is not repeated: it may hold a key.
    """
    found = _S3.fullmatch(str(address))
    if found is None or not _BUCKET.fullmatch(found[1]):
        raise ValueError(
            "is not an address such as s3://bucket/prefix (a bucket's name has 3 to 63 letters, digits and . _ -; user and key "
            "are taken by the SDK from its own places). It is not shown, since it may hold a key"
        )
    parts = found[2].rstrip("/").split("/") if found[2].strip("/") else []
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError("has an empty part, '.' or '..' in its key, which no file can be called")
    cache = Path(platformdirs.user_cache_dir(_HOMES[0]))
    return cache.joinpath(_HOMES[1], found[1], *parts)


def s3_address(path: str | Path) -> str | None:
    """The address whose home, or a place in whose home, a path is; None for any other path."""
    if _HOMES[1] not in os.fspath(path):  # at once for nearly every path: those of a large set are many
        return None
    parts = Path(path).parts
    for at in range(1, len(parts) - 1):
        if parts[at - 1 : at + 1] == _HOMES:
            return "s3://" + "/".join(parts[at + 1 :])
    return None


def shown(path: str | Path) -> str:
    """A path as the user knows it: the address in place of its home."""
    return s3_address(path) or str(path)


def local_path(text: str) -> Path:
    """The path that :func:`shown` was given.

    Raises:
        ValueError: it is an ``s3://`` address that cannot be used.
    """
    return s3_home(text) if address_scheme(text) == "s3" else Path(text)
