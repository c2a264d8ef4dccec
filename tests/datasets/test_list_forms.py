"""Lists of videos in every form that data sets have them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.labels import XD, contents, refusal, written

from lavad_core.datasets.catalogue import open_dataset

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
        ("twice", f"{A}.mp4", "'Abuse028_x264' appears twice, first in line 1"),
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
    assert "line 3: 'Abuse028_x264' appears twice, first in line 1" in refusal("ucf-crime", labels, listing)


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
