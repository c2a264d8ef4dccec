"""What a check of a data set says. All of it goes to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figures:
    """What a data set's files hold."""

    videos: int
    """How many videos there are."""
    anomalous: int
    """How many of these are anomalous."""
    classes: int
    """How many classes of anomalies there are."""
    intervals: int
    """How many intervals are annotated."""
    frames: int | None
    """All frames; None where the length of a video is not known."""
    positive: int | None
    """Frames labelled anomalous; None as for ``frames``."""
    clipped: int | None
    """Intervals that reach past the end of their video; None as for ``frames``."""


@dataclass(frozen=True)
class DatasetFinding:
    """Something that a user should know."""

    level: Literal["error", "warning"]
    """``error``: something is missing or wrong, and numbers would not mean what they say; ``warning``: they may not."""
    message: str
    """A sentence with the number of videos and the first of them."""
    videos: Sequence[str] = field(default=(), repr=False)
    """All names that it is about."""


def error(message: str, videos: Sequence[str] = ()) -> DatasetFinding:
    """Something is missing or wrong."""
    return DatasetFinding("error", message, videos)


def warning(message: str, videos: Sequence[str] = ()) -> DatasetFinding:
    """Something may be wrong."""
    return DatasetFinding("warning", message, videos)


@dataclass(frozen=True)
class CheckReport:
    """The outcome of :func:`lavad_core.datasets.check.check_dataset`."""

    adapter: str
    """Key of the data set."""
    title: str
    """Name of the data set, for people."""
    files: Sequence[Mapping[str, str]]
    """Role, name and SHA-256 of each file that labels come from."""
    labels_sha256: str
    """:func:`lavad_core.datasets.label_digests.digest_of_named_labels`."""
    part: str
    """Which published part it was compared with; empty where nothing is published."""
    here: Figures
    """Figures of the files."""
    published: Mapping[str, int | None]
    """The published figures, by attribute of :class:`Figures`; None where no source says."""
    findings: Sequence[DatasetFinding]
    """What should be known, errors first."""

    @property
    def ok(self) -> bool:
        """Nothing is missing."""
        return not any(finding.level == "error" for finding in self.findings)
