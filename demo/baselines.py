"""Scores that need no model. A method that does not beat them has shown nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import InputError
from lavad_core.evaluation.frame_metrics import FrameMetrics, frame_metrics
from lavad_core.evaluation.trivial import CENTRE, CONSTANT, centre_prior

if TYPE_CHECKING:
    from lavad.demo.clip import Truth

SMOOTHING_S = 5.0
"""Half of the method's window: a quiet moment within an event does not count against motion then."""

SMOOTHED = f"motion energy, smoothed {SMOOTHING_S:g} s"


def trivial_rows(folder: Path, truths: Sequence[Truth]) -> dict[str, list[NDArray[np.float64]]]:
    """Trivial scores in [0, 1] of every frame.

    Args:
        folder: with ``videos/NAME.mp4``.
        truths: the clips.

    Returns:
        by name of the row, for each clip in the order of ``truths``, float64 [frames].

    Raises:
        InputError: a clip is missing or cannot be decoded, or has another number of frames than its truth says.
    """
    rows: dict[str, list[NDArray[np.float64]]] = {
        CONSTANT: [np.full(truth.frames, 0.5) for truth in truths],
        CENTRE: [centre_prior(truth.frames) for truth in truths],
        "motion energy": [],
        SMOOTHED: [],
    }
    for truth in truths:
        motion = motion_energy(folder / "videos" / f"{truth.name}.mp4")
        if len(motion) != truth.frames:
            raise InputError(f"clip {truth.name!r} has {len(motion)} frames, its truth says {truth.frames}")
        rows["motion energy"].append(motion)
        rows[SMOOTHED].append(moving_mean(motion, round(SMOOTHING_S * truth.frame_rate)))
    return rows


def trivial_metrics(folder: Path, truths: Sequence[Truth], labels: NDArray[np.bool_]) -> dict[str, FrameMetrics]:
    """``frame_metrics`` of each of :func:`trivial_rows`, whose arguments and errors it has.

    Args:
        folder, truths: where the clips are, and what they show.
        labels: whether each of their frames is anomalous, one clip after the other.
    """
    return {
        name: frame_metrics(labels, np.concatenate(scores)) for name, scores in trivial_rows(folder, truths).items()
    }


def motion_energy(path: Path) -> NDArray[np.float64]:
    """Mean absolute difference of each grey frame to the one before; the first frame has the second's.

    Returns:
        [frames]; 0 … 1, where 1 is black to white everywhere.
    """
    motion: list[float] = []
    before: NDArray[np.int16] | None = None
    try:
        with av.open(str(path)) as media:
            for frame in media.decode(video=0):
                grey = frame.to_ndarray(format="gray").astype(np.int16)  # differences of uint8 would wrap
                if before is not None:
                    motion.append(float(np.abs(grey - before).mean()) / 255)
                before = grey
    except (OSError, IndexError, av.FFmpegError) as error:  # IndexError: no video in it
        raise InputError(f"{path.name!r} cannot be decoded: {error}") from error
    if before is None:
        raise InputError(f"{path.name!r} has no frames")
    return np.array([*motion[:1], *motion] or [0.0])


def moving_mean(scores: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Mean over the ``frames`` around each frame; at a clip's ends over those of them that exist."""
    window = np.ones(frames)
    before, after = frames // 2, (frames - 1) // 2
    padded = np.pad(scores, (before, after))
    there = np.pad(np.ones(len(scores)), (before, after))
    return np.convolve(padded, window, "valid") / np.convolve(there, window, "valid")
