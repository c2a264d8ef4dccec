"""Scores of grid frames to frames and segments."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.errors import InputError
from lavad_core.method.detection import Segment, SegmentRule, segments, to_frames


def found(scores: list[float], frames: int, **thresholds: Any) -> list[Segment]:
    """Segments of a video of 2 frames a second with a grid of 4."""
    return segments(
        np.array(scores), np.arange(0, frames, 4), frames, 4, np.arange(frames) / 2, SegmentRule(**thresholds)
    )


@pytest.mark.parametrize(
    ("word", "scores", "frames", "low", "expected"),
    [
        ("none", [0.1, 0.4, 0.2], 12, None, []),
        ("all", [0.5, 0.9, 0.9], 12, None, [(0, 11, 0.0, 6.0, 0.9, 4)]),
        ("at-the-threshold", [0.1, 0.5, 0.1], 12, None, [(4, 7, 2.0, 4.0, 0.5, 4)]),
        ("cut-tail", [0.1, 0.1, 0.8], 10, None, [(8, 9, 4.0, 5.0, 0.8, 8)]),
        ("two", [0.6, 0.1, 0.7], 12, None, [(0, 3, 0.0, 2.0, 0.6, 0), (8, 11, 4.0, 6.0, 0.7, 8)]),
        ("hysteresis-joins", [0.6, 0.3, 0.7], 12, 0.3, [(0, 11, 0.0, 6.0, 0.7, 8)]),
        ("hysteresis-needs-a-peak", [0.4, 0.1, 0.7], 12, 0.3, [(8, 11, 4.0, 6.0, 0.7, 8)]),
        ("hysteresis-widens", [0.4, 0.7, 0.2], 12, 0.3, [(0, 7, 0.0, 4.0, 0.7, 4)]),
        ("first-peak", [0.8, 0.8, 0.1], 12, None, [(0, 7, 0.0, 4.0, 0.8, 0)]),
        ("one-frame", [0.8], 1, None, [(0, 0, 0.0, 0.0, 0.8, 0)]),
    ],
)
def test_segments(
    word: str, scores: list[float], frames: int, low: float | None, expected: list[tuple[float, ...]]
) -> None:
    assert [tuple(vars(segment).values()) for segment in found(scores, frames, low_threshold=low)] == expected


@pytest.mark.parametrize(
    ("word", "scores", "settings", "expected"),
    [
        # 2 s a grid frame
        ("gap-joined", [0.6, 0.1, 0.7], {"max_gap_s": 2.0}, [(0, 11, 0.0, 6.0, 0.7, 8)]),
        ("gap-too-long", [0.6, 0.1, 0.7], {"max_gap_s": 1.9}, [(0, 3, 0.0, 2.0, 0.6, 0), (8, 11, 4.0, 6.0, 0.7, 8)]),
        ("first-of-equal-peaks", [0.7, 0.1, 0.7], {"max_gap_s": 2.0}, [(0, 11, 0.0, 6.0, 0.7, 0)]),
        ("three-in-a-chain", [0.6, 0.1, 0.9, 0.1, 0.7], {"max_gap_s": 2.0}, [(0, 19, 0.0, 10.0, 0.9, 8)]),
        ("short-one-left-out", [0.9, 0.1, 0.6, 0.6], {"min_length_s": 4.0}, [(8, 15, 4.0, 8.0, 0.6, 8)]),
        ("none-left", [0.9, 0.1, 0.6], {"min_length_s": 2.1}, []),
        ("gaps-first", [0.6, 0.1, 0.7], {"max_gap_s": 2.0, "min_length_s": 6.0}, [(0, 11, 0.0, 6.0, 0.7, 8)]),
        ("gap-of-frames-joined", [0.6, 0.1, 0.7], {"max_gap_frames": 4}, [(0, 11, 0.0, 6.0, 0.7, 8)]),
        ("gap-of-frames-too-long", [0.6, 0.1, 0.1], {"max_gap_frames": 3}, [(0, 3, 0.0, 2.0, 0.6, 0)]),
        ("short-one-of-frames-left-out", [0.9, 0.1, 0.6, 0.6], {"min_length_frames": 5}, [(8, 15, 4.0, 8.0, 0.6, 8)]),
        ("both-lengths", [0.9, 0.1, 0.6, 0.6], {"min_length_frames": 1, "min_length_s": 4.1}, []),
        ("as-long-as-it-must-be", [0.9], {"min_length_frames": 4}, [(0, 3, 0.0, 2.0, 0.9, 0)]),
        (
            "what-is-only-low-is-a-gap",
            [0.6, 0.1, 0.4, 0.1, 0.6],
            {"max_gap_s": 4.0, "low_threshold": 0.3},
            [(0, 3, 0.0, 2.0, 0.6, 0), (16, 19, 8.0, 10.0, 0.6, 16)],
        ),
    ],
)
def test_short_gaps_are_closed_and_short_segments_left_out(
    word: str, scores: list[float], settings: dict[str, float], expected: list[tuple[float, ...]]
) -> None:
    frames = 4 * len(scores)
    assert [tuple(vars(segment).values()) for segment in found(scores, frames, **settings)] == expected


def test_a_length_that_rounding_makes_a_little_short_is_kept() -> None:
    times = np.arange(33) / 30
    scores = np.array([0.0, 0.9, 0.9] + [0.0] * 8)
    grid = np.arange(0, 33, 3)
    exactly = 6 / 30
    assert times[9] - times[3] < exactly, "the case is there"
    assert len(segments(scores, grid, 33, 3, times, SegmentRule(min_length_s=exactly))) == 1


def test_times_are_the_video_s_own() -> None:
    times = np.array([0.0, 0.1, 5.0, 5.1, 9.0, 9.5])
    (segment,) = segments(np.array([0.0, 0.9, 0.0]), np.array([0, 2, 4]), 6, 2, times, SegmentRule())
    assert (segment.start_s, segment.end_s) == (5.0, 9.0)


@settings(deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=1, max_size=40),
    cut=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]),
    lower=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_segments_are_the_frames_above(scores: list[float], cut: int, threshold: float, lower: float) -> None:
    frames = len(scores) * 4 - cut
    of_frames = to_frames(np.array(scores), frames, 4)
    plain = found(scores, frames, threshold=threshold)
    marked = np.zeros(frames, dtype=bool)
    for segment in plain:
        assert not marked[max(segment.start_frame - 1, 0) : segment.end_frame + 1].any()  # no overlap, no touching
        marked[segment.start_frame : segment.end_frame + 1] = True
        assert segment.peak_score == of_frames[segment.start_frame : segment.end_frame + 1].max()
        assert segment.start_frame <= segment.peak_frame <= segment.end_frame
    assert np.array_equal(marked, of_frames >= threshold)
    kept = found(scores, frames, threshold=threshold, min_length_s=4.0)
    assert kept == [segment for segment in plain if segment.end_s - segment.start_s >= 4.0]
    joined = found(scores, frames, threshold=threshold, max_gap_s=6.0)
    assert all(later.start_s - earlier.end_s > 6.0 for earlier, later in pairwise(joined))
    assert {segment.peak_frame for segment in joined} <= {segment.peak_frame for segment in plain}
    wide = found(scores, frames, threshold=threshold, low_threshold=max(threshold - lower, 0.0))
    assert len(wide) <= len(plain)
    for segment in plain:
        assert any(w.start_frame <= segment.start_frame and segment.end_frame <= w.end_frame for w in wide)


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("nan-score", {"scores": np.array([0.1, np.nan])}),
        ("too-few-scores", {"scores": np.array([0.1])}),
        ("other-grid", {"frames": np.array([0, 3])}),
        ("too-few-times", {"times_s": np.arange(7.0)}),
    ],
)
def test_segments_refuses(word: str, change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "scores": np.array([0.1, 0.9]),
        "frames": np.array([0, 4]),
        "frames_total": 8,
        "interval": 4,
        "times_s": np.arange(8.0),
        "rule": SegmentRule(),
    }
    segments(**arguments)
    with pytest.raises(ValueError, match=r"needed|not the grid|need as many"):
        segments(**(arguments | change))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"low_threshold": 0.6}, r"low threshold 0\.6 is above the threshold 0\.5", id="low above high"),
        pytest.param({"threshold": math.nan}, "threshold nan is not a finite number", id="threshold nan"),
        pytest.param({"threshold": math.inf}, "threshold inf", id="threshold inf"),
        pytest.param({"min_length_s": -1.0}, "least length -1.0 .* seconds", id="negative length"),
        pytest.param({"max_gap_s": math.inf}, "longest gap inf are seconds", id="endless gap"),
        pytest.param({"max_gap_s": math.nan}, "longest gap nan are seconds", id="gap nan"),
        pytest.param({"max_gap_frames": -1}, "longest gap -1 are frames", id="negative gap in frames"),
    ],
)
def test_a_rule_refuses(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        SegmentRule(**given)


@settings(deadline=None)
@given(frames=st.integers(1, 200), interval=st.integers(1, 40))
def test_to_frames(frames: int, interval: int) -> None:
    on_grid = np.arange(-(-frames // interval)) / 10
    assert to_frames(on_grid, frames, interval).tolist() == [on_grid[at // interval] for at in range(frames)]


@pytest.mark.parametrize("scores", [2, 4])
def test_scores_that_do_not_cover_a_video_name_it(scores: int) -> None:
    with pytest.raises(InputError, match=r"'a\\x1bb'.*makes 3"):
        to_frames(np.zeros(scores), 40, 16, video="a\x1bb")
