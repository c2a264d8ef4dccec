"""Fragmented MP4: sequence numbers, run counts, decode times, and the indices.

ISO/IEC 14496-12: 8.8 (fragments), 8.16 (segments).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lavad_core.video.completeness import mp4_index
from lavad_core.video.completeness.result import CHUNK_BYTES, Completeness, FileBytes, uint

if TYPE_CHECKING:
    from lavad_core.video.completeness.mp4 import Box, Movie, Track
    from lavad_core.video.completeness.mp4_index import SegmentIndex

MAX_SAMPLES_PER_RUN = 1 << 20

MAX_LOST_FACTOR = 16
"""Decode times that leave room for more than this many times the existing frames are damaged."""

BOX_HEADS_BYTES = 16
"""Boxes of a fragment and its media data."""

SLACK_BYTES = 8
"""Media data of a fragment that no run refers to: padding."""


@dataclass
class _Fragment:
    """A fragment: where it begins, its bytes with its media data, those that runs refer to, and of the video track in it:
    samples, first decode time (-1 unknown), ticks."""

    start: int
    sequence: int = 0
    samples: int = 0
    base: int = -1
    ticks: int = 0
    data: int = 0
    size: int = 0
    ours: bool = False


def check(source: FileBytes, top: list[Box], movie: Movie, video: Track, report: Completeness) -> float:
    """Count the samples of all fragments, and compare with what numbers and indices announce; returns ticks of a sample."""
    found: list[_Fragment] = []
    offsets: list[int] = []
    index: SegmentIndex | None = None
    indexed = False
    payload = 0
    for position, box in enumerate(top):
        if box.kind == b"moof":
            if found:
                _compare_bytes(found[-1], payload, report)
            payload = 0
            found.append(_fragment(source, box, movie, video, report))
        elif box.kind == b"mdat":
            payload += box.end - box.start
        elif box.kind == b"mfra":
            offsets, indexed = offsets + _offsets(source, box, video.number), True
        elif box.kind == b"sidx" and not any(other.kind == b"moof" for other in top[:position]):
            read = mp4_index.read_index(source, box, report)
            if read is not None and (read.track == video.number or len(movie.tracks) == 1):
                index = read
    if found:
        _compare_bytes(found[-1], payload, report)
    ours = [fragment for fragment in found if fragment.ours]
    step = _step(ours)
    for fragment in ours:
        fragment.ticks = fragment.ticks or round(fragment.samples * step)  # a run whose defaults are lost
    lost, span = _lost(found, ours, step, report)
    starts = {fragment.start for fragment in found}
    if absent := [offset for offset in offsets if offset not in starts]:
        report.damage("fragments that the MP4 index names are not there", len(absent))
    there = (video.samples if video.size else len(video.sizes)) + sum(fragment.samples for fragment in ours)
    if step and span >= 0:
        lengths = {fragment.start: (fragment.ticks, fragment.size) for fragment in ours}
        claims = mp4_index.AnnouncedLengths(index, lengths, movie, video, there, step)
        indexed = indexed or claims.any
        lost += claims.behind(span, report)
    report.frames = there + lost
    report.end_checked = indexed
    if not indexed:
        report.why_unchecked = "a fragmented MP4 without an index of its fragments announces no end"
        report.unknown_loss = bool(report.findings)
    return step


def _fragment(source: FileBytes, moof: Box, movie: Movie, video: Track, report: Completeness) -> _Fragment:
    from lavad_core.video.completeness.mp4 import boxes

    fragment = _Fragment(start=moof.start - 8, size=moof.end - moof.start + BOX_HEADS_BYTES)
    parts = 0
    for box in boxes(source, moof.start, moof.end):
        if box.kind == b"mfhd":
            fragment.sequence = uint(source.at(box.start, 8), 4, 4)
        elif box.kind == b"traf":
            parts += 1
            _part(source, box, movie, video, fragment, report)
    if not parts:
        report.damage("fragments without a track", 1)
    return fragment


def _part(source: FileBytes, traf: Box, movie: Movie, video: Track, fragment: _Fragment, report: Completeness) -> None:
    """Add what a fragment has of one track."""
    from lavad_core.video.completeness.mp4 import boxes

    track, base, empty, runs, samples, ticks = 0, -1, False, 0, 0, 0
    default_ticks, default_size = 0, 0
    for inner in boxes(source, traf.start, traf.end):
        body = source.at(inner.start, 40)
        if inner.kind == b"tfhd":
            track = uint(body, 4, 4)
            flags, at = uint(body, 1, 3), 8
            empty = bool(flags & 0x10000)
            default_ticks, default_size = movie.defaults.get(track, (0, 0))
            at += 8 * bool(flags & 1) + 4 * bool(flags & 2)
            default_ticks = uint(body, at, 4) if flags & 8 else default_ticks
            at += 4 * bool(flags & 8)
            default_size = uint(body, at, 4) if flags & 16 else default_size
        elif inner.kind == b"tfdt":
            base = uint(body, 4, 8 if body[:1] == b"\1" else 4)
        elif inner.kind == b"trun":
            more, length, data = _run(source, inner, default_ticks, default_size, report)
            runs, samples, ticks = runs + 1, samples + more, ticks + length
            fragment.data += data
    known = any(other.number == track for other in movie.tracks)
    if not known or not (runs or empty):
        report.damage("fragments whose track cannot be read")
    # One that names no track of the file's can only be the video's where there is no other.
    if track == video.number or (not known and len(movie.tracks) == 1):
        fragment.samples += samples
        fragment.ticks += ticks
        fragment.base, fragment.ours = base, True


def _run(
    source: FileBytes, box: Box, default_ticks: int, default_size: int, report: Completeness
) -> tuple[int, int, int]:
    """Samples, ticks and bytes of a run; no more samples than it has rows."""
    head = source.at(box.start, 16)
    flags, count = uint(head, 1, 3), uint(head, 4, 4)
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    columns = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    width = 4 * sum(columns)
    count = min(count, MAX_SAMPLES_PER_RUN)
    if not width:
        return count, count * default_ticks, count * default_size
    room = max(0, box.end - box.start - at) // width
    if count != room:
        report.damage("runs of a fragment whose rows are not as many as they announce")
    count = min(count, room)
    ticks = 0 if columns[0] else count * default_ticks
    size = 0 if columns[1] else count * default_size
    rows_at_once = CHUNK_BYTES // width
    for first in range(0, count, rows_at_once):
        rows = min(rows_at_once, count - first)
        data = source.at(box.start + at + first * width, rows * width)
        table = np.frombuffer(data[: len(data) // width * width], ">u4").astype(np.int64).reshape(-1, width // 4)
        ticks += int(table[:, 0].sum()) if columns[0] else 0
        size += int(table[:, int(columns[0])].sum()) if columns[1] else 0
    return count, ticks, size


def _compare_bytes(fragment: _Fragment, payload: int, report: Completeness) -> None:
    fragment.size += payload
    if fragment.data > payload or fragment.data + SLACK_BYTES <= payload:
        report.damage("fragments whose runs do not fit their media data")


def _step(fragments: list[_Fragment]) -> float:
    """Mean ticks of a sample."""
    timed = [fragment for fragment in fragments if fragment.ticks]
    samples = sum(fragment.samples for fragment in timed)
    return sum(fragment.ticks for fragment in timed) / samples if samples else 0.0


def _lost(found: list[_Fragment], ours: list[_Fragment], step: float, report: Completeness) -> tuple[int, int]:
    """Frames that are missing between fragments, by their decode times; and from the first to the end of the last, ticks, -1
    unknown."""
    steps = [after.sequence - before.sequence for before, after in pairwise(found)]
    # Writers that do not count leave all numbers the same.
    if any(step > 0 for step in steps) and (odd := sum(1 for step in steps if step != 1)):
        report.damage("fragments whose sequence number does not follow on", odd)
    lost, expected, first = 0.0, -1, -1
    for position, fragment in enumerate(ours):
        following = ours[position + 1].base if position + 1 < len(ours) else -1
        base = fragment.base
        if expected < 0 <= min(base, following) and abs(following - base - fragment.ticks) > 1 << 32:
            base = -1  # of two that far apart the smaller is true
        if base < 0:
            # Without a time of its own it follows on; the first is placed by its successor.
            base = expected if expected >= 0 else following - fragment.ticks
            if fragment.base >= 0:
                report.damage("fragments whose decode time is not that of their place")
            if base < 0:
                continue
        ahead = base - expected if expected >= 0 else 0
        if ahead and following >= 0 and following == expected + fragment.ticks:
            report.damage("fragments whose decode time is not that of their place")
            ahead, base = 0, expected
        if step and 0.5 * step < ahead < 1 << 40:
            lost += ahead / step
        elif step and ahead < -0.5 * step:
            report.damage("fragments whose decode time is not that of their place")
            base = expected
        first = base if first < 0 else first
        expected = base + fragment.ticks
    if not report.findings:  # a pause of a recording is no loss unless numbers or sizes say so
        return 0, expected - first if first >= 0 else -1
    samples = sum(fragment.samples for fragment in ours)
    if lost > MAX_LOST_FACTOR * samples:
        report.damage("decode times of fragments that jump further than the file is long")
        report.unknown_loss, lost = True, 0.0
    return round(lost), expected - first if first >= 0 else -1


def _offsets(source: FileBytes, mfra: Box, track: int) -> list[int]:
    """Where the fragments of a track begin, by the index at the end of the file."""
    from lavad_core.video.completeness.mp4 import boxes

    found: list[int] = []
    for box in boxes(source, mfra.start, mfra.end):
        body = source.at(box.start, min(box.end - box.start, CHUNK_BYTES))
        if box.kind != b"tfra" or uint(body, 4, 4) != track:
            continue
        wide = 8 if body[:1] == b"\1" else 4
        lengths = uint(body, 8, 4)
        row = 2 * wide + sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0))
        for at in range(16, min(16 + uint(body, 12, 4) * row, len(body) - row + 1), row):
            found.append(uint(body, at + wide, wide))
    return found
