"""The most and the least suspicious part of a video (URF, NeurIPS 2025): windows of a tenth of it with the highest and the
lowest mean score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings have defaults from here, and reading them does without NumPy
    import numpy as np
    from numpy.typing import NDArray

LEAST_WINDOW = 300
"""Frames of a window at least."""

FRACTION = 0.1
"""Part of a video that a window takes."""


@dataclass(frozen=True)
class Extreme:
    """A window of a video."""

    start: int
    """First frame, one of the grid."""
    end: int
    """``start`` and the window's length: the frame after its last one. It may be behind the video's end."""
    mean: float
    """Mean of the scores in it, 3 decimals."""


@dataclass(frozen=True)
class Extremes:
    """The two windows of a video."""

    highest: Extreme
    """The first of those with the highest mean."""
    lowest: Extreme
    """The first of those with the lowest mean."""
    deviation: float
    """Population standard deviation of all scores of the video, 5 decimals."""


def extremes(
    frames: Sequence[int] | NDArray[np.int64],
    scores: Sequence[float] | NDArray[np.float64],
    *,
    fraction: float = FRACTION,
    least: int = LEAST_WINDOW,
) -> Extremes:
    """The windows with the highest and the lowest mean score.

    A window begins at every grid frame s and has the scores of [s, s + W), where W = max(⌊last · fraction⌋, least) frames and
    ``last`` is the last grid frame; at the end of the video it has fewer of them. As in URF's published statistics, means are
    plain sums in order of time, compared before they are rounded, and the deviation is taken in float32.

    Args:
        frames: the grid, evenly spaced from 0, [n], n ≥ 1.
        scores: [n].
        fraction: part of the video that a window takes.
        least: frames of a window at least, above 0.
    """
    import numpy as np

    values, count = np.asarray(scores, np.float64), len(scores)
    last, step = int(frames[-1]), int(frames[1]) - int(frames[0]) if count > 1 else 1
    window = max(math.floor(last * Fraction(str(fraction))), least)  # 0.29 · 100 is 28.99… as floating point
    most = min(-(-window // step), count)
    sums = np.zeros(count)
    for ahead in range(most):  # in order of time, for all windows at once
        sums[: count - ahead] += values[ahead:]
    means = sums / np.minimum(most, count - np.arange(count))

    def at(row: int) -> Extreme:
        start = int(frames[row])
        return Extreme(start, start + window, round(float(means[row]), 3))

    return Extremes(at(int(means.argmax())), at(int(means.argmin())), round(float(values.astype(np.float32).std()), 5))
