"""What headers and tags announce that FFmpeg does not pass on, or mixes with what it found itself."""

from __future__ import annotations

import math
import os
import re
import stat
import struct
from collections.abc import Mapping

from lavad_core.errors import VideoRejected
from lavad_core.video import extent

OWN_DURATION = frozenset({"mov", "matroska", "asf", "avi"})
"""Containers whose header states a duration. FFmpeg takes that of the others from the packets' own stamps."""

WRAPS = {"mpegts": 1 << 33, "mpeg": 1 << 33}
"""Ticks after which a container's stamps begin at 0 again (ISO/IEC 13818-1, 2.4.3.7)."""

FLV_HEAD_BYTES = 1 << 16
"""The first bytes of an FLV file, within which its ``onMetaData`` ends."""


def inspect(path: str) -> tuple[int, int]:
    """The size of a regular file, and how many bytes it announces but lacks."""
    try:
        # Not blocking: a named pipe with a video's name must not hold the child up.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise VideoRejected("missing", "not a regular file")
            if not status.st_size:
                raise VideoRejected("empty", "the file has zero bytes")
            return status.st_size, extent.missing_bytes(file, status.st_size)
    except FileNotFoundError:
        raise VideoRejected("missing", "the file does not exist") from None
    except OSError as error:
        raise VideoRejected("unreadable", f"the file cannot be read: {error.strerror}") from None


def tagged_frames(metadata: Mapping[str, str]) -> int | None:
    """Matroska's statistics tag."""
    for key, value in metadata.items():
        if key.split("-")[0] == "NUMBER_OF_FRAMES" and value.isascii() and value.isdigit() and len(value) < 12:
            return int(value)
    return None


def parse_clock_time(text: str) -> float:
    """Seconds of ``HH:MM:SS.fraction``; 0 for anything else."""
    found = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,12})?)", text, re.ASCII)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else 0.0


def flv_duration_s(path: str) -> float | None:
    """The duration in an FLV file's metadata: without it FFmpeg takes the last packet's stamp.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(FLV_HEAD_BYTES)
    at = head.find(b"\x00\x08duration\x00")
    if at < 0 or len(head) < at + 19:
        return None
    (value,) = struct.unpack_from(">d", head, at + 11)
    return value if math.isfinite(value) and value > 0 else None


def further_movies(path: str) -> int:
    """MP4 files that were appended to the first: FFmpeg reads one ``moov`` and silently ignores the others.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return max(0, sum(kind == b"moov" for kind, _ in extent.mp4_boxes(file)) - 1)
