"""Frame labels and micro metrics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.evaluation.frame_metrics import frame_metrics


@pytest.mark.parametrize(
    ("word", "intervals", "marked", "clipped"),
    [
        ("none", [], [], 0),
        ("inclusive", [(1, 3)], [1, 2, 3], 0),
        ("one-frame", [(2, 2)], [2], 0),
        ("last-frame", [(4, 5)], [4, 5], 0),
        ("past-the-end", [(4, 6)], [4, 5], 1),
        ("all-past-the-end", [(6, 9)], [], 1),
        ("before-the-start", [(-3, 1)], [0, 1], 1),
        ("all-before-the-start", [(-3, -1)], [], 1),
        ("overlap", [(0, 2), (1, 3)], [0, 1, 2, 3], 0),
        ("two", [(0, 0), (3, 99)], [0, 3, 4, 5], 1),
    ],
)
def test_labels_from_intervals(word: str, intervals: list[tuple[int, int]], marked: list[int], clipped: int) -> None:
    labels, count = labels_from_intervals(intervals, 6)
    assert np.flatnonzero(labels).tolist() == marked
    assert (labels.shape, labels.dtype, count) == ((6,), bool, clipped)


def test_an_interval_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="3 … 2"):
        labels_from_intervals([(3, 2)], 6)


def test_metrics_of_a_small_case() -> None:
    """By hand: of 2 x 3 pairs 5 are in order and 1 tied; precision 1/2 at recall 1/2 and 2/3 at recall 1."""
    metrics = frame_metrics(np.array([0, 0, 0, 1, 1], dtype=bool), np.array([0.1, 0.2, 0.8, 0.8, 0.9]))
    assert metrics["frames"] == 5
    assert metrics["positive"] == 2
    assert metrics["roc_auc"] == pytest.approx(5.5 / 6)
    assert metrics["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # trapezoids over recall 0 … 0.5 (precision 1 and 1) and 0.5 … 1 (precision 1 and 2/3)
    assert metrics["pr_auc_trapezoid"] == pytest.approx(0.5 * 1 + 0.5 * (1 + 2 / 3) / 2)
    assert metrics["reason"] == ""


def test_an_area_is_no_larger_than_1() -> None:
    """The sum of the steps of recall as floats is 1.0000000000000002."""
    labels = np.array([True] * 18 + [False] * 3)
    scores = np.concatenate([1 + np.repeat(np.arange(6), [3, 4, 4, 2, 3, 2]), np.zeros(3)])
    metrics = frame_metrics(labels, scores)
    assert (metrics["roc_auc"], metrics["average_precision"], metrics["pr_auc_trapezoid"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("word", "labels", "reason"),
    [("normal", [0, 0], "labelled normal"), ("anomalous", [1, 1], "labelled anomalous"), ("nothing", [], "no frames")],
)
def test_one_class_has_a_reason_and_no_metric(word: str, labels: list[int], reason: str) -> None:
    metrics = frame_metrics(np.array(labels, dtype=bool), np.linspace(0, 1, len(labels)))
    assert reason in metrics["reason"]
    assert metrics["roc_auc"] is metrics["average_precision"] is metrics["pr_auc_trapezoid"] is None
    assert metrics["positive"] == sum(labels)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=50))
def test_metrics_are_in_range_and_depend_on_the_order_only(frames: list[tuple[bool, int]]) -> None:
    labels = np.array([label for label, _ in frames])
    scores = np.array([score for _, score in frames]) / 10
    metrics = frame_metrics(labels, scores)
    if metrics["reason"]:
        assert labels.all() or not labels.any()
        return
    assert metrics == frame_metrics(labels, scores**3 + 1)
    for name in ("roc_auc", "average_precision", "pr_auc_trapezoid"):
        value = metrics[name]  # type: ignore[literal-required]
        assert 0 <= value <= 1
    turned = frame_metrics(labels, -scores)["roc_auc"]
    assert turned is not None
    assert metrics["roc_auc"] == pytest.approx(1 - turned)


@pytest.mark.parametrize(
    ("word", "labels", "scores"),
    [
        ("lengths", [1, 0], [0.5]),
        ("nan", [1, 0], [0.5, float("nan")]),
        ("infinite", [1, 0], [0.5, float("inf")]),
    ],
)
def test_frame_metrics_refuses(word: str, labels: list[int], scores: list[float]) -> None:
    with pytest.raises(ValueError, match="same shape"):
        frame_metrics(np.array(labels, dtype=bool), np.array(scores))
