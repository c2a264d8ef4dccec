"""Kinds of segments in what leaves the program, and nothing of them where scores are of no kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lavad_core.exports.dataframes import segments_table
from lavad_core.exports.segments import write_fiftyone, write_intervals
from lavad_core.method.detection import SegmentRule
from lavad_core.results.types import ResultSet, ScoredVideo, VideoTexts, results_of_values

KINDS = ["fire", "fire", "road accident", "fire", "fire", "fire"]


def results(kinds: list[str] | None) -> ResultSet:
    scores = np.array([0.6, 0.1, 0.9, 0.1, 0.1, 0.1])
    return results_of_values({"clip": ScoredVideo("clip", 96, 16, scores, frame_rate=16.0, kinds=kinds)})


@pytest.mark.parametrize(("kinds", "word"), [(None, "Anomaly"), (KINDS, "road-accident")])
def test_intervals_have_the_class_of_the_highest_segment(kinds: list[str] | None, word: str, tmp_path: Path) -> None:
    write_intervals(results(kinds), tmp_path / "found.txt", SegmentRule())
    assert (tmp_path / "found.txt").read_text() == f"clip  {word}  0  15  32  47  \n"


@pytest.mark.parametrize(
    ("kinds", "classes", "labels"),
    [(None, ["Anomaly"], [0, 0]), (KINDS, ["fire", "road accident"], [0, 1])],
    ids=["no kinds", "kinds"],
)
def test_fiftyone_has_a_class_for_each(
    kinds: list[str] | None, classes: list[str], labels: list[int], tmp_path: Path
) -> None:
    write_fiftyone(results(kinds), tmp_path / "out", SegmentRule())
    found = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert found["classes"] == classes
    assert [one["label"] for one in found["labels"]["clip"]] == labels


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (VideoTexts(summaries={32: "A fire."}), "A fire."),
        (VideoTexts(reasons={32: "fire: 0.9"}), "fire: 0.9"),
    ],
    ids=["summary", "reason"],
)
def test_fiftyone_says_why(texts: VideoTexts, said: str, tmp_path: Path) -> None:
    videos = {"clip": results(None).scores("clip")}
    write_fiftyone(results_of_values(videos, texts={"clip": texts}), tmp_path / "out", SegmentRule())
    found = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert [one["attributes"]["summary"] for one in found["labels"]["clip"]] == ["", said]


def test_a_table_has_a_column_where_there_are_kinds() -> None:
    assert segments_table(results(KINDS))["kind"].tolist() == ["fire", "road accident"]
    assert "kind" not in segments_table(results(None)).columns
