"""Results beside a baseline: paired with another set's scores, or with the numbers of a file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.sets import dataset, random_set, results, scored

from lavad_core.datasets.types import LabelledVideo, SourceFile
from lavad_core.errors import InputError
from lavad_core.evaluation.compare import Difference, difference
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.measure import Measured
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.regression import (
    TOLERANCES,
    MetricChange,
    against_evaluation,
    against_results,
    checked_tolerances,
)
from lavad_core.evaluation.smoothing import Sigma
from lavad_core.results.types import ResultSet

DATA = dataset(LabelledVideo("a", ("Fire",), ((10, 19),)), LabelledVideo("b"))
OPTIONS = EvaluationOptions(sigmas=(1.0,), resamples=50)


def found(of_fire: float, name: str = "b") -> ResultSet:
    """One score of ten anomalous frames, three of normal ones at 0.2, 0.4 and 0.6."""
    return replace(results(scored("a", 30, [0.2, of_fire, 0.4], 10), scored(name, 10, [0.6], 10)), set_id="now")


BEFORE = replace(found(0.9), set_id="before")


def test_what_fell_by_more_than_is_tolerated() -> None:
    regression = against_results(DATA, found(0.5), BEFORE, OPTIONS, TOLERANCES)
    assert (regression.baseline, regression.paired, regression.videos) == ("before", True, 2)
    auc = regression.changes[0]
    assert (auc.difference.b, auc.difference.a) == (1.0, pytest.approx(2 / 3))
    assert auc in regression.falls
    assert {change.smoothing for change in regression.changes} == {None, Sigma(1.0)}
    assert regression.message.startswith(
        "fell against baseline before (paired over 2 videos): AUC (micro) 1.0000 → 0.6667"
    )
    assert "-0.3333, 0.005 tolerated" in regression.message


@pytest.mark.parametrize(
    ("case", "score", "tolerances", "falls"),
    [
        ("the same", 0.9, {"auc": 0.0}, 0),
        ("a little", 0.5, {"auc": 0.4}, 0),
        ("at the tolerance", 0.5, {"auc": 1 / 3 + 1e-12}, 0),
        ("more", 0.5, {"auc": 0.3}, 1),
        ("two", 0.5, {"auc": 0.3, "average_precision": 0.1}, 2),
    ],
)
def test_tolerances(case: str, score: float, tolerances: dict[str, float], falls: int) -> None:
    options = EvaluationOptions(resamples=0)
    regression = against_results(DATA, found(score), BEFORE, options, tolerances)
    assert len(regression.falls) == falls
    assert regression.message.startswith("fell" if falls else "no fall")
    assert regression.changes[0].difference.low is None
    now, before = (evaluate(DATA, one, options) for one in (found(score), BEFORE))
    unpaired = against_evaluation(now, before, "before.json", tolerances)
    assert [change.fell for change in unpaired.changes] == [change.fell for change in regression.changes]
    assert not unpaired.paired


@pytest.mark.parametrize(
    ("now", "low", "high", "baseline_low", "below"),
    [
        pytest.param(0.8, -0.2, -0.01, None, True, id="the paired difference is below 0"),
        pytest.param(0.8, -0.2, 0.01, None, False, id="its interval has 0 in it"),
        pytest.param(0.8, None, None, None, False, id="no bootstrap"),
        pytest.param(0.8, None, None, 0.81, True, id="below the interval of a file"),
        pytest.param(0.8, None, None, 0.79, False, id="within it"),
        pytest.param(0.95, None, None, 0.85, False, id="above the baseline"),
        pytest.param(None, None, None, None, True, id="undefined now"),
    ],
)
def test_a_fall_below_the_interval_of_the_baseline(
    now: float | None, low: float | None, high: float | None, baseline_low: float | None, below: bool
) -> None:
    changed = Difference(now, 0.9, None if now is None else now - 0.9, low, high, None)
    assert MetricChange("auc", None, changed, 0.005, baseline_low).below_interval is below


def test_a_file_has_the_interval_of_its_own_metrics() -> None:
    own = evaluate(*random_set(5, 20), EvaluationOptions(resamples=50))
    changes = against_evaluation(own, own, "before.json", TOLERANCES).changes
    assert [change.baseline_low for change in changes] == [own.rows[0].metrics[metric].low for metric in TOLERANCES]
    assert all(change.baseline_low is not None and not change.below_interval for change in changes)


def test_better_is_no_fall() -> None:
    assert against_results(DATA, BEFORE, found(0.5), OPTIONS, TOLERANCES).falls == ()


def test_videos_that_one_alone_has_are_said() -> None:
    less = replace(BEFORE, names=["a"])
    regression = against_results(DATA, less, BEFORE, OPTIONS, TOLERANCES)
    assert regression.videos == 1
    assert regression.notes == ("1 video has scores in the baseline alone, and no part in this: 'b'",)
    now, before = (evaluate(DATA, one, OPTIONS) for one in (less, BEFORE))
    assert "over 2 videos, the new results over 1" in against_evaluation(now, before, "f", TOLERANCES).notes[0]


def changed(now: float | None, before: float | None, tolerance: float, why: str = "x") -> MetricChange:
    return MetricChange("auc", None, difference(Measured(now, why), Measured(before)), tolerance)


def test_a_metric_that_cannot_be_had_any_more_fell() -> None:
    lost = changed(None, 0.8, 0.1, "all frames are labelled normal")
    assert lost.fell
    assert str(lost) == "AUC (micro) 0.8000 → undefined (all frames are labelled normal)"
    assert not changed(None, None, 0.1).fell
    assert not changed(0.9, None, 0.1).fell


def test_a_row_that_the_file_lacks_is_said() -> None:
    now = evaluate(DATA, found(0.9), OPTIONS)
    before = evaluate(DATA, BEFORE, EvaluationOptions(resamples=0))
    regression = against_evaluation(now, before, "f", TOLERANCES)
    assert regression.notes == ("the baseline has no row scores σ1 (10 frames)",)
    assert {change.smoothing for change in regression.changes} == {None}


def test_numbers_against_other_labels_are_no_baseline() -> None:
    other = replace(DATA, files=(SourceFile("annotation", "other.csv", "cd" * 32),))
    with pytest.raises(InputError, match=r"other labels \(other\.csv cdcd.*than these \(labels\.csv abab"):
        against_evaluation(evaluate(DATA, found(0.9), OPTIONS), evaluate(other, BEFORE, OPTIONS), "f", TOLERANCES)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"auc_roc": 0.1}, "no metric 'auc_roc'"),
        ({"auc": -0.1}, "not a number of at least 0"),
        ({"auc": float("nan")}, "not a number of at least 0"),
        ({}, "nothing would be checked"),
    ],
)
def test_tolerances_that_are_none(given: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match="tolera") as caught:
        checked_tolerances(given)
    assert says in str(caught.value)
    assert checked_tolerances(None) == dict(TOLERANCES)


def test_a_set_beside_itself_never_falls() -> None:
    data, own = random_set(5, 20)
    for change in against_results(data, own, own, OPTIONS, TOLERANCES).changes:
        assert (change.difference.difference, change.difference.low, change.difference.high) == (0.0, 0.0, 0.0)
        assert not change.fell
