"""MP4 and MOV: what sample tables, edit list and headers say about the video track, and whether they agree.

ISO/IEC 14496-12: 8.6 (time tables, edit list), 8.7 (sizes, chunks), 8.8 (fragments).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.video.completeness import mp4_fragments
from lavad_core.video.completeness.mp4_edits import USUAL_TIMESCALES, Edits
from lavad_core.video.completeness.result import CHUNK_BYTES, Completeness, FileBytes, uint

MAX_BOXES = 1 << 20
"""Boxes that are walked, at most."""

MAX_TABLE_BYTES = 1 << 26
"""A longer table (8 million samples) is not compared."""

MAX_SAMPLES = 1 << 22
"""More samples than these are counted and not laid out in time."""

MAX_REORDERED = 16
"""Frames that H.264 and HEVC reorder, at most."""

DURATION_SLACK = 0.02
"""The fraction by which durations of one track may differ: headers round, and some count the last frame twice."""

CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex"})

TABLES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4}
"""Bytes of an entry."""


@dataclass(frozen=True)
class Box:
    """A box of the file."""

    kind: bytes
    """Its four-letter kind."""
    start: int
    """Where its payload begins, bytes from the start of the file."""
    end: int
    """Where its payload ends, exclusive."""


@dataclass
class Track:
    """What a track says about itself; tables as they are in the file."""

    handler: bytes = b""
    """Kind of the track; ``vide`` is pictures."""
    number: int = 0
    """The number of the track."""
    shown: int = 0
    """Ticks of the movie, by the track's header; 0 unknown."""
    timescale: int = 0
    """Ticks of its media per second; 0 unknown."""
    duration: int = 0
    """Length of its media, ticks of it; 0 unknown."""
    edits: list[tuple[int, int]] = field(default_factory=list)
    """(duration in the movie's ticks, start in the media's ticks)."""
    tables: dict[bytes, NDArray[np.int64]] = field(default_factory=dict)
    """int64 [entries, fields] by kind of box."""
    size: int = 0
    """Bytes of every sample; 0 where they differ."""
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """int64 [samples]; empty where all have the size ``size``."""
    samples: int = 0
    """How many samples the table of sizes announces."""


