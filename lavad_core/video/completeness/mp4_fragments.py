"""Fragmented MP4: sequence numbers, run counts, decode times, and the indices.

ISO/IEC 14496-12: 8.8 (fragments), 8.16 (segments).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lavad_core.video.completeness.report import CHUNK_BYTES, Report, Source, uint

if TYPE_CHECKING:
    from lavad_core.video.completeness.mp4 import Box, Movie, Track

MAX_SAMPLES_PER_RUN = 1 << 20

SLACK_BYTES = 8
"""Media data of a fragment that no run refers to: padding."""


@dataclass
class _Fragment:
    """A fragment, and of the video track in it: samples, first decode time (-1 unknown), ticks."""

    start: int
    sequence: int = 0
    samples: int = 0
    base: int = -1
    ticks: int = 0
    data: int = 0
    ours: bool = False


def check(source: Source, top: list[Box], movie: Movie, video: Track, report: Report) -> float:
    """Count the samples of all fragments, and compare with what numbers and indices announce; returns ticks of a sample."""
    found: list[_Fragment] = []
    offsets: list[int] = []
    indexed = False
    payload, announced_s = 0, 0.0
    for position, box in enumerate(top):
        if box.kind == b"moof":
            if found:
                _compare_bytes(found[-1], payload, report)
            payload = 0
            found.append(_fragment(source, box, movie, video))
        elif box.kind == b"mdat":
            payload += box.end - box.start
        elif box.kind == b"mfra":
            offsets, indexed = offsets + _offsets(source, box, video.number), True
        elif box.kind == b"sidx" and not any(other.kind == b"moof" for other in top[:position]):
            announced_s = max(announced_s, _segments(source, box, movie, video, report))
    if found:
        _compare_bytes(found[-1], payload, report)
    lost = _lost(found, report)
    starts = {fragment.start for fragment in found}
    if absent := [offset for offset in offsets if offset not in starts]:
        report.damage("fragments that the MP4 index names are not there", len(absent))
    ours = [fragment for fragment in found if fragment.ours]
    report.frames = (
        (video.samples if video.size else len(video.sizes)) + sum(fragment.samples for fragment in ours) + lost
    )
    ends = [fragment.base + fragment.ticks for fragment in ours if fragment.base >= 0]
    step = _step(ours)
    if movie.fragments_ticks and movie.timescale:
        announced_s = max(announced_s, movie.fragments_ticks / movie.timescale)
    if announced_s and step and ends:
        indexed = True
        short = (
            announced_s * video.timescale - max(ends) + min(fragment.base for fragment in ours if fragment.base >= 0)
        )
        if report.findings or short > video.timescale / 2:
            if short > 1.5 * step and not report.findings:
                report.damage("the MP4 header announces a longer duration of its fragments")
            report.frames += max(0, min(round(short / step), MAX_SAMPLES_PER_RUN))
    report.end_checked = indexed
    if not indexed:
        report.why_unchecked = "a fragmented MP4 without an index of its fragments announces no end"
        report.unknown_loss = bool(report.findings)
    return step


def _fragment(source: Source, moof: Box, movie: Movie, video: Track) -> _Fragment:
    from lavad_core.video.completeness.mp4 import boxes

    fragment = _Fragment(start=moof.start - 8)
    for box in boxes(source, moof.start, moof.end):
        if box.kind == b"mfhd":
            fragment.sequence = uint(source.at(box.start, 8), 4, 4)
        if box.kind != b"traf":
            continue
        track, default_ticks, default_size, base = 0, 0, 0, -1
        for inner in boxes(source, box.start, box.end):
            body = source.at(inner.start, 40)
            if inner.kind == b"tfhd":
                track = uint(body, 4, 4)
                flags, at = uint(body, 1, 3), 8
                at += 8 * bool(flags & 1) + 4 * bool(flags & 2)
                default_ticks = uint(body, at, 4) if flags & 8 else movie.defaults.get(track, 0)
                at += 4 * bool(flags & 8)
                default_size = uint(body, at, 4) if flags & 16 else 0
            elif inner.kind == b"tfdt":
                base = uint(body, 4, 8 if body[:1] == b"\1" else 4)
            elif inner.kind == b"trun":
                samples, ticks, data = _run(source, inner, default_ticks, default_size)
                fragment.data += data
                if track == video.number:
                    fragment.samples += samples
                    fragment.ticks += ticks
        if track == video.number:
            fragment.base, fragment.ours = base, True
    return fragment


def _run(source: Source, box: Box, default_ticks: int, default_size: int) -> tuple[int, int, int]:
    """Samples, ticks and bytes of a run; no more samples than it has rows."""
    head = source.at(box.start, 16)
    flags, count = uint(head, 1, 3), uint(head, 4, 4)
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    columns = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    width = 4 * sum(columns)
    count = min(count, MAX_SAMPLES_PER_RUN)
    if not width:
        return count, count * default_ticks, count * default_size
    count = min(count, max(0, box.end - box.start - at) // width)
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


def _compare_bytes(fragment: _Fragment, payload: int, report: Report) -> None:
    if fragment.data > payload or (fragment.data and fragment.data + SLACK_BYTES <= payload):
        report.damage("fragments whose runs do not fit their media data")


def _step(fragments: list[_Fragment]) -> float:
    """Mean ticks of a sample."""
    samples = sum(fragment.samples for fragment in fragments)
    return sum(fragment.ticks for fragment in fragments) / samples if samples else 0.0


def _lost(found: list[_Fragment], report: Report) -> int:
    """Frames that are missing between fragments, by their decode times."""
    steps = [after.sequence - before.sequence for before, after in pairwise(found)]
    # Writers that do not count leave all numbers the same.
    if any(step > 0 for step in steps) and (odd := sum(1 for step in steps if step != 1)):
        report.damage("fragments whose sequence number does not follow on", odd)
    ours = [fragment for fragment in found if fragment.ours]
    step, lost, expected = _step(ours), 0.0, -1
    for position, fragment in enumerate(ours):
        if fragment.base < 0:
            continue
        ahead = fragment.base - expected if expected >= 0 else 0
        following = ours[position + 1].base if position + 1 < len(ours) else -1
        if ahead and following >= 0 and following == expected + fragment.ticks:
            report.damage("fragments whose decode time is not that of their place")
            ahead, expected = 0, following
            continue
        if step and 0.5 * step < ahead < 1 << 40:
            lost += ahead / step
        elif step and ahead < -0.5 * step:
            report.damage("fragments whose decode time is not that of their place")
        expected = fragment.base + fragment.ticks
    # A pause of a recording is no loss unless numbers or sizes say so.
    return round(lost) if report.findings and lost < MAX_SAMPLES_PER_RUN else 0


def _offsets(source: Source, mfra: Box, track: int) -> list[int]:
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


def _segments(source: Source, box: Box, movie: Movie, video: Track, report: Report) -> float:
    """Seconds that an index in front of all fragments announces of the video track; 0 where it does not.

    One that reaches beyond the end of the file says that it was cut off.
    """
    body = source.at(box.start, min(box.end - box.start, CHUNK_BYTES))
    wide = 8 if body[:1] == b"\1" else 4
    track, ticks_per_s = uint(body, 4, 4), uint(body, 8, 4)
    at = 12 + 2 * wide
    count = uint(body, at + 2, 2)
    rows = [(uint(body, at + 4 + 12 * row, 4), uint(body, at + 8 + 12 * row, 4)) for row in range(count)]
    if not count or not ticks_per_s or at + 4 + 12 * count > len(body):
        report.damage("an index of the MP4's segments that contradicts itself")
        return 0.0
    end = box.end + uint(body, 12 + wide, wide) + sum(size & 0x7FFFFFFF for size, _ in rows)
    if end > source.size:
        report.damage("segments that the MP4 index names are beyond the end of the file")
    return sum(ticks for _, ticks in rows) / ticks_per_s if track == video.number or len(movie.tracks) == 1 else 0.0
