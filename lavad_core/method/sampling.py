"""The grid, the window V_i around a grid frame, its N samples, and the clips that E_V sees (paper Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FrameIndices = NDArray[np.int64]
"""int64, 0-based frame indices in presentation order, strictly increasing."""

TIME_TOLERANCE_S = 1e-6
"""Two times this close are the same: rounding of k / 30 must not move a frame over the edge of a window. The finest
time bases in use (1/90000 s) have steps eleven times as long."""

SAMPLED = "window_samples"
"""Fact in the commit of summaries: number of samples to how many windows have it; empty if no window was sampled."""


@dataclass(frozen=True)
class Samples:
    """The sampled frames of n windows, each worked out when it is asked for: 16 bytes a window, whatever N is."""

    first: NDArray[np.int64] = field(repr=False)
    """int64, [n], each window's first candidate, counted in candidates from the start of the video."""
    counts: NDArray[np.int64] = field(repr=False)
    """int64, [n], each window's candidates, at least 1."""
    step: int
    """Frames from one candidate to the next."""
    most: int
    """N, samples of a window that has as many candidates."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64, [n], 1 to N: how many samples each window has."""
        return np.minimum(self.counts, self.most)

    @property
    def short(self) -> int:
        """How many windows have fewer candidates than samples are wanted."""
        return int(np.count_nonzero(self.counts < self.most))

    @property
    def histogram(self) -> dict[str, int]:
        """Number of samples, as JSON's keys are written, to how many windows have it."""
        numbers, windows = np.unique(self.lengths, return_counts=True)
        return {str(number): count for number, count in zip(numbers.tolist(), windows.tolist(), strict=True)}

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, at: int) -> FrameIndices:
        """int64, [1 to N], increasing: the frames of window ``at``."""
        return (int(self.first[at]) + spread_positions(int(self.counts[at]), self.most)) * self.step

    def __iter__(self) -> Iterator[FrameIndices]:
        return (self[at] for at in range(len(self)))


def grid(frames: int, interval: int) -> FrameIndices:
    """0, interval, 2·interval, … < frames: int64, [⌈M / interval⌉]; raises ValueError unless both are at least 1."""
    if frames < 1 or interval < 1:
        raise ValueError(f"a grid needs at least 1 frame and an interval of at least 1, got {frames} and {interval}")
    return np.arange(0, frames, interval, dtype=np.int64)


