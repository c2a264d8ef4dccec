"""An evaluation as strict JSON, and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.json_files import strict
from support.sets import dataset, random_set, results, scored

from lavad_core.datasets.types import LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.evaluation.types import Evaluation, Metric


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_there_and_back(seed: int, videos: int) -> None:
    found = evaluate(*random_set(seed, videos), EvaluationOptions(sigmas=(3,), resamples=20))
    assert strict(EVALUATION.text(found))["format"] == "lavad-evaluation"
    assert EVALUATION.parse(EVALUATION.text(found)) == found


def test_what_is_undefined_is_null_with_its_reason() -> None:
    found = evaluate(dataset(LabelledVideo("v")), results(scored("v", 32, [0, 1])))
    metric = strict(EVALUATION.text(found))["rows"][0]["metrics"]["auc"]
    assert metric == {
        "value": None, "reason": "all 32 frames are labelled normal", "low": None, "high": None, "n": None,
    }  # fmt: skip


def some() -> Evaluation:
    return evaluate(*random_set(1, 4), EvaluationOptions(resamples=0))


def test_a_number_that_is_none_is_a_fault_of_the_program() -> None:
    found = some()
    row = dataclasses.replace(found.rows[0], metrics={"auc": Metric(float("nan"))})
    with pytest.raises(ValueError, match="Out of range float"):
        EVALUATION.text(dataclasses.replace(found, rows=(row,)))


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(EVALUATION.text(some()))
    return found


def changed(**values: Any) -> str:
    return json.dumps({**written(), **values})


@pytest.mark.parametrize(
    ("word", "text", "parts"),
    [
        ("no JSON", "{", ["'old.json' is not JSON"]),
        ("too deep", "[" * 100_000, ["is not JSON"]),
        ("something else", '{"a": 1}', ["is not one", "lavad evaluate --json"]),
        ("a list", "[]", ["is not one"]),
        ("another version", changed(version=2), ["version 2", "1 is read"]),
        ("no rows", changed(rows=None), ["rows", "lavad evaluate"]),
        ("a text for a number", changed(header={**written()["header"], "frames": "many"}), ["header.frames"]),
        ("NaN", EVALUATION.text(some()).replace('"sigma": 0.0', '"sigma": NaN', 1), ["a value is NaN, which is not a number"]),
        ("infinite", EVALUATION.text(some()).replace('"sigma": 0.0', '"sigma": 1e999', 1), ["not finite"]),
    ],
)  # fmt: skip
def test_what_is_not_an_evaluation_is_refused(word: str, text: str, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        EVALUATION.parse(text, "old.json")
    assert [part for part in parts if part not in str(caught.value)] == []


def test_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(EVALUATION.text(some()), encoding="utf-8")
    assert EVALUATION.read(tmp_path / "e.json") == some()
    with pytest.raises(InputError, match="does not exist"):
        EVALUATION.read(tmp_path / "none.json")
