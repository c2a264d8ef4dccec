"""The header of an evaluation says how many frames the windows really sampled."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from support.sets import random_set

from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.results.types import ResultSet


@pytest.mark.parametrize(
    ("word", "found", "line"),
    [
        ("a result that does not say it", None, "unknown"),
        ("imported summaries", {}, "none: no summary was made of a window"),
        ("all windows alike", {10: 7}, "10 a window"),
        ("fewer than were wanted", {3: 90, 2: 10}, "3 (2 to 3) a window"),
        ("two videos, half and half: a number that some window has", {3: 5, 10: 5}, "3 (3 to 10) a window"),
    ],
)
def test_the_samples_line(
    word: str, found: Mapping[int, int] | None, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultSet, "window_samples", lambda _: found)
    evaluation = evaluate(*random_set(3, 4))
    assert evaluation.header.samples == line
    assert EVALUATION.parse(EVALUATION.text(evaluation)).header.samples == line


def test_an_evaluation_from_before_is_read() -> None:
    document = json.loads(EVALUATION.text(evaluate(*random_set(3, 4))))
    del document["header"]["samples"]
    document = {key: value for key, value in document.items() if key != "digest"}
    assert EVALUATION.parse(json.dumps(document)).header.samples == "unknown"
