"""The numbers of the paper's tables, and an evaluation beside them."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from support.sets import random_set

from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.published import against_published, published_rows
from lavad_core.evaluation.types import Evaluation


def evaluated(adapter: str) -> Evaluation:
    found = evaluate(*random_set(6, 20), EvaluationOptions(resamples=0))
    return dataclasses.replace(found, header=dataclasses.replace(found.header, adapter=adapter))


def test_tables_have_their_rows() -> None:
    assert Counter(row.table for row in published_rows()) == {
        "1": 31, "2": 20, "3": 4, "4": 4, "5": 4, "6": 6, "7": 6, "8": 6,
    }  # fmt: skip
    assert Counter(row.training for row in published_rows() if row.table in ("1", "2")) == {
        "weakly-supervised": 28, "one-class": 8, "unsupervised": 5, "training-free": 10,
    }  # fmt: skip
    assert all(row.auc is not None or row.ap is not None for row in published_rows())
    assert all(0 < value < 1 for row in published_rows() for value in (row.auc, row.ap) if value is not None)
    assert all((row.dataset == "ucf-crime") == (row.ap is None) for row in published_rows() if row.table > "2")


def test_the_same_configuration_has_the_same_number_in_every_table() -> None:
    """The full method is a row of Tables 1, 3, 4, 6 and 8, and of 2, 5 and 7."""
    full = {
        "1": "LAVAD", "2": "LAVAD", "3": "LAVAD", "4": "LAVAD, impersonation", "5": "LAVAD, anomaly prior",
        "6": "LAVAD, captions of all five", "7": "LAVAD, captions of flan-t5-xxl", "8": "LAVAD, T = 10 s, N = 10",
    }  # fmt: skip
    found = {row.table: (row.ap, row.auc) for row in published_rows() if full[row.table] == row.method}
    assert {found[table] for table in "13468"} == {(None, 0.8028)}
    assert {found[table] for table in "257"} == {(0.6201, 0.8536)}


def test_ap_is_compared_with_the_area_by_trapezoids() -> None:
    evaluation = evaluated("xd-violence")
    beside = against_published(evaluation)
    (lavad,) = [found for found in beside.rows if (found.row.table, found.row.method) == ("2", "LAVAD")]
    metrics = evaluation.rows[0].metrics
    assert lavad.ap == pytest.approx(metrics["pr_auc_trapezoid"].value - 0.6201)
    assert lavad.auc == pytest.approx(metrics["auc"].value - 0.8536)
    weakly = next(found for found in beside.rows if found.row.training == "weakly-supervised")
    assert weakly.row.auc is weakly.auc is None
    assert any("trapezoids" in note for note in beside.notes)


@pytest.mark.parametrize(
    ("adapter", "parts"),
    [
        ("ucf-crime", ["20 videos instead of 290", "frames instead of 1111808", "positive instead of 84331", "0.745 → 0.844"]),
        ("xd-violence", ["20 videos instead of 800", "frames instead of 2335801", "AP 0.595 → 0.681"]),
    ],
)  # fmt: skip
def test_notes_say_what_the_protocol_has_different(adapter: str, parts: list[str]) -> None:
    said = "\n".join(against_published(evaluated(adapter)).notes)
    assert [part for part in parts if part not in said] == []


def test_a_data_set_without_numbers() -> None:
    with pytest.raises(InputError, match="no number of 'avenue'; its tables are of ucf-crime, xd-violence"):
        against_published(evaluated("avenue"))
