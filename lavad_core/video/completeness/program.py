"""MPEG program streams: lengths of packs and packets, clock references, end code. ISO/IEC 11172-1 and 13818-1, 2.5.

Nothing in a program stream announces its end but an end code, which most writers leave out.
"""

from __future__ import annotations

import re

from lavad_core.video.completeness.result import Completeness, FileBytes, uint

PACK, SYSTEM, END = 0xBA, 0xBB, 0xB9
_START = re.compile(rb"\0\0\x01[\xb9-\xff]")
NO_END = "an MPEG program stream without its end code announces no end; its packets were followed"


def check(source: FileBytes) -> Completeness:
    """Follow the chain of packets."""
    report = Completeness()
    position, ended, damaged = 0, False, False
    while position < source.size:
        head = source.at(position, 14)
        length = _length(head)
        if length is None:
            if not any(head):  # padding
                position = _skip_zeros(source, position)
                continue
            if not damaged:
                report.damage("bytes between the packets of a program stream")
            damaged = True
            position = _resync(source, position + 1)
            if position < 0:
                break
            continue
        ended, damaged = head[3] == END, False
        position += length
    if position > source.size:
        report.damage("a program stream packet that is cut off")
    report.end_checked = ended
    if not ended:
        report.why_unchecked = NO_END
    report.unknown_loss = bool(report.findings)
    return report


def _length(head: bytes) -> int | None:
    """Bytes of the pack header or packet that begins here; None where there is none."""
    if len(head) < 4 or head[:3] != b"\0\0\1" or head[3] < END:
        return None
    if head[3] == END:
        return 4
    if head[3] == PACK:
        if len(head) < 12:
            return 12
        if head[4] & 0xC0 == 0x40:
            return 14 + (head[13] & 7 if len(head) > 13 else 0)
        return 12 if head[4] & 0xF0 == 0x20 else None
    return 6 + uint(head, 4, 2) if len(head) >= 6 else 6


def _skip_zeros(source: FileBytes, position: int) -> int:
    """The next start code after padding, or the end of the file."""
    while position < source.size:
        chunk = source.at(position, 1 << 16)
        rest = chunk.lstrip(b"\0")
        if rest:
            start = position + len(chunk) - len(rest) - 2
            return start if rest[0] == 1 and start > position else position + len(chunk) - len(rest)
        position += len(chunk)
    return position


def _resync(source: FileBytes, position: int) -> int:
    """The next packet or pack that another one follows, -1 if there is none."""
    for found in source.marks(_START, position, 4):
        length = _length(source.at(found, 14))
        if length is None:
            continue
        if found + length >= source.size or source.at(found + length, 3) in (b"\0\0\1", b"\0\0\0"):
            return found
    return -1
