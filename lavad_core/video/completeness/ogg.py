"""Ogg: page numbers, checksums, end marks, and frame numbers in granule positions.

RFC 3533 (pages), the Theora specification, A.2.3 (granule positions), and FFmpeg's ``oggenc.c`` for VP8 in Ogg.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from lavad_core.video.completeness.result import Completeness, FileBytes, uint

_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))

CONTINUED, BEGINS, ENDS = 1, 2, 4
"""Bits of a page's flags."""

MAX_STREAMS = 64
"""Logical streams that are told apart; a file that has more is not a video."""

MAX_LOST_PAGES = 1 << 24
"""A larger step of the page number is damage of the number itself."""


@dataclass
class _Stream:
    """A logical stream."""

    video: bool
    shift: int = -1
    """How many bits of a granule position count frames since the key frame; -1 where the codec's number is not known."""
    page: int | None = None
    """Number of the next page; None before the first."""
    open: bool = False
    """Whether a packet goes on on the next page."""
    broken: bool = False
    """Whether what came before was lost, up to the next granule position."""
    packets: int = 0
    """Packets that were completed since the last granule position."""
    count: int | None = None
    """Frame number at the last granule position; None before the first."""
    present: int = 0
    lost: int = 0
    ended: bool = False


def checksum(page: bytes) -> int:
    """CRC-32 as Ogg has it (polynomial 0x04C11DB7, not mirrored, from 0) of a page whose checksum field is zero."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


def check(source: FileBytes, serial: int | None = None) -> Completeness:
    """Walk all pages.

    Args:
        serial: the stream that is decoded; None is the first video stream.
    """
    report = Completeness(end_checked=True)
    streams: dict[int, _Stream] = {}
    position, damaged = 0, False
    while position < source.size:
        page = _page(source, position)
        if page is None:
            if not damaged:
                report.damage("bytes that are no whole Ogg page with a right checksum")
            damaged = True
            for stream in streams.values():
                stream.broken = True
            position = source.find(b"OggS", position + 1)
            if position < 0:
                break
            continue
        damaged = False
        position += len(page)
        number = uint(page, 14, 4, "little")
        found = streams.get(number)
        if found is None or (page[5] & BEGINS and found.ended):
            if len(streams) >= MAX_STREAMS:
                continue
            streams[number] = found = _begin(page, found)
        _add(found, page, report)
    _finish(report, streams, serial)
    return report


def _page(source: FileBytes, position: int) -> bytes | None:
    head = source.at(position, 27)
    if len(head) < 27 or head[:5] != b"OggS\0":
        return None
    table = source.at(position + 27, head[26])
    page = source.at(position, 27 + len(table) + sum(table))
    if len(page) != 27 + head[26] + sum(table):
        return None
    expected = uint(page, 22, 4, "little")
    return page if checksum(page[:22] + b"\0\0\0\0" + page[26:]) == expected else None


def _begin(page: bytes, before: _Stream | None) -> _Stream:
    body = page[27 + page[26] :]
    stream = _Stream(video=False)
    if body[:7] == b"\x80theora":
        # ... version (3 bytes), sizes (2, 2, 3, 3, 1, 1), rate (4, 4), aspect (3, 3), colours (1), bit rate (3), then 6 bits
        # of quality and 5 of the shift.
        stream = _Stream(video=True, shift=uint(body, 40, 2) >> 5 & 31)
    elif body[:5] == b"OVP80":
        stream = _Stream(video=True, shift=32)
    elif body[:6] == b"\x01video" or body[:4] in (b"BBCD", b"\x80dau"):
        stream = _Stream(video=True)
    if before is not None:  # a chained stream with the same number
        stream.present, stream.lost, stream.video = before.present, before.lost, stream.video or before.video
    return stream


def _add(stream: _Stream, page: bytes, report: Completeness) -> None:
    flags, number, table = page[5], uint(page, 18, 4, "little"), page[27 : 27 + page[26]]
    if stream.page is not None and number != stream.page:
        lost = (number - stream.page) % (1 << 32)
        report.damage("pages of an Ogg stream are missing", lost if lost < MAX_LOST_PAGES else 1)
        stream.broken = True
    elif stream.page is None and not flags & BEGINS:
        report.damage("an Ogg stream without its first page")
        stream.broken = True
    whole = sum(1 for length in table if length < 255)
    if flags & CONTINUED and (stream.broken or not stream.open) and whole:
        whole -= 1  # the end of a packet whose beginning is lost
        if not stream.broken:
            report.damage("an Ogg packet without its beginning")
            stream.broken = True
    elif stream.open and not flags & CONTINUED and not stream.broken:
        report.damage("an Ogg packet without its end")
        stream.broken = True
    stream.page = (number + 1) % (1 << 32)
    stream.open = bool(table) and table[-1] == 255
    stream.ended = stream.ended or bool(flags & ENDS)
    stream.packets += whole
    granule = int.from_bytes(page[6:14], "little", signed=True)
    if granule == 0:  # headers
        stream.packets, stream.broken = 0, False
    elif granule > 0 and whole:
        _settle(stream, granule)


def _settle(stream: _Stream, granule: int) -> None:
    """Compare the frame number of a granule position with the packets since the one before."""
    stream.present += stream.packets
    if stream.shift >= 0:
        count = (granule >> stream.shift) + (granule & (1 << stream.shift) - 1 if stream.shift < 32 else 0)
        if stream.broken:
            stream.lost += max(0, count - (stream.count or 0) - stream.packets)
        stream.count = count
    stream.packets, stream.broken = 0, False


def _finish(report: Completeness, streams: dict[int, _Stream], serial: int | None) -> None:
    videos = [stream for stream in streams.values() if stream.video]
    chosen = streams.get(serial) if serial is not None else None
    stream = chosen or (videos[0] if videos else None)
    if stream is None:
        report.end_checked, report.why_unchecked = False, "no video stream was found in the Ogg pages"
        return
    if not stream.ended:
        report.damage("the video stream has no end mark, so it was cut off")
        report.unknown_loss = True
    if stream.broken and stream.shift < 0:
        report.unknown_loss = True
    report.frames = stream.present + stream.packets + stream.lost + (1 if stream.open else 0)