def nearest_grid(samples: NDArray[np.int64], frames: int, interval: int) -> NDArray[np.int64]:
    """For each of n frames the nearest grid frame, the earlier of two: int64, [n].

    Where cleaning is switched off, a sample between grid frames has no caption of its own and takes this one's.
    """
    position = (samples + (interval - 1) // 2) // interval
    return np.asarray(np.minimum(position, (frames - 1) // interval) * interval, dtype=np.int64)


def nearest_rows(frames: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions in ``frames`` of the ones nearest to each of ``wanted``; of two equally near the earlier.

    Args:
        frames: int64, [n], n ≥ 1, increasing.
        wanted: int64, [m], frame indices.

    Returns:
        intp, [m].
    """
    right = np.searchsorted(frames, wanted).clip(max=len(frames) - 1)
    left = (right - 1).clip(min=0)
    return np.where(wanted - frames[left] <= frames[right] - wanted, left, right)


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
    align: Literal["centred", "past"] = "centred",
) -> Samples:
    """The sampled frames of the window around each centre.

    With a constant ``frame_rate`` a window is frames c − ⌊rate·T⌋//2 … c + ⌊rate·T⌋//2 − 1; with None it is the frames
    whose time is in [t_c − T/2, t_c + T/2). With ``align`` past it ends at c, and is as long: frames c − ⌊rate·T⌋ + 1 … c, or
    those whose time is in (t_c − T, t_c]. All are clipped to the video and hold the centre. Of the window's n
    candidates (all its frames, or its grid frames) those at positions ``linspace(0, n − 1, N)``, cut to whole
    numbers, are taken; all of them if n < N. N = 1 takes the first candidate with ``any-frame``, as that formula
    says and the reference does, and the centre with ``grid``.

    Args:
        centres: int64, [n], frame indices; grid frames if ``sampling`` is ``grid``.
        frames: M.
        interval: frames from one grid frame to the next.
        times_s: float64, [M], presentation times in seconds, strictly increasing; needed if ``frame_rate`` is None.
        duration_s: T, seconds.
        samples: N.
        sampling: which frames are candidates.
        frame_rate: frames per second for every video, or None for the video's own time stamps.
        align: whether a window lies around its centre, or before it.

    Returns:
        For each centre an increasing int64 array of 1 to N frame indices, made when it is read.

    Raises:
        ValueError: an argument is out of its range.
    """
    if samples < 1:
        raise ValueError(f"at least 1 sample of a window is needed, got {samples}")
    if sampling == "grid" and (interval < 1 or (centres % interval).any()):
        raise ValueError(f"sampling 'grid' needs centres on the grid of interval {interval}")
    starts, stops = _bounds(centres, frames, duration_s, frame_rate, times_s, align)
    step = interval if sampling == "grid" else 1
    if sampling == "grid" and samples == 1:
        return Samples(centres // step, np.ones(len(centres), np.int64), step, 1)
    first = -(-starts // step)  # in candidates: grid positions or frames
    return Samples(first, -(-stops // step) - first, step, samples)


def sampled(lengths: Mapping[int, int]) -> str:
    """How many frames windows really sampled: the median, and the range where they differ. ``lengths`` is the number of samples
    to how many windows have it, at least one."""
    numbers = np.array(sorted(lengths), np.int64)
    windows = np.array([lengths[number] for number in numbers.tolist()])
    # the lower median: a number that some window has
    median = int(numbers[np.searchsorted(np.cumsum(windows), (int(windows.sum()) + 1) // 2)])
    spread = f" ({numbers[0]} to {numbers[-1]})" if len(numbers) > 1 else ""
    return f"{median}{spread}"


def cannot_be_had(short: int, windows: int, samples: int, sampling: Literal["grid", "any-frame"]) -> str:
    """A note for windows most of which have fewer candidates than samples are wanted; empty if they have as many.

    With grid frames at 16 frames an interval and 15 a second, a window of 2.5 s has 3 candidates, and N = 10 and N = 20 are the
    same setting.

    Args:
        short: windows with fewer candidates.
        windows: all.
        samples: N.
        sampling: which frames are candidates.
    """
    if 2 * short <= windows:
        return ""
    way_out = "window.sampling=any-frame has more" if sampling == "grid" else "a longer window.duration_s has more"
    return (
        f"{short} of {windows} windows have fewer candidate frames than window.samples = {samples}, and use what there is: "
        f"{way_out}"
    )


def frames_of(windows: Iterable[ArrayLike], frames: int) -> FrameIndices:
    """The frames that occur in ``windows``, each once, increasing. A window is frame indices of any shape: samples or clips."""
    wanted = np.zeros(frames, np.bool_)  # a byte a frame; a set of a million Python integers takes 60 MB
    for window in windows:
        wanted[np.asarray(window, np.int64).ravel()] = True
    return np.flatnonzero(wanted).astype(np.int64, copy=False)


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
    chosen = [(pairs - 1) // 2] if clips == 1 else spread_positions(pairs, clips).tolist()
    return [(frames[at], frames[at + 1]) for at in chosen]


@lru_cache(maxsize=256)  # windows away from the ends of a video have the same few counts
def spread_positions(count: int, most: int) -> NDArray[np.int64]:
    """The positions among ``count`` things at ``linspace(0, count − 1, most)``, cut to whole numbers; all of them if they are
    fewer."""
    few = count < most
    found = np.arange(count, dtype=np.int64) if few else np.linspace(0, count - 1, most).astype(np.int64)
    found.flags.writeable = False
    return found


def _bounds(
    centres: NDArray[np.int64],
    frames: int,
    duration_s: float,
    frame_rate: float | None,
    times_s: NDArray[np.float64] | None,
    align: Literal["centred", "past"],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"the duration of a window must be positive and finite, got {duration_s} s")
    if len(centres) and (int(centres.min()) < 0 or int(centres.max()) >= frames):
        raise ValueError(f"centres {int(centres.min())} … {int(centres.max())} are not all in 0 … {frames - 1}")
    if frame_rate is not None:
        if not 0 < frame_rate < float("inf"):
            raise ValueError(f"the frame rate must be positive and finite, got {frame_rate}")
        length = int(frame_rate * duration_s)
        half = length // 2
        starts, stops = (centres - half, centres + half) if align == "centred" else (centres - length + 1, centres + 1)
    else:
        if times_s is None or times_s.shape != (frames,):
            got = "none" if times_s is None else str(times_s.shape)
            raise ValueError(f"windows in the video's own time need {frames} times, got {got}")
        if not np.isfinite(times_s).all() or not (times_s[1:] > times_s[:-1]).all():
            raise ValueError("the times of the frames must be finite and strictly increasing")
        middle = times_s[centres]
        if align == "centred":
            starts = np.searchsorted(times_s, middle - duration_s / 2 - TIME_TOLERANCE_S)
            stops = np.searchsorted(times_s, middle + duration_s / 2 - TIME_TOLERANCE_S)
        else:
            starts = np.searchsorted(times_s, middle - duration_s + TIME_TOLERANCE_S)
            stops = centres + 1
    # A window shorter than a frame's time still holds its centre.
    return (
        np.clip(starts, 0, centres).astype(np.int64),
        np.clip(stops, centres + 1, frames).astype(np.int64),
    )
