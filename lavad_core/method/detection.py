"""From scores of grid frames to scores of all frames, and to anomalous segments (paper Sec. 3.3, last paragraph)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import InputError
from lavad_core.method.sampling import TIME_TOLERANCE_S


@dataclass(frozen=True)
class SegmentRule:
    """Which scores make a segment: the arguments of :func:`segments` as one value.

    Attributes:
        threshold: a score of at least this is anomalous.
        low_threshold: a segment goes on while scores stay at or above this; None for ``threshold``.
        min_length_s: segments shorter than this are left out, seconds; 0 keeps all.
        max_gap_s: segments with at most this between them become one, seconds; 0 joins none.

    Raises:
        InputError: the lower threshold is above the other.
    """

    threshold: float = 0.5
    low_threshold: float | None = None
    min_length_s: float = 0.0
    max_gap_s: float = 0.0

    def __post_init__(self) -> None:
        if self.low_threshold is not None and self.low_threshold > self.threshold:
            raise InputError(f"the low threshold {self.low_threshold:g} is above the threshold {self.threshold:g}")


@dataclass(frozen=True)
class Segment:
    """A span of frames found anomalous.

    Attributes:
        start_frame: first frame.
        end_frame: last frame, inclusive.
        start_s: presentation time of the first frame, seconds.
        end_s: when the last frame stops being shown, seconds: the time of the frame after it; at the end of the video
            the last frame's own time plus the median time between frames.
        peak_score: the highest score.
        peak_frame: the first grid frame that has it.
    """

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    peak_score: float
    peak_frame: int


def segments(
    scores: NDArray[np.float64],
    frames: NDArray[np.int64],
    frames_total: int,
    interval: int,
    times_s: NDArray[np.float64],
    *,
    threshold: float,
    low_threshold: float | None = None,
    min_length_s: float = 0.0,
    max_gap_s: float = 0.0,
) -> list[Segment]:
    """Threshold scores, with hysteresis if ``low_threshold`` is given; close what is short between them, and drop what
    is short itself.

    A segment is a longest run of grid frames with scores of at least ``low_threshold`` (``threshold`` if None), one of
    them at least ``threshold``. Each grid frame stands for the frames up to the next one. Then segments with at most
    ``max_gap_s`` between them become one, and of these the ones shorter than ``min_length_s`` go: in this order, so that an
    event that flickers is not lost piece by piece.

    Args:
        scores: float64, [n], of the grid frames.
        frames: int64, [n], the grid 0, interval, ….
        frames_total: M.
        interval: of the grid.
        times_s: float64, [M], presentation times, seconds. With the frames' own numbers for times, lengths and gaps are in
            frames.
        threshold: a score of at least this is anomalous.
        low_threshold: at most ``threshold``.
        min_length_s: of a segment, from its first frame's time to ``end_s``; 0 keeps all.
        max_gap_s: from one segment's ``end_s`` to the next one's ``start_s``; 0 joins none.

    Returns:
        Segments in order of time; no two touch.

    Raises:
        ValueError: shapes do not fit, a score is not finite, ``low_threshold`` is above ``threshold``, or a length or gap
            is negative or not finite.
    """
    if not np.array_equal(frames, np.arange(0, frames_total, interval)) or scores.shape != frames.shape:
        raise ValueError(f"{scores.shape} scores of {frames.shape} frames are not the grid of {frames_total} frames")
    if times_s.shape != (frames_total,):
        raise ValueError(f"{frames_total} frames need as many times, got {times_s.shape}")
    low = threshold if low_threshold is None else low_threshold
    if not low <= threshold or not np.isfinite(scores).all():
        raise ValueError(f"thresholds {low} ≤ {threshold} and finite scores are needed")
    if not (0 <= min_length_s < np.inf and 0 <= max_gap_s < np.inf):
        raise ValueError(f"lengths of at least 0 s are needed, got {min_length_s} and {max_gap_s}")
    found = _runs(scores, frames_total, interval, times_s, threshold, low)
    joined = _joined(found, max_gap_s) if max_gap_s else found
    return [segment for segment in joined if segment.end_s - segment.start_s >= min_length_s - TIME_TOLERANCE_S]


def _runs(
    scores: NDArray[np.float64],
    frames_total: int,
    interval: int,
    times_s: NDArray[np.float64],
    threshold: float,
    low: float,
) -> list[Segment]:
    """Runs of at least ``low`` with a score of at least ``threshold``."""
    # +1 where a run begins, -1 one past its end
    edges = np.diff((scores >= low).astype(np.int8), prepend=0, append=0)
    result = []
    for begin, stop in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
        peak = begin + int(scores[begin:stop].argmax())
        if scores[peak] < threshold:
            continue
        end_exclusive = min(stop * interval, frames_total)
        result.append(
            Segment(
                start_frame=begin * interval,
                end_frame=end_exclusive - 1,
                start_s=float(times_s[begin * interval]),
                end_s=shown_until_s(times_s, end_exclusive),
                peak_score=float(scores[peak]),
                peak_frame=peak * interval,
            )
        )
    return result


def _joined(found: list[Segment], max_gap_s: float) -> list[Segment]:
    """Segments with at most ``max_gap_s`` from one to the next as one, with the first of the highest peaks."""
    joined: list[Segment] = []
    for segment in found:
        if joined and segment.start_s - joined[-1].end_s <= max_gap_s + TIME_TOLERANCE_S:
            before = joined.pop()
            peak = before if before.peak_score >= segment.peak_score else segment
            segment = Segment(
                start_frame=before.start_frame,
                end_frame=segment.end_frame,
                start_s=before.start_s,
                end_s=segment.end_s,
                peak_score=peak.peak_score,
                peak_frame=peak.peak_frame,
            )
        joined.append(segment)
    return joined


def to_frames(
    grid_scores: NDArray[np.float64], frames_total: int, interval: int, *, video: str = ""
) -> NDArray[np.float64]:
    """A score for every frame: each grid score repeated ``interval`` times, cut to M.

    Args:
        grid_scores: float64, [⌈M / interval⌉].
        frames_total: M.
        interval: of the grid.
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
    own time and the median distance of two frames (nothing, if there is one frame only).

    Args:
        times_s: float64, [M], presentation times, seconds.
        end_exclusive: 1 to M.
    """
    if end_exclusive < len(times_s):
        return float(times_s[end_exclusive])
    return float(times_s[-1] + (np.median(np.diff(times_s)) if len(times_s) > 1 else 0.0))
