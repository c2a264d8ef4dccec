"""Events: segments above a threshold against annotated intervals, one to one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sets import dataset, results, scored

from lavad_core.datasets.types import Interval, LabelledVideo
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.events import IOUS, matches, overlap
from lavad_core.evaluation.options import EvaluationOptions, event_rules
from lavad_core.evaluation.types import EventRow
from lavad_core.method.detection import SegmentRule


def events(options: EvaluationOptions | None = None, frame_rate: float | None = 16.0) -> dict[float, EventRow]:
    """Two videos of 160 frames, one of them normal, with a score every 16; by IoU."""
    data = dataset(
        LabelledVideo("fire", ("Fire",), ((16, 47), (96, 500))),
        LabelledVideo("street"),
        frame_rate=frame_rate,
    )
    found = results(
        #      frames  0    16   32   48   64   80   96   112  128  144
        scored("fire", 160, [0.9, 0.9, 0.6, 0.1, 0.4, 0.1, 0.1, 0.8, 0.1, 0.1]),
        scored("street", 160, [0.0, 0.0, 0.0, 0.7, 0.4, 0.7, 0.0, 0.0, 0.0, 0.0]),
    )
    return {row.iou: row for row in evaluate(data, found, options or EvaluationOptions()).events}


def test_by_hand() -> None:
    """Segments 0–47 (IoU 32/48 with 16–47), 112–127 (16/64 with 96–159, which is cut), and two in the normal video."""
    found = events()
    assert list(found) == list(IOUS)
    assert [(row.annotated, row.found, row.matched) for row in found.values()] == [(2, 4, 2), (2, 4, 1), (2, 4, 1)]
    assert [row.precision.value for row in found.values()] == [0.5, 0.25, 0.25]
    assert [row.recall.value for row in found.values()] == [1, 0.5, 0.5]
    assert [row.f1.value for row in found.values()] == pytest.approx([4 / 6, 2 / 6, 2 / 6])
    assert found[0.5].false_alarms_per_hour.value == pytest.approx(2 * 360)  # 10 s of normal video


@pytest.mark.parametrize(
    ("word", "rule", "counted"),
    [
        ("higher threshold", SegmentRule(0.85), 1),
        ("hysteresis joins over 0.4", SegmentRule(low_threshold=0.4), 3),
        ("gaps closed", SegmentRule(max_gap_frames=16), 3),
        ("short ones left out", SegmentRule(min_length_frames=17), 1),
        ("none", SegmentRule(2.0), 0),
    ],
)
def test_rules(word: str, rule: SegmentRule, counted: int) -> None:
    assert events(EvaluationOptions(events=(rule,)))[0.1].found == counted


def test_what_is_undefined_says_why() -> None:
    found = events(EvaluationOptions(events=(SegmentRule(2.0),)), frame_rate=None)[0.5]
    assert (found.precision.value, found.precision.reason) == (None, "no segment was found")
    assert found.recall.value == found.f1.value == 0
    assert found.false_alarms_per_hour.value is None
    assert "1 of 1 normal videos have no frame rate" in found.false_alarms_per_hour.reason


def test_thresholds_have_rows_of_their_own_in_the_order_given() -> None:
    data = dataset(LabelledVideo("v", (), ((0, 15),)))
    rows = evaluate(
        data, results(scored("v", 32, [1, 0])), EvaluationOptions(events=event_rules((0.7, 0.2, 0.7)))
    ).events
    assert [(row.threshold, row.iou) for row in rows] == [(t, iou) for t in (0.7, 0.2) for iou in IOUS]


@pytest.mark.parametrize(
    ("word", "first", "second", "shared"),
    [
        ("the same", (0, 9), (0, 9), 1),
        ("one frame in common", (0, 9), (9, 18), 1 / 19),
        ("neighbours", (0, 9), (10, 19), 0),
        ("within", (2, 3), (0, 9), 0.2),
    ],
)
def test_overlap_counts_frames_and_ends_are_inclusive(
    word: str, first: Interval, second: Interval, shared: float
) -> None:
    assert overlap([first], [second]) == pytest.approx(shared)


@pytest.mark.parametrize(
    ("word", "overlaps", "most"),
    [
        ("nothing found", np.zeros((0, 3)), 0),
        ("nothing annotated", np.zeros((3, 0)), 0),
        ("a segment over two intervals finds one", np.array([[0.5, 0.5]]), 1),
        ("an interval is found once", np.array([[0.9], [0.8]]), 1),
        ("the best pair must not take both", np.array([[0.9, 0.5], [0.6, 0.0]]), 2),
        ("exactly at the limit", np.array([[0.5]]), 1),
        ("below", np.array([[0.49]]), 0),
    ],
)
def test_matching(word: str, overlaps: np.ndarray, most: int) -> None:
    assert matches(overlaps, 0.5) == most


def most_by_trying(enough: np.ndarray) -> int:
    """The most pairs, by trying each choice for the first row."""
    if not enough.size:
        return 0
    rest = enough[1:]
    options = [most_by_trying(rest)]
    options += [1 + most_by_trying(np.delete(rest, column, axis=1)) for column in np.flatnonzero(enough[0])]
    return max(options)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 10_000))
def test_no_other_matching_finds_more(rows: int, columns: int, seed: int) -> None:
    overlaps = np.random.default_rng(seed).random((rows, columns))
    assert matches(overlaps, 0.5) == most_by_trying(overlaps >= 0.5)
