"""ASF/WMV: packet count and file size, numbers and sizes of the media objects, play duration.

Advanced Systems Format, revision 01.20.03: 3.2 (file properties), 5 (data object, packets, payloads).
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Any

from lavad_core.video.completeness.rate import frames_expected
from lavad_core.video.completeness.result import Completeness, FileBytes, uint

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
STREAM_PROPERTIES = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
EXTENDED_STREAM_PROPERTIES = bytes.fromhex("cba5e61472c632438399a96952065b5a")
HEADER_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")

MAX_HEADER_BYTES = 1 << 20
MAX_PACKET_BYTES = 1 << 18
WIDTHS = (0, 1, 2, 4)
"""Bytes of a field by its two bits of length type."""


@dataclass
class _Header:
    """What the header object announces; 0 for what it does not."""

    packet_bytes: int = 0
    largest_bytes: int = 0
    packets: int = 0
    file_bytes: int = 0
    play_s: float = 0.0
    preroll_s: float = 0.0
    broadcast: bool = True
    video: int = -1


class _Objects:
    """Media objects of the video stream, put together from payloads."""

    def __init__(self) -> None:
        self.number = -1
        self.done = self.size = 0
        self.whole = self.broken = self.lost = 0
        self.times_ms = array("q")

    def add(self, number: int, offset: int, size: int, length: int, time_ms: int) -> None:
        if number != self.number or (offset == 0 and self.done):
            self.close()
            if self.number >= 0 and number != self.number:
                self.lost += (number - self.number - 1) % 256
            self.number, self.done, self.size = number, 0, size
            self.times_ms.append(time_ms)
        if offset == self.done:
            self.done += length

    def close(self) -> None:
        if self.size and self.done != self.size:
            self.broken += 1
        elif self.size:
            self.whole += 1
        self.size = self.done = 0


def check(source: FileBytes, video: int | None = None, step_s: float = 0.0) -> Completeness:
    """Walk all data packets.

    Args:
        video: number of the stream that is decoded; None is the first video stream.
        step_s: seconds from frame to frame by the header's rate, 0 unknown.
    """
    report = Completeness()
    head = source.at(0, 30)
    header = _header(source, uint(head, 16, 8, "little"))
    start = uint(head, 16, 8, "little")
    if video is not None:
        header.video = video
    data = source.at(start, 50)
    if data[:16] != DATA or not 0 < header.packet_bytes <= MAX_PACKET_BYTES:
        report.damage("an ASF header that does not lead to the data")
        report.unknown_loss = True
        return report
    announced = uint(data, 40, 8, "little")
    size = uint(data, 16, 8, "little")
    first, length = start + 50, header.packet_bytes
    if length != header.largest_bytes:
        report.damage("an ASF header with two packet sizes")
        if (size - 50) == announced * header.largest_bytes and header.largest_bytes <= MAX_PACKET_BYTES:
            length = header.largest_bytes or length
    end = source.size
    if not header.broadcast:
        report.end_checked = True
        if announced != header.packets:
            report.damage("an ASF header and its data object that announce different numbers of packets")
        if size >= 50 and start + size <= source.size:
            end = start + size  # an index follows
        if start + size - source.size > 0 and size < 1 << 62:
            report.damage("an ASF data object that is cut off")
        elif size >= 50 and announced and (size - 50) // length != announced:
            report.damage("an ASF data object whose size is not that of its packets")
            end = max(end, min(source.size, first + min(announced, 1 << 40) * length))
        if header.file_bytes and header.file_bytes != source.size:
            report.damage("a file size in the ASF header that is not the file's")
    else:
        report.why_unchecked = "the ASF header is that of a broadcast, which announces no length"
        if (source.size - first) % length:
            end = source.size - (source.size - first) % length
            tail = source.at(end, 16)
            if not tail.startswith(b"\x90\x08\x00\x33"):  # an index after the packets
                report.damage("an ASF packet that is cut off")
    objects = _Objects()
    damaged = _walk(source, first, end, length, header.video, objects)
    if damaged:
        report.damage("ASF packets that cannot be read", damaged)
    if objects.lost:
        report.damage("numbers of ASF media objects that are missing", objects.lost)
    if objects.broken:
        report.damage("ASF media objects that are not whole", objects.broken)
    there = objects.whole + objects.broken
    report.frames = there
    if report.findings and objects.times_ms:
        # Payloads carry the preroll in their times in some files; the earliest frame begins the clock.
        start = min(objects.times_ms)
        times = [(time - start) / 1000 for time in objects.times_ms]
        end_s = 0.0 if header.broadcast else max(header.play_s - header.preroll_s, 0.0)
        if end_s:
            times = [time for time in times if time <= end_s + 1]  # the others are damaged
        expected = frames_expected(times, end_s, step_s, source.size, header.file_bytes)
        # Whether the earliest was the first is not known where it is later than the clock's zero, with preroll or without.
        zero = preroll_ms if start >= (preroll_ms := round(header.preroll_s * 1000)) else 0
        late = 0 < step_s * 500 <= start - zero
        report.unknown_loss = header.broadcast or late or not expected.exact
        # Numbers are counted to 256 only.
        report.frames = there + objects.lost if expected.frames is None else max(there, expected.frames)
    return report


def _walk(source: FileBytes, position: int, end: int, length: int, video: int, objects: _Objects) -> int:
    """Read the packets from ``position``; returns how many places were damaged."""
    mark = source.at(position, 3)
    marked = mark[:1] == b"\x82"
    damaged = 0
    while position + length <= end:
        packet = source.at(position, length)
        if (packet[:3] == mark or not marked) and _packet(packet, video, objects):
            position += length
            continue
        damaged += 1
        if not marked:
            position += length
            continue
        found = source.marks(re.compile(re.escape(mark)), position + 1, 3)
        followed = (at for at in found if at >= end - length or source.at(at + length, 3) in (mark, b""))
        position = next(followed, end)
    objects.close()
    return damaged


def _header(source: FileBytes, size: int) -> _Header:
    found = _Header()
    body = source.at(0, min(size, MAX_HEADER_BYTES))
    position = 30
    while position + 24 <= len(body):
        kind, length = body[position : position + 16], uint(body, position + 16, 8, "little")
        if length < 24:
            break
        if kind == FILE_PROPERTIES:
            at = position + 24
            found.file_bytes = uint(body, at + 16, 8, "little")
            found.packets = uint(body, at + 32, 8, "little")
            found.play_s = uint(body, at + 40, 8, "little") / 1e7
            found.preroll_s = uint(body, at + 56, 8, "little") / 1e3
            found.broadcast = bool(uint(body, at + 64, 4, "little") & 1)
            found.packet_bytes = uint(body, at + 68, 4, "little")
            found.largest_bytes = uint(body, at + 72, 4, "little")
        elif kind == STREAM_PROPERTIES and body[position + 24 : position + 40] == VIDEO and found.video < 0:
            found.video = uint(body, position + 24 + 48, 2, "little") & 127
        elif kind == HEADER_EXTENSION:
            length = 46
        position += length
    return found


def _packet(packet: bytes, video: int, objects: _Objects) -> bool:
    """Read a data packet's payloads; False where it contradicts itself."""
    try:
        return _payloads(packet, video, objects)
    except IndexError:
        return False


