"""σ counts scores; rows say what it is in frames and seconds, and unlike ones are marked."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from support.sets import dataset, random_set, results, scored

from lavad_core.datasets.types import LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.compare import compare_results
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.regression import against_evaluation, against_results
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.evaluation.smoothing import Sigma, Unit, parse_sigma
from lavad_core.results.types import ResultSet, results_of_values

SCORES = [0.1, 0.9, 0.2, 0.4, 0.3, 0.7, 0.1, 0.2, 0.6, 0.5]
FRAMES = len(SCORES) * 16
LABELS = dataset(LabelledVideo("v", ("Fire",), ((16, 31),), FRAMES), frame_rate=30)
GRID = results(scored("v", FRAMES, SCORES))
EACH = results(scored("v", FRAMES, np.repeat(SCORES, 16).tolist(), interval=1))
"""The same scores, stored for every frame."""


def rows(found: ResultSet, *sigmas: float | Sigma) -> list[str]:
    return [row.label for row in evaluate(LABELS, found, EvaluationOptions(sigmas, resamples=0)).rows if row.ours]


def test_a_row_says_its_sigma_in_frames_and_seconds() -> None:
    assert rows(GRID, 10) == ["scores", "scores σ10 (160 frames, 5.33 s)"]
    assert rows(EACH, 10) == ["scores", "scores σ10 (10 frames, 0.333 s)"]


@pytest.mark.parametrize(
    ("sigma", "said", "scores"),
    [
        (Sigma(48, "frames"), "σ48 frames (3 scores, 1.6 s)", 3.0),
        (Sigma(1.6, "s"), "σ1.6 s (3 scores, 48 frames)", 3.0),
        (Sigma(3, "scores"), "σ3 (48 frames, 1.6 s)", 3.0),
    ],
)
def test_sigma_in_any_unit(sigma: Sigma, said: str, scores: float) -> None:
    assert rows(GRID, sigma)[1] == f"scores {said}"
    row = evaluate(LABELS, GRID, EvaluationOptions((sigma,), resamples=0)).rows[1]
    smooth = results(scored("v", FRAMES, gaussian_filter1d(np.array(SCORES), scores).tolist()))
    assert row.metrics["auc"] == evaluate(LABELS, smooth, EvaluationOptions(resamples=0)).rows[0].metrics["auc"]


def test_frames_are_the_same_smoothing_however_scores_are_stored() -> None:
    found = compare_results(LABELS, GRID, EACH, EvaluationOptions((Sigma(48, "frames"),), resamples=0)).rows[1]
    assert found.unlike == ""
    assert found.title == "σ48 frames (3 scores, 1.6 s)"


@pytest.mark.parametrize("other", [EACH, results(scored("v", FRAMES, np.repeat(SCORES, 2).tolist(), interval=8))])
def test_unlike_sigmas_are_marked(other: ResultSet) -> None:
    interval = other.scores("v").interval
    found = compare_results(LABELS, GRID, other, EvaluationOptions((10,), resamples=0))
    assert [row.unlike for row in found.rows] == ["", f"160 and {10 * interval} frames"]
    assert found.rows[1].title == f"σ10: NOT THE SAME SMOOTHING in A and B (160 and {10 * interval} frames)"
    change = against_results(LABELS, GRID, other, EvaluationOptions((10,), resamples=0), {"auc": 0.5})
    assert "NOT THE SAME SMOOTHING" in change.notes[-1]
    now, before = (evaluate(LABELS, one, EvaluationOptions((10,), resamples=0)) for one in (GRID, other))
    assert "is not the same smoothing" in against_evaluation(now, before, "old", {"auc": 0.5}).notes[-1]


def test_other_frame_rates_are_other_seconds() -> None:
    slow = results_of_values({"v": dataclasses.replace(GRID.scores("v"), frame_rate=10.0)}, set_id="slow")
    fast = results_of_values({"v": dataclasses.replace(GRID.scores("v"), frame_rate=29.97)}, set_id="fast")
    asked = EvaluationOptions((10,), resamples=0)
    assert compare_results(LABELS, slow, fast, asked).rows[1].unlike == "16 and 5.34 s"
    assert compare_results(LABELS, GRID, fast, asked).rows[1].unlike == ""  # 29.97 is called 30


def test_videos_with_other_rates_have_a_range() -> None:
    labels = dataset(LabelledVideo("a", ("Fire",), ((0, 15),), 64), LabelledVideo("b", (), (), 64))
    one = dataclasses.replace(scored("a", 64, SCORES[:4]), frame_rate=10.0)
    other = dataclasses.replace(scored("b", 64, np.repeat(SCORES[:4], 2).tolist(), interval=8), frame_rate=20.0)
    found = evaluate(labels, results(one, other), EvaluationOptions((2,), resamples=0))
    assert found.rows[1].label == "scores σ2 (16–32 frames, 0.8–3.2 s)"
    assert "a Gaussian of 2 grid steps (16–32 frames, 0.8–3.2 s) over" in found.header.smoothing
    bare = evaluate(labels, results(scored("a", 64, SCORES[:4]), other), EvaluationOptions((2,), resamples=0))
    assert bare.rows[1].label == "scores σ2 (16–32 frames)"


def test_an_evaluation_keeps_it_in_json() -> None:
    found = evaluate(*random_set(1, 5), EvaluationOptions((3, Sigma(80, "frames"), Sigma(2, "s")), resamples=0))
    assert EVALUATION.parse(EVALUATION.text(found)) == found
    widths = [row.width.frames for row in found.rows[1:4] if row.width is not None]
    assert widths == [(48, 48), (80, 80), (50, 50)]


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("10", 10, "scores"), ("2.5", 2.5, "scores"), ("1e1", 10, "scores"), ("160f", 160, "frames"),
        ("160 frames", 160, "frames"), ("5.3s", 5.3, "s"), ("5 seconds", 5, "s"), ("10 scores", 10, "scores"),
    ],
)  # fmt: skip
def test_how_sigma_is_written(text: str, value: float, unit: Unit) -> None:
    assert parse_sigma(text) == Sigma(value, unit)


@pytest.mark.parametrize("text", ["", "ten", "10m", "5.3 ss", "--", "1e", "s"])
def test_what_is_no_sigma(text: str) -> None:
    with pytest.raises(InputError, match="is not a σ"):
        parse_sigma(text)


@pytest.mark.parametrize(
    ("sigma", "says"),
    [
        (Sigma(0, "frames"), "does not smooth"),
        (Sigma(float("inf"), "s"), "does not smooth"),
        (Sigma(20_000), "does not smooth"),
        (Sigma(1e9, "frames"), "at most 10000"),
    ],
)
def test_sigma_out_of_its_range(sigma: Sigma, says: str) -> None:
    with pytest.raises(InputError, match=says):
        rows(GRID, sigma)


def test_seconds_need_a_frame_rate() -> None:
    labels = dataset(LabelledVideo("v", ("Fire",), ((16, 31),), FRAMES))
    with pytest.raises(InputError, match="nothing says how many frames a second video 'v' has"):
        evaluate(labels, GRID, EvaluationOptions((Sigma(1, "s"),), resamples=0))
