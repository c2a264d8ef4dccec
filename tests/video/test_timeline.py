"""Order and gaps from packets and frames, without any video."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.video.pass_record import CORRUPT, FAILED, HIDDEN, INTERLACED, NO_STAMP, PassRecord
from lavad_core.video.timeline import build

NONE = NO_STAMP
PLENTY = 10**6


def seen(
    pts: list[int],
    frames: list[int],
    *,
    dts: list[int] | None = None,
    packet_flags: dict[int, int] | None = None,
    frame_flags: dict[int, int] | None = None,
    **more: Any,
) -> PassRecord:
    flags = np.zeros(len(pts), dtype=np.uint8)
    for at, value in (packet_flags or {}).items():
        flags[at] = value
    marks = np.zeros(len(frames), dtype=np.uint8)
    for at, value in (frame_flags or {}).items():
        marks[at] = value
    return PassRecord(
        packet_pts=np.array(pts, dtype=np.int64),
        packet_dts=np.array(dts if dts is not None else [NONE] * len(pts), dtype=np.int64),
        packet_flags=flags,
        frame_packet=np.array(frames, dtype=np.int64),
        frame_flags=marks,
        **more,
    )


CASES: dict[str, tuple[PassRecord, list[int], list[int]]] = {
    "in order": (seen([0, 10, 20], [0, 1, 2]), [0, 10, 20], []),
    "B-frames": (seen([0, 30, 10, 20], [0, 2, 3, 1]), [0, 10, 20, 30], []),
    "first stamp not zero": (seen([90, 100], [0, 1]), [90, 100], []),
    "one frame": (seen([7], [0]), [7], []),
    "a packet in the middle without a frame": (seen([0, 10, 20], [0, 2]), [0, 10, 20], [1]),
    "two in a row": (seen([0, 10, 20, 30], [0, 3]), [0, 10, 20, 30], [1, 2]),
    "a B-frame without a frame": (seen([0, 30, 10, 20], [0, 3, 1]), [0, 10, 20, 30], [1]),
    "before the first frame: not part": (seen([0, 10, 20], [1, 2]), [10, 20], []),
    "behind the last frame: not part": (seen([0, 10, 20], [0, 1]), [0, 10], []),
    "an invisible packet": (seen([0, 10, 20], [0, 2], packet_flags={1: HIDDEN}), [0, 20], []),
    "variable rate": (seen([0, 1, 50, 51, 900], [0, 1, 2, 3, 4]), [0, 1, 50, 51, 900], []),
    "no stamps": (seen([NONE] * 3, [0, 1, 2], step=5), [0, 5, 10], []),
    "no stamps, one packet without a frame": (seen([NONE] * 4, [0, 1, 3], step=5), [0, 5, 10, 15], [2]),
    "no stamps, B-frames, one without a frame": (seen([NONE] * 5, [0, 2, 1, 4], step=5), [0, 5, 10, 15, 20], [2]),
    "decode stamps only": (seen([NONE] * 4, [0, 2, 3, 1], dts=[3, 4, 5, 6]), [3, 4, 5, 6], []),
    "stamps in decode order (AVI)": (seen([1, 2, 3, 4, 5], [0, 2, 3, 1, 4], step=1), [1, 2, 3, 4, 5], []),
    "a stamp twice": (seen([0, 10, 10, 30], [0, 1, 2, 3], step=10), [0, 10, 11, 30], []),
    "a stamp is missing": (seen([0, NONE, 20], [0, 1, 2], step=10), [0, 10, 20], []),
    "the first stamp is missing": (seen([NONE, 10, 20], [0, 1, 2], step=10), [0, 10, 20], []),
    "a frame of an unknown packet": (seen([0, 10, 20], [0, -1, 2], step=10), [0, 10, 20], []),
    "two fields, two packets": (
        seen(list(range(0, 80, 5)), list(range(0, 16, 2)), frame_flags=dict.fromkeys(range(8), INTERLACED)),
        list(range(0, 80, 10)),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_frames_and_gaps(case: str) -> None:
    given_, pts, gaps = CASES[case]
    found = build(given_, PLENTY)
    if case.startswith("a frame of an unknown"):  # its packet looks lost: which of the two is not known
        assert found.repaired
        assert (np.diff(found.pts) > 0).all()
        return
    assert found.pts.tolist() == pts
    assert found.gaps.tolist() == gaps


def test_repaired_stamps_are_counted() -> None:
    assert build(CASES["B-frames"][0], PLENTY).repaired == 0
    assert build(CASES["a packet in the middle without a frame"][0], PLENTY).repaired == 0
    for case in ("no stamps", "decode stamps only", "stamps in decode order (AVI)", "a stamp twice"):
        assert build(CASES[case][0], PLENTY).repaired >= 1


def test_packets_outside_are_counted() -> None:
    assert build(CASES["before the first frame: not part"][0], PLENTY).missing_outside == 1
    assert build(CASES["behind the last frame: not part"][0], PLENTY).missing_outside == 1
    assert build(seen([NONE] * 4, [1, 2], step=1), PLENTY).missing_outside == 2


def test_a_joined_stream_goes_on() -> None:
    """A transport stream that was put together of two starts again at zero."""
    pts = [*range(0, 1000, 10), *range(0, 1000, 10)]
    found = build(seen(pts, list(range(200)), step=10), PLENTY)
    assert found.pts.tolist() == list(range(0, 2000, 10))
    assert found.gaps.tolist() == []


def test_a_wild_stamp_costs_no_frame() -> None:
    pts = list(range(0, 1000, 10))
    pts[40] = 2**61
    found = build(seen(pts, list(range(100)), step=10, packet_flags={39: CORRUPT}), PLENTY)
    assert found.pts.tolist() == list(range(0, 1000, 10))
    assert (found.gaps.tolist(), found.damaged_stamps) == ([], 1)


HOLE = [*range(0, 300, 10), *range(400, 1000, 10)]


@pytest.mark.parametrize(
    ("why", "changes", "filled"),
    [
        ("no damage", {}, False),
        ("damage far away", {"packet_flags": {80: CORRUPT}}, False),
        ("a refused packet beside it", {"packet_flags": {30: FAILED}}, True),
        ("a damaged frame beside it", {"frame_flags": {31: CORRUPT}}, True),
        ("the demuxer complained", {"damaged": True}, True),
    ],
)
def test_holes_of_a_constant_rate_are_filled_beside_damage(why: str, changes: dict[str, Any], filled: bool) -> None:
    found = build(seen(HOLE, list(range(len(HOLE))), **changes), PLENTY)
    assert found.gaps.tolist() == (list(range(30, 40)) if filled else [])
    assert found.pts.tolist() == (list(range(0, 1000, 10)) if filled else HOLE)


def test_holes_are_not_filled_beyond_the_limit() -> None:
    assert len(build(seen(HOLE, list(range(len(HOLE))), damaged=True), 99).pts) == len(HOLE)


def test_holes_of_rounded_stamps() -> None:
    """Matroska's milliseconds: steps of 33 and 34."""
    whole = [round(i * 1000 / 30) for i in range(200)]
    part = whole[:90] + whole[110:]
    found = build(seen(part, list(range(180)), damaged=True), PLENTY)
    assert found.gaps.tolist() == list(range(90, 110))
    np.testing.assert_allclose(found.pts, whole, atol=1)


