"""Two sets of results: differences, their intervals, and the probability that one is better."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.sets import dataset, expanded, gathered, random_set, results, scored

from lavad_core.datasets.types import LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.bootstrap import draw_resamples
from lavad_core.evaluation.compare import compare_results
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.results.types import ResultSet, results_of_values


def altered(found: ResultSet, noise: float, set_id: str = "other") -> ResultSet:
    random = np.random.default_rng(0)
    videos = {
        name: dataclasses.replace(one, scores=one.scores + noise * random.random(one.scores.shape))
        for name, one in ((name, found.scores(name)) for name in found.names)
    }
    return results_of_values(videos, set_id)


def test_a_set_against_itself_is_no_better_and_no_worse() -> None:
    data, found = random_set(6, 30)
    comparison = compare_results(data, found, found, EvaluationOptions(resamples=50))
    for key in METRIC_TITLES:
        one = comparison.rows[0].metrics[key]
        assert (one.difference, one.low, one.high, one.b_better) == (0, 0, 0, 0.5), key


def test_differences_are_those_of_the_evaluations_and_turn_with_the_sets() -> None:
    data, found = random_set(6, 30)
    worse = altered(found, 2.0)
    options = EvaluationOptions(sigmas=(2,), resamples=60)
    there, back = compare_results(data, found, worse, options), compare_results(data, worse, found, options)
    assert [row.sigma for row in there.rows] == [0, 2]
    for number, sigma in enumerate((0, 2)):
        ours, theirs = (
            next(row for row in evaluate(data, one, options).rows if row.ours and row.sigma == sigma)
            for one in (found, worse)
        )
        for key in METRIC_TITLES:
            one, turned = there.rows[number].metrics[key], back.rows[number].metrics[key]
            assert (one.a, one.b) == (ours.metrics[key].value, theirs.metrics[key].value)
            assert one.difference == one.a - one.b
            assert (turned.low, turned.high) == pytest.approx((-one.high, -one.low))
            assert turned.b_better == pytest.approx(1 - one.b_better)
    auc = there.rows[0].metrics["auc"]
    assert auc.difference > 0.05
    assert auc.low > 0, "the noise costs so much that every resample shows it"
    assert auc.b_better == 0


def test_both_have_the_same_resamples() -> None:
    data, found = random_set(6, 30)
    other = altered(found, 0.5)
    resamples, seed = 40, 7
    one = compare_results(data, found, other, EvaluationOptions(resamples=resamples, seed=seed)).rows[0].metrics["auc"]
    samples = []
    for counts in draw_resamples(30, resamples, seed):
        pair = [expanded(gathered(data, results_of), counts)[:2] for results_of in (found, other)]
        samples.append(roc_auc_score(*pair[0]) - roc_auc_score(*pair[1]))
    assert (one.low, one.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), abs=1e-12)
    assert one.b_better == pytest.approx(np.mean(np.array(samples) < 0))


def test_only_videos_that_both_have_count() -> None:
    data = dataset(
        LabelledVideo("a", (), ((0, 15),)),
        LabelledVideo("b"),
        LabelledVideo("c"),
        LabelledVideo("d"),
        LabelledVideo("e"),
    )
    first = results(*(scored(name, 32, [0.9, 0.1]) for name in ("a", "b", "c", "beside")))
    second = results(*(scored(name, 32, [0.1, 0.9]) for name in ("a.mp4", "c", "d")))
    comparison = compare_results(data, first, second, EvaluationOptions(resamples=0))
    assert (comparison.videos, comparison.frames, comparison.positive) == (2, 64, 16)
    assert (comparison.only_a, comparison.only_b) == (("b",), ("d",))
    auc = comparison.rows[0].metrics["auc"]
    assert (auc.a, auc.b, auc.low, auc.b_better) == (pytest.approx(2.5 / 3), pytest.approx(0.5 / 3), None, None)


def test_what_is_undefined_says_why() -> None:
    data = dataset(LabelledVideo("v"))
    found = results(scored("v", 32, [0, 1]))
    one = compare_results(data, found, found).rows[0].metrics["auc"]
    assert (one.a, one.difference, one.reason) == (None, None, "all 32 frames are labelled normal")


@pytest.mark.parametrize(
    ("word", "frames", "name", "message"),
    [
        (
            "no video in common",
            32,
            "w",
            "no video of Own has scores in both 'made' \\(1 of its videos\\) and 'made' \\(0\\)",
        ),
        ("other lengths", 31, "v", "'v' has 32 frames in 'made' and 31 in 'made'"),
    ],
)
def test_sets_that_cannot_be_compared(word: str, frames: int, name: str, message: str) -> None:
    first, second = results(scored("v", 32, [0, 1])), results(scored(name, frames, [0, 1]))
    with pytest.raises(InputError, match=message):
        compare_results(dataset(LabelledVideo("v", (), ((0, 1),))), first, second)
