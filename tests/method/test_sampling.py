"""The grid, windows, their samples and clips."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lavad_core.method.sampling import (
    cannot_be_had,
    frames_of,
    grid,
    nearest_grid,
    nearest_rows,
    sampled,
    window_clips,
    window_samples,
)

SAMPLINGS: list[Literal["grid", "any-frame"]] = ["grid", "any-frame"]


def window_bounds(
    centre: int, frames: int, *, duration_s: float, frame_rate: float | None, times_s: NDArray[np.float64] | None
) -> tuple[int, int]:
    """The first frame of a window, and one past its last: all of its frames are sampled."""
    (found,) = window_samples(
        np.array([centre], np.int64),
        frames,
        1,
        times_s,
        duration_s=duration_s,
        samples=frames,
        sampling="any-frame",
        frame_rate=frame_rate,
    )
    assert (np.diff(found) == 1).all()
    return int(found[0]), int(found[-1]) + 1


@pytest.mark.parametrize(
    ("word", "frames", "interval", "expected"),
    [
        ("one-frame", 1, 16, [0]),
        ("last-on-grid", 33, 16, [0, 16, 32]),
        ("last-before-grid", 32, 16, [0, 16]),
        ("every-frame", 3, 1, [0, 1, 2]),
        ("interval-longer-than-video", 5, 16, [0]),
    ],
)
def test_grid(word: str, frames: int, interval: int, expected: list[int]) -> None:
    assert grid(frames, interval).tolist() == expected
    assert grid(frames, interval).dtype == np.int64


@pytest.mark.parametrize(("frames", "interval"), [(0, 16), (10, 0), (-1, 1)])
def test_grid_refuses(frames: int, interval: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        grid(frames, interval)


REFERENCE_OFFSETS = [-150, -117, -84, -51, -18, 16, 49, 82, 115, 149]


@pytest.mark.parametrize(
    ("word", "centre", "frames", "rate", "duration_s", "expected"),
    [
        ("middle", 320, 1000, 30.0, 10.0, (170, 470)),
        ("start", 0, 1000, 30.0, 10.0, (0, 150)),
        ("end", 992, 1000, 30.0, 10.0, (842, 1000)),
        ("shorter-video", 32, 90, 30.0, 10.0, (0, 90)),
        ("24-fps", 320, 1000, 24.0, 10.0, (200, 440)),
        ("odd-number-of-frames", 320, 1000, 5.0, 1.0, (318, 322)),
        ("broken-rate", 320, 1000, 29.97, 10.0, (171, 469)),
        ("below-a-frame", 320, 1000, 1.0, 0.5, (320, 321)),
        ("one-frame-video", 0, 1, 30.0, 10.0, (0, 1)),
    ],
)
def test_window_bounds_constant(
    word: str, centre: int, frames: int, rate: float, duration_s: float, expected: tuple[int, int]
) -> None:
    assert window_bounds(centre, frames, duration_s=duration_s, frame_rate=rate, times_s=None) == expected


@pytest.mark.parametrize(
    ("word", "times_s", "centre", "duration_s", "expected"),
    [
        ("start-in-end-out", [0.0, 1.0, 2.0, 3.0, 4.0], 2, 2.0, (1, 3)),
        ("gap", [0.0, 1.0, 9.0, 10.0], 2, 4.0, (2, 4)),
        ("slow-then-fast", [0.0, 2.0, 4.0, 4.5, 5.0, 5.5], 3, 2.0, (2, 5)),
        ("below-a-frame", [0.0, 1.0, 2.0], 1, 0.1, (1, 2)),
        ("rounding", [k / 30 for k in range(1000)], 320, 10.0, (170, 470)),
    ],
)
def test_window_bounds_native(
    word: str, times_s: list[float], centre: int, duration_s: float, expected: tuple[int, int]
) -> None:
    times = np.array(times_s)
    assert window_bounds(centre, len(times), duration_s=duration_s, frame_rate=None, times_s=times) == expected


def test_reference_samples_of_a_window_in_the_middle() -> None:
    (found,) = window_samples(
        np.array([480]), 1000, 16, None, duration_s=10.0, samples=10, sampling="any-frame", frame_rate=30.0
    )
    assert (found - 480).tolist() == REFERENCE_OFFSETS


def test_grid_samples_of_a_window_in_the_middle() -> None:
    (found,) = window_samples(
        np.array([480]), 1000, 16, None, duration_s=10.0, samples=10, sampling="grid", frame_rate=30.0
    )
    assert (found - 480).tolist() == [-144, -112, -80, -48, -16, 16, 48, 80, 112, 144]


@pytest.mark.parametrize(
    ("word", "sampling", "samples", "frames", "expected"),
    [
        ("fewer-frames-than-samples", "any-frame", 10, 4, [0, 1, 2, 3]),
        ("fewer-grid-frames-than-samples", "grid", 10, 40, [0, 16, 32]),
        ("one-frame-video", "grid", 10, 1, [0]),
        ("as-many", "any-frame", 4, 4, [0, 1, 2, 3]),
        ("two", "any-frame", 2, 40, [0, 39]),
        ("one-of-any-frame-is-the-first", "any-frame", 1, 40, [0]),
        ("one-of-the-grid-is-the-centre", "grid", 1, 40, [16]),
    ],
)
def test_few_samples(
    word: str, sampling: Literal["grid", "any-frame"], samples: int, frames: int, expected: list[int]
) -> None:
    centre = np.array([16 if frames > 16 else 0])
    (found,) = window_samples(
        centre, frames, 16, None, duration_s=10.0, samples=samples, sampling=sampling, frame_rate=30.0
    )
    assert found.tolist() == expected


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 400),
    interval=st.integers(1, 50),
    duration_s=st.floats(0.01, 40),
    samples=st.integers(1, 30),
    sampling=st.sampled_from(SAMPLINGS),
    rate=st.one_of(st.none(), st.floats(0.5, 240)),
)
def test_samples_of_any_window(
    seed: int,
    frames: int,
    interval: int,
    duration_s: float,
    samples: int,
    sampling: Literal["grid", "any-frame"],
    rate: float | None,
) -> None:
    """In the window, increasing, 1 to N, first and last candidate among them, on the grid if asked."""
    times = np.cumsum(np.random.default_rng(seed).uniform(0.001, 0.2, frames))
    centres = grid(frames, interval)
    found = window_samples(
        centres, frames, interval, times, duration_s=duration_s, samples=samples, sampling=sampling, frame_rate=rate
    )
    assert len(found) == len(centres)
    for centre, chosen in zip(centres.tolist(), found, strict=True):
        start, stop = window_bounds(centre, frames, duration_s=duration_s, frame_rate=rate, times_s=times)
        assert 0 <= start <= centre < stop <= frames
        candidates = [at for at in range(start, stop) if sampling == "any-frame" or at % interval == 0]
        assert set(chosen.tolist()) <= set(candidates)
        assert len(chosen) == min(samples, len(candidates))
        assert (np.diff(chosen) > 0).all()
        if samples > 1:
            assert (chosen[0], chosen[-1]) == (candidates[0], candidates[-1])


@settings(deadline=None)
@given(
    frames=st.integers(1, 2000),
    rate=st.sampled_from([10.0, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0]),
    duration_s=st.sampled_from([0.3, 1.0, 2.5, 5.0, 10.0, 20.0]),
    offset_s=st.sampled_from([0.0, 0.033, 3600.0]),
)
def test_native_time_agrees_with_a_constant_rate(frames: int, rate: float, duration_s: float, offset_s: float) -> None:
    times = offset_s + np.arange(frames) / rate
    for centre in grid(frames, 97).tolist():
        constant = window_bounds(centre, frames, duration_s=duration_s, frame_rate=rate, times_s=None)
        native = window_bounds(centre, frames, duration_s=duration_s, frame_rate=None, times_s=times)
        assert abs(constant[0] - native[0]) <= 1
        assert abs(constant[1] - native[1]) <= 1
        if (rate * duration_s) % 2 == 0:
            assert constant == native


@pytest.mark.parametrize(
    ("word", "change", "match"),
    [
        ("no-samples", {"samples": 0}, "at least 1 sample"),
        ("no-duration", {"duration_s": 0.0}, "duration"),
        ("endless", {"duration_s": float("inf")}, "duration"),
        ("nan", {"duration_s": float("nan")}, "duration"),
        ("no-rate", {"frame_rate": 0.0}, "frame rate"),
        ("beyond-the-end", {"centres": np.array([112])}, "not all in"),
        ("negative", {"centres": np.array([-16])}, "not all in"),
        ("off-the-grid", {"centres": np.array([17])}, "on the grid"),
        ("no-times", {"frame_rate": None, "times_s": None}, "100 times"),
        ("too-few-times", {"frame_rate": None, "times_s": np.arange(99.0)}, "100 times"),
        ("times-go-back", {"frame_rate": None, "times_s": np.arange(100.0) % 50}, "increasing"),
        ("nan-times", {"frame_rate": None, "times_s": np.full(100, np.nan)}, "increasing"),
    ],
)
def test_window_samples_refuses(word: str, change: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {
        "centres": np.array([0, 16]),
        "frames": 100,
        "interval": 16,
        "times_s": None,
        "duration_s": 10.0,
        "samples": 10,
        "sampling": "grid",
        "frame_rate": 30.0,
    }
    with pytest.raises(ValueError, match=match):
        window_samples(**(arguments | change))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_ten_hour_video_takes_seconds(sampling: Literal["grid", "any-frame"]) -> None:
    frames = 67_500 * 16
    started = time.process_time()
    found = window_samples(
        grid(frames, 16),
        frames,
        16,
        np.arange(frames) / 30,
        duration_s=10.0,
        samples=10,
        sampling=sampling,
        frame_rate=None,
    )
    assert len(found) == 67_500
    assert found.lengths.sum() == sum(len(window) for window in found) > 600_000
    assert time.process_time() - started < 5  # 0.2 s on an idle core


@pytest.mark.parametrize(
    ("word", "samples", "vector", "clips", "expected"),
    [
        ("ends", [3, 5, 8], "ends", 5, [(3, 8)]),
        ("ends-of-one", [3], "ends", 5, [(3, 3)]),
        ("spread", list(range(10)), "spread", 5, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]),
        ("spread-of-one", [3], "spread", 5, [(3, 3)]),
        ("spread-of-two", [3, 9], "spread", 5, [(3, 9)]),
        ("fewer-pairs", [0, 1, 2, 3], "spread", 5, [(0, 1), (1, 2), (2, 3)]),
        ("as-many-pairs", [0, 1, 2, 3], "spread", 3, [(0, 1), (1, 2), (2, 3)]),
        ("seven-samples", list(range(7)), "spread", 5, [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]),
        ("one-clip", list(range(10)), "spread", 1, [(4, 5)]),
        ("two-clips", list(range(10)), "spread", 2, [(0, 1), (8, 9)]),
    ],
)
def test_window_clips(
    word: str, samples: list[int], vector: Literal["spread", "ends"], clips: int, expected: list[tuple[int, int]]
) -> None:
    assert window_clips(np.array(samples), vector=vector, clips=clips) == expected


@settings(deadline=None)
@given(count=st.integers(1, 60), clips=st.integers(1, 60))
def test_spread_clips_are_distinct_pairs_of_neighbours(count: int, clips: int) -> None:
    samples = np.arange(count) * 7
    found = window_clips(samples, vector="spread", clips=clips)
    assert len(set(found)) == len(found) == min(clips, max(count - 1, 1))
    assert found == sorted(found)
    assert all(last - first == (7 if count > 1 else 0) for first, last in found)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 400),
    interval=st.integers(1, 50),
    duration_s=st.floats(0.01, 40),
    samples=st.integers(1, 30),
    clips=st.integers(1, 12),
    sampling=st.sampled_from(SAMPLINGS),
    vector=st.sampled_from(["spread", "ends"]),
    rate=st.one_of(st.none(), st.floats(0.5, 240)),
)
def test_windows_begin_in_order_and_need_their_own_frames(
    seed: int,
    frames: int,
    interval: int,
    duration_s: float,
    samples: int,
    clips: int,
    sampling: Literal["grid", "any-frame"],
    vector: Literal["spread", "ends"],
    rate: float | None,
) -> None:
    """Means over windows rely on the order, also where frames lie far apart in time."""
    times = np.cumsum(np.random.default_rng(seed).choice([0.001, 0.1, 5.0], frames))
    windows = window_samples(
        grid(frames, interval),
        frames,
        interval,
        times,
        duration_s=duration_s,
        samples=samples,
        sampling=sampling,
        frame_rate=rate,
    )
    found = [window_clips(window, vector=vector, clips=clips) for window in windows]
    firsts = [min(pairs) for pairs in found]
    assert firsts == sorted(firsts)
    assert [pairs[0] for pairs in found] == firsts
    expected = sorted({frame for pairs in found for pair in pairs for frame in pair})
    assert frames_of(found, frames).tolist() == expected


def test_frames_of_nothing() -> None:
    assert frames_of([], 3).tolist() == []
    assert frames_of([], 3).dtype == np.int64


@pytest.mark.parametrize(("samples", "clips"), [([], 5), ([1], 0)])
def test_window_clips_refuses(samples: list[int], clips: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        window_clips(np.array(samples, dtype=np.int64), vector="spread", clips=clips)


@settings(deadline=None, max_examples=30)
@given(frames=st.integers(1, 200), interval=st.integers(1, 40))
def test_nearest_grid(frames: int, interval: int) -> None:
    on_grid = grid(frames, interval)
    samples = np.arange(frames)
    expected = [min(on_grid.tolist(), key=lambda at, sample=sample: (abs(at - sample), at)) for sample in range(frames)]
    assert nearest_grid(samples, frames, interval).tolist() == expected


@given(
    frames=st.sets(st.integers(0, 60), min_size=1).map(sorted),
    wanted=st.lists(st.integers(0, 60), max_size=10),
)
def test_nearest_rows(frames: list[int], wanted: list[int]) -> None:
    expected = [min(range(len(frames)), key=lambda at: (abs(frames[at] - frame), at)) for frame in wanted]
    assert nearest_rows(np.array(frames), np.array(wanted, np.int64)).tolist() == expected


@pytest.mark.parametrize(
    ("word", "rate", "duration_s", "samples", "sampling", "used", "warned"),
    [
        ("Table 8 at 15 frames a second", 15.0, 2.5, 10, "grid", "3 (2 to 3)", "window.sampling=any-frame"),
        ("Table 8, N = 20", 15.0, 10.0, 20, "grid", "9 (5 to 9)", "window.sampling=any-frame"),
        ("the paper's own setting at 30", 30.0, 10.0, 10, "grid", "10", ""),
        ("any frame of 2.5 s", 15.0, 2.5, 10, "any-frame", "10", ""),
        ("one frame a second", 1.0, 5.0, 10, "any-frame", "4 (2 to 4)", "a longer window.duration_s"),
        ("one sample", 15.0, 2.5, 1, "grid", "1", ""),
    ],
)
def test_a_sampling_that_cannot_be_had_is_said(
    word: str,
    rate: float,
    duration_s: float,
    samples: int,
    sampling: Literal["grid", "any-frame"],
    used: str,
    warned: str,
) -> None:
    windows = window_samples(
        grid(1600, 16), 1600, 16, None, duration_s=duration_s, samples=samples, sampling=sampling, frame_rate=rate
    )
    said = cannot_be_had(windows.short, len(windows), samples, sampling)
    assert (warned in said) if warned else not said
    assert sampled({int(number): count for number, count in windows.histogram.items()}) == used
    assert sum(windows.histogram.values()) == len(windows) == 100