@dataclass
class Movie:
    """The headers of a file."""

    timescale: int = 0
    """Ticks of the movie per second; 0 unknown."""
    tracks: list[Track] = field(default_factory=list)
    """Its tracks."""
    fragments_ticks: int = 0
    """Length by ``mehd``, ticks of the movie; 0 where it is unknown."""
    fragmented: bool = False
    """Whether samples may follow in fragments."""
    duration: int = 0
    """Length by ``mvhd``, ticks of the movie; 0 where it is unknown."""
    defaults: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Ticks and bytes of a sample in fragments, by track."""


def boxes(source: FileBytes, start: int, end: int) -> Iterator[Box]:
    """The boxes of a stretch of the file, one after the other, until one contradicts itself."""
    for _ in range(MAX_BOXES):
        head = source.at(start, 16)
        if start + 8 > end or len(head) < 8:
            return
        length, payload = uint(head, 0, 4), start + 8
        if length == 1 and len(head) == 16:
            length, payload = uint(head, 8, 8), start + 16
        elif length == 0:
            length = end - start
        if start + length < payload:
            return
        yield Box(head[4:8], payload, min(start + length, end))
        start += length


def _top(source: FileBytes) -> Iterator[Box]:
    """The outermost boxes. After one that is broken or cut off they go on with the next fragment."""
    position = 0
    while position < source.size:
        for box in boxes(source, position, source.size):
            if not box.kind.isalnum():
                break
            yield box
            position = box.end
        else:
            if position + 8 > source.size:
                return
        position = source.find(b"moof", position + 8) - 4
        if position < 0:
            return


def check(source: FileBytes, track: int | None = None) -> Completeness:
    """Compare the tables of the video track, or count the samples of its fragments.

    Args:
        track: number of the track that is decoded; None is the first video track.
    """
    report, movie = Completeness(end_checked=True), Movie()
    top = list(_top(source))
    for box in top:
        if box.kind == b"moov":
            _walk(source, box, movie, report)
    videos = [t for t in movie.tracks if t.handler == b"vide" and track in (None, t.number)]
    if not videos:
        videos = [t for t in movie.tracks if t.handler == b"vide"]
    if not videos:
        report.end_checked, report.why_unchecked = False, "no video track was found in the MP4 header"
        return report
    video = videos[0]
    if any(box.kind == b"moof" for box in top):
        step = mp4_fragments.check(source, top, movie, video, report)
        report.edits = edits_of(video, movie, _NONE[:, 0], report, step)
    else:
        _compare(video, movie, source, report)
    return report


def _walk(source: FileBytes, box: Box, movie: Movie, report: Completeness) -> None:
    for inner in boxes(source, box.start, box.end):
        if inner.kind == b"trak":
            movie.tracks.append(Track())
        if inner.kind in CONTAINERS:
            movie.fragmented = movie.fragmented or inner.kind == b"mvex"
            _walk(source, inner, movie, report)
        elif movie.tracks:
            _track_box(source, inner, movie.tracks[-1], report)
        if inner.kind in (b"mvhd", b"mehd", b"trex"):
            body = source.at(inner.start, 40)
            if inner.kind == b"mvhd":
                long = body[:1] == b"\1"
                movie.timescale = uint(body, 20 if long else 12, 4)
                movie.duration = uint(body, 24, 8) if long else uint(body, 16, 4)
            elif inner.kind == b"mehd":
                movie.fragments_ticks = uint(body, 4, 8 if body[:1] == b"\1" else 4)
            else:
                movie.defaults[uint(body, 4, 4)] = uint(body, 12, 4), uint(body, 16, 4)


def _track_box(source: FileBytes, box: Box, track: Track, report: Completeness) -> None:
    body = source.at(box.start, min(box.end - box.start, 64))
    long = body[:1] == b"\1"
    if box.kind == b"tkhd":
        track.number = uint(body, 20 if long else 12, 4)
        track.shown = uint(body, 28, 8) if long else uint(body, 20, 4)
    elif box.kind == b"mdhd":
        track.timescale = uint(body, 20 if long else 12, 4)
        track.duration = uint(body, 24, 8) if long else uint(body, 16, 4)
    elif box.kind == b"hdlr" and not track.handler:
        track.handler = body[8:12]
    elif box.kind == b"elst":
        width = 8 if long else 4
        body = source.at(box.start, min(box.end - box.start, 1 << 16))
        entry = 2 * width + 4
        for at in range(8, 8 + min(uint(body, 4, 4) * entry, len(body) - 8 - entry + 1), entry):
            start = int.from_bytes(body[at + width : at + 2 * width], "big", signed=True)
            track.edits.append((uint(body, at, width), start))
    elif box.kind in TABLES:
        track.tables[b"stco" if box.kind == b"co64" else box.kind] = _table(source, box, TABLES[box.kind], report)
    elif box.kind == b"stsz":
        track.size, track.samples = uint(body, 4, 4), uint(body, 8, 4)
        if not track.size:
            rows = _table(source, Box(b"stsz", box.start + 4, box.end), 4, report)
            track.sizes = rows[:, 0]
    elif box.kind == b"stz2":
        track.samples = uint(body, 8, 4)


def _table(source: FileBytes, box: Box, width: int, report: Completeness) -> NDArray[np.int64]:
    """The rows of a table of 32-bit numbers (64-bit for ``co64``), as many as the box has room for."""
    announced = uint(source.at(box.start, 8), 4, 4)
    room = max(0, box.end - box.start - 8) // width
    if announced > room:
        report.damage("tables of the MP4 header that announce more rows than they have")
    length = min(announced, room) * width
    if length > MAX_TABLE_BYTES:
        length = 0
    data = bytearray()
    while len(data) < length:
        more = source.at(box.start + 8 + len(data), min(CHUNK_BYTES, length - len(data)))
        if not more:
            break
        data += more
    if box.kind == b"co64":
        return np.frombuffer(data[: len(data) // 8 * 8], ">i8").astype(np.int64).reshape(-1, 1)
    rows = np.frombuffer(data[: len(data) // width * width], ">u4")
    if box.kind == b"ctts":  # signed in version 1, and in version 0 of some writers
        rows = rows.view(">i4")
    return rows.astype(np.int64).reshape(-1, width // 4)


def _compare(video: Track, movie: Movie, source: FileBytes, report: Completeness) -> None:
    counts = {b"stsz": video.samples}
    tables = video.tables
    if len(times := tables.get(b"stts", _NONE)):
        counts[b"stts"] = int(times[:, 0].sum())
    if len(shifts := tables.get(b"ctts", _NONE)):
        counts[b"ctts"] = int(shifts[:, 0].sum())
    chunks = _samples_by_chunk(tables)
    if chunks is not None:
        counts[b"stsc"] = int(chunks.sum())
    room = len(video.sizes) if not video.size else video.samples
    likely = [count for count in counts.values() if list(counts.values()).count(count) > 1]
    # A table that stands alone is the damaged one; without two that agree the sizes count, which have a row each.
    report.frames = likely[0] if likely else room
    if len(set(counts.values())) > 1:
        report.damage("tables of the MP4 header that announce different numbers of samples")
    if len(shifts) and (shifts[:, 0] == 0).any() and len(times) and counts[b"stts"] != counts[b"ctts"]:
        report.damage("empty rows in the tables of the MP4 header")
    positions = np.empty(0, np.int64)
    if chunks is not None and not report.findings and video.samples <= MAX_SAMPLES:
        positions = _places(video, chunks, source, report)
    report.edits = edits_of(video, movie, positions, report)
    if _durations_in_doubt(video, movie):
        report.damage("sample durations that are not those of the MP4's headers, so times may be wrong")


def _durations_in_doubt(video: Track, movie: Movie) -> bool:
    """Whether the durations of the samples stand alone against those of media and track, which agree."""
    durations, stamps = _times(video)
    if not len(stamps) or not (video.duration and video.shown and video.timescale and movie.timescale):
        return False
    media, shown = video.duration / video.timescale, video.shown / movie.timescale
    slack = DURATION_SLACK * media + 2 * float(np.median(durations)) / video.timescale
    shown += sum(start for _, start in video.edits[:1] if start > 0) / video.timescale
    lengths = [ticks / video.timescale for ticks in _lengths(durations, stamps)]
    return abs(media - shown) <= slack < min(abs(length - media) for length in lengths)


def _times(video: Track) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ticks of each sample in decode order, and when each is shown; both empty where the tables are damaged or too long."""
    times, shifts = video.tables.get(b"stts", _NONE), video.tables.get(b"ctts", _NONE)
    count = int(times[:, 0].sum()) if len(times) else 0
    if not 0 < count <= MAX_SAMPLES or (len(shifts) and int(shifts[:, 0].sum()) != count):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    durations = np.repeat(times[:, 1], times[:, 0])
    stamps = np.cumsum(durations) - durations
    return durations, stamps + np.repeat(shifts[:, 1], shifts[:, 0]) if len(shifts) else stamps