stamps = st.one_of(st.just(NONE), st.integers(-(2**40), 2**40))


@given(
    st.lists(st.tuples(stamps, stamps, st.sampled_from([0, HIDDEN, CORRUPT, FAILED])), min_size=1, max_size=60),
    st.data(),
    st.integers(0, 100),
    st.booleans(),
)
def test_any_input_gives_a_strict_timeline(
    packets: list[tuple[int, int, int]], data: Any, step: int, damaged: bool
) -> None:
    frames = data.draw(st.lists(st.integers(-1, len(packets) - 1), min_size=1, max_size=60))
    given_ = PassRecord(
        packet_pts=np.array([p for p, _, _ in packets], dtype=np.int64),
        packet_dts=np.array([d for _, d, _ in packets], dtype=np.int64),
        packet_flags=np.array([f for _, _, f in packets], dtype=np.uint8),
        frame_packet=np.array(frames, dtype=np.int64),
        frame_flags=np.zeros(len(frames), dtype=np.uint8),
        step=step,
        damaged=damaged,
    )
    found = build(given_, 1000)
    assert (np.diff(found.pts) > 0).all()
    assert (np.diff(found.gaps) > 0).all()
    assert len(found.gaps) == 0 or (found.gaps[0] > 0 and found.gaps[-1] < len(found.pts) - 1)
    assert len(found.pts) - len(found.gaps) <= len(frames)
    assert found.repaired >= 0
    assert found.missing_outside >= 0


@given(st.lists(st.integers(1, 500), min_size=2, max_size=80), st.data())
def test_lost_packets_keep_the_others_indices(steps: list[int], data: Any) -> None:
    """Whatever is lost between the first and the last frame, the frames that are left keep the index of the whole video."""
    pts = np.cumsum(steps)
    lost = data.draw(st.sets(st.integers(1, len(pts) - 2))) if len(pts) > 2 else set()
    shown = [i for i in range(len(pts)) if i not in lost]
    found = build(seen(pts.tolist(), shown), PLENTY)
    if len(found.pts) == len(pts):  # no hole was filled on top
        assert found.pts.tolist() == pts.tolist()
        assert found.gaps.tolist() == sorted(lost)
    assert set(pts.tolist()) <= set(found.pts.tolist())
