"""How many frames each video has, from the data set's list or from the video itself."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lavad_core.config.steps import VideoConfig
from lavad_core.datasets.names import match
from lavad_core.datasets.types import Dataset
from lavad_core.errors import VideoRejected
from lavad_core.imports.per_video import ImportReport
from lavad_core.video.decoder import probe
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

AT_ONCE = 2
"""Videos that are decoded at the same time, each with threads of its own."""


def frame_counts(dataset: Dataset | None, videos: Path | None, report: ImportReport) -> dict[str, int | None] | None:
    """Expected videos to their frame counts.

    Args:
        dataset: whose videos are expected; None expects those of ``videos``.
        videos: folder of videos; those whose count nothing else says are decoded, without their pixels.
        report: takes videos that cannot be read.

    Returns:
        Counts, None where they are not known; None where it is not known which videos are expected.

    Raises:
        InputError: there are no videos in the folder.
    """
    if dataset is None and videos is None:
        return None
    listed = {} if dataset is None else {name: video.frames for name, video in dataset.videos.items()}
    if videos is None or (listed and all(count is not None for count in listed.values())):
        return listed
    sources = {source.name: source for source in discover([videos])}
    if dataset is None:
        listed = dict.fromkeys(sources)
    pairs = match(listed, sources, "videos").pairs
    unknown = [name for name, count in listed.items() if count is None and name in pairs]
    return listed | _counted(unknown, [sources[pairs[name]] for name in unknown], report)


def _counted(names: Sequence[str], sources: Sequence[VideoSource], report: ImportReport) -> dict[str, int | None]:
    settings = VideoConfig()

    def count(source: VideoSource) -> int | VideoRejected:
        try:
            return probe(source, settings.limits, settings.folder_frame_rate).frames
        except VideoRejected as rejection:
            return rejection

    found: dict[str, int | None] = {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for name, frames in zip(names, threads.map(count, sources), strict=True):
            if isinstance(frames, VideoRejected):
                report.problems.append(f"videos: {name!r} cannot be read: {frames}")
                found[name] = None
            else:
                found[name] = frames
    return found
