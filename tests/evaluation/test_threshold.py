"""Thresholds by each rule, on cases that are worked out by hand; the file; and the warning on the set it was fitted on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.sets import dataset, random_set, results, scored

from lavad_core.datasets.label_digests import digest_of_matched_labels
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.threshold import (
    CHOSEN_THRESHOLD,
    ChosenThreshold,
    choose_threshold,
    parse_rule,
    threshold_warnings,
    with_warnings,
)
from lavad_core.method.detection import SegmentRule
from lavad_core.results.types import ResultSet

A = LabelledVideo("a", ("Fire",), ((10, 19),))
B = LabelledVideo("b")
C = LabelledVideo("c", ("Fire",), ((0, 99),))


def data(*videos: LabelledVideo, rate: float | None = 10.0) -> Dataset:
    return replace(dataset(*(videos or (A, B, C))), frame_rate=rate)


def found() -> ResultSet:
    """25 anomalous frames: 10 at 0.8, 15 at 0.4; 30 normal ones: 10 at 0.8, 5 at 0.4, 15 at 0.2."""
    return results(
        scored("a", 25, [0.2, 0.8, 0.4], 10), scored("b", 15, [0.8, 0.2], 10), scored("c", 15, [0.4, 0.4], 10)
    )


def choose(rule: str, videos: Dataset | None = None, **segments: Any) -> ChosenThreshold:
    return choose_threshold(videos or data(), found(), parse_rule(rule), SegmentRule(**segments))


@pytest.mark.parametrize(
    ("rule", "threshold", "value"),
    [
        ("f1", 0.4, 2 * 25 / (25 + 40)),
        ("youden", 0.4, 1 - 15 / 30),
        # b's 1.5 s have one segment from 0.8 down: 2400 an hour
        ("false-alarms-per-hour=0", 0.801, 0.0),
        ("false-alarms-per-hour=2399.9", 0.801, 0.0),
        ("false-alarms-per-hour=2400", 0.0, 2400.0),
    ],
)
def test_by_hand(rule: str, threshold: float, value: float) -> None:
    chosen = choose(rule)
    assert (chosen.threshold, chosen.value) == (threshold, pytest.approx(value))
    assert (chosen.rule, chosen.names, chosen.frames, chosen.positive) == (rule, ("a", "b", "c"), 55, 25)
    assert chosen.definition


def test_segments_settings_count_for_false_alarms() -> None:
    assert choose("false-alarms-per-hour=0", min_length_frames=11).threshold == 0.201, (
        "from 0.2 down it is 15 frames long"
    )
    assert choose("false-alarms-per-hour=2400", low_threshold=0.3).threshold == 0.3, "not below the lower one"
    assert choose("false-alarms-per-hour=0", min_length_frames=11).min_length == 11


@pytest.mark.parametrize("rule", ["f1", "youden"])
def test_no_other_score_does_better(rule: str) -> None:
    videos, scores = random_set(3, 12)
    chosen = choose_threshold(videos, scores, parse_rule(rule))
    truth, values = [], []
    for name, video in videos.videos.items():
        own = scores.scores(name)
        marked = np.zeros(own.frames, bool)
        for first, last in video.intervals:
            marked[first : last + 1] = True
        truth.append(marked)
        values.append(np.repeat(own.scores, own.interval)[: own.frames])
    labels, frames = np.concatenate(truth), np.concatenate(values)

    def value(threshold: float) -> float:
        above = frames >= threshold
        hits = (above & labels).sum()
        if rule == "f1":
            return float(2 * hits / (above.sum() + labels.sum()))
        return float(hits / labels.sum() - (above & ~labels).sum() / (~labels).sum())

    best = max(map(value, np.unique(frames)))
    assert chosen.value == pytest.approx(best)
    assert value(chosen.threshold) == pytest.approx(best)


@pytest.mark.parametrize(
    ("case", "rule", "videos", "says"),
    [
        ("one kind", "f1", data(B), "all frames of the 1 videos are normal"),
        ("one kind", "youden", data(C), "all frames of the 1 videos are anomalous"),
        ("no normal video", "false-alarms-per-hour=1", data(A, C), "none of the 2 videos is normal"),
        ("no frame rate", "false-alarms-per-hour=1", data(rate=None), "1 of 1 normal videos have no frame rate: 'b'"),
        ("nothing in common", "f1", data(LabelledVideo("x")), "none of the 3 scored videos"),
    ],
)
def test_what_labels_do_not_allow(case: str, rule: str, videos: Dataset, says: str) -> None:
    with pytest.raises(InputError, match="videos") as caught:
        choose(rule, videos)
    assert says in str(caught.value)


def test_no_threshold_is_quiet_enough() -> None:
    loud = results(scored("b", 15, [1.0, 0.2], 10))
    with pytest.raises(InputError, match=r"even at the threshold 1 normal videos have 2\.4e"):
        choose_threshold(data(B), loud, parse_rule("false-alarms-per-hour=1"))


def test_no_threshold_is_better_than_chance() -> None:
    upside_down = results(scored("a", 20, [0.9, 0.1], 10))
    with pytest.raises(InputError, match="more of the anomalous frames"):
        choose_threshold(data(A), upside_down, parse_rule("youden"))


@pytest.mark.parametrize("text", ["", "F1", "f1=1", "false-alarms-per-hour", "false-alarms-per-hour=-1", "youden=2",
                                  "false-alarms-per-hour=nan", "false-alarms-per-hour=inf"])  # fmt: skip
def test_rules_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="is not a rule"):
        parse_rule(text)


def test_the_same_labels_have_one_digest_in_any_order_and_form() -> None:
    turned = data(C, replace(B, name="b.mp4", frames=15), A)
    assert digest_of_matched_labels(turned) == digest_of_matched_labels(data())
    assert digest_of_matched_labels(data(A, B)) != digest_of_matched_labels(data())


def named(*names: str) -> ResultSet:
    return results(*(scored(name, 16, [0.5]) for name in names))


def test_a_warning_where_it_was_fitted_on_what_is_evaluated() -> None:
    chosen = choose("f1")
    (warning,) = threshold_warnings(chosen, data(), named("a", "b", "c"))
    assert "fitted on 3 of the 3 evaluated videos" in warning
    (partly,) = threshold_warnings(chosen, data(LabelledVideo("z"), A), named("z", "a.mp4"))
    assert "1 of the 2 evaluated videos ('a.mp4')" in partly
    (same,) = threshold_warnings(replace(chosen, names=()), data(), named("a"))
    assert "the same labels" in same
    others = data(LabelledVideo("y", ("Fire",), ((0, 5),)), LabelledVideo("z"))
    assert threshold_warnings(chosen, others, named("y", "z")) == ()
    evaluation = with_warnings(evaluate(data(), found()), threshold_warnings(chosen, data(), found()))
    assert warning in evaluation.header.warnings


def test_the_file_and_back(tmp_path: Path) -> None:
    chosen = choose("false-alarms-per-hour=0", min_length_frames=11)
    path = tmp_path / "threshold.json"
    path.write_text(CHOSEN_THRESHOLD.text(chosen), encoding="utf-8")
    assert CHOSEN_THRESHOLD.text(CHOSEN_THRESHOLD.read(path)) == CHOSEN_THRESHOLD.text(chosen)


@pytest.mark.parametrize(
    ("case", "change", "says"),
    [
        ("another file", {"format": "x"}, "is not one"),
        ("a later version", {"version": 2}, "has version 2"),
        ("no threshold", {"threshold": None}, "threshold: Input should be a valid number"),
        ("beyond all numbers", {"threshold": 1e999}, "is not JSON"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, case: str, change: dict[str, object], says: str) -> None:
    path = tmp_path / "threshold.json"
    path.write_text(json.dumps({**json.loads(CHOSEN_THRESHOLD.text(choose("f1"))), **change}), encoding="utf-8")
    with pytest.raises(InputError, match=r"threshold\.json") as caught:
        CHOSEN_THRESHOLD.read(path)
    assert says in str(caught.value)
