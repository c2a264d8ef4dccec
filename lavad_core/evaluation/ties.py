"""Equal numbers that floating point made a little different. Metrics compare scores with each other, and two means of the same
eleven values whose sums were taken in another order may differ in the last bit: an order that nobody meant.

What is computed here (means, smoothed curves, rates) is settled before it is compared. Scores as they are given are not
touched: they are what was published or stored, and PR-AUC of published ones depends on them in the fifth decimal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TIE = 1e-11
"""Largest relative difference at which two numbers count as equal: about ten thousand times the rounding error of a mean, and
far below what any score means."""

DIGITS = 13
"""Significant decimal digits of a settled number, more than :data:`TIE` needs: 0.49999999999999994 becomes 0.5."""

SAME = 1e-9
"""Difference of two metrics, and of a metric and its tolerance, from which on they differ."""


def settled(values: Array) -> Array:
    """Make values equal that differ only by rounding.

    Sorted, each that is within :data:`TIE` of the one before is the same number as that; so no grid has a border on which equal
    numbers could fall to different sides. What is kept of such numbers is the lowest, to :data:`DIGITS` digits.

    Args:
        values: float64, any shape, finite; 0 is equal to -0 alone.
    """
    if not values.size:
        return values.copy()
    distinct, place = np.unique(values, return_inverse=True)
    apart = np.diff(distinct) > TIE * np.maximum(np.abs(distinct[1:]), np.abs(distinct[:-1]))
    group = np.concatenate([[0], np.cumsum(apart)])
    kept = _rounded(distinct[np.concatenate([[True], apart])])
    result: Array = kept[group][place].reshape(values.shape)
    return result


def _rounded(values: Array) -> Array:
    """To :data:`DIGITS` significant digits, each number as its shortest decimal says it; 0 without a sign."""
    return np.array([float(f"{value:.{DIGITS}g}") + 0.0 for value in values.tolist()], np.float64)


def means(parts: Sequence[Array]) -> Array:
    """The mean of each of ``parts``, float64 [len(parts)]: sums without rounding (``math.fsum``), and equal means equal."""
    return settled(np.array([math.fsum(part.tolist()) / len(part) for part in parts], np.float64))
