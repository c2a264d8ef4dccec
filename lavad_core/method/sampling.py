"""The grid, the window V_i around a grid frame, its N samples, and the clips that E_V sees (paper Sec. 3.3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.int64]
"""int64, 0-based frame indices in presentation order, strictly increasing."""

TIME_TOLERANCE_S = 1e-6
"""Two times this close are the same: rounding of k / 30 must not move a frame over the edge of a window. The finest
time bases in use (1/90000 s) have steps eleven times as long."""


def grid(frames: int, interval: int) -> Frames:
    """0, interval, 2·interval, … < frames.

    Args:
        frames: M, at least 1.
        interval: at least 1.

    Returns:
        int64, [⌈M / interval⌉].
    """
    if frames < 1 or interval < 1:
        raise ValueError(f"a grid needs at least 1 frame and an interval of at least 1, got {frames} and {interval}")
    return np.arange(0, frames, interval, dtype=np.int64)


def nearest_grid(samples: NDArray[np.int64], frames: int, interval: int) -> NDArray[np.int64]:
    """For each frame the nearest grid frame, the earlier of two.

    Where cleaning is switched off, a sample between grid frames has no caption of its own and takes this one's.

    Args:
        samples: int64, [n], frame indices.
        frames: M.
        interval: of the grid.

    Returns:
        int64, [n].
    """
    position = (samples + (interval - 1) // 2) // interval
    return np.asarray(np.minimum(position, (frames - 1) // interval) * interval, dtype=np.int64)


def window_bounds(
    centre: int,
    frames: int,
    *,
    duration_s: float,
    frame_rate: float | None,
    times_s: NDArray[np.float64] | None,
) -> tuple[int, int]:
    """The frames of the window of ``duration_s`` around ``centre``: first and one past the last (exclusive).

    See :func:`window_samples`, whose windows these are.
    """
    starts, stops = _bounds(np.array([centre], np.int64), frames, duration_s, frame_rate, times_s)
    return int(starts[0]), int(stops[0])


def window_samples(
    centres: NDArray[np.int64],
    frames: int,
    interval: int,
    times_s: NDArray[np.float64] | None,
    *,
    duration_s: float,
    samples: int,
    sampling: Literal["grid", "any-frame"],
    frame_rate: float | None,
) -> list[Frames]:
    """The sampled frames of the window around each centre.

    With a constant ``frame_rate`` a window is frames c − ⌊rate·T⌋//2 … c + ⌊rate·T⌋//2 − 1; with None it is the frames
    whose time is in [t_c − T/2, t_c + T/2). Both are clipped to the video and hold the centre. Of the window's n
    candidates (all its frames, or its grid frames) those at positions ``linspace(0, n − 1, N)``, cut to whole
    numbers, are taken; all of them if n < N. N = 1 takes the first candidate with ``any-frame``, as that formula
    says and the reference does, and the centre with ``grid``.

    Args:
        centres: int64, [n], frame indices; grid frames if ``sampling`` is ``grid``.
        frames: M.
        interval: of the grid.
        times_s: float64, [M], presentation times in seconds, strictly increasing; needed if ``frame_rate`` is None.
        duration_s: T, seconds.
        samples: N.
        sampling: which frames are candidates.
        frame_rate: frames per second for every video, or None for the video's own time stamps.

    Returns:
        For each centre an increasing int64 array of 1 to N frame indices.

    Raises:
        ValueError: an argument is out of its range.
    """
    if samples < 1:
        raise ValueError(f"at least 1 sample of a window is needed, got {samples}")
    if sampling == "grid" and (interval < 1 or (centres % interval).any()):
        raise ValueError(f"sampling 'grid' needs centres on the grid of interval {interval}")
    starts, stops = _bounds(centres, frames, duration_s, frame_rate, times_s)
    if sampling == "grid" and samples == 1:
        return [centres[at : at + 1].astype(np.int64) for at in range(len(centres))]
    step = interval if sampling == "grid" else 1
    first = -(-starts // step)  # in candidates: grid positions or frames
    counts = -(-stops // step) - first
    positions = {
        count: np.linspace(0, count - 1, samples).astype(np.int64) if count >= samples else np.arange(count)
        for count in np.unique(counts).tolist()
    }
    return [(begin + positions[count]) * step for begin, count in zip(first.tolist(), counts.tolist(), strict=True)]


def window_clips(samples: NDArray[np.int64], *, vector: Literal["spread", "ends"], clips: int) -> list[tuple[int, int]]:
    """The two-frame clips of one window, of which E_V(V_i) is the mean, normalised.

    ``ends``: the first and the last sample, all that the reference's video loader leaves of a window. ``spread``: of
    the n − 1 pairs of consecutive samples those at ``linspace(0, n − 2, clips)``, cut to whole numbers; all of them if
    they are fewer than ``clips``; the middle one for ``clips`` = 1. A single sample is paired with itself. The clips of
    a window are distinct, so each has the same weight in the mean.

    Args:
        samples: int64, [n], n ≥ 1, increasing: one item of :func:`window_samples`.
        vector: which clips.
        clips: most clips of ``spread``.

    Returns:
        Pairs of frame indices, in order of time.
    """
    frames = samples.tolist()
    if not frames or clips < 1:
        raise ValueError(f"a window needs at least 1 sample and 1 clip, got {len(frames)} and {clips}")
    if len(frames) == 1 or vector == "ends":
        return [(frames[0], frames[-1])]
    pairs = len(frames) - 1
    if pairs <= clips:
        chosen = list(range(pairs))
    elif clips == 1:
        chosen = [(pairs - 1) // 2]
    else:
        chosen = np.linspace(0, pairs - 1, clips).astype(np.int64).tolist()
    return [(frames[at], frames[at + 1]) for at in chosen]


def _bounds(
    centres: NDArray[np.int64],
    frames: int,
    duration_s: float,
    frame_rate: float | None,
    times_s: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"the duration of a window must be positive and finite, got {duration_s} s")
    if len(centres) and (int(centres.min()) < 0 or int(centres.max()) >= frames):
        raise ValueError(f"centres {int(centres.min())} … {int(centres.max())} are not all in 0 … {frames - 1}")
    if frame_rate is not None:
        if not 0 < frame_rate < float("inf"):
            raise ValueError(f"the frame rate must be positive and finite, got {frame_rate}")
        half = int(frame_rate * duration_s) // 2
        starts, stops = centres - half, centres + half
    else:
        if times_s is None or times_s.shape != (frames,):
            got = "none" if times_s is None else str(times_s.shape)
            raise ValueError(f"windows in the video's own time need {frames} times, got {got}")
        if not np.isfinite(times_s).all() or not (np.diff(times_s) > 0).all():
            raise ValueError("the times of the frames must be finite and strictly increasing")
        middle = times_s[centres]
        starts = np.searchsorted(times_s, middle - duration_s / 2 - TIME_TOLERANCE_S)
        stops = np.searchsorted(times_s, middle + duration_s / 2 - TIME_TOLERANCE_S)
    # A window shorter than a frame's time still holds its centre.
    return (
        np.clip(starts, 0, centres).astype(np.int64),
        np.clip(stops, centres + 1, frames).astype(np.int64),
    )
