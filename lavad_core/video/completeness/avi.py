"""AVI: the chain of chunks, the index, and the lengths that the headers announce.

Microsoft's AVI RIFF file reference, and the OpenDML extensions, version 1.02.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lavad_core.video.completeness.result import Completeness, FileBytes, uint

_CHUNK = re.compile(rb"0[0-9](?:dc|db|wb)(?=.{4})", re.DOTALL)

MAX_CHUNKS = 1 << 28
MAX_INDEX_ENTRIES = 1 << 24


@dataclass
class _Seen:
    ordinal: int = 0
    videos: int = 0
    video: int = -1
    streams: int = 0
    frames_in_main: int = 0
    length: int = 0
    chunks: int = 0
    empty: int = 0
    index: int = -1
    odml: int = 0


def check(source: FileBytes, ordinal: int = 0) -> Completeness:
    """Walk all chunks.

    Args:
        ordinal: position of the decoded stream among the video streams.
    """
    report, seen = Completeness(end_checked=True), _Seen(ordinal=ordinal)
    position = 0
    while position + 12 <= source.size:
        head = source.at(position, 12)
        if head[:4] != b"RIFF" or head[8:12] not in (b"AVI ", b"AVIX"):
            if any(head[:8]):
                report.damage("bytes behind the end of the AVI file")
            break
        length = uint(head, 4, 4, "little")
        end = source.size if length in (0, 0xFFFFFFFF) else min(source.size, position + 8 + length)
        position = _list(source, position + 12, end, report, seen)
        position = max(end, position) + (end & 1 and end < source.size)
    _judge(seen, report)
    return report


def _list(source: FileBytes, position: int, end: int, report: Completeness, seen: _Seen) -> int:
    for _ in range(MAX_CHUNKS):
        if position + 8 > end:
            break
        head = source.at(position, 12)
        kind, length = head[:4], uint(head, 4, 4, "little")
        if not _printable(kind):
            if any(head[:8]):
                report.damage("AVI chunks that are broken")
            position = _resync(source, position + 1, end)
            if position < 0:
                return end
            continue
        if kind == b"LIST":
            inner_end = min(end, position + 8 + length)
            if length in (0, 0xFFFFFFFF) and head[8:12] == b"movi":
                inner_end = end
            if head[8:12] == b"strl":
                seen.streams += 1
            _list(source, position + 12, inner_end, report, seen)
            position = inner_end + (inner_end & 1)
            continue
        if position + 8 + length > end:
            report.damage("AVI chunks that are broken or cut off")
            if not _video(kind, seen):
                position = _resync(source, position + 4, end)
                if position < 0:
                    return end
                continue
        _chunk(source, kind, position + 8, length, seen)
        position += 8 + length + length % 2
    return position


def _printable(kind: bytes) -> bool:
    return len(kind) == 4 and all(32 <= byte < 127 for byte in kind)


def _video(kind: bytes, seen: _Seen) -> bool:
    return kind[2:] in (b"dc", b"db", b"DC", b"DB") and kind[:2].isdigit() and int(kind[:2]) == seen.video


def _resync(source: FileBytes, position: int, end: int) -> int:
    """Where the next chunk of a stream begins, -1 if there is none."""
    for found in source.marks(_CHUNK, position, 8):
        length = uint(source.at(found + 4, 4), 0, 4, "little")
        if found + 8 + length <= end:
            following = source.at(found + 8 + length + length % 2, 4)
            if not following or _printable(following):
                return found
    return -1


def _chunk(source: FileBytes, kind: bytes, start: int, length: int, seen: _Seen) -> None:
    if kind == b"avih":
        seen.frames_in_main = uint(source.at(start, 20), 16, 4, "little")
    elif kind == b"strh":
        body = source.at(start, 40)
        if body[:4] == b"vids":
            if seen.videos == seen.ordinal and seen.video < 0:
                seen.video, seen.length = seen.streams - 1, uint(body, 32, 4, "little")
            seen.videos += 1
    elif kind == b"dmlh":
        seen.odml = uint(source.at(start, 4), 0, 4, "little")
    elif kind == b"idx1":
        seen.index = max(seen.index, 0) + _index(source, start, min(length // 16, MAX_INDEX_ENTRIES), seen)
    elif _video(kind, seen):
        seen.chunks += 1
        seen.empty += not length


def _index(source: FileBytes, start: int, entries: int, seen: _Seen) -> int:
    found, mark = 0, b"%02dd" % seen.video
    for first in range(0, entries, 4096):
        body = source.at(start + 16 * first, 16 * min(4096, entries - first))
        found += sum(1 for at in range(0, len(body) - 15, 16) if body[at : at + 3] == mark and body[at + 3] in b"cb")
    return found


def _judge(seen: _Seen, report: Completeness) -> None:
    if seen.video < 0:
        report.end_checked, report.why_unchecked = False, "no video stream was found in the AVI header"
        return
    # The main header counts the frames of the first stream.
    main = () if seen.ordinal else (seen.odml or seen.frames_in_main,)
    announced = [count for count in (seen.length, *main, seen.index) if count > 0]
    # Lengths of a recorder that was switched off are zero, and some count a frame too many.
    agreed = [count for count in announced if sum(1 for other in announced if abs(other - count) <= 1) > 1]
    count = min(agreed) if agreed else (seen.length if seen.length and len(announced) == 1 else 0)
    if not announced:
        report.end_checked, report.why_unchecked = False, "the AVI header announces no length"
    if count > seen.chunks:
        report.damage("the AVI header and index announce more frames", count - seen.chunks)
    # Empty chunks stand for frames that were left out in recording.
    report.frames = max(count, seen.chunks) - seen.empty
    if not count and report.findings:
        report.unknown_loss = True