def _payloads(packet: bytes, video: int, objects: _Objects) -> bool:
    at = 0
    if packet[0] & 0x80:
        if packet[0] & 0x70 or packet[0] & 0x0F != 2:
            return False
        at = 3
    flags, properties = packet[at], packet[at + 1]
    at += 2

    def field(width: int) -> int:
        nonlocal at
        value = uint(packet, at, width, "little") if width else 0
        at += width
        return value

    length = field(WIDTHS[flags >> 5 & 3]) or len(packet)
    field(WIDTHS[flags >> 1 & 3])
    padding = field(WIDTHS[flags >> 3 & 3])
    at += 6
    end = min(length, len(packet)) - padding if not flags >> 5 & 3 else min(length, len(packet))
    if flags >> 5 & 3 and padding:
        end -= padding
    count, width = 1, 0
    if flags & 1:
        count, width = packet[at] & 63, WIDTHS[packet[at] >> 6]
        at += 1
        if not width:
            return False
    if at > end or not count:
        return False
    for _ in range(count):
        stream = packet[at]
        at += 1
        number = field(WIDTHS[properties >> 4 & 3])
        offset = field(WIDTHS[properties >> 2 & 3])
        replicated = field(WIDTHS[properties & 3])
        extra = packet[at : at + replicated]
        at += replicated
        payload = field(width) if flags & 1 else end - at
        if payload < 0 or at + payload > end:
            return False
        if stream & 127 == video:
            _payload(packet, at, payload, (number, offset, replicated, extra), objects)
        at += payload
    return True


def _payload(packet: bytes, at: int, payload: int, fields: tuple[Any, ...], objects: _Objects) -> None:
    number, offset, replicated, extra = fields
    if replicated == 1:  # compressed: whole objects, each after a byte of its length; the offset is their time
        end, time = at + payload, offset
        while at < end:
            length = packet[at]
            objects.add(number, 0, length, length, time)
            objects.close()
            number, time, at = (number + 1) % 256, time + extra[0], at + 1 + length
    elif replicated >= 8:
        objects.add(number, offset, uint(extra, 0, 4, "little"), payload, uint(extra, 4, 4, "little"))
