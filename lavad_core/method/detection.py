"""From scores of grid frames to scores of all frames, and to anomalous segments (paper Sec. 3.3, last paragraph)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import InputError
from lavad_core.method.sampling import TIME_TOLERANCE_S


@dataclass(frozen=True)
class SegmentRule:
    """Which scores make a segment.

    A length in seconds is measured by the video's time stamps, one in frames by the frames' numbers. Where both are given, a
    segment must have both lengths, and a gap that is short by either measure is closed.

    Raises:
        InputError: a threshold is not finite, the lower one is above the other, or a length or gap is negative or not finite.
    """

    threshold: float = 0.5
    """A score of at least this is anomalous."""
    low_threshold: float | None = None
    """A segment goes on while scores stay at or above this; None stands for ``threshold``."""
    min_length_s: float = 0.0
    """Segments shorter than this are left out, seconds; 0 keeps all."""
    max_gap_s: float = 0.0
    """Segments with at most this between them become one, seconds; 0 joins none."""
    min_length_frames: int = 0
    """``min_length_s`` in frames."""
    max_gap_frames: int = 0
    """``max_gap_s`` in frames."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise InputError(f"the threshold {self.threshold} is not a finite number; scores are mostly from 0 to 1")
        if not self.low <= self.threshold:
            raise InputError(
                f"the low threshold {self.low:g} is above the threshold {self.threshold:g}; it says how far down a segment "
                "that reached the threshold goes on, so give at most that"
            )
        for length, gap, unit in (
            (self.min_length_s, self.max_gap_s, "seconds"),
            (self.min_length_frames, self.max_gap_frames, "frames"),
        ):
            if not (0 <= length < math.inf and 0 <= gap < math.inf):
                raise InputError(f"the least length {length} and the longest gap {gap} are {unit}, at least 0")

    @property
    def low(self) -> float:
        """The score that a segment needs to go on."""
        return self.threshold if self.low_threshold is None else self.low_threshold

    def joins(self, before: Segment, after: Segment) -> bool:
        """Whether the gap between two neighbouring segments is short enough to be closed."""
        return (
            self.max_gap_s > 0 and after.start_s - before.end_s <= self.max_gap_s + TIME_TOLERANCE_S
        ) or after.start_frame - before.end_frame - 1 <= self.max_gap_frames

    def keeps(self, segment: Segment) -> bool:
        """Whether a segment is long enough."""
        return (
            segment.end_s - segment.start_s >= self.min_length_s - TIME_TOLERANCE_S
            and segment.end_frame - segment.start_frame + 1 >= self.min_length_frames
        )


@dataclass(frozen=True)
class Segment:
    """A span of frames found anomalous."""

    start_frame: int
    """First frame."""
    end_frame: int
    """Last frame, inclusive."""
    start_s: float
    """Presentation time of the first frame, seconds."""
    end_s: float
    """When the last frame stops being shown, seconds: the time of the frame after it; at the end of the video the last
    frame's own time plus the median time between frames."""
    peak_score: float
    """The highest score."""
    peak_frame: int
    """The first grid frame that has it."""


