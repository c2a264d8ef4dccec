"""A frame rate that cannot be true: the time base is damaged, and with it every time at once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lavad_core.video.timeline import DEFAULT_RATE, RATES

MIN_FRAMES = 8
"""Fewer frames do not show a rate."""

AVI_HEAD_BYTES = 4096
"""Where an AVI file's main header ends at the latest."""


def true_time_base(pts: NDArray[np.int64], time_base: Fraction, container: str, path: str) -> Fraction:
    """Seconds per tick: the container's, or one that gives the frames a possible rate.

    More than 1,000 frames a second are never true. Fewer than one a minute can be (a camera that takes a picture an hour); in
    an AVI, whose time base is nothing else than its rate, the main header must say the same.

    Args:
        pts: int64 [M], ticks, increasing.
        time_base: as the container says.
        container: FFmpeg's name.
        path: where the file is.

    Raises:
        OSError: the file cannot be read.
    """
    if len(pts) < MIN_FRAMES:
        return time_base
    step = Fraction(float(np.median(np.diff(pts)))) * time_base
    slowest, fastest = RATES
    if step >= Fraction(1, int(fastest)) and (step <= 1 / slowest or container != "avi"):
        return time_base
    other = avi_step_s(path) if container == "avi" else None
    if other is not None and step == other:
        return time_base
    return time_base * (other or Fraction(1, DEFAULT_RATE)) / step


def avi_step_s(path: str) -> Fraction | None:
    """Seconds from frame to frame by an AVI file's main header; None where that is not a rate."""
    with open(path, "rb") as file:
        head = file.read(AVI_HEAD_BYTES)
    at = head.find(b"avih")
    if at < 0 or len(head) < at + 12:
        return None
    step = Fraction(int.from_bytes(head[at + 8 : at + 12], "little"), 1_000_000)
    return step if Fraction(1, int(RATES[1])) <= step <= 1 / RATES[0] else None
