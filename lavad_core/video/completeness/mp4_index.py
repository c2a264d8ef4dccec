"""What a fragmented MP4 announces of its length (``sidx``, ``mehd``, durations of the headers), and which of it can be true.

ISO/IEC 14496-12: 8.8.2 (extends header), 8.16.3 (segment index).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from lavad_core.video.completeness.result import CHUNK_BYTES, Completeness, FileBytes, uint

if TYPE_CHECKING:
    from lavad_core.video.completeness.mp4 import Box, Movie, Track

MAX_ROW_FACTOR = 16
"""A row for a missing segment whose duration is this many times that of its neighbours is damaged."""

SLACK_BYTES = 256
"""Bytes of a segment that may be other boxes than its fragments (types, events, times)."""

MAX_LONE_FACTOR = 2
"""A single duration that nothing else supports is believed up to this many times the existing frames."""

CONTRADICTION = "durations in the MP4's header, index and fragments that contradict each other"


@dataclass(frozen=True)
class SegmentIndex:
    """A ``sidx`` in front of all fragments."""

    track: int
    """Number of the track that it indexes."""
    ticks_per_s: int
    """Ticks per second of its own clock."""
    rows: tuple[tuple[int, int, int], ...]
    """Byte where each segment begins, its bytes and its ticks."""
    cut: bool
    """Whether segments reach beyond the end of the file."""


def read_index(source: FileBytes, box: Box, report: Completeness) -> SegmentIndex | None:
    """The rows of an index; None where it contradicts itself. One that reaches beyond the end says that the file was
    cut off."""
    body = source.at(box.start, min(box.end - box.start, CHUNK_BYTES))
    wide = 8 if body[:1] == b"\1" else 4
    at = 12 + 2 * wide
    count, ticks_per_s = uint(body, at + 2, 2), uint(body, 8, 4)
    if not count or not ticks_per_s or at + 4 + 12 * count != len(body):
        report.damage("an index of the MP4's segments that contradicts itself")
        return None
    rows: list[tuple[int, int, int]] = []
    start = box.end + uint(body, 12 + wide, wide)
    for row in range(count):
        size = uint(body, at + 4 + 12 * row, 4) & 0x7FFFFFFF
        rows.append((start, size, uint(body, at + 8 + 12 * row, 4)))
        start += size
    if start > source.size:
        report.damage("segments that the MP4 index names are beyond the end of the file")
    return SegmentIndex(uint(body, 4, 4), ticks_per_s, tuple(rows), start > source.size)


@dataclass(frozen=True)
class AnnouncedLengths:
    """All that announces how long the video is."""

    index: SegmentIndex | None
    """The index in front of the fragments."""
    lengths: dict[int, tuple[int, int]]
    """Byte where each fragment begins, to the ticks and the bytes of the video in it."""
    movie: Movie
    """The headers of the file."""
    video: Track
    """The headers of the track of pictures."""
    there: int
    """How many samples exist in the file."""
    step: float
    """Ticks of a sample."""

    @property
    def any(self) -> bool:
        """Whether anything announces an end."""
        return self.index is not None or (self.movie.fragments_ticks > 0 and self.movie.timescale > 0)

    def behind(self, span: int, report: Completeness) -> int:
        """Frames that are announced after the last fragment.

        Args:
            span: ticks from the first fragment to the end of the last.
            report: what cannot be true is noted in it.
        """
        index, scale = self.index, self.video.timescale
        headers = [
            ticks * scale / self.movie.timescale
            for ticks in (self.movie.fragments_ticks, self.movie.duration, self.video.shown)
            if ticks and self.movie.timescale
        ]
        if self.video.duration:
            headers.append(self.video.duration)
        slack = 1.5 * self.step if report.findings else max(scale / 2, 1.5 * self.step)
        if index is not None:
            announced = self._of_index(index, report)
        elif self.movie.fragments_ticks and headers:
            announced = headers[0]
            agreed = any(abs(other - announced) <= slack for other in headers[1:])
            if not agreed and (announced - span) / self.step > (MAX_LONE_FACTOR - 1) * self.there:
                report.damage(
                    "the MP4 header announces a longer duration of its fragments, which nothing else supports"
                )
                report.unknown_loss = True
                return 0
        else:
            return 0
        if index is not None and self.movie.fragments_ticks and abs(headers[0] - announced) > slack:
            report.damage(CONTRADICTION)
        short = announced - span
        if short <= slack:
            return 0
        if not report.findings:
            report.damage("the MP4 header announces a longer duration of its fragments")
        return round(short / self.step)

    def _of_index(self, index: SegmentIndex, report: Completeness) -> float:
        """Ticks of the media that the index announces; rows that cannot be true are replaced."""
        factor = self.video.timescale / index.ticks_per_s
        there = [self._inside(begin, size) for begin, size, _ in index.rows]
        whole = [(ticks, own) for (_, _, ticks), (own, covered) in zip(index.rows, there, strict=True) if covered]
        if factor != 1 and whole and all(abs(ticks - own) <= self.step for ticks, own in whole):
            report.damage("an MP4 whose index and media have two clocks")
            factor = 1.0
        usual = median([own for _, own in whole] or [ticks * factor for _, _, ticks in index.rows])
        total, wrong = 0.0, 0
        for (_, _, ticks), (own, covered) in zip(index.rows, there, strict=True):
            said = ticks * factor
            if covered and said > own + 1.5 * self.step + 0.1 * own:
                said, wrong = own, wrong + 1  # all of the segment is there
            elif not covered and said > MAX_ROW_FACTOR * usual:
                said, wrong, report.unknown_loss = usual, wrong + 1, True
            total += said
        if wrong:
            report.damage(CONTRADICTION, wrong)
        return total

    def _inside(self, begin: int, size: int) -> tuple[int, bool]:
        """Ticks of the fragments in a segment, and whether they fill it."""
        found = [parts for start, parts in self.lengths.items() if begin <= start < begin + size]
        own = sum(ticks for ticks, _ in found)
        return own, own > 0 and sum(length for _, length in found) + SLACK_BYTES >= size
