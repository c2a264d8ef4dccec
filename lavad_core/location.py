"""Addresses, ``SCHEME://…``, where a file or folder of this machine is meant: a system would take one for a relative path."""

from __future__ import annotations

import re
from pathlib import Path

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
