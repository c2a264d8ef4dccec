"""What an adapter makes of a data set's published files. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

Interval = tuple[int, int]
"""First and last frame of an anomaly, 0-based, both inclusive."""


MAX_FRAMES = 20_000_000
"""A label file that says more of a video is wrong: 185 hours at 30 a second, as many as ``video.max_frames`` decodes. Labels
are an array of this length."""


@dataclass(frozen=True)
class LabelledVideo:
    """A video of a data set."""

    name: str
    """The name, as published, without the ending of a video file."""
    classes: tuple[str, ...] = ()
    """The classes of its anomalies, as the data set calls them; empty for a normal video, and where a data set has no
    classes. Some of XD-Violence's have several."""
    intervals: tuple[Interval, ...] = ()
    """The intervals, in order of time; they may reach past the end of the video. An anomalous video without any is
    labelled as a whole only where the data set has no frame labels."""
    frames: int | None = None
    """The frames, as the data set's list or masks say; None where only the video itself can tell."""

    @property
    def is_anomalous(self) -> bool:
        """Whether anything in it is labelled."""
        return bool(self.intervals)


@dataclass(frozen=True)
class SourceFile:
    """A file that labels were read from."""

    role: str
    """``annotation``, ``list``, ``masks``, …."""
    name: str
    """The name of the file or folder, without the folders above it, so that the same labels print the same header
    anywhere."""
    sha256: str
    """Hexadecimal; of a folder the digest of its files' names and digests."""


@dataclass(frozen=True)
class LabelReading:
    """What only a user can say about a data set's files; the defaults take them as they are published."""

    first_frame: int | None = None
    """Number that a file of intervals gives the first frame, 0 or 1; None: as the data set is published."""
    frame_count_tolerance: int = 0
    """By how many frames a list's count may exceed what the scores of a video cover."""


@dataclass(frozen=True)
class Dataset:
    """A data set, or the part of it that is evaluated on."""

    adapter: str
    """Key of the adapter that read it: ``ucf-crime``, ``xd-violence``, …."""
    title: str
    """Name of the data set in papers."""
    videos: Mapping[str, LabelledVideo] = field(repr=False)
    """The videos, by name, in the order of the list, or of the annotation where there is no list."""
    files: tuple[SourceFile, ...]
    """The files that it was read from."""
    frame_rate: float | None = None
    """Frames per second, if all its videos have the same rate; otherwise None."""
    notes: tuple[str, ...] = ()
    """What a user should know about these files: a class that is missing, a list of another length than the published one."""
    reading: LabelReading = LabelReading()
    """How the files were taken; ``first_frame`` is None where that is 0."""
    unreadable: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Videos of the data set whose labels cannot be read, and why; they are not among ``videos``, and count as
    unscored."""

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All classes, sorted."""
        return tuple(sorted({name for video in self.videos.values() for name in video.classes}))
