"""Reading an import: every file, checked against the frames of its video and put on the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lavad_core.datasets.frame_counts import Deviation, counted_frames, deviation, probable_cause
from lavad_core.datasets.names import listed, match
from lavad_core.datasets.types import MAX_FRAMES
from lavad_core.digest import file_sha256
from lavad_core.errors import InputError
from lavad_core.imports.found import FoundFile
from lavad_core.imports.neighbours import NeighbourFiles
from lavad_core.imports.per_video import (
    ARRAYS,
    JSON,
    ExpectedNames,
    ImportReport,
    ImportSources,
    PerVideoFiles,
    read_files,
)
from lavad_core.imports.scores import GivenScores, between, interval_of, on_grid, read_given, read_plain
from lavad_core.imports.segment_list import read_segments, scores_of
from lavad_core.imports.set_file import RAW
from lavad_core.imports.texts import Texts
from lavad_core.imports.types import ImportedSet, ImportedVideo
from lavad_core.plain_text import number_of

MISSING = "no file"
"""Why a video has no scores that nothing was given for."""

NO_FRAME_COUNT = "nothing says how many frames it has; give a list with frame counts (--list), or the videos (--videos)"


_Scores = PerVideoFiles[GivenScores]


def read_import(
    sources: ImportSources,
    frames: Mapping[str, int | None] | None,
    report: ImportReport,
    *,
    interval: int | None = None,
    frame_rate: float | None = None,
    tolerance: int = 0,
    interpolate: bool = False,
) -> ImportedSet:
    """Read what is to be imported. What is wrong with one video does not stop the others.

    Args:
        frames: expected videos to their frame counts, None where they are not known; None takes whatever there are scores of.
        report: takes what is wrong.
        interval: frames from one score to the next; None finds it in the files.
        frame_rate: per second, where it is known; segments in seconds need it.
        tolerance: frames by which the counts may be off.
        interpolate: scores of one grid frame in some are interpolated to ``interval``.

    Raises:
        InputError: there are no scores, a source cannot be read, or no video has usable scores.
    """
    names = ExpectedNames(frames)
    known = dict(frames or {})
    final, interval = _final_scores(sources, names, known, report, interval, frame_rate)
    raw = _file_scores(sources.raw_scores, RAW, names, read_plain, report)
    main = final or raw
    if main is None:
        raise InputError(
            "nothing to import: there are no scores. Give --scores, --raw-scores or --segments; to go on from captions or "
            "summaries, `lavad import --settings` writes the settings of a run"
        )
    if frames is None:
        names = ExpectedNames([*main.values, *main.refused])
    step = interval or interval_of(
        (scores, known.get(name)) for kind in (final, raw) if kind for name, scores in kind.values.items()
    )
    if interpolate:
        report.notes.append(f"scores of fewer frames are interpolated to one for every {step} (--interpolate)")
        for kind in filter(None, (final, raw)):
            for name, scores in kind.values.items():
                if (count := known.get(name)) is not None:
                    kind.values[name] = between(scores, _check_count(count), step)
    neighbours = NeighbourFiles(sources, names, report) if final else None
    scored: dict[str, ImportedVideo] = {}
    unscored: dict[str, str] = {}
    counts = _Counts(step, tolerance)
    for name in names.expected:
        try:
            count = counts.checked(name, _frame_count(name, main, known, step), main.values[name].count)
            scored[name] = _scored(name, count, step, final, raw, neighbours, report)
        except InputError as error:
            unscored[name] = str(error)
            if name not in main.refused and str(error) != MISSING:  # a file that was refused is reported already
                report.problems.append(f"{name!r}: {error}")
    counts.tell(report)
    if not scored:
        raise InputError(
            f"nothing to import: none of {len(unscored)} videos has usable scores: "
            + "; ".join(f"{name!r}: {why}" for name, why in list(unscored.items())[:3])
        )
    texts = Texts(sources, names, list(scored), step, report)
    videos = tuple(texts.added(scored[name]) for name in sorted(scored))
    return ImportedSet(step, videos, unscored, tuple(sorted(sources.captions)), frame_rate)


class _Counts:
    """Whether frame counts are those that scores are of: for a list that is wrong all videos together are the evidence."""

    def __init__(self, interval: int, tolerance: int) -> None:
        self._interval, self._tolerance = interval, tolerance
        self._off: list[Deviation] = []
        self._cut: list[str] = []

    def checked(self, name: str, frames: int, scores: int) -> int:
        """How many frames of a video count."""
        found = counted_frames(frames, scores, self._interval, self._tolerance)
        if found != frames:
            self._cut.append(name)
        elif (off := deviation(name, frames, scores, self._interval)) is not None:
            self._off.append(off)
        return found

    def tell(self, report: ImportReport) -> None:
        """What is probably wrong, and which counts were not taken as they are."""
        if self._off:
            report.problems.append(f"frame counts: {probable_cause(self._off)}")
        if self._cut:
            report.notes.append(
                f"frame counts: {number_of(len(self._cut), 'video', 'are')} taken to be as long as the scores, by up to "
                f"{number_of(self._tolerance, 'frame')} (--frame-count-tolerance): {listed(self._cut)}"
            )


def _file_scores(
    place: Path | None, role: str, names: ExpectedNames, parse: Callable[[FoundFile], GivenScores], report: ImportReport
) -> _Scores | None:
    return None if place is None else read_files(place, role, names, parse, report, (*JSON, *ARRAYS))


def _final_scores(
    sources: ImportSources,
    names: ExpectedNames,
    frames: Mapping[str, int | None],
    report: ImportReport,
    interval: int | None,
    frame_rate: float | None,
) -> tuple[_Scores | None, int | None]:
    """The final scores, and the interval if it is known by now."""
    if sources.segments is None:
        return _file_scores(sources.scores, "scores", names, read_given, report), interval
    if not frames:
        raise InputError(
            "segments: nothing says how many frames the videos have: name a data set with a list (--dataset, --list), or the "
            "videos (--videos)"
        )
    interval = interval or 1  # a segment may begin at any frame
    found = read_segments(sources.segments)
    sha256 = file_sha256(sources.segments)
    report.sources["segments"] = {"name": sources.segments.name, "files": 1, "sha256": sha256}
    matched = match(frames, found, "segments")
    if matched.extra:
        report.notes.append(
            f"segments: {number_of(len(matched.extra), 'video', 'are')} not of the data set: {listed(matched.extra)}"
        )
    given: dict[str, GivenScores] = {}
    refused: dict[str, str] = {}
    cut = 0
    for name, written in matched.pairs.items():
        count = frames[name]
        try:
            if count is None:
                raise InputError(NO_FRAME_COUNT)
            _check_count(count)
            values, beyond = scores_of(found[written], count, interval, frame_rate)
        except InputError as error:
            refused[name] = str(error)
            report.problems.append(f"segments: {name!r}: {error}")
            continue
        cut += beyond
        given[name] = GivenScores(f"{sources.segments.name}: {written}", values)
    if cut:
        report.notes.append(f"segments: {cut} reach beyond the end of their video and were cut there")
    return _Scores(given, refused), interval


def _frame_count(name: str, main: _Scores, known: Mapping[str, int | None], interval: int) -> int:
    if name not in main.values:
        raise InputError(main.refused.get(name, MISSING))
    count = known.get(name)
    if count is not None:
        return _check_count(count)
    scores = main.values[name]
    if scores.frames is None and interval == 1:
        return len(scores.values)  # an array with one score per frame
    raise InputError(NO_FRAME_COUNT)


def _check_count(count: int) -> int:
    """A list can announce more frames than any memory has: nothing is allocated for them."""
    if count > MAX_FRAMES:
        raise InputError(f"the list says that it has {count} frames; at most {MAX_FRAMES} are read")
    return count


def _scored(
    name: str,
    frames: int,
    interval: int,
    final: _Scores | None,
    raw: _Scores | None,
    neighbours: NeighbourFiles | None,
    report: ImportReport,
) -> ImportedVideo:
    """A video with its scores; raw ones that cannot be used are left out where there are others. Errors as :func:`on_grid`."""
    if final is None:
        assert raw is not None, "there are scores"
        return ImportedVideo(name, frames, None, on_grid(raw.values[name], frames, interval))
    given, own = final.values[name], None
    values = on_grid(given, frames, interval)
    if given.ranked is not None:
        assert neighbours is not None, "they come with the final scores"
        values, own = neighbours.averaged(name, given)
    beside = None
    if raw is not None:
        try:
            if name not in raw.values:
                raise InputError(raw.refused.get(name, MISSING))
            beside = on_grid(raw.values[name], frames, interval)
        except InputError as error:
            if name not in raw.refused:
                report.problems.append(f"raw scores: {name!r}: {error}")
    return ImportedVideo(name, frames, values, beside, own)
