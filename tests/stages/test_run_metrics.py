"""The metrics of a run in the store: one result for its set of videos, whatever form its labels have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lavad_core.errors import ConfigError, InputError
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.run_metrics import evaluate_run
from lavad_core.video.types import VideoSource

TARGETS = {"targets": ("refine",)}


def written(folder: Path, text: str, name: str = "labels.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_facts_are_the_first_rows_and_the_table_has_all(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    labels = written(tmp_path, "street.mp4 Fire 48 95 -1 -1\nlost Normal -1 -1\nelsewhere Normal -1 -1\n")
    resources = make_bench(
        evaluate={"labels": labels}, run=TARGETS, window={"duration_s": 1.0}, refine={"neighbours": 1}
    )
    video = resources.prepare(street)
    assert resources.run(video) == {}
    commit = evaluate_run(resources, [video], ["lost"])
    assert commit is not None
    counts = {
        "videos_scored": 1, "videos_expected": 2, "frames": 200, "positive_frames": 48, "clipped_intervals": 0,
        "labels_without_video": 1,
    }  # fmt: skip
    assert commit.counts == counts
    assert commit.facts["unscored"] == ["lost"]
    assert commit.facts["roc_auc"] == commit.facts["average_precision"] == 1, "bright frames have the higher scores"
    table = resources.store.read(commit).to_pylist()
    assert [row["metric"] for row in table if row["scores"] == "refined"] == list(METRIC_TITLES)
    assert {row["scores"] for row in table} == {"refined", "raw", "video-label oracle", "constant", "clip-centre prior"}
    first = table[0]
    assert (first["metric"], first["value"], first["low"], first["high"]) == ("auc", 1, 1, 1)
    undefined = next(row for row in table if row["metric"] == "auc_video_max")
    assert (undefined["value"], undefined["reason"]) == (None, "all 1 video is labelled anomalous")
    assert evaluate_run(resources, [video], ["lost"]) == commit, "it is not computed again"


def test_other_labels_and_another_reading_of_them_are_another_result(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    plain = written(tmp_path, "street Arson 48 95 -1 -1\n")
    other = written(tmp_path, "street Arson 48 99 -1 -1\n", "other.txt")
    listed = written(tmp_path, "street 0 199 2\n", "list.txt")
    given: list[dict[str, Any]] = [
        {"labels": plain}, {"labels": other}, {"labels": plain, "dataset": "ucf-crime"},
        {"labels": plain, "dataset": "ucf-crime", "list": listed},
        {"labels": plain, "first_frame": 1}, {"labels": plain, "frame_count_tolerance": 1},
    ]  # fmt: skip
    found = []
    for settings in given:
        resources = make_bench(evaluate=settings, run=TARGETS)
        video = resources.prepare(street)
        assert resources.run(video) == {}
        found.append(evaluate_run(resources, [video]))
    assert len({commit.key.fingerprint for commit in found}) == len(given)
    assert [commit.facts["dataset"] for commit in found] == [
        *["temporal annotation"] * 2, *["UCF-Crime"] * 2, *["temporal annotation"] * 2,
    ]  # fmt: skip
    assert [commit.counts["positive_frames"] for commit in found] == [48, 52, 48, 48, 48, 48]
    assert [commit.facts.get("reading", "").partition(",")[0] for commit in found] == [
        *[""] * 4, "frames of intervals counted from 1", "the list may be off by up to 1 frame",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "settings", "message"),
    [
        ("no line", {}, "has no line for 1 of 1 scored videos, first 'street' \\(nearest: 'streets'\\)"),
        ("list is longer", {"dataset": "ucf-crime", "list": "street 0 399 2\n"}, "13 scores do not cover its frames"),
        ("no such data set", {"dataset": "ucf"}, "there is no data set 'ucf'"),
    ],
)
def test_labels_that_do_not_fit(
    make_bench: Callable[..., Any],
    street: VideoSource,
    tmp_path: Path,
    word: str,
    settings: dict[str, str],
    message: str,
) -> None:
    name = "street" if "list" in settings else "streets"
    labels = written(tmp_path, f"{name} Arson 48 95 -1 -1\n")
    given: dict[str, Any] = {**settings, "labels": labels}
    if "list" in settings:
        given["list"] = written(tmp_path, settings["list"], "list.txt")
    resources = make_bench(evaluate=given, run=TARGETS)
    video = resources.prepare(street)
    assert resources.run(video) == {}
    with pytest.raises(InputError, match=message):
        evaluate_run(resources, [video])


def test_nothing_to_evaluate(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    assert evaluate_run(make_bench(), []) is None
    labels = written(tmp_path, "street Fire 1 2\n")
    with pytest.raises(ConfigError, match="no video has scores"):
        evaluate_run(make_bench(evaluate={"labels": labels}), [])
