"""How many bytes a media file announces beyond its end: a file that was cut off says so in its outermost boxes.

Read without the codec library, from the first bytes of each outermost box. Covers MP4/MOV, Matroska/WebM, AVI and the
packet size of transport streams; others do not announce their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

TOLERANCE_BYTES = 64
"""Writers get the outermost size wrong by a few bytes of padding or header; a lost frame is longer."""

MAX_BOXES = 100_000
"""Outermost boxes that are walked, at most; a fragmented MP4 has two for each fragment."""

_BRANDS = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"moof")


def missing_bytes(file: BinaryIO, size_bytes: int) -> int:
    """Bytes announced beyond the end of ``file``; 0 where nothing is missing or nothing is announced."""
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        end = _avi_end(file, size_bytes)
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        end = _matroska_end(file)
    elif head[4:8] in _BRANDS:
        end = _mp4_end(file, size_bytes)
    else:
        return _transport_rest(file, size_bytes)
    short = end - size_bytes
    return short if short > TOLERANCE_BYTES else 0


def _transport_rest(file: BinaryIO, size_bytes: int) -> int:
    """A transport stream is made of packets of 188 bytes (192 with Blu-ray's time stamps)."""
    file.seek(0)
    head = file.read(3 * 192)
    for length, offset in ((188, 0), (192, 4)):
        syncs = head[offset : offset + 2 * length + 1 : length]
        if len(syncs) == 3 and set(syncs) == {0x47}:
            return -size_bytes % length
    return 0


def _avi_end(file: BinaryIO, size_bytes: int) -> int:
    # Recorders that were switched off leave 0 or 0xFFFFFFFF: no announcement.
    end = 0
    for _ in range(MAX_BOXES):
        file.seek(end)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return end
        length = int.from_bytes(head[4:], "little")
        if length in (0, 0xFFFFFFFF):
            return 0
        end += 8 + length + length % 2
        if end >= size_bytes:
            return end
    return 0


def mp4_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and announced end of each outermost box; the end is 0, and the box the last one, where none is announced."""
    position = 0
    for _ in range(MAX_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file
            yield head[4:8], 0
            return
        position += length
        yield head[4:8], position


def _mp4_end(file: BinaryIO, size_bytes: int) -> int:
    for kind, end in mp4_boxes(file):
        if not kind.isalnum():
            return 0
        if end >= size_bytes:
            return end
    return 0


def _matroska_end(file: BinaryIO) -> int:
    file.seek(4)
    length = _ebml_size(file)
    if length is None:
        return 0
    file.seek(length, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """A variable-length size; None where it is unknown (all ones: a live recording) or cut off."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    if len(rest) != width - 1:
        return None
    value = int.from_bytes(bytes([first[0] & (0xFF >> width)]) + rest, "big")
    return None if value == (1 << (7 * width)) - 1 else value
