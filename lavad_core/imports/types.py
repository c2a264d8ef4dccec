"""Somebody else's results, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.imports.values import Nested


@dataclass(frozen=True)
class Neighbours:
    """What the scores of a video were averaged over, if the files say so: a list for each grid frame."""

    scores: list[list[float]] = field(repr=False)
    """The scores of the neighbours."""
    similarities: list[list[float]] = field(repr=False)
    """Cosine of each neighbour, in the same shape."""
    frames: list[list[int]] = field(repr=False)
    """Frame of each neighbour, in the same shape; empty where the files do not name them."""


@dataclass(frozen=True)
class ImportedVideo:
    """One video of an import: its scores and texts."""

    name: str
    """The video's name in the data set."""
    frames: int
    """How many frames the video has, M."""
    scores: NDArray[np.float64] | None = field(repr=False)
    """float64, [grid frames], the final scores; None where only the raw ones are given."""
    raw_scores: NDArray[np.float64] | None = field(repr=False)
    """float64, [grid frames], the language model's own scores; None where only the final ones are given."""
    neighbours: Neighbours | None = field(default=None, repr=False)
    """The neighbours, where the scores come with them; otherwise None."""
    captions: Mapping[str, Mapping[int, str]] = field(default_factory=dict, repr=False)
    """Captioner to grid frame to text."""
    cleaned: Nested[str] = field(default_factory=dict, repr=False)
    """Grid frame to the frames of its window to text."""
    summaries: Mapping[int, str] = field(default_factory=dict, repr=False)
    """Grid frame to text. Each of the three may lack frames."""


@dataclass(frozen=True)
class ImportedSet:
    """All videos of an import."""

    interval: int
    """Frames from one grid frame to the next."""
    videos: tuple[ImportedVideo, ...] = field(repr=False)
    """The videos, in the order of their names."""
    unscored: Mapping[str, str]
    """Expected videos without scores, with the reason."""
    captioners: tuple[str, ...]
    """The captioners, in order."""
    frame_rate: float | None = None
    """Frames per second; None where it is not known."""
