"""Somebody else's results, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.imports.values import Nested


@dataclass(frozen=True)
class Neighbours:
    """What the scores of a video were averaged over, where somebody says so: a list for each grid frame.

    Attributes:
        scores: of the neighbours. similarities: the same shape.
        frames: the same shape, or empty where nobody says which they were.
    """

    scores: list[list[float]] = field(repr=False)
    similarities: list[list[float]] = field(repr=False)
    frames: list[list[int]] = field(repr=False)


@dataclass(frozen=True)
class ImportedVideo:
    """One video of an import: its scores and texts.

    Attributes:
        name: of the data set.
        frames: M.
        scores, raw_scores: float64 of the grid; at least one of them.
        neighbours: where the scores come with them.
        captions: captioner to grid frame to text.
        cleaned: grid frame to the frames of its window to text.
        summaries: grid frame to text. Each of the three may lack frames.
    """

    name: str
    frames: int
    scores: NDArray[np.float64] | None = field(repr=False)
    raw_scores: NDArray[np.float64] | None = field(repr=False)
    neighbours: Neighbours | None = field(default=None, repr=False)
    captions: Mapping[str, Mapping[int, str]] = field(default_factory=dict, repr=False)
    cleaned: Nested[str] = field(default_factory=dict, repr=False)
    summaries: Mapping[int, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ImportedSet:
    """All videos of an import.

    Attributes:
        interval: of the grid.
        videos: in the order of their names.
        unscored: expected videos without scores, with the reason.
        captioners: in order.
        frame_rate: per second, where it is known.
    """

    interval: int
    videos: tuple[ImportedVideo, ...] = field(repr=False)
    unscored: Mapping[str, str]
    captioners: tuple[str, ...]
    frame_rate: float | None = None
