"""A list that does not count the frames that the scores are of: which is wrong is said, and a declared option takes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.sets import dataset, results, scored

from lavad_core.datasets.frame_counts import counted_frames
from lavad_core.datasets.types import LabelledVideo, LabelReading
from lavad_core.errors import InputError
from lavad_core.evaluation.compare import compare_results
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.imports.per_video import ImportReport, ImportSources
from lavad_core.imports.read import read_import

BARE = EvaluationOptions(resamples=0)
VIDEOS = {"a": 32, "b": 48, "c": 40, "d": 33}
"""Name to its true frames."""


def case(counted: dict[str, int], missing: int = 0):  # type: ignore[no-untyped-def]
    """A data set that counts other frames, and scores of the true ones; ``missing`` of the last are not there."""
    labels = [LabelledVideo(name, ("Fire",), ((0, 9),), frames) for name, frames in counted.items()]
    found = []
    for name, frames in VIDEOS.items():
        scores = [0.5] * (-(-frames // 16) - missing)
        found.append(scored(name, frames if not missing else len(scores) * 16, scores, 16))
    return dataset(*labels), results(*found)


ONE_MORE = {name: frames + 1 for name, frames in VIDEOS.items()}


@pytest.mark.parametrize(
    ("word", "counted", "missing", "says"),
    [
        ("one frame too many", ONE_MORE, 0, ["2 of 4 videos", "'a' (33 frames, 2 scores)", "frames % 16 = 1"]),
        ("one too many", ONE_MORE, 0, ["the list is probably wrong, not the scores", "--frame-count-tolerance 1 "]),
        (
            "one video",
            {**VIDEOS, "b": 49},
            0,
            ["'b': 3 scores", "the results themselves count 48 frames", "tolerance 1 "],
        ),
        ("two too many", {n: f + 2 for n, f in VIDEOS.items()}, 0, ["list is probably wrong", "frames % 16 = 2"]),
        ("five too many", {n: f + 5 for n, f in VIDEOS.items()}, 0, ["only the last score is missing", "tolerance 5 "]),
        ("scores are missing", VIDEOS, 1, ["scores are missing for up to 16", "scores are probably not complete"]),
        ("other videos", {n: f * 9 for n, f in VIDEOS.items()}, 0, ["scores are probably not complete"]),
        (
            "too few",
            {n: f // 3 for n, f in VIDEOS.items()},
            0,
            ["more than the list counts", "of other or shorter videos"],
        ),
    ],
)
def test_which_of_the_two_is_probably_wrong(word: str, counted: dict[str, int], missing: int, says: list[str]) -> None:
    data, found = case(counted, missing)
    with pytest.raises(InputError) as caught:
        evaluate(data, found, BARE)
    for part in says:
        assert part in str(caught.value), (word, str(caught.value))


def test_a_declared_tolerance_takes_the_list_and_the_header_says_it() -> None:
    data, found = case(ONE_MORE)
    evaluation = evaluate(replace(data, reading=LabelReading(frame_count_tolerance=1)), found, BARE)
    # a and b are cut to their scores; c and d have a score for the frame that is not there, as in any list
    assert [video.frames for video in evaluation.videos] == [32, 48, 41, 34]
    assert evaluation.header.reading == "the list may be off by up to 1 frame, which 2 videos were cut for: 'a', 'b'"
    compared = compare_results(replace(data, reading=LabelReading(frame_count_tolerance=1)), found, found, BARE)
    assert compared.reading == evaluation.header.reading
    assert compared.frames == evaluation.header.frames


def test_the_tolerance_is_no_more_than_what_was_declared() -> None:
    data, found = case({name: frames + 2 for name, frames in VIDEOS.items()})
    with pytest.raises(InputError, match="--frame-count-tolerance 2 "):
        evaluate(replace(data, reading=LabelReading(frame_count_tolerance=1)), found, BARE)


def test_nothing_is_said_where_nothing_was_declared() -> None:
    data, found = case(VIDEOS)
    assert evaluate(data, found, BARE).header.reading == ""


@pytest.mark.parametrize(
    ("frames", "scores", "interval", "tolerance", "counted"),
    [
        (33, 2, 16, 0, 33),
        (33, 2, 16, 1, 32),
        (34, 2, 16, 1, 34),
        (48, 2, 16, 15, 48),
        (32, 2, 16, 15, 32),
        (32, 3, 16, 0, 32),
        (32, 3, 16, 1, 33),
        (31, 3, 16, 1, 31),
        (100, 99, 1, 1, 99),
        (100, 98, 1, 1, 100),
        (98, 99, 1, 1, 99),
    ],
)
def test_frames_that_count(frames: int, scores: int, interval: int, tolerance: int, counted: int) -> None:
    assert counted_frames(frames, scores, interval, tolerance) == counted


def imported(folder: Path, counted: dict[str, int], tolerance: int):  # type: ignore[no-untyped-def]
    for name, frames in VIDEOS.items():
        np.save(folder / f"{name}.npy", np.full(-(-frames // 16), 0.5))
    report = ImportReport()
    found = read_import(ImportSources(scores=folder), dict(counted), report, interval=16, tolerance=tolerance)
    return found, report


def test_an_import_says_it_of_all_videos_together(tmp_path: Path) -> None:
    found, report = imported(tmp_path, ONE_MORE, 0)
    assert [video.name for video in found.videos] == ["c", "d"]
    assert "a.npy' has all scores of a video of 32 frames, and 33 are counted" in found.unscored["a"]
    assert "the list probably counts 1 too many; if so give --frame-count-tolerance 1" in found.unscored["a"]
    assert report.problems[-1].startswith(
        "frame counts: 2 videos: the list counts up to 1 frame more than the scores cover"
    )


def test_an_import_takes_what_was_declared(tmp_path: Path) -> None:
    found, report = imported(tmp_path, ONE_MORE, 1)
    assert {video.name: video.frames for video in found.videos} == {"a": 32, "b": 48, "c": 41, "d": 34}
    assert not report.problems
    assert "2 videos are taken to be as long as the scores, by up to 1 frame" in report.notes[0]
    shorter, report = imported(tmp_path, {"a": 32, "b": 48, "c": 40, "d": 32}, 1)
    assert {video.name: video.frames for video in shorter.videos}["d"] == 33
