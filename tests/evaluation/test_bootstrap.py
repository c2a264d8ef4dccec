"""The bootstrap gives what sorting all frames of each resample again would give."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from support.sets import dataset, expanded, gathered, random_set, results, scored

from lavad_core.datasets.types import LabelledVideo
from lavad_core.evaluation.bootstrap import draw_resamples, interval, pairs_in_order, resampled_auc, resampled_precision
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.frame_metrics import frame_metrics
from lavad_core.evaluation.labelled_scores import LabelledScores
from lavad_core.evaluation.measure import measure
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import METRIC_TITLES


def naive(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float, float]:
    """ROC AUC, average precision and trapezoidal area of frames; NaN where undefined."""
    if labels.min() == labels.max():
        return (np.nan,) * 3
    precision, recall, _ = precision_recall_curve(labels, scores)
    return roc_auc_score(labels, scores), average_precision_score(labels, scores), auc(recall, precision)


@pytest.mark.parametrize("levels", [2, 11, None], ids=["two values", "eleven values", "all different"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_resample_is_that_of_frames_written_out(seed: int, levels: int | None) -> None:
    videos = gathered(*random_set(seed, 9, levels=levels))
    labelled, scores = LabelledScores(videos), np.concatenate([video.scores for video in videos])
    draws = draw_resamples(len(videos), 40, seed)
    assert (draws.sum(axis=1) == len(videos)).all()
    found = np.stack(
        [
            resampled_auc(draws, pairs_in_order(labelled.weights, scores), labelled.positive, labelled.negative),
            *resampled_precision(draws, labelled.weights, scores),
        ],
        axis=1,
    )
    expected = [naive(*expanded(videos, counts)[:2]) for counts in draws]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_each_metric_of_a_row_is_resampled_as_if_computed_anew() -> None:
    videos = gathered(*random_set(5, 14, levels=5))
    draws = draw_resamples(len(videos), 30, 3)
    measured, _ = measure(LabelledScores(videos, draws), np.concatenate([video.scores for video in videos]))
    for number, counts in enumerate(draws):
        again = [video for video, count in zip(videos, counts, strict=True) for _ in range(int(count))]
        alone, _ = measure(LabelledScores(again), np.concatenate([video.scores for video in again]))
        for key in METRIC_TITLES:
            samples, value = measured[key].samples, alone[key].value
            assert samples is not None
            assert samples[number] == pytest.approx(np.nan if value is None else value, abs=1e-12, nan_ok=True), key


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 8), st.sampled_from([2, 11, None]))
def test_weights_are_frames(seed: int, count: int, levels: int | None) -> None:
    videos = gathered(*random_set(seed, count, levels=levels))
    scores = np.concatenate([video.scores for video in videos])
    labels, frame_scores, owners = expanded(videos)
    assert frame_metrics(*LabelledScores(videos).entries(scores)) == pytest.approx(
        frame_metrics(labels.astype(bool), frame_scores), abs=1e-12
    )
    measured, pairs = measure(LabelledScores(videos), scores)
    both = [own for own in range(count) if 0 < labels[owners == own].mean() < 1]
    each = [roc_auc_score(labels[owners == own], frame_scores[owners == own]) for own in both]
    assert measured["auc_macro"].n == len(both)
    assert measured["auc_macro"].value == (pytest.approx(np.mean(each), abs=1e-12) if both else None)
    assert pairs.sum() == pytest.approx((measured["auc"].value or 0) * labels.sum() * (1 - labels).sum(), rel=1e-12)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    data, found = random_set(6, 30)
    first, again, other = (
        evaluate(data, found, EvaluationOptions(resamples=100, seed=seed)).rows[0].metrics["auc"] for seed in (1, 1, 2)
    )
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.value == other.value
    assert first.low is not None
    assert first.high is not None
    assert first.low <= first.value <= first.high


def test_an_interval_is_the_middle_95_percent() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))


@pytest.mark.parametrize(
    ("word", "samples"),
    [("none", None), ("nothing", np.zeros(0)), ("undefined", np.full(9, np.nan)), ("a part", np.array([1.0, np.nan]))],
)
def test_no_interval_of_what_is_mostly_undefined(word: str, samples: np.ndarray | None) -> None:
    assert interval(samples) == (None, None)


def test_no_resamples_no_intervals() -> None:
    found = evaluate(*random_set(6, 12), EvaluationOptions(resamples=0))
    assert all(metric.low is metric.high is None for row in found.rows for metric in row.metrics.values())
    assert found.header.intervals == "none"


def test_one_video_has_the_same_value_in_every_resample_and_nothing_warns() -> None:
    data = dataset(LabelledVideo("v", ("Fire",), ((0, 15),), 48))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(data, results(scored("v", 48, [0.5, 0.9, 0.1])))
    assert found.rows[0].metrics["auc"].value == found.rows[0].metrics["auc"].low == 0.5
