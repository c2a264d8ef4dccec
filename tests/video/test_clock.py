"""Time stamps that start again, jump, or are damaged: every frame is kept or counted, and times are those of a real clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lavad_core.video.pass_record import CORRUPT, FAILED, NO_STAMP, PassRecord
from lavad_core.video.timeline import Timeline, build

STEP = 3000
"""Ticks of a frame at 30 frames a second of a 90 kHz clock."""

RATE = 90_000
HOUR = 3600 * RATE
PLENTY = 10**6


def run(first: int, count: int, step: int = STEP) -> list[int]:
    """The stamps of ``count`` frames from ``first`` on."""
    return [first + step * number for number in range(count)]


def line(
    stamps: list[int], *, lost: set[int] = frozenset(), flags: dict[int, int] | None = None, **more: Any
) -> Timeline:  # type: ignore[assignment]
    """The time line of packets that come in order, of which ``lost`` gave no frame."""
    marks = np.zeros(len(stamps), dtype=np.uint8)
    for at, value in (flags or {}).items():
        marks[at] = value
    shown = [number for number in range(len(stamps)) if number not in lost]
    seen = PassRecord(
        packet_pts=np.array(stamps, dtype=np.int64),
        packet_dts=np.full(len(stamps), NO_STAMP, dtype=np.int64),
        packet_flags=marks,
        frame_packet=np.array(shown, dtype=np.int64),
        frame_flags=np.zeros(len(shown), dtype=np.uint8),
        **({"step": STEP, "ticks_per_s": float(RATE)} | more),
    )
    return build(seen, PLENTY)


@dataclass
class Case:
    """Stamps, and what is to come of them: all frames, ``parts`` time lines, ``duration_s`` from the first to the last."""

    stamps: list[int]
    parts: int
    duration_s: float
    damaged: int = 0
    jumps: int = 0
    more: dict[str, Any] = field(default_factory=dict)


A = run(900_000, 300)
CASES = {
    "one part": Case(A, 1, 299 / 30),
    "starts again at the same stamp": Case(A + run(900_000, 60), 2, 359 / 30),
    "starts again at zero": Case(A + run(0, 60), 2, 359 / 30),
    "starts again at a later stamp, hours": Case(A + run(900_000 + 5 * HOUR, 60), 1, 359 / 30, jumps=1),
    "starts again at a later stamp, minutes: a pause": Case(A + run(900_000 + HOUR // 10, 60), 1, 360 + 59 / 30),
    "three times": Case(A + run(0, 60) + run(0, 60) + run(0, 60), 4, 479 / 30),
    "many parts": Case(run(0, 40) * 25, 25, 999 / 30),
    "parts that overlap": Case(A + run(900_000 + 200 * STEP, 300), 2, 599 / 30),
    "parts that overlap by ten frames": Case(A + run(900_000 + 290 * STEP, 300), 2, 599 / 30),
    "parts that overlap between each other's frames": Case(A + run(901_500, 300), 2, 599 / 30),
    "another rate, 25": Case(A + run(0, 100, 3600), 2, 300 / 30 + 99 / 25),
    "another rate, 5": Case(A + run(0, 100, 18_000), 2, 300 / 30 + 99 / 5),
    "another rate, 120": Case(A + run(0, 600, 750), 2, 300 / 30 + 599 / 120),
    "a first part of few frames": Case(run(0, 5) + run(0, 300), 2, 304 / 30),
    "a last part of few frames": Case(run(0, 300) + run(0, 2), 2, 301 / 30),
    "parts shorter than reordering reaches": Case(run(0, 20) * 3, 3, 59 / 30),
    "a clock that wraps at 2^33": Case(
        [stamp % 2**33 for stamp in run(2**33 - 150 * STEP, 300)], 2, 299 / 30, more={"wrap": 2**33}
    ),
    "an earlier clock that FFmpeg took for a wrap": Case(
        run(9 * HOUR, 300) + run(2**33, 60), 2, 359 / 30, more={"wrap": 2**33}
    ),
    "the top bit of all stamps from the middle on": Case(
        A[:150] + [stamp + 2**32 for stamp in A[150:]], 1, 299 / 30, jumps=1, more={"wrap": 2**33}
    ),
    "one stamp hours ahead": Case([*A[:100], 10 * HOUR, *A[101:]], 1, 299 / 30, damaged=1),
    "one stamp minutes ahead": Case([*A[:100], A[100] + HOUR // 20, *A[101:]], 1, 299 / 30, damaged=1),
    "one stamp far back": Case([*A[:100], 0, *A[101:]], 1, 299 / 30, damaged=1),
    "one stamp negative": Case([*A[:100], -(2**40), *A[101:]], 1, 299 / 30, damaged=1),
    "two stamps damaged": Case([*A[:100], 2**40, *A[101:200], 17, *A[201:]], 1, 299 / 30, damaged=2),
    "two stamps damaged beside each other": Case([*A[:100], 2**40, 17, *A[102:]], 1, 299 / 30, damaged=2),
    "three stamps wild beside each other": Case([*A[:100], 2**40, 17, 2**50, *A[103:]], 1, 299 / 30, damaged=3),
    "a cluster of five seconds ahead by hours": Case(
        A[:100] + run(A[100] + 7 * HOUR, 50) + A[150:], 1, 299 / 30, damaged=50
    ),
    "a cluster back by hours": Case(run(9 * HOUR, 100) + run(0, 50) + run(9 * HOUR + 150 * STEP, 100), 1, 249 / 30, 50),
    "the first stamp is huge": Case([2**50, *A[1:]], 2, 299 / 30),
    "the last stamp is huge": Case([*A[:-1], 2**50], 1, 299 / 30, jumps=1),
    "hours ahead to the end": Case(A[:100] + [s + 30 * HOUR for s in A[100:]], 1, 299 / 30, jumps=1),
    "hours ahead, twice": Case(
        A[:100] + [s + 30 * HOUR for s in A[100:200]] + [s + 50 * HOUR for s in A[200:]], 1, 299 / 30, jumps=2
    ),
    "minutes ahead against the header": Case(
        A[:100] + [s + 600 * RATE for s in A[100:]], 1, 299 / 30, jumps=1, more={"duration_s": 10.0}
    ),
    "a pause of minutes that the header confirms": Case(
        A[:100] + [s + 600 * RATE for s in A[100:]], 1, 299 / 30 + 600, more={"duration_s": 610.0}
    ),
    "a pause of hours that the header confirms": Case(
        A[:100] + [s + 9 * HOUR for s in A[100:]], 1, 299 / 30 + 9 * 3600, more={"duration_s": 10 + 9 * 3600.0}
    ),
    "a pause of minutes, and a header that is short in any case": Case(
        A[:100] + [s + 600 * RATE for s in A[100:]], 1, 299 / 30 + 600, more={"duration_s": 1.0}
    ),
    "a pause and a jump: the header has room for the pause": Case(
        A[:100] + [s + 60 * RATE for s in A[100:200]] + [s + 3 * HOUR for s in A[200:]],
        1,
        70 - 1 / 30,
        jumps=1,
        more={"duration_s": 70.0},
    ),
    "one frame in ten seconds": Case(run(0, 50, 10 * RATE), 1, 490, more={"step": 10 * RATE}),
    "a rate in the header that cannot be": Case(A + run(0, 60), 2, 359 / 30, more={"step": 1000 * RATE}),
    "a rate in the header of a million": Case(A + run(0, 60), 2, 359 / 30, more={"step": 1}),
    "all stamps equal": Case([5] * 300, 1, 299 / 30),
    "all stamps equal, no rate": Case([5] * 300, 1, 299 / 30, more={"step": 0}),
    "all stamps equal, a rate that cannot be": Case([5] * 300, 1, 299 / 30, more={"step": 1000 * RATE}),
    "negative stamps": Case(run(-(2**40), 300), 1, 299 / 30),
}


@pytest.mark.parametrize("flagged", ["no damage", "damage in the first part", "in both", "at the seam"])
@pytest.mark.parametrize("word", CASES)
def test_no_frame_is_dropped(word: str, flagged: str) -> None:
    case = CASES[word]
    seam = next((i for i in range(1, len(case.stamps)) if case.stamps[i] < case.stamps[i - 1]), 1)
    flags = {
        "no damage": [],
        "damage in the first part": [2],
        "in both": [2, len(case.stamps) - 2],
        "at the seam": [seam],
    }
    found = line(case.stamps, flags=dict.fromkeys(flags[flagged], CORRUPT), **case.more)

    missing = len(found.gaps) + found.missing_outside
    assert len(found.pts) == len(case.stamps)
    assert missing == 0
    assert (np.diff(found.pts) > 0).all()
    assert (found.pts[-1] - found.pts[0]) / RATE == pytest.approx(case.duration_s, abs=0.05)
    assert (found.parts, found.damaged_stamps, len(found.jumps)) == (case.parts, case.damaged, case.jumps)
    assert found.packets.tolist() == list(range(len(case.stamps)))


@pytest.mark.parametrize(
    ("word", "stamps", "lost", "total", "gaps"),
    [
        ("at the end of the first part", A + run(0, 60), {297, 298, 299}, 360, [297, 298, 299]),
        ("at the beginning of the second", A + run(0, 60), {300, 301}, 360, [300, 301]),
        ("on both sides of the seam", A + run(0, 60), {298, 299, 300}, 360, [298, 299, 300]),
        ("within the second part", A + run(0, 60), {320, 321}, 360, [320, 321]),
        ("the whole second part", A + run(0, 60), set(range(300, 360)), 300, []),
        ("the whole first part", run(0, 60) + A, set(range(60)), 300, []),
        ("the whole part in the middle", A + run(0, 60) + A, set(range(300, 360)), 600, []),
    ],
)
def test_what_is_lost_at_a_seam_is_counted(
    word: str, stamps: list[int], lost: set[int], total: int, gaps: list[int]
) -> None:
    found = line(stamps, lost=lost, flags=dict.fromkeys(lost, FAILED))
    assert len(found.gaps) + found.missing_outside == len(lost)
    assert len(found.pts) == total
    assert found.gaps.tolist() == gaps
    assert (found.packets[found.packets >= 0]).tolist() == [n for n in range(len(stamps)) if n not in lost]


def test_the_longest_increasing_subsequence_is_sought_within_a_part() -> None:
    """One frame too late in a part of 30 costs that frame, and none of the other part."""
    second = run(0, 30)
    second[10], second[12] = second[12], second[10]
    found = line(A + second, flags={5: CORRUPT})
    assert len(found.pts) - len(found.gaps) >= 328
    assert len(found.pts) == 330
    assert len(found.gaps) + len(found.packets[found.packets >= 0]) == 330


@pytest.mark.parametrize(
    ("word", "more", "filled", "left"),
    [
        ("the header has room", {"duration_s": 20.0}, 300, 0),
        ("the header's number of frames has room", {"announced": 600}, 300, 0),
        ("the header has none: it is a jump", {"duration_s": 10.0}, 0, 0),
        ("the header's number has none", {"announced": 300}, 0, 1),
        ("the header is worthless", {"announced": 3}, 300, 0),
        ("no header", {}, 300, 0),
    ],
)
def test_holes_are_filled_as_far_as_the_file_has_room(word: str, more: dict[str, Any], filled: int, left: int) -> None:
    stamps = A[:150] + [stamp + 300 * STEP for stamp in A[150:]]
    found = line(stamps, flags={150: CORRUPT}, **more)
    assert (len(found.gaps), found.unfilled) == (filled, left)


@pytest.mark.parametrize("seconds", [20, 600, 3599, 8391, 100_000])
def test_a_damaged_stamp_does_not_multiply_the_work(seconds: int) -> None:
    """A file of six seconds stays one, whatever a stamp beside damage says."""
    stamps = A[:90] + [stamp + seconds * RATE for stamp in A[90:180]]
    found = line(stamps, flags={90: CORRUPT})
    assert len(found.pts) == 180
    assert found.unfilled or found.jumps
