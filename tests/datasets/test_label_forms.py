"""A line that has the shape of a published form is read as that form, or refused by its number; never taken for a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lavad_core.datasets.configured import labelled_by
from lavad_core.datasets.registry import open_dataset
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.errors import InputError

Content = tuple[str, tuple[str, ...], tuple[tuple[int, int], ...], int | None]


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def contents(found: Dataset) -> list[Content]:
    return [(video.name, video.classes, video.intervals, video.frames) for video in found.videos.values()]


def refusal(adapter: str, labels: Path, listing: Path | None = None, reading: LabelReading | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(adapter, labels, listing, reading=reading)
    return str(caught.value)


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


XD = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"


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
            "'1,2' are no frame numbers; `name first last",
        ),
        ("a list, no ending", "ucf-crime", "a_x264 0 8639 2,1", "'2,1' are no frame numbers"),
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
        ("normal with", "ucf-crime", "a_x264 Normal 0 0", "class 'Normal' and has 1 intervals"),
        ("xd: odd", "xd-violence", f"{XD} 26 80 90", "3 frame numbers are not pairs"),
        ("xd: odd before a class", "xd-violence", f"{XD} G 26 80 90 B2 1 2", "3 frame numbers are not pairs"),
        ("xd: no such class", "xd-violence", "v_label_B3-0-0 1 2", "has the class 'B3-0-0'"),
        (
            "msad: anomalous without",
            "msad",
            "Assault_2 Assault -1 -1",
            "'Assault_2' of class 'Assault' has 0 intervals",
        ),
        ("msad: normal with", "msad", "MSAD_normal_1 MSAD 1 2", "'MSAD_normal_1' of class 'MSAD' has 1 intervals"),
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
        ("normal", "a Normal 1 2", "'a' is of class 'Normal' and has 1 intervals"),
    ],
)
def test_names_in_ones_own_annotation(
    case: str, line: str, expected: str | tuple[str, tuple[tuple[int, int], ...], int | None], tmp_path: Path
) -> None:
    labels = written(tmp_path / "l.txt", line)
    if isinstance(expected, str):
        with pytest.raises(InputError, match="line 1") as caught:
            labelled_by(labels)
        assert expected in str(caught.value)
    else:
        (video,) = labelled_by(labels).videos.values()
        assert (video.name, video.intervals, video.frames) == expected, case


def test_folders_stay_where_names_need_them(tmp_path: Path) -> None:
    assert list(labelled_by(written(tmp_path / "l", "x/a Fight 1 2\ny/a Fight 3 4")).videos) == ["x/a", "y/a"]
    assert list(labelled_by(written(tmp_path / "l", "x/a Fight 1 2\nb](http://x)<b> Fight 1 2")).videos) == [
        "x/a",
        "b](http://x)<b>",
    ]
    assert list(labelled_by(written(tmp_path / "l", "x/a.mp4 Fight 1 2\nx/b.mp4 Fight 3 4")).videos) == ["a", "b"]


def test_what_is_odd_in_ones_own_annotation_is_said(tmp_path: Path) -> None:
    from_1 = written(tmp_path / "l", "a F 1 2\nb F 1 9\nc F 1 5\nd F -1 -1\n")
    notes = labelled_by(from_1).notes
    assert any("3 of 3 intervals begin in frame 1 and none in frame 0" in note for note in notes)
    assert any(
        "1 videos have a class that is not Normal and no interval, and are taken for normal: 'd'" in n for n in notes
    )
    found = labelled_by(from_1, reading=LabelReading(first_frame=1))
    assert found.videos["b"].intervals == ((0, 8),)
    assert not any("frame 1" in note for note in found.notes)
    assert not labelled_by(written(tmp_path / "l", "a F 0 2\nb F 1 9\nc F 1 5\nd F 1 5\n")).notes


UCF = "Abuse028_x264 Abuse 165 240 -1 -1\nArson022_x264 Arson 3500 4000 -1 -1\nNormal_Videos_003_x264 Normal -1 -1 -1 -1\n"
A, B, N = "Abuse028_x264", "Arson022_x264", "Normal_Videos_003_x264"


@pytest.mark.parametrize(
    ("case", "text", "expected"),
    [
        ("0 throughout", f"{A} 0 1411 0\n{B} 0 8639 0\n{N} 0 99 0", {A: 1412, B: 8640, N: 100}),
        ("7 throughout", f"{A} 0 1411 7\n{B} 0 8639 7\n{N} 0 99 7", {A: 1412, B: 8640, N: 100}),
        ("1 throughout", f"{A} 1\n{B} 1\n{N} 1", {A: None, B: None, N: None}),
        ("0 and 1", f"{A} 0 1411 1\n{B} 0 8639 1\n{N} 0 99 0", {A: 1412, B: 8640, N: 100}),
        ("-1 and 1", f"{A} 0 1411 1\n{B} 0 8639 1\n{N} 0 99 -1", {A: 1412, B: 8640, N: 100}),
        ("7 is normal", f"{A} 0 1411 0\n{B} 0 8639 2\n{N} 0 99 7", {A: 1412, B: 8640, N: 100}),
        ("0 is normal", f"{A} 0 1411 1\n{B} 0 8639 3\n{N} 0 99 0", {A: 1412, B: 8640, N: 100}),
        ("13 is normal", f"{A} 0 1411 0\n{B} 0 8639 2\n{N} 0 99 13", {A: 1412, B: 8640, N: 100}),
        ("classes", f"{A} 0 1411 Abuse\n{N} 0 99 Normal", {A: 1412, N: 100}),
        ("name and class", f"{A} Abuse\n{N} Normal", {A: None, N: None}),
        ("name and label", f"{A} 1\n{B} 1\n{N} 0", {A: None, B: None, N: None}),
        ("a comma", f"{A},1\n{B},1\n{N},0", {A: None, B: None, N: None}),
        ("official", f"Abuse/{A}.mp4  \r\nTesting_Normal_Videos_Anomaly/{N}.mp4\r\n", {A: None, N: None}),
        ("Windows", f"D:\\x\\{A}.MP4 0 1411 0\n\\\\host\\{N}.mp4 0 99 7", {A: 1412, N: 100}),
        ("folders of frames", f"frames/{A}/\nframes/{N}/", {A: None, N: None}),
        ("name and frames", f"{A} 1412\n{N} 100", {A: 1412, N: 100}),
        ("frames and label", f"{A} 1412 0\n{B} 8640 2", {A: 1412, B: 8640}),
        ("first and last", f"{A} 0 1411\n{B} 0 8639", {A: 1412, B: 8640}),
        ("from 1", f"{A} 1 1412\n{B} 1 8640", {A: 1412, B: 8640}),
        ("floating point", f"{A} 0.0 1411.0 0.0", {A: 1412}),
        ("names of columns", f"name first last label\n{A} 0 1411 0", {A: 1412}),
        ("a name alone below its column", f"video\n{A}", {A: None}),
        ("comments", f"# test\n{A}", {A: None}),
        ("VadCLIP", f"path,label\n/d/Abuse/{A}__5.npy,Abuse\n/d/{N}__5.npy,Normal", {A: None, N: None}),
        ("an index", f",path,label\n0,/d/{A}__0.npy,Abuse\n1,/d/{N}__0.npy,Normal", {A: None, N: None}),
        ("frames in a column", f"video_name,num_frames,fps\n{A}.mp4,1412,30\n{N}.mp4,100,30", {A: 1412, N: 100}),
        ("5 crops", "".join(f"/d/{name}__{crop}.npy\n" for name in (A, N) for crop in range(5)), {A: None, N: None}),
        ("10 crops", "".join(f"/d/{name}__{crop}.npy\n" for crop in range(10) for name in (A, N)), {A: None, N: None}),
        ("10 crops, another sign", "".join(f"/d/{A}_{crop}.npy\n" for crop in range(10)), {A: None}),
        ("a crop that is not the first", f"{A}__3.npy", {A: None}),
        ("I3D", f"/d/{A}_i3d.npy\n/d/{N}_i3d.npy", {A: None, N: None}),
        ("I3D of crops", f"/d/{A}_i3d__0.npy\n/d/{A}_i3d__1.npy", {A: None}),
        ("any part that all have", f"/d/{A}_foo.npy\n/d/{N}_foo.npy", {A: None, N: None}),
        ("ending of a video before", f"{A}.mp4.npy", {A: None}),
        ("several parts that all have", f"/d/{A}_swin_tiny.npy\n/d/{N}_swin_tiny.npy", {A: None, N: None}),
        ("parts after another sign", f"/d/{A}-clip.feat.npy\n/d/{N}-clip.feat.npy", {A: None, N: None}),
        ("several labels", f"{A} 0 1411 0, 2\n{N} 0 99 7", {A: 1412, N: 100}),
        ("commas, several labels", f'{A},0,1411,"0,2"\n{N},0,99,7', {A: 1412, N: 100}),
        ("several classes", f"{A} 0 1411 Abuse, Assault\n{N} 0 99 Normal", {A: 1412, N: 100}),
        ("a label and its class", f"{A} 1 Abuse\n{B} 1 Arson\n{N} 0 Normal", {A: None, B: None, N: None}),
        ("frames and a class", f"{A} 1412 Abuse\n{N} 100 Normal", {A: 1412, N: 100}),
        ("quotes", f'"{A}"\n"{N}.mp4"', {A: None, N: None}),
        ("commas at the end", f"{A},\n{N},", {A: None, N: None}),
        ("C3D", f"{A}.txt", {A: None}),
    ],
)
def test_lists_of_ucf_crime(case: str, text: str, expected: dict[str, int | None], tmp_path: Path) -> None:
    labels, listing = written(tmp_path / "l.txt", UCF), written(tmp_path / "list", text)
    found = open_dataset("ucf-crime", labels, listing).videos.values()
    assert {video.name: video.frames for video in found} == expected, case
    assert all(bool(video.intervals) == (video.name != N) for video in found)


@pytest.mark.parametrize(
    ("case", "line", "says"),
    [
        ("an annotation", f"{B} Arson 3500 4000 -1 -1", "lines of `name class start end` are labels (--labels)"),
        (
            "an annotation, its ending",
            f"{B}.mp4 Arson 3500 4000",
            "lines of `name class start end` are labels (--labels)",
        ),
        ("an annotation without classes", f"{B} 3500 4000", "is followed by '3500 4000', which is of no known form"),
        ("two intervals", f"{B} 1 2 3 4", "is followed by '1 2 3 4', which is of no known form"),
        ("bars", f"Arson/{B}.mp4|8640|[3500, 4000]", "'Arson022_x264' has frames 8640 to 3500"),
        ("a word after", f"{B} 0 8639 2 x", "is followed by '0 8639 2 x'"),
        ("a rate", f"{B} 8640 29.97", "is followed by '8640 29.97'"),
        ("a duration", f"{B} 288.3", "is followed by '288.3'"),
        ("a shape", f"{B} (8640, 240, 320)", "is followed by '(8640, 240, 320)'"),
        ("a class before frames", f"{B} Arson 0 8639", "is followed by 'Arson 0 8639'"),
        ("a word after, its ending", f"{B}.mp4 0 8639 2 x", "is followed by '0 8639 2 x'"),
        ("a label among frames", f"{B} 1", "1 may be a label or a number of frames: other lines say another"),
        ("another class", f"{B} 0 99 Abuse", "1 of 2 videos have another class there than in the annotation"),
        ("backwards", f"{B} 9 3 2", "'Arson022_x264' has frames 9 to 3"),
        ("no name", "/ 0 9 2", "there is no name"),
        ("twice", f"{A}.mp4", "'Abuse028_x264' is there twice, first in line 1"),
        ("another number of frames", f"{B} 8640 2,1 0", "is followed by '8640 2,1 0'"),
        (
            "not of the data set",
            "Arson999_x264",
            "1 of 2 videos have no labels: 'Arson999_x264' (nearest: 'Arson022_x264')",
        ),
    ],
)
def test_lists_of_another_form(case: str, line: str, says: str, tmp_path: Path) -> None:
    first = f"{A} 1412" if case == "a label among frames" else f"{A} 0 1411 0"
    labels, listing = written(tmp_path / "l.txt", UCF), written(tmp_path / "list", f"{first}\n{line}\n")
    message = refusal("ucf-crime", labels, listing)
    assert says in message, (case, message)
    assert "line 2" in message, (case, message)


def test_crops_that_contradict_each_other(tmp_path: Path) -> None:
    labels = written(tmp_path / "l.txt", UCF)
    listing = written(tmp_path / "list", f"{A}__0.npy 0 9 0\n{A}__1.npy 0 8 0\n")
    assert "line 2: this crop of 'Abuse028_x264' has other frames" in refusal("ucf-crime", labels, listing)
    listing = written(tmp_path / "list", f"{A}__1.npy\n{A}__0.npy\n{A}__1.npy\n")
    assert "line 3: 'Abuse028_x264' is there twice, first in line 1" in refusal("ucf-crime", labels, listing)


XA = "v=abc__#00-00_label_A"


@pytest.mark.parametrize(
    ("case", "text", "frames"),
    [
        ("the authors' own", f"{XD} 0 1080 2,1,6\n{XA} 0 500 0", 1081),
        ("with endings", f"{XD}.mp4 0 1080 2,1,6\n{XA}.mp4 0 500 0", 1081),
        ("commas and spaces", f"{XD} 0 1080 2, 1, 6\n{XA} 0 500 0", 1081),
        ("brackets", f"{XD} 0 1080 [2, 1, 6]\n{XA} 0 500 [0]", 1081),
        ("brackets, no spaces", f"{XD} 0 1080 [2,1,6]\n{XA} 0 500 [0]", 1081),
        ("semicolons", f"{XD} 0 1080 2;1;6\n{XA} 0 500 0", 1081),
        ("a comma at the end", f"{XD} 0 1080 2,1,\n{XA} 0 500 0,", 1081),
        ("CSV", f'{XD},0,1080,"2,1,6"\n{XA},0,500,0', 1081),
        ("commas throughout", f"{XD},0,1080,2,1,6\n{XA},0,500,0", 1081),
        ("codes between commas", f"{XD} 0 1080 G,B2,B6\n{XA} 0 500 A", 1081),
        ("codes", f"{XD} 0 1080 G-B2-B6\n{XA} 0 500 A", 1081),
        ("VadCLIP", f"path,label\n/x/{XD}__0.npy,G-B2-B6\n/x/{XA}__0.npy,A", None),
        ("swin", f"/x/{XD}_swin.npy\n/x/{XA}_swin.npy", None),
    ],
)
@pytest.mark.parametrize(
    "annotation",
    [
        f"{XD} 157 180 185 244\n",
        f"{XD},157,180,185,244\n",
        f"{XD} explosion 185 244 car accident 157 180\n",
        f"{XD} G 185 244 B2 157 180 -1\n",
    ],
)
def test_lists_of_xd_violence(case: str, text: str, frames: int | None, annotation: str, tmp_path: Path) -> None:
    labels, listing = written(tmp_path / "annotations.txt", annotation), written(tmp_path / "test.txt", text)
    classes = ("Explosion (G)", "Shooting (B2)", "Car accident (B6)")
    assert contents(open_dataset("xd-violence", labels, listing)) == [
        (XD, classes, ((157, 180), (185, 244)), frames),
        (XA, (), (), None if frames is None else 501),
    ], case


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


@pytest.mark.parametrize(
    ("case", "text", "frames"),
    [
        ("commas", "01_0014,1\n01_001,0", None),
        ("spaces", "01_0014 1\n01_001 0", None),
        ("folders and frames", "SHANGHAI_TRAIN/frames/01_0014 0 4 1\nSHANGHAI_TRAIN/frames/01_001 0 99 0", 100),
        ("features", "/x/01_0014_i3d.npy\n/x/01_001_i3d.npy", None),
        ("plain features", "01_0014.npy\n01_001.npy", None),
        ("crops", "01_0014_0.npy\n01_0014_1.npy\n01_001__0.npy\n01_001__1.npy", None),
        ("words", "01_0014,Abnormal\n01_001,Normal", None),
        ("one value", "01_0014,1\n01_001,1", None),
    ],
)
def test_lists_of_shanghaitech(case: str, text: str, frames: int | None, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks" / "01_0014.npy", np.array([0, 1, 1, 0, 1]))
    found = open_dataset("shanghaitech", tmp_path / "masks", written(tmp_path / "list", text))
    assert contents(found) == [("01_0014", (), ((1, 2), (4, 4)), 5), ("01_001", (), (), frames)], case


def test_a_list_that_contradicts_the_labels_is_said(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name, marked in {"01_0014": 1, "01_0015": 1, "01_0016": 0}.items():
        np.save(tmp_path / "masks" / f"{name}.npy", np.array([0, marked]))
    listing = written(tmp_path / "list", "01_0014,1\n01_0015,0\n01_0016,0\n")
    notes = open_dataset("shanghaitech", tmp_path / "masks", listing).notes
    assert any(
        "the list says 0 and 1, and 1 of 3 videos are the other in the labels: '01_0015'" in note for note in notes
    )
