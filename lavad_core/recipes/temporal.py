"""Smoothing of a video's scores over time, and the weight that says where in a clip events lie. Pure.

Sources: Gaussian with reflected ends, σ of 10 grid steps (URF, NeurIPS 2025; Probe-VAD, arXiv 2609.17211); kernel with zeros
beyond the ends, and the centre weight (VERA, CVPR 2025). The exponential mean and the half Gaussian are for scores that must
not wait for what comes after them.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""float64, [n], one score for each grid frame of a video, in order."""

REACH = 4.0
"""How many σ a Gaussian reaches to either side (SciPy's default)."""


def radius(sigma: float) -> int:
    """How many grid steps a Gaussian of ``sigma`` grid steps reaches to either side."""
    return int(REACH * sigma + 0.5)


def gaussian(scores: Scores, sigma: float) -> Scores:
    """A Gaussian mean with reflected ends: a video's first and last score count twice there.

    Args:
        scores: float64, [n].
        sigma: σ, grid steps, above 0.

    Returns:
        float64, [n].
    """
    from scipy.ndimage import gaussian_filter1d

    smooth: Scores = gaussian_filter1d(scores, sigma, truncate=REACH)
    return smooth


def kernel_weights(size: int, sigma: float) -> Scores:
    """The weights of :func:`kernel`, float64, [size], sum 1.

    They are taken at ``size`` points from −size // 2 to size // 2 with Python's floor, as VERA's program does: −8 to 7 for 15,
    so that the kernel of an odd size lies half a step off its centre.
    """
    points = np.linspace(-size // 2, size // 2, size)
    heights = np.exp(-(points**2) / (2 * sigma**2))
    weights: Scores = heights / heights.sum()
    return weights


def kernel(scores: Scores, size: int, sigma: float) -> Scores:
    """A mean under a short kernel with zeros beyond both ends, so that scores sink there (VERA).

    Args:
        scores: float64, [n]. Where n is below ``size``, NumPy's ``same`` would return ``size`` scores; this returns n.
        size: points of the kernel, grid steps.
        sigma: σ of its weights, grid steps.

    Returns:
        float64, [n].
    """
    skipped = (size - 1) // 2
    return np.convolve(scores, kernel_weights(size, sigma))[skipped : skipped + len(scores)]


def ema(scores: Scores, alpha: float) -> Scores:
    """The exponential mean of a score and those before it: y_0 = x_0, y_i = α·x_i + (1 − α)·y_{i−1}.

    Args:
        scores: float64, [n].
        alpha: α, 0 < α ≤ 1, the weight of a score in its own mean.

    Returns:
        float64, [n].
    """
    return np.fromiter(accumulate(scores.tolist(), lambda mean, score: alpha * score + (1 - alpha) * mean), np.float64)


def half_gaussian(scores: Scores, sigma: float) -> Scores:
    """The half of a Gaussian that looks back: the mean of a score and those before it. The first score stands for all that was
    before the video.

    Args:
        scores: float64, [n].
        sigma: σ, grid steps, above 0.

    Returns:
        float64, [n].
    """
    reach = radius(sigma)
    weights = np.exp(-(np.arange(reach + 1) ** 2) / (2 * sigma**2))
    return np.convolve(np.pad(scores, (reach, 0), mode="edge"), weights / weights.sum())[reach : reach + len(scores)]


def centre_weight(frames: NDArray[np.int64], total: int) -> Scores:
    """How much scores count at a place in a video: exp(−½·((x − h) / h)²) at frame x, h = ⌊total / 2⌋ (VERA, CoReVAD).

    This is knowledge of how a data set's clips were cut, and sees nothing of the video.

    Args:
        frames: int64, [n], frame indices.
        total: how many frames the video has.

    Returns:
        float64, [n], 0.6 to 1; 1 in a video of one frame.
    """
    half = total // 2
    if half == 0:
        return np.ones(len(frames))
    weight: Scores = np.exp(-0.5 * ((frames - half) / half) ** 2)
    return weight
