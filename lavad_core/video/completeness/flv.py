"""FLV: the chain of tag sizes, duration and file size of the metadata, the end-of-sequence tag.

Adobe Flash Video File Format Specification, version 10.1, annex E.
"""

from __future__ import annotations

import math
import re
import struct
from array import array

from lavad_core.video.completeness.rate import frames_expected
from lavad_core.video.completeness.result import Completeness, FileBytes, uint

AUDIO, VIDEO, SCRIPT = 8, 9, 18

END_TOLERANCE_S = 0.5
"""A duration may reach this far past the last tag (durations of the last frame and sound packet, rounding)."""

_TAG = re.compile(rb"[\x08\x09](?=.{7}\0\0\0)", re.DOTALL)

MAX_SCRIPT_BYTES = 1 << 16


class _Walk:
    """What the tags say."""

    def __init__(self) -> None:
        self.times_s = array("d")
        self.last_s = 0.0
        self.end_mark = False
        self.duration_s = self.file_bytes = 0.0


def check(source: FileBytes, step_s: float = 0.0) -> Completeness:
    """Walk all tags.

    Args:
        step_s: seconds from frame to frame by the header's rate, 0 unknown.
    """
    report, walk = Completeness(), _Walk()
    position = max(9, uint(source.at(0, 9), 5, 4)) + 4
    while position < source.size:
        length = _tag(source, position)
        if length is None:
            report.damage("FLV tags that are broken or cut off")
            position = _resync(source, position + 1)
            if position < 0:
                break
            continue
        _read(source, position, length, walk)
        position += 15 + length
    report.frames = len(walk.times_s)
    announced = walk.duration_s
    if walk.file_bytes > source.size:
        report.damage("the FLV metadata announce a longer file")
    # Durations count from zero or from the first tag.
    first = min(walk.times_s, default=0.0)
    if announced and max(walk.last_s, walk.last_s - first) + END_TOLERANCE_S < announced:
        report.damage("the FLV metadata announce a longer duration")
    if report.findings:
        expected = frames_expected(walk.times_s, announced, step_s, source.size, walk.file_bytes)
        report.frames, report.unknown_loss = expected.frames or report.frames, not expected.exact
    # A live recording may have a guess for its duration.
    report.end_checked = bool(walk.file_bytes) or walk.end_mark
    if report.findings and not walk.file_bytes:
        report.unknown_loss = True
    if not report.end_checked:
        report.why_unchecked = "the FLV metadata announce no file size (a live recording), and there is no end mark"
    return report


def _tag(source: FileBytes, position: int) -> int | None:
    """Bytes of the body of the tag at ``position``; None where there is no whole tag."""
    head = source.at(position, 11)
    if len(head) < 11 or head[0] & 0x1F not in (AUDIO, VIDEO, SCRIPT) or head[0] & 0xC0 or head[8:11] != b"\0\0\0":
        return None
    length = uint(head, 1, 3)
    if position + 11 + length > source.size:
        return None
    behind = source.at(position + 11 + length, 5)
    previous = uint(behind, 0, 4)
    # Some servers write zeros, or leave out the 11 bytes of the header; the last size may be missing.
    if len(behind) >= 4 and previous not in (11 + length, length, 0):
        return None
    if len(behind) == 5 and behind[4] & 0x1F not in (AUDIO, VIDEO, SCRIPT):
        return None
    return length


def _resync(source: FileBytes, position: int) -> int:
    """Position of the next whole tag, -1 if there is none."""
    for found in source.marks(_TAG, position, 11):
        length = _tag(source, found)
        if length and uint(source.at(found + 11 + length, 4), 0, 4) == 11 + length:
            return found
    return -1


def _read(source: FileBytes, position: int, length: int, walk: _Walk) -> None:
    head = source.at(position, 17)
    kind = head[0] & 0x1F
    time_s = (uint(head, 4, 3) | head[7] << 24) / 1000 if head[7] < 0x80 else 0.0
    if kind == SCRIPT and not walk.duration_s:
        body = source.at(position + 11, min(length, MAX_SCRIPT_BYTES))
        walk.duration_s, walk.file_bytes = _number(body, b"duration"), _number(body, b"filesize")
        return
    if kind == SCRIPT:
        return
    walk.last_s = max(walk.last_s, time_s)
    if kind == AUDIO or not length:
        return
    first = head[11]
    if first >> 4 & 7 == 5 and not first & 0x80:  # a command for the player
        return
    if first & 0x80:  # enhanced RTMP: packet types 1 and 3 are frames, 2 is the end
        packet = {1: 1, 3: 1, 2: 2}.get(first & 15, 0)
    elif first & 15 in (7, 12):
        packet = head[12] if length > 1 else 1
    else:
        packet = 1
    if packet == 2:
        walk.end_mark = True
    elif packet == 1:
        walk.times_s.append(time_s)
        walk.end_mark = False


def _number(body: bytes, name: bytes) -> float:
    """A number of the metadata; 0 where it is missing or not a number of that kind."""
    at = body.find(len(name).to_bytes(2, "big") + name + b"\0")
    if at < 0 or at + 11 + len(name) > len(body):
        return 0.0
    (value,) = struct.unpack(">d", body[at + 3 + len(name) : at + 11 + len(name)])
    return float(value) if math.isfinite(value) and 0 < value < 1e15 else 0.0