def segments(
    scores: NDArray[np.float64],
    frames: NDArray[np.int64],
    frames_total: int,
    interval: int,
    times_s: NDArray[np.float64],
    rule: SegmentRule,
) -> list[Segment]:
    """Threshold scores, with hysteresis if the rule has a lower threshold; close what is short between them, and drop what is
    short itself.

    A segment is a longest run of grid frames with scores of at least the lower threshold, one of them at least the threshold.
    Each grid frame stands for the frames up to the next one. Gaps are closed before lengths are measured, so that an event
    that flickers is not lost piece by piece.

    Args:
        scores: float64, [n], of the grid frames.
        frames: int64, [n], the grid 0, interval, ….
        frames_total: M.
        interval: frames from one score to the next.
        times_s: float64, [M], presentation times, seconds.
        rule: thresholds, gaps and lengths.

    Returns:
        Segments in order of time; no two touch.

    Raises:
        ValueError: shapes do not fit, or a score is not finite.
    """
    if not np.array_equal(frames, np.arange(0, frames_total, interval)) or scores.shape != frames.shape:
        raise ValueError(f"{scores.shape} scores of {frames.shape} frames are not the grid of {frames_total} frames")
    if times_s.shape != (frames_total,):
        raise ValueError(f"{frames_total} frames need as many times, got {times_s.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("finite scores are needed")
    joined: list[Segment] = []
    for segment in _runs(scores, frames_total, interval, times_s, rule):
        if joined and rule.joins(joined[-1], segment):
            segment = _joined(joined.pop(), segment)
        joined.append(segment)
    return [segment for segment in joined if rule.keeps(segment)]


def _runs(
    scores: NDArray[np.float64], frames_total: int, interval: int, times_s: NDArray[np.float64], rule: SegmentRule
) -> Iterator[Segment]:
    """Runs of at least the lower threshold with a score of at least the threshold."""
    # +1 where a run begins, -1 one past its end
    edges = np.diff((scores >= rule.low).astype(np.int8), prepend=0, append=0)
    for begin, stop in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
        peak = begin + int(scores[begin:stop].argmax())
        if scores[peak] < rule.threshold:
            continue
        end_exclusive = min(stop * interval, frames_total)
        yield Segment(
            start_frame=begin * interval,
            end_frame=end_exclusive - 1,
            start_s=float(times_s[begin * interval]),
            end_s=shown_until_s(times_s, end_exclusive),
            peak_score=float(scores[peak]),
            peak_frame=peak * interval,
        )


def _joined(before: Segment, after: Segment) -> Segment:
    """Two segments and the gap between them as one, with the first of the highest peaks."""
    peak = before if before.peak_score >= after.peak_score else after
    return replace(
        before,
        end_frame=after.end_frame,
        end_s=after.end_s,
        peak_score=peak.peak_score,
        peak_frame=peak.peak_frame,
    )


def to_frames(
    grid_scores: NDArray[np.float64], frames_total: int, interval: int, *, video: str = ""
) -> NDArray[np.float64]:
    """A score for every frame: each grid score repeated ``interval`` times, cut to M.

    Args:
        grid_scores: float64, [⌈M / interval⌉].
        frames_total: M.
        interval: frames from one grid frame to the next.
        video: its name, for the error.

    Returns:
        float64, [M].

    Raises:
        InputError: there are more or fewer scores than the grid has frames. Padding would be a made-up score, and a
            count that differs says that scores and frames are not of the same video.
    """
    needed = -(-frames_total // interval)
    if grid_scores.shape != (needed,):
        raise InputError(
            f"video {video!r}: {len(grid_scores)} scores for {frames_total} frames, but every {interval}th frame makes "
            f"{needed}; score the video again, or check the frame count of its list"
        )
    return np.repeat(grid_scores, interval)[:frames_total]


def shown_until_s(times_s: NDArray[np.float64], end_exclusive: int) -> float:
    """When the frame before ``end_exclusive`` stops being shown: the time of the next frame; at the end of the video its
    own time plus the median time between frames (0 if there is only one frame).

    Args:
        times_s: float64, [M], presentation times, seconds.
        end_exclusive: 1 to M.
    """
    if end_exclusive < len(times_s):
        return float(times_s[end_exclusive])
    return float(times_s[-1] + (np.median(np.diff(times_s)) if len(times_s) > 1 else 0.0))


def mean_rate(times_s: NDArray[np.float64]) -> float | None:
    """Frames per second over a whole video; None for a single frame, or where time does not pass.

    Args:
        times_s: float64, [M], presentation times, seconds.
    """
    passed = float(times_s[-1] - times_s[0])
    return (len(times_s) - 1) / passed if passed > 0 else None
