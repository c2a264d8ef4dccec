"""Which frames of a window a model is shown (Probe-VAD, arXiv 2609.17211): two a second, ten at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lavad_core.method.sampling import window_samples


def frames_of_windows(
    centres: NDArray[np.int64],
    times_s: NDArray[np.float64],
    *,
    duration_s: float,
    frame_rate: float | None,
    align: Literal["centred", "past"] = "centred",
    fps: float,
    most: int,
) -> Iterator[NDArray[np.int64]]:
    """The frames of the clip around each centre.

    A window is that of the method (:func:`~lavad_core.method.sampling.window_samples` with ``any-frame``): the half of it that
    is before the beginning or after the end of the video is lost, so that the first and the last are shorter. Of its m frames
    those at ``linspace(0, m − 1, n)`` are taken, cut to whole numbers, n being its length in seconds times ``fps``, cut to a
    whole number, from 1 to ``most``. With ``most`` = 1 it is the centre itself.

    Args:
        centres: int64 [k], frame indices, increasing.
        times_s: float64 [M], presentation times of all frames, seconds.
        duration_s: T, length of a window, seconds.
        frame_rate: frames per second for every video, or None for the video's own time stamps.
        align: whether a window is around its frame, or ends at it.
        fps: frames of a second that are taken.
        most: most frames of a clip.

    Returns:
        Increasing frame indices, int64 [1 … most], for each centre.
    """
    windows = window_samples(
        centres,
        len(times_s),
        1,
        times_s,
        duration_s=duration_s,
        samples=1,
        sampling="any-frame",
        frame_rate=frame_rate,
        align=align,
    )
    step = float(times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else 0.0
    for centre, first, count in zip(centres.tolist(), windows.first.tolist(), windows.counts.tolist(), strict=True):
        own_s = float(times_s[first + count - 1] - times_s[first]) + step
        length_s = count / frame_rate if frame_rate else own_s
        wanted = min(most, count, max(1, int(length_s * fps + 1e-6)))
        positions = np.linspace(0, count - 1, wanted).astype(np.int64)
        yield first + positions if most > 1 else np.array([centre], np.int64)


def asked_of_grid(frames: int, stride: int) -> range:
    """Places of the grid frames that a model is asked about: one in ``stride``, from the first on."""
    return range(0, frames, stride)
