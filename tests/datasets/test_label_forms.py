"""A line that has the shape of a published form is read as that form, or refused by its number; never taken for a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.labels import XD, contents, refusal, written

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.configured import open_labels
from lavad_core.datasets.types import LabelReading
from lavad_core.errors import InputError

ARSON = ("Arson022_x264", ("Arson",), ((3500, 4000),))


NORMAL = ("Normal_Videos_003_x264", (), ())


@pytest.mark.parametrize(
    ("case", "line", "frames"),
    [
        ("as published", "Arson022_x264  Arson  3500  4000  -1  -1  ", None),
        ("folder and count", "Arson/Arson022_x264.mp4 8640 Arson 3500 4000 -1 -1", 8640),
        ("count, no ending", "Arson022_x264 8640 Arson 3500 4000 -1 -1", 8640),
        ("count of too few", "Arson022_x264 3900 Arson 3500 4000 -1 -1", 3900),
        ("folder, no class", "Arson/Arson022_x264.mp4 3500 4000 -1 -1", None),
        ("folder, no ending", "Arson/Arson022_x264 Arson 3500 4000", None),
        ("folders of Windows", "C:\\data\\Arson\\Arson022_x264.MP4\tArson\t3500\t4000\r", None),
        ("one tab", "Arson022_x264\tArson 3500 4000", None),
        ("commas", "Arson022_x264.mp4,Arson,3500,4000,-1,-1", None),
        ("commas and spaces", "Arson022_x264.mp4, Arson, 3500, 4000, -1, -1", None),
        ("semicolons", "Arson022_x264;Arson;3500;4000;-1;-1", None),
        ("bars and a count", "Arson/Arson022_x264.mp4|8640|[3500, 4000]", 8640),
        ("bars and -1", "Arson/Arson022_x264.mp4|8640|[3500, 4000, -1, -1]", 8640),
        ("bars and a class", "Arson022_x264.mp4|Arson|3500|4000", None),
        ("brackets", "Arson022_x264.mp4 Arson [3500, 4000]", None),
        ("brackets in brackets", "Arson022_x264 Arson [[3500, 4000]]", None),
        ("quotes", '"Arson022_x264.mp4","Arson","3500","4000"', None),
        ("names of columns", "Video_Name  Class  Event1_Start  Event1_End\nArson022_x264 Arson 3500 4000", None),
        ("names of columns, commas", "name,class,start,end\nArson022_x264,Arson,3500,4000", None),
        ("comments", "# from the authors\n#\nArson022_x264 Arson 3500 4000", None),
        ("floating point", "Arson022_x264 Arson 3500.0 4000.0 -1.0 -1.0", None),
        ("one closing -1", "Arson022_x264 Arson 3500 4000 -1", None),
        ("byte order mark", "\ufeffArson022_x264 Arson 3500 4000", None),
        ("old Macintosh", "# x\rArson022_x264 Arson 3500 4000\r", None),
        ("features", "/features/Arson022_x264_i3d.npy Arson 3500 4000", None),
    ],
)
def test_ucf_crime_annotations(case: str, line: str, frames: int | None, tmp_path: Path) -> None:
    labels = written(tmp_path / "l.txt", line)
    assert contents(open_dataset("ucf-crime", labels)) == [(*ARSON, frames)], case


@pytest.mark.parametrize(
    ("case", "line", "frames"),
    [
        ("as published", "Normal_Videos_003_x264  Normal  -1  -1  -1  -1", None),
        ("lower case", "Normal_Videos_003_x264 normal -1 -1", None),
        ("the folder's name", "Normal_Videos_003_x264 Testing_Normal_Videos_Anomaly -1 -1", None),
        ("no class", "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4 -1 -1", None),
        ("bars", "Normal_Videos_003_x264.mp4|2819|[-1, -1]", 2819),
        ("bars, one -1", "Normal_Videos_003_x264.mp4|2819|[-1]", 2819),
        ("frames and -1", "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4 2819 -1", 2819),
    ],
)
def test_normal_videos_of_ucf_crime(case: str, line: str, frames: int | None, tmp_path: Path) -> None:
    assert contents(open_dataset("ucf-crime", written(tmp_path / "l.txt", line))) == [(*NORMAL, frames)], case


@pytest.mark.parametrize(
    ("case", "adapter", "line", "says"),
    [
        ("count after class", "ucf-crime", "a_x264 Arson 8640 3500 4000 -1 -1", "8640 3500 is not an interval"),
        ("count, no class", "ucf-crime", "Arson/a_x264.mp4 8640 3500 4000", "3 frame numbers are not pairs"),
        ("a list", "ucf-crime", "a_x264 0 8639 2", "is of a list: --list"),
        (
            "a list of several classes",
            "xd-violence",
            f"{XD} 0 1080 1,2",
            "'1,2' are not frame numbers; `name first last",
        ),
        ("a list, no ending", "ucf-crime", "a_x264 0 8639 2,1", "'2,1' are not frame numbers"),
        ("seconds", "ucf-crime", "a_x264 Arson 116.6 133.3", "'116.6' is neither a class nor a frame number"),
        ("times", "ucf-crime", "a_x264 Arson 00:01:10 00:02:10", "'00:01:10' is neither a class nor"),
        ("ranges", "ucf-crime", "a_x264 Arson 3500-4000", "'3500-4000' is neither a class nor a frame number"),
        ("a half after a name with its ending", "ucf-crime", "a.mp4 Arson 1.5 2 3", "'1.5' is neither a class nor"),
        ("a time among frames", "ucf-crime", "a.mp4 Arson 00:01:10 10 20", "'00:01:10' is neither a class nor"),
        ("a half between commas", "ucf-crime", "a,Arson,116.5,133,140", "'116.5' is neither a class nor"),
        ("a sign", "ucf-crime", "a.mp4 Arson +3500 4000 5000", "'+3500' is neither a class nor"),
        ("a count before commas", "ucf-crime", "a.mp4 8640, Arson, 3500, 4000", "'8640,' is neither a class nor"),
        ("an end that is not said", "ucf-crime", "Arson/a.mp4 3500 -1", "3500 -1 is not an interval"),
        ("a half", "ucf-crime", "a_x264 Arson 1.5 2 3", "'1.5' is neither a class nor a frame number"),
        ("a word after", "ucf-crime", "a_x264 Arson 3500 4000 -1 -1 yes", "no frame numbers at its end"),
        ("two classes", "ucf-crime", "a.mp4 Arson 1 2 Abuse 3 4", "several classes: 'Arson', 'Abuse'"),
        ("two classes, no ending", "ucf-crime", "a Arson 1 2 Abuse 3 4", "'1' is neither part of the name"),
        ("commas that part two", "ucf-crime", "a Arson 1 2, 3 4", "'2,' is neither a class nor a frame number"),
        ("a colon", "ucf-crime", "a_x264: Arson 1 2", "':' is after the name"),
        ("names and classes", "ucf-crime", "path,label\n/x/a_x264__5.npy,Arson", "no frame numbers at its end"),
        ("anomalous without", "ucf-crime", "a_x264 Arson -1 -1", "class 'Arson' and has 0 intervals"),
        ("normal with", "ucf-crime", "a_x264 Normal 0 0", "class 'Normal' and has 1 interval"),
        ("xd: odd", "xd-violence", f"{XD} 26 80 90", "3 frame numbers are not pairs"),
        ("xd: odd before a class", "xd-violence", f"{XD} G 26 80 90 B2 1 2", "3 frame numbers are not pairs"),
        ("xd: no such class", "xd-violence", "v_label_B3-0-0 1 2", "has the class 'B3-0-0'"),
        (
            "msad: anomalous without",
            "msad",
            "Assault_2 Assault -1 -1",
            "'Assault_2' of class 'Assault' has 0 intervals",
        ),
        ("msad: normal with", "msad", "MSAD_normal_1 MSAD 1 2", "'MSAD_normal_1' of class 'MSAD' has 1 interval"),
        (
            "msad: frame 0",
            "msad",
            "Assault_2 Assault 0 5",
            "counted from 1 here; if this file counts from 0 give --first-frame 0",
        ),
        ("no frames", "ucf-crime", "x/a_x264.mp4 0 Arson 1 2", "0 frames are not 1 to 20,000,000"),
    ],
)
def test_annotations_of_another_form(case: str, adapter: str, line: str, says: str, tmp_path: Path) -> None:
    first = {"ucf-crime": "ok_x264 Arson 1 2", "xd-violence": "ok_label_G-0-0 1 2", "msad": "Assault_1 Assault 1 2"}
    labels = written(tmp_path / "l.txt", f"{first[adapter]}\n{line}\n" if "path" not in line else line)
    message = refusal(adapter, labels)
    assert says in message, (case, message)
    assert "line 2" in message, (case, message)


@pytest.mark.parametrize(
    ("case", "line", "expected"),
    [
        ("a number in the name", "cam 1 Fight 10 20", ("cam 1", ((10, 20),), None)),
        ("with its ending", "cam 300.mp4 Fight 10 20", ("cam 300", ((10, 20),), None)),
        ("a count", "cam.mp4 300 Fight 10 20", ("cam", ((10, 20),), 300)),
        ("commas in the name", "Tokyo, Japan.mp4 Fight 10 20", ("Tokyo, Japan", ((10, 20),), None)),
        ("brackets in the name", "clip (1,2).mp4 Fight 10 20", ("clip (1,2)", ((10, 20),), None)),
        ("either", "cam 300 Fight 10 20", "the name may be 'cam' with 300 frames, or 'cam 300'"),
        ("two numbers", "cam 1 2 Fight 10 20", "'1' is neither part of the name nor a frame"),
        ("normal", "a Normal 1 2", "'a' is of class 'Normal' and has 1 interval"),
    ],
)
def test_names_in_ones_own_annotation(
    case: str, line: str, expected: str | tuple[str, tuple[tuple[int, int], ...], int | None], tmp_path: Path
) -> None:
    labels = written(tmp_path / "l.txt", line)
    if isinstance(expected, str):
        with pytest.raises(InputError, match="line 1") as caught:
            open_labels(labels)
        assert expected in str(caught.value)
    else:
        (video,) = open_labels(labels).videos.values()
        assert (video.name, video.intervals, video.frames) == expected, case


def test_folders_stay_where_names_need_them(tmp_path: Path) -> None:
    assert list(open_labels(written(tmp_path / "l", "x/a Fight 1 2\ny/a Fight 3 4")).videos) == ["x/a", "y/a"]
    assert list(open_labels(written(tmp_path / "l", "x/a Fight 1 2\nb](http://x)<b> Fight 1 2")).videos) == [
        "x/a",
        "b](http://x)<b>",
    ]
    assert list(open_labels(written(tmp_path / "l", "x/a.mp4 Fight 1 2\nx/b.mp4 Fight 3 4")).videos) == ["a", "b"]


def test_what_is_odd_in_ones_own_annotation_is_said(tmp_path: Path) -> None:
    from_1 = written(tmp_path / "l", "a F 1 2\nb F 1 9\nc F 1 5\nd F -1 -1\n")
    notes = open_labels(from_1).notes
    assert any("3 of 3 intervals begin in frame 1 and none in frame 0" in note for note in notes)
    assert any(
        "1 video has a class that is not Normal and no interval, which is taken for normal: 'd'" in n for n in notes
    )
    found = open_labels(from_1, reading=LabelReading(first_frame=1))
    assert found.videos["b"].intervals == ((0, 8),)
    assert not any("frame 1" in note for note in found.notes)
    assert not open_labels(written(tmp_path / "l", "a F 0 2\nb F 1 9\nc F 1 5\nd F 1 5\n")).notes


MSAD_CSV = """name,scenario,total frames,starting frame of anomaly,ending frame of anomaly
Assault_2,shop,426,55,426
"""


MSAD_TEXT = "Assault_2.mp4  Assault  55  426  -1  -1\nMSAD_normal_testing_1.mp4  MSAD  -1  -1  -1  -1\n"


@pytest.mark.parametrize("labels", [MSAD_CSV, MSAD_TEXT], ids=["csv", "text"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize(
    "listing",
    [
        "/x/Assault_2_swin.npy\n/x/MSAD_normal_testing_7_swin.npy",
        "Assault_2,1\nMSAD_normal_testing_7,0",
        "Assault_2 1\nMSAD_normal_testing_7 0",
        "MSAD_anomaly_blur/Assault_2.mp4\nMSAD_normal_testing_blur/MSAD_normal_testing_7.mp4",
    ],
)
def test_msad_counts_from_1_in_either_form(labels: str, name: str, listing: str, tmp_path: Path) -> None:
    found = open_dataset("msad", written(tmp_path / name, labels), written(tmp_path / "list", listing)).videos
    assert list(found) == ["Assault_2", "MSAD_normal_testing_7"]
    assert found["Assault_2"].intervals == ((54, 425),)
    assert not found["MSAD_normal_testing_7"].intervals


def test_who_counts_from_0_says_so(tmp_path: Path) -> None:
    labels = written(tmp_path / "a.txt", "Assault_2 Assault 0 425\n")
    found = open_dataset("msad", labels, reading=LabelReading(first_frame=0))
    assert found.videos["Assault_2"].intervals == ((0, 425),)
    own = written(tmp_path / "own.csv", "video,start,end\na,1,5\n")
    assert open_dataset("own", own, reading=LabelReading(first_frame=1)).videos["a"].intervals == ((0, 4),)
    (tmp_path / "masks").mkdir()
    assert "'shanghaitech' has none" in refusal("shanghaitech", tmp_path / "masks", reading=LabelReading(first_frame=1))


@pytest.mark.parametrize(
    "line",
    [
        "MSAD_abnormal_testing_3.mp4",
        "MSAD_Abnormal_3",
        "MSADAbnormal3",
        "abnormal",
        "ABNORMAL_1",
        "non-normal_3",
        "not_normal_3",
        "normal_anomaly_3",
        "normalised_3",
        "MSAD_abnormal_testing_3_i3d.npy",
    ],
)
def test_what_is_not_called_normal_is_not(line: str, tmp_path: Path) -> None:
    labels = written(tmp_path / "a.csv", MSAD_CSV)
    message = refusal("msad", labels, written(tmp_path / "list", f"Assault_2\n{line}\n"))
    assert "line 2: 1 of 2 videos have no labels" in message


def test_the_case_of_the_abnormal_name(shared: Path) -> None:
    cases = shared / "cases"
    if not (cases / "mab.csv").is_file():
        pytest.skip("no ../shared/cases/mab.csv: the same is tried with files of this test")
    assert "'MSAD_abnormal_testing_3'" in refusal("msad", cases / "mab.csv", cases / "mab.list")


@pytest.mark.parametrize("line", ["MSAD_normal_testing_7", "NormalVideo3", "Normal 3.mp4", "NORMAL_1"])
def test_what_is_called_normal_is(line: str, tmp_path: Path) -> None:
    found = open_dataset(
        "msad", written(tmp_path / "a.csv", MSAD_CSV), written(tmp_path / "list", f"Assault_2\n{line}\n")
    )
    assert [bool(video.intervals) for video in found.videos.values()] == [True, False]


@pytest.mark.parametrize("line", ["MSAD_normal_testing_7 0 1080 foo bar", "MSAD_normal_testing_7 1080 foo"])
def test_a_normal_name_with_something_after_it_is_refused(line: str, tmp_path: Path) -> None:
    labels = written(tmp_path / "a.csv", MSAD_CSV)
    assert "line 1: '" in (message := refusal("msad", labels, written(tmp_path / "list", line)))
    assert "is part of no known form" in message
