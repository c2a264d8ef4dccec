"""What a check of a data set says. All of it goes to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figures:
    """What a data set's files hold.

    Attributes:
        videos, anomalous: counts.
        classes: how many, of anomalies.
        intervals: annotated ones.
        frames, positive, clipped: all frames, labelled ones, and intervals that reach past the end of their video; None
            where the length of a video is not known.
    """

    videos: int
    anomalous: int
    classes: int
    intervals: int
    frames: int | None
    positive: int | None
    clipped: int | None


@dataclass(frozen=True)
class DatasetFinding:
    """Something that a user should know.

    Attributes:
        level: ``error``: something is missing or wrong, numbers would be of something else. ``warning``: they may be.
        message: a sentence with the number of videos and the first of them.
        videos: all names that it is about.
    """

    level: Literal["error", "warning"]
    message: str
    videos: Sequence[str] = field(default=(), repr=False)


def error(message: str, videos: Sequence[str] = ()) -> DatasetFinding:
    """Something is missing or wrong."""
    return DatasetFinding("error", message, videos)


def warning(message: str, videos: Sequence[str] = ()) -> DatasetFinding:
    """Something may be wrong."""
    return DatasetFinding("warning", message, videos)


@dataclass(frozen=True)
class CheckReport:
    """The outcome of :func:`lavad_core.datasets.check.check`.

    Attributes:
        adapter, title: of the data set.
        files: role, name and SHA-256 of each file that labels come from.
        labels_sha256: :func:`lavad_core.datasets.check.labels_digest`.
        part: which published part it was compared with; empty where nothing is published.
        here: figures of the files.
        published: the same as published, by attribute of :class:`Figures`; None where no source says.
        findings: errors first.
    """

    adapter: str
    title: str
    files: Sequence[Mapping[str, str]]
    labels_sha256: str
    part: str
    here: Figures
    published: Mapping[str, int | None]
    findings: Sequence[DatasetFinding]

    @property
    def ok(self) -> bool:
        """Nothing is missing."""
        return not any(finding.level == "error" for finding in self.findings)
