"""Kinds of anomalies that scores name, against the labels' classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.results.types import ScoredVideo, results_of_values

HIGH = [0.1, 0.9, 0.9, 0.1, 0.8, 0.1]
"""Segments are 16…47, with its peak at 16, and 64…79."""


def scored(name: str, kinds: list[str] | None, scores: list[float] = HIGH) -> ScoredVideo:
    return ScoredVideo(name, 16 * len(scores), 16, np.array(scores), kinds=kinds)


def dataset(**videos: tuple[tuple[str, ...], tuple[tuple[int, int], ...]]) -> Dataset:
    found: Mapping[str, LabelledVideo] = {
        name: LabelledVideo(name, classes, intervals) for name, (classes, intervals) in videos.items()
    }
    return Dataset("own", "own", found, ())


LABELS = dataset(a=(("Road_Accident",), ((20, 40),)), b=(("fire", "theft"), ((60, 79),)), c=((), ()))
OPTIONS = EvaluationOptions(resamples=0)


def test_a_segment_has_to_be_of_the_class_it_is_in() -> None:
    kinds = {
        "a": ["fire", "road accident", "fire", "fire", "fire", "fire"],
        "b": ["fire", "road accident", "fire", "fire", "FIRE", "fire"],
        "c": ["fire", "panic", "fire", "fire", "fire", "fire"],
    }
    results = results_of_values({name: scored(name, own) for name, own in kinds.items()})
    rows = evaluate(LABELS, results, OPTIONS).kinds
    found = {row.name: (row.annotated, row.found, row.matched, row.precision.value, row.recall.value) for row in rows}
    assert found == {
        "fire": (1, 3, 1, pytest.approx(1 / 3), 1.0),  # 64…79 of each video
        "panic": (0, 1, 0, 0.0, None),
        "Road_Accident": (1, 2, 1, 0.5, 1.0),
        "theft": (1, 0, 0, None, 0.0),
    }
    assert rows[-1].precision.reason == "no segment of the kind was found"


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        pytest.param(LABELS, None, id="no kinds"),
        pytest.param(dataset(a=((), ((20, 40),)), b=((), ()), c=((), ())), ["x"] * 6, id="no classes"),
    ],
)
def test_otherwise_nothing_is_said_and_documents_are_as_before(labels: Dataset, kinds: list[str] | None) -> None:
    found = evaluate(labels, results_of_values({name: scored(name, kinds) for name in "abc"}), OPTIONS)
    assert found.kinds == ()
    assert '"kinds"' not in EVALUATION.text(found)


def test_a_document_holds_them() -> None:
    found = evaluate(LABELS, results_of_values({name: scored(name, ["fire"] * 6) for name in "abc"}), OPTIONS)
    assert EVALUATION.parse(EVALUATION.text(found)).kinds == found.kinds
