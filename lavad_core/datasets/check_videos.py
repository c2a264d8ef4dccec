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
    dataset: Dataset, sources: Sequence[VideoSource], count: Callable[[VideoSource], int] | None
) -> tuple[dict[str, int], list[DatasetFinding]]:
    """Frames by name of the data set, and what is missing, too much, unreadable or of another length."""
    by_name = {source.name: source for source in sources}
    matched = match(dataset.videos, by_name, "videos")
    findings = []
    if missing := matched.missing:
        words = f"{len(missing)} of {len(dataset.videos)} videos are not here: {listed(missing, matched.extra)}"
        findings.append(error(words, missing))
    if extra := matched.extra:
        findings.append(warning(f"{len(extra)} videos here are not of the data set: {listed(extra)}", extra))
    if count is None:
        return {}, findings
    lengths: dict[str, int] = {}
    rejected: dict[str, str] = {}
    for name, here in matched.pairs.items():
        try:
            lengths[name] = count(by_name[here])
        except VideoRejected as rejection:
            rejected[name] = rejection.reason
    if rejected:
        shown = first_few(rejected, MAX_NAMED, lambda name: f"{name!r} ({rejected[name]})")
        findings.append(error(f"{number_of(len(rejected), 'video')} cannot be read: {shown}", [*rejected]))
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
    for found, names, what in (
        (error, cut, "are shorter than their list says, cut off or others"),
        (warning, other, "have another number of frames than their list says"),
    ):
        if names:
            shown = first_few(names, MAX_NAMED, lambda name: f"{name!r} ({differ[name][1]}, not {differ[name][0]})")
            yield found(f"{len(names)} videos {what}: {shown}", names)
