"""A data set beside the videos that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from lavad_core.datasets.findings import DatasetFinding, error, warning
from lavad_core.datasets.names import listed, match
from lavad_core.datasets.types import Dataset
from lavad_core.errors import VideoRejected
from lavad_core.plain_text import first_few, number_of
from lavad_core.video.discover import MAX_NAMED
from lavad_core.video.types import VideoSource

CUT_OFF_FRAMES = 16
"""A video that lacks more frames than this lacks scores: it is cut off. Fewer are a matter of how frames were counted."""


def against_videos(
    dataset: Dataset,
    sources: Sequence[VideoSource],
    count: Callable[[VideoSource], int] | None,
    is_known_bad: Callable[[VideoSource, VideoRejected], bool],
) -> tuple[dict[str, int], list[DatasetFinding]]:
    """Frames by name of the data set, and what is missing, too much, unreadable or of another length."""
    by_name = {source.name: source for source in sources}
    matched = match(dataset.videos, by_name, "videos")
    findings = []
    if missing := matched.missing:
        words = f"{len(missing)} of {len(dataset.videos)} videos are not here: {listed(missing, matched.extra)}"
        findings.append(error(words, missing))
    if extra := matched.extra:
        findings.append(
            warning(f"{number_of(len(extra), 'video', 'are')} here and not of the data set: {listed(extra)}", extra)
        )
    if count is None:
        return {}, findings
    lengths: dict[str, int] = {}
    rejected: dict[str, str] = {}
    known: dict[str, str] = {}
    for name, here in matched.pairs.items():
        try:
            lengths[name] = count(by_name[here])
        except VideoRejected as rejection:
            (known if is_known_bad(by_name[here], rejection) else rejected)[name] = rejection.reason
    for found, reasons, what in (
        (error, rejected, "cannot be read"),
        (warning, known, "cannot be read, as is known"),
    ):
        if reasons:
            shown = first_few(reasons.items(), MAX_NAMED, lambda item: f"{item[0]!r} ({item[1]})")
            findings.append(found(f"{number_of(len(reasons), 'video')} {what}: {shown}", [*reasons]))
    return lengths, [*findings, *_lengths(dataset, lengths)]


def _lengths(dataset: Dataset, lengths: Mapping[str, int]) -> Iterator[DatasetFinding]:
    """Videos whose frames are not as many as the list says."""
    differ = {
        name: (said, lengths[name])
        for name, video in dataset.videos.items()
        if name in lengths and (said := video.frames) is not None and said != lengths[name]
    }
    cut = [name for name, (said, here) in differ.items() if said - here > CUT_OFF_FRAMES]
    other = [name for name in differ if name not in cut]
    for found, names, verb, what in (
        (error, cut, "are", "shorter than the list says, cut off or another"),
        (warning, other, "have", "another number of frames than the list says"),
    ):
        if names:
            shown = first_few(names, MAX_NAMED, lambda name: f"{name!r} ({differ[name][1]}, not {differ[name][0]})")
            yield found(f"{number_of(len(names), 'video', verb)} {what}: {shown}", names)
