"""MPEG transport streams: sync bytes, continuity counters and error flags of all packets of the video stream.

ISO/IEC 13818-1, 2.4.3. Nothing in a transport stream announces its end.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from lavad_core.video.completeness.result import Completeness, FileBytes

PACKETS_AT_ONCE = 4096
TAIL_BYTES = 1 << 20
"""Bytes at the end of the file in which packets are put together."""

SYNC = 0x47
_SYNC = re.compile(b"G")
SHAPES = ((188, 0), (192, 4), (204, 0))
"""Bytes from packet to packet, and where in them the sync byte is (Blu-ray's time stamps, Reed-Solomon codes after it)."""

NO_END = "nothing in a transport stream announces its end; its packets were counted"


def shape(source: FileBytes, position: int = 0) -> tuple[int, int] | None:
    """Length of a packet and place of its sync byte, by five sync bytes in a row; None if there are none."""
    head = source.at(position, 5 * 204)
    for length, offset in SHAPES:
        syncs = head[offset::length][:5]
        if len(syncs) >= min(5, len(head) // length) > 0 and set(syncs) == {SYNC}:
            return length, offset
    return None


def check(source: FileBytes, pid: int | None = None) -> Completeness:
    """Look at all packets.

    Args:
        pid: the video stream's; None looks at no counters.
    """
    report = Completeness(why_unchecked=NO_END)
    position, counter = 0, -1
    found = shape(source) or _search(source, 0)
    while found is not None:
        (length, offset), position = found if isinstance(found[0], tuple) else (found, position)
        data = np.frombuffer(source.at(position, length * PACKETS_AT_ONCE), np.uint8)
        packets = len(data) // length
        if not packets:
            break
        rows = data[: packets * length].reshape(packets, length)[:, offset : offset + 188]
        wrong = np.flatnonzero(rows[:, 0] != SYNC)
        good = rows[: wrong[0]] if len(wrong) else rows
        counter = _counters(good, pid, counter, report)
        position += len(good) * length
        if len(wrong):
            report.damage("bytes between the packets of a transport stream")
            found = _search(source, position)
        else:
            found = length, offset
    if (source.size - position) and position < source.size:
        report.damage("a transport packet that is cut off")
    if _open_at_end(source):
        report.damage("packets of sound or pictures that are not whole at the end of a transport stream")
    report.unknown_loss = bool(report.findings)
    return report


def _open_at_end(source: FileBytes) -> bool:
    """Whether a packet that announces its length is not whole at the end of the file."""
    start = max(0, source.size - TAIL_BYTES)
    found = shape(source) if not start else _search(source, start)
    if found is None:
        return False
    (length, offset), position = found if isinstance(found[0], tuple) else (found, start)
    left: dict[int, int] = {}
    data = source.at(position, TAIL_BYTES)
    for at in range(offset, len(data) - 187, length):
        packet = data[at : at + 188]
        if packet[0] != SYNC or not packet[3] & 0x10:
            continue
        pid = (packet[1] & 31) << 8 | packet[2]
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40:
            is_pes = payload[:3] == b"\0\0\1" and len(payload) >= 6
            announced = int.from_bytes(payload[4:6], "big") if is_pes else 0
            left[pid] = announced + 6 if announced else 0
        if left.get(pid):
            left[pid] = max(0, left[pid] - len(payload))
    return any(left.values())


def _search(source: FileBytes, position: int) -> tuple[tuple[int, int], int] | None:
    """The next place where packets follow each other."""
    for found in source.marks(_SYNC, position, 1):
        for length, offset in SHAPES:
            if found >= offset and shape(source, found - offset) == (length, offset):
                return (length, offset), found - offset
    return None


def _counters(rows: NDArray[np.uint8], pid: int | None, counter: int, report: Completeness) -> int:
    """Count breaks of the video stream's continuity; returns its last counter."""
    if pid is None or not len(rows):
        return counter
    ours = rows[(rows[:, 1].astype(np.int64) & 31) << 8 | rows[:, 2] == pid]
    if errors := int(np.count_nonzero(ours[:, 1] & 0x80)):
        report.damage("transport packets that the receiver flagged as damaged", errors)
    marked = (ours[:, 3] & 0x20 != 0) & (ours[:, 4] > 0) & (ours[:, 5] & 0x80 != 0)
    with_payload = ours[:, 3] & 0x10 != 0
    ours, marked = ours[with_payload], marked[with_payload]
    if not len(ours):
        return counter
    values = (ours[:, 3] & 15).astype(np.int64)
    before = np.concatenate(([counter if counter >= 0 else (values[0] - 1) % 16], values[:-1]))
    repeated = values == before  # a packet may be sent twice
    broken = (values != (before + 1) % 16) & ~repeated & ~marked
    if breaks := int(np.count_nonzero(broken)):
        report.damage("transport packets of the video are missing or out of turn", breaks)
    return int(values[-1])
