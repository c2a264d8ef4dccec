"""Equal numbers tie, whatever order their sums were taken in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from support.sets import INTERVAL, dataset, results, scored
from test_published_run import read_scores

from lavad_core.datasets.types import LabelledVideo
from lavad_core.evaluation.compare import compare_results, difference
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.measure import Measured
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.regression import MetricChange
from lavad_core.evaluation.ties import means, settled
from lavad_core.evaluation.trivial import centre_prior
from lavad_core.method.detection import SegmentRule

STEPS = [number / 10 for number in range(11)]
"""What a language model says."""


def exact_auc(anomalous: list[bool], videos: list[list[float]]) -> float:
    """AUC of means as fractions of what the decimals say."""
    own = [sum((Fraction(repr(score)) for score in scores), Fraction()) / len(scores) for scores in videos]
    rank = {value: number for number, value in enumerate(sorted(set(own)))}
    return float(roc_auc_score(anomalous, [rank[value] for value in own]))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.sampled_from(STEPS), min_size=1, max_size=60), min_size=2, max_size=30))
def test_means_of_few_values_are_compared_exactly(videos: list[list[float]]) -> None:
    own = [sum((Fraction(repr(score)) for score in scores), Fraction()) / len(scores) for scores in videos]
    found = means([np.array(scores) for scores in videos])
    for at, one in enumerate(own):
        for other_at, other in enumerate(own):
            assert (found[at] < found[other_at]) == (one < other)
            assert (found[at] == found[other_at]) == (one == other)


PAIRS = {
    "a sum in another order": (0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1),
    "a tenth ten times": (sum([0.1] * 10), 1.0),
    "a third": (1 - 2 / 3, 1 / 3),
    "a weighted mean of halves": ((0.5 * 1.1 + 0.5 * 1.3 + 0.5 * 0.7) / (1.1 + 1.3 + 0.7), 0.5),
    "zero and minus zero": (0.0, -0.0),
    "tiny numbers": (3e-300 * (0.1 + 0.2), 3e-300 * 0.3),
    "a large one": (1e15 * (0.1 + 0.2), 1e15 * 0.3),
}


@pytest.mark.parametrize("word", PAIRS)
def test_settled_numbers_are_equal(word: str) -> None:
    first, second = settled(np.array(PAIRS[word])).tolist()
    assert first == second
    assert first == pytest.approx(PAIRS[word][0], rel=1e-12)


@pytest.mark.parametrize("apart", [1e-9, 1e-6, 0.1])
@pytest.mark.parametrize("size", [1e-8, 0.3, 1.0])
def test_numbers_that_differ_stay_apart(apart: float, size: float) -> None:
    first, second = settled(np.array([size, size * (1 + apart)])).tolist()
    assert first < second


def test_the_border_of_a_grid_parts_nothing() -> None:
    """Rounded to 13 digits these would be two numbers."""
    value = 0.12345678901235
    around = np.array([value * (1 - 2e-16), value, value * (1 + 2e-16)])
    assert len(np.unique(settled(around))) == 1


def two_kinds(first: list[list[float]], second: list[list[float]]) -> tuple[list[bool], list[list[float]]]:
    return [True] * len(first) + [False] * len(second), [*first, *second]


def test_the_video_level_auc_is_the_exact_one() -> None:
    """Videos with the same mean: half of them have their scores in another order."""
    random = np.random.default_rng(0)
    one = [random.choice(STEPS, 20).tolist() for _ in range(20)]
    other = [random.permutation(scores).tolist() for scores in one]
    anomalous, videos = two_kinds(one, other)
    labels, scores = [], []
    for number, (kind, values) in enumerate(zip(anomalous, videos, strict=True)):
        frames = len(values) * INTERVAL
        labels.append(LabelledVideo(f"v{number}", ("Fire",) if kind else (), ((0, 15),) if kind else (), frames))
        scores.append(scored(f"v{number}", frames, values))
    found = evaluate(dataset(*labels), results(*scores)).rows[0].metrics["auc_video_mean"]
    assert found.value == exact_auc(anomalous, videos) == 0.5
    assert (found.low, found.high) == pytest.approx((0.3, 0.7), abs=0.12)


def test_the_published_scores_give_the_exact_video_level_auc(shared: Path) -> None:
    archive = shared / "data/urf_ucf_crime/scores_refined.tar.xz"
    if not archive.exists():
        pytest.skip("no ../shared/data/urf_ucf_crime: the comparison with a published run is not made")
    found = read_scores(archive)
    anomalous = ["Normal" not in name for name in found]
    assert roc_auc_score(anomalous, means(list(found.values()))) == pytest.approx(0.933548, abs=5e-7)
    assert exact_auc(anomalous, [scores.tolist() for scores in found.values()]) == pytest.approx(0.933548, abs=5e-7)


def test_a_set_is_no_better_than_itself_in_another_order() -> None:
    """The means are the same numbers, and so is every resample: nothing speaks for either."""
    random = np.random.default_rng(1)
    labels, first, second = [], [], []
    for number in range(12):
        values = random.choice(STEPS, 30)
        labels.append(LabelledVideo(f"v{number}", ("Fire",) * (number % 2), ((0, 15),) * (number % 2), 30 * INTERVAL))
        first.append(scored(f"v{number}", 30 * INTERVAL, values.tolist()))
        second.append(scored(f"v{number}", 30 * INTERVAL, random.permutation(values).tolist()))
    found = compare_results(dataset(*labels), results(*first), results(*second), EvaluationOptions(resamples=200))
    means_of = found.rows[0].metrics["auc_video_mean"]
    assert means_of.difference == 0
    assert means_of.b_better == 0.5


def test_smoothed_frames_of_a_constant_video_are_equal() -> None:
    """All frames of both videos have one score, so there is nothing that tells them apart."""
    labels = dataset(LabelledVideo("a", ("Fire",), ((0, 200),), 640), LabelledVideo("b", (), (), 4800))
    found = evaluate(
        labels, results(scored("a", 640, [0.3] * 40), scored("b", 4800, [0.3] * 300)), EvaluationOptions(sigmas=(3, 10))
    )
    for row in found.rows[:3]:
        assert row.metrics["auc"].value == 0.5, row.sigma
        assert row.metrics["auc_anomalous"].value == 0.5


def test_a_prior_is_the_same_at_the_same_distance_from_the_centre() -> None:
    prior = settled(np.concatenate([centre_prior(count) for count in (7, 13, 31)]))
    np.testing.assert_array_equal(prior[:7], prior[:7][::-1])
    assert len(np.unique(prior)) == 19  # sixteen fifteenths, and of the sixths 1/6, 1/2 and 5/6; the thirds are both


@pytest.mark.parametrize(
    ("word", "score", "threshold", "found"),
    [
        ("a score just below by rounding", 0.49999999999999994, 0.5, 1),
        ("a threshold that is a score with noise", 0.3, 0.30000000000000004, 1),
        ("below", 0.4999, 0.5, 0),
    ],
)
def test_a_score_reaches_the_threshold_that_it_equals(word: str, score: float, threshold: float, found: int) -> None:
    labels = dataset(LabelledVideo("a", ("Fire",), ((0, 15),), 48))
    options = EvaluationOptions(events=(SegmentRule(threshold),), resamples=0)
    rows = evaluate(labels, results(scored("a", 48, [score, 0.1, 0.1])), options).events
    assert rows[0].found == found, word


def test_a_fall_by_the_tolerance_itself_is_tolerated() -> None:
    assert not MetricChange("auc", None, difference(Measured(0.8 - 0.005), Measured(0.8)), 0.005).fell
    assert MetricChange("auc", None, difference(Measured(0.8 - 0.00501), Measured(0.8)), 0.005).fell
