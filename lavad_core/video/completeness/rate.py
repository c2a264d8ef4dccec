"""How many frames a constant rate has in a stretch of time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REGULAR_FRACTION = 0.9
"""A rate is constant if at least this part of its steps is alike (stamps in whole milliseconds jitter by one)."""

FEW = 4
"""With fewer frames than these the header's rate is believed."""

SHORTEST_S = 1 / 250
"""A header's rate that is faster is the tick of a clock (FFmpeg's guess for ASF and FLV: 1000)."""

MAX_FACTOR = 2
"""A duration that nothing else supports is believed up to this many times the existing frames."""

SPARE_FACTOR = 4
"""Factor by which the missing bytes of a file may hold more frames than those that exist."""

TICK_S = 0.001
"""The clocks of ASF, FLV and (as written) Matroska count whole milliseconds."""


@dataclass(frozen=True)
class Expected:
    """How many frames there should be."""

    frames: int | None
    """None where the rate varies or is not known, or the number cannot be true."""
    exact: bool
    """False where stamps in whole milliseconds leave room for another number; then it is a minimum."""


def step_of(times_s: Sequence[float], header_s: float) -> float:
    """Seconds from frame to frame of a constant rate; 0 if it varies or is not known.

    Args:
        times_s: stamps, in any order.
        header_s: seconds by the header's rate, 0 unknown.
    """
    times = np.unique(np.asarray(times_s, dtype=np.float64))
    if len(times) < FEW:
        return header_s if header_s >= SHORTEST_S else 0.0
    steps = np.diff(times)
    step = float(np.median(steps))
    alike = np.abs(steps - step) <= max(0.0011, 0.02 * step)
    return float(steps[alike].mean()) if np.count_nonzero(alike) >= REGULAR_FRACTION * len(steps) else 0.0


def frames_expected(
    times_s: Sequence[float], end_s: float, header_s: float, size_bytes: int = 0, announced_bytes: float = 0
) -> Expected:
    """Frames of a video of a constant rate from the first of ``times_s`` to its end; at least as many as there are.

    A damaged stamp or duration can announce any number. It is believed up to twice the existing frames, or as the
    bytes that the file lacks by its own sizes have room for.

    Args:
        times_s: stamps of the existing frames.
        end_s: when the video ends by its header; 0 unknown, then the last frame is the last.
        header_s: seconds from frame to frame by the header's rate, 0 unknown.
        size_bytes, announced_bytes: the file's size, and the size that it announces; 0 unknown.
    """
    step = step_of(times_s, header_s) if len(times_s) else 0.0
    if step <= 0:
        return Expected(None, False)
    first, last = min(times_s), max(times_s)
    whole = max((end_s - first) / step, (last - first) / step + 1)
    lacking = max(0.0, announced_bytes - size_bytes) / size_bytes if size_bytes else 0.0
    if whole > len(times_s) * (MAX_FACTOR + SPARE_FACTOR * lacking) + FEW:
        return Expected(None, False)
    # A few steps, each rounded to a millisecond, do not say what a hundred of them are.
    error = TICK_S / max(1, len(times_s) - 1)
    exact = step > error and round(whole * step / (step + error)) == round(whole * step / (step - error))
    return Expected(max(len(times_s), round(whole)), exact)
