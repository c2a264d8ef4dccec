"""What a check says about a data set, with and without its videos."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lavad_core.datasets.adapters.ucf_crime import CLASSES
from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.check import check_dataset, figures, published_findings
from lavad_core.datasets.label_digests import digest_of_named_labels
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import VideoRejected
from lavad_core.video.types import VideoSource


def dataset(*videos: LabelledVideo, adapter: str = "own", notes: tuple[str, ...] = ()) -> Dataset:
    return Dataset(adapter, "test", {video.name: video for video in videos}, (), notes=notes)


ONE = LabelledVideo("one", ("Fire",), ((0, 4), (8, 12)), 10)
NORMAL = LabelledVideo("normal", (), (), 20)


def as_published() -> Dataset:
    """As many videos, classes and so on as UCF-Crime has; the labels are made up."""
    videos = [
        LabelledVideo(
            f"v{number}", (CLASSES[number % 13],) if number < 140 else (), ((0, 1),) if number < 140 else (), 100
        )
        for number in range(290)
    ]
    return dataset(*videos, adapter="ucf-crime")


def test_figures() -> None:
    found = figures(dataset(ONE, NORMAL))
    assert dataclasses.asdict(found) == {
        "videos": 2,
        "anomalous": 1,
        "classes": 1,
        "intervals": 2,
        "frames": 30,
        "positive": 7,
        "clipped": 1,
    }


def test_figures_without_a_length_are_not_guessed() -> None:
    found = figures(dataset(ONE, dataclasses.replace(NORMAL, frames=None)))
    assert (found.frames, found.positive, found.clipped) == (None, None, None)
    assert (found.videos, found.anomalous) == (2, 1)


def test_the_digest_of_labels_is_of_names_and_intervals_only() -> None:
    one, other = dataset(ONE, NORMAL), dataset(NORMAL, dataclasses.replace(ONE, frames=None, classes=()))
    assert digest_of_named_labels(one) == digest_of_named_labels(other)
    moved = dataclasses.replace(ONE, intervals=((0, 4), (8, 11)))
    assert digest_of_named_labels(one) != digest_of_named_labels(dataset(moved, NORMAL))


def edited(change: Callable[[dict[str, LabelledVideo]], Any]) -> Dataset:
    found = as_published()
    videos = dict(found.videos)
    change(videos)
    return dataclasses.replace(found, videos=videos)


def without_burglary(videos: dict[str, LabelledVideo]) -> None:
    for name, video in list(videos.items()):
        if video.classes == ("Burglary",):
            del videos[name]


def renamed_class(videos: dict[str, LabelledVideo]) -> None:
    for name, video in list(videos.items()):
        if video.classes == ("RoadAccidents",):
            videos[name] = dataclasses.replace(video, classes=("Road_Accidents",))


def one_normal_less(videos: dict[str, LabelledVideo]) -> None:
    del videos["v289"]


def one_anomalous_less(videos: dict[str, LabelledVideo]) -> None:
    videos["v0"] = LabelledVideo("v0", (), (), 100)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            without_burglary,
            ["11 too few", "no video is of the class Burglary: one class that is missing has moved AUC by 4"],
        ),
        (renamed_class, ["class RoadAccidents", "has no class 'Road_Accidents' (nearest: 'RoadAccidents')"]),
        (one_normal_less, ["has 290 videos, these files have 289: 1 too few"]),
        (one_anomalous_less, ["has 140 anomalous videos, these files have 139"]),
    ],
)
def test_what_is_missing_is_an_error(change: Callable[[dict[str, LabelledVideo]], Any], says: list[str]) -> None:
    report = check_dataset(edited(change))
    errors = [finding.message for finding in report.findings if finding.level == "error"]
    assert not report.ok
    assert all(any(part in error for error in errors) for part in says), errors


def test_other_labels_and_lengths_are_warnings() -> None:
    report = check_dataset(as_published())
    assert report.ok
    messages = " | ".join(finding.message for finding in report.findings)
    assert "1,111,808 frames, these files have 29,000: -1,082,808" in messages
    assert "84,331 labelled frames, these files have 280" in messages
    assert "not the published ones" in messages
    assert report.published["frames"] == 1_111_808


def test_nothing_is_compared_where_nothing_is_published() -> None:
    report = check_dataset(dataset(NORMAL, notes=("something",)))
    assert (report.part, report.published) == ("", {})
    assert [finding.message for finding in report.findings] == ["something"]


def test_the_part_with_as_many_videos_is_meant() -> None:
    videos = [LabelledVideo(f"v{number}", (), ((0, 1),) if number < 240 else ()) for number in range(360)]
    assert check_dataset(dataset(*videos, adapter="msad")).part == "test set, protocol i"
    assert check_dataset(dataset(*videos[:5], adapter="msad")).part == "test set, protocol ii"


def test_differences_are_notes_of_the_data_set_and_said_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a Arson 1 2\n")
    found = open_dataset("ucf-crime", tmp_path / "a.txt")
    assert any("289 too few" in note for note in found.notes)
    messages = [finding.message for finding in check_dataset(found).findings]
    assert len(messages) == len(set(messages))
    assert {finding.message for finding in published_findings(found)} <= set(messages)


def test_the_label_file_of_another_data_set(tmp_path: Path) -> None:
    (tmp_path / "annotations.txt").write_text("v=1_label_B6-0-0 1 2\nv=2_label_G-0-0 3 4\n")
    report = check_dataset(open_dataset("ucf-crime", tmp_path / "annotations.txt"))
    assert not report.ok
    assert any("has no class 'B6-0-0'" in finding.message for finding in report.findings)
    assert any("is this its label file?" in finding.message for finding in report.findings)


@pytest.mark.parametrize(
    ("intervals", "level", "says"),
    [
        (((8, 12),), "warning", "1 video has an anomaly that goes on past the end and is cut there: 'one'"),
        (((10, 12),), "error", "begins after the end: 'one'"),
        (((8, 9),), None, ""),
    ],
)
def test_intervals_beyond_the_end(intervals: tuple[tuple[int, int], ...], level: str | None, says: str) -> None:
    report = check_dataset(dataset(dataclasses.replace(ONE, intervals=intervals)))
    assert [finding.level for finding in report.findings if says in finding.message and level] == [level] * bool(level)
    assert report.ok is (level != "error")
    assert bool(report.findings) is (level is not None)


def sources(*names: str) -> list[VideoSource]:
    return [VideoSource(name, Path(f"{name}.mp4")) for name in names]


def test_videos_that_are_missing_or_too_many() -> None:
    report = check_dataset(dataset(ONE, NORMAL), sources("normal", "onee", "other"))
    assert [(finding.level, finding.message, tuple(finding.videos)) for finding in report.findings][:2] == [
        ("error", "1 of 2 videos are not here: 'one' (nearest: 'onee')", ("one",)),
        ("warning", "2 videos are here and not of the data set: 'onee', 'other'", ("onee", "other")),
    ]


@pytest.mark.parametrize(
    ("frames", "level", "says"),
    [
        (100, None, ""),
        (99, "warning", "another number of frames than the list says: 'long' (99, not 100)"),
        (101, "warning", "'long' (101, not 100)"),
        (83, "error", "shorter than the list says, cut off or another: 'long' (83, not 100)"),
    ],
)
def test_lengths(frames: int, level: str | None, says: str) -> None:
    long = LabelledVideo("long", (), (), 100)
    report = check_dataset(dataset(long), sources("long"), lambda source: frames)
    assert [finding.level for finding in report.findings] == [level] * bool(level)
    assert all(says in finding.message for finding in report.findings)


def test_videos_give_the_lengths_that_no_list_gives() -> None:
    unknown = dataclasses.replace(ONE, frames=None)
    report = check_dataset(
        dataset(unknown, NORMAL), sources("one", "normal"), lambda source: {"one": 10, "normal": 20}[source.name]
    )
    assert (report.here.frames, report.here.positive, report.here.clipped) == (30, 7, 1)


def test_one_unreadable_video_does_not_stop_the_others() -> None:
    def count(source: VideoSource) -> int:
        if source.name == "one":
            raise VideoRejected("no-frames", "nothing in it")
        return 20

    report = check_dataset(dataset(ONE, NORMAL), sources("one", "normal"), count)
    assert (report.findings[0].level, report.findings[0].message) == (
        "error",
        "1 video cannot be read: 'one' (no-frames)",
    )
    known = check_dataset(dataset(ONE, NORMAL), sources("one", "normal"), count, lambda source, error: True)
    assert (known.ok, known.findings[0].message) == (True, "1 video cannot be read, as is known: 'one' (no-frames)")


def test_the_real_ucf_crime(shared: Path) -> None:
    folder = shared / "data" / "ucf_crime"
    if not folder.is_dir():
        pytest.skip("no ../shared/data/ucf_crime: the published annotation is not checked")
    annotation = folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    found = open_dataset("ucf-crime", annotation, folder / "test.txt")
    assert found.notes == ()
    report = check_dataset(found)
    assert report.ok
    assert not report.findings
    assert dataclasses.asdict(report.here) == {
        "videos": 290,
        "anomalous": 140,
        "classes": 13,
        "intervals": 156,
        "frames": 1_111_808,
        "positive": 84_331,
        "clipped": 7,
    }
    alone = check_dataset(open_dataset("ucf-crime", annotation))
    assert alone.ok
    assert not alone.findings
    assert alone.here.frames is None


def test_the_real_ucf_crime_edited_by_somebody(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "ucf_crime"
    if not folder.is_dir():
        pytest.skip("no ../shared/data/ucf_crime: the published annotation is not checked")
    text = (folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").read_text()
    (tmp_path / "a.txt").write_text(text.replace("Abuse028_x264  Abuse  165  240", "Abuse028_x264  Abuse  160  240"))
    report = check_dataset(open_dataset("ucf-crime", tmp_path / "a.txt", folder / "test.txt"))
    messages = [finding.message for finding in report.findings]
    assert report.ok
    assert messages == [
        "the test set has 84,331 labelled frames, these files have 84,336: +5",
        next(message for message in messages if "not the published ones" in message),
    ]
    (tmp_path / "same.txt").write_bytes(
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").replace("_x264  ", "_x264.mp4 ").encode()
    )
    assert not check_dataset(open_dataset("ucf-crime", tmp_path / "same.txt")).findings
