"""Matroska and WebM: sizes and checksums of elements, blocks of the video track, cue points, duration and statistics.

RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from dataclasses import dataclass, field
from itertools import pairwise

from lavad_core.video.announced import parse_clock_time
from lavad_core.video.completeness.rate import frames_expected
from lavad_core.video.completeness.result import Completeness, FileBytes, uint

SEGMENT, SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES, TAGS = (
    0x18538067,
    0x114D9B74,
    0x1549A966,
    0x1654AE6B,
    0x1F43B675,
    0x1C53BB6B,
    0x1254C367,
)
VOID, CRC32, ATTACHMENTS, CHAPTERS = 0xEC, 0xBF, 0x1941A469, 0x1043A770
TOP = frozenset({SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES, TAGS, VOID, CRC32, ATTACHMENTS, CHAPTERS})
TIMECODE, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
IN_CLUSTER = frozenset({TIMECODE, SIMPLE_BLOCK, BLOCK_GROUP, VOID, CRC32, 0xA7, 0xAB, 0x5854, 0xAF})

UNKNOWN = -1
"""The size of an element of a live recording."""

MAX_MASTER_BYTES = 1 << 20
"""Headers, cues and tags that are longer are not read."""

MAX_ELEMENTS = 1 << 28

END_TOLERANCE_S = 0.5
"""A duration may reach this far past the last block (the duration of the last frame or sound packet)."""


@dataclass
class _Seen:
    """What a walk found."""

    ordinal: int = 0
    """The ordinal of the video tracks, those before the decoded one."""
    scale_s: float = 0.001
    video: int = -1
    """Number of the video track, -1 unknown."""
    uid: int = -1
    announced_s: float = 0.0
    """The announced s of the whole file."""
    frames: int = 0
    track_s: float = 0.0
    """``frames`` and ``track_s`` are those of the video track by its tags; 0 where they say nothing."""
    last_s: float = 0.0
    times_s: array[float] = field(default_factory=lambda: array("d"))
    clusters: set[int] = field(default_factory=set)
    cues: list[int] = field(default_factory=list)
    sized: bool = False
    size: int = 0
    end: int = 0
    """``size`` and ``end``: bytes of the file; where the segment ends by its own size."""
    lost_before: bool = False
    """A cluster before the first frame is damaged."""


def element(source: FileBytes, position: int) -> tuple[int, int, int] | None:
    """Identifier, position of the payload, and its size (:data:`UNKNOWN`) of an element; None if there is none."""
    head = source.at(position, 12)
    if len(head) < 2 or head[0] < 0x10:
        return None
    width = 9 - head[0].bit_length()
    identifier = uint(head, 0, width)
    if len(head) <= width or not head[width]:
        return None
    length = 9 - head[width].bit_length()
    if len(head) < width + length:
        return None
    size = uint(head, width, length) & (1 << 7 * length) - 1
    return identifier, position + width + length, UNKNOWN if size == (1 << 7 * length) - 1 else size


def check(source: FileBytes, step_s: float = 0.0, ordinal: int = 0) -> Completeness:
    """Walk the segment down to the blocks.

    Args:
        step_s: seconds from frame to frame by the header's rate, 0 unknown.
        ordinal: position of the decoded stream among the video streams.
    """
    report, seen = Completeness(), _Seen(ordinal=ordinal)
    head = element(source, 0)
    segment = element(source, head[1] + head[2]) if head and head[2] >= 0 else None
    if segment is None or segment[0] != SEGMENT:
        at = source.find(SEGMENT.to_bytes(4, "big"), 0)
        segment = element(source, at) if at >= 0 else None
        report.damage("a Matroska file without its head")
    if segment is None:
        report.unknown_loss = True
        return report
    end = source.size
    if segment[2] != UNKNOWN:
        seen.sized = True
        if segment[1] + segment[2] < source.size:
            following = element(source, segment[1] + segment[2])
            if following is None or following[0] not in (SEGMENT, VOID, 0x1A45DFA3):
                report.damage("a Matroska segment whose size is not the file's")
            else:
                end = segment[1] + segment[2]
    _segment(source, segment[1], end, report, seen)
    seen.size, seen.end = source.size, segment[1] + max(0, segment[2])
    _judge(seen, segment[1], step_s, report)
    return report


def _segment(source: FileBytes, position: int, end: int, report: Completeness, seen: _Seen) -> None:
    for _ in range(MAX_ELEMENTS):
        if position >= end:
            return
        found = element(source, position)
        inside = found is not None and (found[2] == UNKNOWN or found[1] + found[2] <= end)
        if found is None or found[0] not in TOP or (not inside and found[0] != CLUSTER):
            report.damage("bytes that are no Matroska element, or one that is cut off")
            seen.lost_before |= not seen.times_s
            position = source.find(CLUSTER.to_bytes(4, "big"), position + 1)
            if position < 0:
                return
            continue
        kind, start, size = found
        stop = end if size == UNKNOWN else min(start + size, end)
        if not inside:
            report.damage("a Matroska cluster that is cut off")
        if kind == CLUSTER:
            seen.clusters.add(position)
            position = _cluster(source, start, stop, size == UNKNOWN, report, seen)
            continue
        if size == UNKNOWN:
            report.damage("a Matroska element without its size")
            return
        if kind in (INFO, TRACKS, CUES, TAGS) and size <= MAX_MASTER_BYTES:
            _master(kind, source.at(start, size), report, seen)
        position = stop


def _cluster(source: FileBytes, position: int, stop: int, endless: bool, report: Completeness, seen: _Seen) -> int:
    """Read the blocks of a cluster; returns where it ends."""
    begin, time, checked = position, 0, False
    while position < stop:
        found = element(source, position)
        if found is not None and endless and found[0] in TOP and found[0] not in IN_CLUSTER:
            return position
        if found is None or found[2] == UNKNOWN or found[0] not in IN_CLUSTER or found[1] + found[2] > stop:
            report.damage("a Matroska cluster with damaged blocks")
            seen.lost_before |= not seen.times_s
            at = source.find(CLUSTER.to_bytes(4, "big"), position)
            return at if at >= 0 and (endless or at < stop) else (source.size if endless else max(stop, begin))
        kind, start, size = found
        if kind == CRC32 and not checked and position == begin and size == 4 and not endless:
            checked = True
            if _checksum(source, start + 4, stop) != uint(source.at(start, 4), 0, 4, "little"):
                report.damage("Matroska clusters with a wrong checksum")
        elif kind == TIMECODE:
            time = uint(source.at(start, size), 0, min(size, 8))
        elif kind == SIMPLE_BLOCK:
            _block(source.at(start, 16), time, seen)
        elif kind == BLOCK_GROUP:
            inner = start
            while inner < start + size:
                part = element(source, inner)
                if part is None or part[2] == UNKNOWN or part[1] + part[2] > start + size:
                    report.damage("a Matroska cluster with damaged blocks")
                    break
                if part[0] == BLOCK:
                    _block(source.at(part[1], 16), time, seen)
                inner = part[1] + part[2]
        position = start + size
    return position


def _checksum(source: FileBytes, position: int, stop: int) -> int:
    value = 0
    while position < stop:
        data = source.at(position, stop - position)
        if not data:
            break
        value, position = zlib.crc32(data, value), position + len(data)
    return value


def _block(data: bytes, time: int, seen: _Seen) -> None:
    if len(data) < 4 or not data[0]:
        return
    width = 9 - data[0].bit_length()
    number = uint(data, 0, width) & (1 << 7 * width) - 1
    stamp = int.from_bytes(data[width : width + 2], "big", signed=True)
    at_s = (time + stamp) * seen.scale_s
    seen.last_s = max(seen.last_s, at_s)
    if number != seen.video:
        return
    lacing = data[width + 2] >> 1 & 3 if len(data) > width + 2 else 0
    frames = data[width + 3] + 1 if lacing and len(data) > width + 3 else 1
    seen.times_s.extend(array("d", [at_s] * frames))


def _children(body: bytes) -> list[tuple[int, bytes]]:
    """(identifier, payload) of the elements in a payload, until one contradicts itself."""
    found, position = [], 0
    while position + 2 <= len(body):
        first = body[position]
        if first < 0x10:
            break
        width = 9 - first.bit_length()
        if position + width >= len(body) or not body[position + width]:
            break
        length = 9 - body[position + width].bit_length()
        size = uint(body, position + width, length) & (1 << 7 * length) - 1
        start = position + width + length
        if start + size > len(body):
            break
        found.append((uint(body, position, width), body[start : start + size]))
        position = start + size
    return found


def _master(kind: int, body: bytes, report: Completeness, seen: _Seen) -> None:
    children = _children(body)
    expected = children[0][1] if children and children[0][0] == CRC32 else b""
    if len(expected) == 4 and zlib.crc32(body[6:]) != uint(expected, 0, 4, "little"):
        report.damage("a Matroska header, index or tag with a wrong checksum")
        return
    if kind == INFO:
        for name, value in children:
            if name == 0x2AD7B1 and value:
                seen.scale_s = uint(value, 0, len(value)) / 1e9 or 0.001
        for name, value in children:
            if name == 0x4489 and len(value) in (4, 8):
                (duration,) = struct.unpack(">f" if len(value) == 4 else ">d", value)
                if math.isfinite(duration) and 0 < duration < 1e12:
                    seen.announced_s = duration * seen.scale_s
    elif kind == TRACKS:
        videos = -1
        for name, value in children:
            fields = dict(_children(value)) if name == 0xAE else {}
            videos += uint(fields.get(0x83, b""), 0, 1) == 1
            if videos == seen.ordinal and seen.video < 0:
                seen.video = uint(fields.get(0xD7, b""), 0, len(fields.get(0xD7, b"")))
                seen.uid = uint(fields.get(0x73C5, b""), 0, len(fields.get(0x73C5, b"")))
    elif kind == CUES:
        for name, value in children:
            for inner, part in _children(value) if name == 0xBB else ():
                for cue, number in _children(part) if inner == 0xB7 else ():
                    if cue == 0xF1:
                        seen.cues.append(uint(number, 0, len(number)))
    elif kind == TAGS:
        for name, value in children:
            if name == 0x7373:
                _tag(_children(value), seen)


def _tag(parts: list[tuple[int, bytes]], seen: _Seen) -> None:
    targets = [number for name, value in parts if name == 0x63C0 for kind, number in _children(value) if kind == 0x63C5]
    if not any(uint(number, 0, len(number)) == seen.uid for number in targets):
        return
    for name, value in parts:
        if name != 0x67C8:
            continue
        fields = dict(_children(value))
        key, text = fields.get(0x45A3, b"").upper(), fields.get(0x4487, b"").rstrip(b"\0").decode("ascii", "replace")
        if key == b"NUMBER_OF_FRAMES" and text.isascii() and text.isdigit() and len(text) < 12:
            seen.frames = int(text)
        elif key == b"DURATION":
            seen.track_s = parse_clock_time(text)


def _judge(seen: _Seen, segment: int, step_s: float, report: Completeness) -> None:
    absent = [cue for cue in seen.cues if segment + cue not in seen.clusters]
    if absent:
        report.damage("clusters that the Matroska index names are not there", len(set(absent)))
    there = len(seen.times_s)
    report.frames = there
    report.end_checked = seen.sized or bool(seen.announced_s or seen.cues or seen.frames)
    if not report.end_checked:
        report.why_unchecked = "a Matroska live recording announces neither size nor duration"
        report.unknown_loss = bool(report.findings)
        return
    if seen.announced_s and seen.last_s + END_TOLERANCE_S < seen.announced_s:
        steps = sorted(set(seen.times_s))
        longest = max((after - before for before, after in pairwise(steps)), default=0.0)
        if seen.last_s + 2 * longest < seen.announced_s:
            report.damage("the Matroska header announces a longer duration")
    if seen.frames > there:
        report.damage("the Matroska statistics announce more frames", seen.frames - there)
        report.frames = seen.frames
    elif report.findings and seen.times_s:
        times = array("d", [0.0]) + seen.times_s if seen.lost_before else seen.times_s
        expected = frames_expected(times, seen.track_s or seen.announced_s, step_s, seen.size, seen.end)
        report.frames, report.unknown_loss = expected.frames or there, not expected.exact