def _odd(ticks: int, durations: NDArray[np.int64]) -> bool:
    """Whether a difference is more than the few whole frames by which writers count differently where a cut leaves holes."""
    frame = max(1, int(np.median(durations)))
    frames = round(ticks / frame)
    return abs(frames) > MAX_REORDERED or abs(ticks - frames * frame) > 2


def _lengths(durations: NDArray[np.int64], stamps: NDArray[np.int64]) -> tuple[int, int]:
    """Ticks of the media as writers count them: of all samples, or from the first to the end of the last as they are shown."""
    return int(durations.sum()), int((stamps + durations).max() - stamps.min())


_NONE = np.empty((0, 3), np.int64)


def _samples_by_chunk(tables: dict[bytes, NDArray[np.int64]]) -> NDArray[np.int64] | None:
    """int64 [chunks]: samples of each; None where a table is missing or contradicts itself."""
    runs, offsets = tables.get(b"stsc", _NONE), tables.get(b"stco", _NONE)
    if not len(runs) or not len(offsets):
        return None
    firsts = runs[:, 0]
    if firsts[0] != 1 or (np.diff(firsts) <= 0).any() or firsts[-1] > len(offsets):
        return np.zeros(len(offsets), np.int64)
    lengths = np.diff(np.append(firsts, len(offsets) + 1))
    return np.repeat(runs[:, 1], lengths)


def _places(video: Track, chunks: NDArray[np.int64], source: FileBytes, report: Completeness) -> NDArray[np.int64]:
    """int64 [samples]: where each begins. Those beyond the end of the file are counted."""
    sizes = video.sizes if not video.size else np.full(video.samples, video.size, np.int64)
    if int(chunks.sum()) != len(sizes):
        return np.empty(0, np.int64)
    ends = np.cumsum(sizes)
    begins = ends - sizes
    firsts = np.cumsum(chunks) - chunks
    used = chunks > 0
    shifts = video.tables[b"stco"][used, 0] - begins[firsts[used]]
    positions: NDArray[np.int64] = begins + np.repeat(shifts, chunks[used])
    if beyond := int(np.count_nonzero(positions + sizes > source.size)):
        report.damage("frames that lie beyond the end of the file", beyond)
    return positions


def edits_of(
    video: Track, movie: Movie, positions: NDArray[np.int64], report: Completeness, step: float = 0.0
) -> Edits | None:
    """The edit list as :mod:`.mp4_edits` needs it; None where there is none."""
    media = [edit for edit in video.edits if edit[1] >= 0]
    if not media and step:
        media = [(0, 0)]  # fragments without an edit list: nothing is hidden
    if not media:
        return None
    seconds = sum(duration for duration, _ in media) / max(1, movie.timescale)
    ticks_per_s = movie.timescale
    durations, stamps = _times(video)
    if len(durations) != report.frames:
        durations = stamps = np.empty(0, np.int64)
    usual = ticks_per_s in USUAL_TIMESCALES or any(ticks_per_s == track.timescale for track in movie.tracks)
    shown = sum(duration for duration, _ in video.edits)
    agree = not video.shown or abs(video.shown - shown) <= 1 + len(video.edits)
    contradicted = False
    if video.duration and len(durations):
        contradicted = all(_odd(length - video.duration, durations) for length in _lengths(durations, stamps))
    return Edits(
        seconds,
        media[0][1],
        step,
        max(1, ticks_per_s),
        usual,
        agree,
        video.timescale,
        durations,
        stamps,
        positions,
        contradicted,
    )
