"""Each adapter on a miniature of the data set's published form."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from support import miniature
from support.miniature import UCF, XD

from lavad_core.datasets.catalogue import ADAPTERS, open_dataset
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.digest import canonical_json


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def content(dataset: Dataset) -> dict[str, tuple[tuple[str, ...], tuple[tuple[int, int], ...], int | None]]:
    for name, video in dataset.videos.items():
        assert name == video.name
    return {video.name: (video.classes, video.intervals, video.frames) for video in dataset.videos.values()}


def test_ucf_crime_with_a_list_has_its_order_and_frames(tmp_path: Path) -> None:
    annotation, listing = miniature.ucf_crime(tmp_path)
    found = open_dataset("ucf-crime", annotation, listing)
    assert list(found.videos) == list(reversed(UCF))
    assert content(found) == {
        name: (() if class_name == "Normal" else (class_name,), intervals, frames)
        for name, (class_name, intervals, frames) in UCF.items()
    }
    assert found.classes == ("Abuse", "Arson")
    assert found.frame_rate == 30
    assert [(file.role, file.name, len(file.sha256)) for file in found.files] == [
        ("annotation", "annotation.txt", 64),
        ("list", "test.txt", 64),
    ]


def test_ucf_crime_without_a_list_knows_no_frames(tmp_path: Path) -> None:
    annotation, _ = miniature.ucf_crime(tmp_path)
    found = open_dataset("ucf-crime", annotation)
    assert list(found.videos) == list(UCF)
    assert {video.frames for video in found.videos.values()} == {None}


def test_the_official_list_with_folders_and_endings(tmp_path: Path) -> None:
    annotation, _ = miniature.ucf_crime(tmp_path)
    listing = written(
        tmp_path / "l.txt", "Arson/Arson002_x264.mp4  \nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n"
    )
    found = open_dataset("ucf-crime", annotation, listing)
    assert list(found.videos) == ["Arson002_x264", "Normal_Videos_003_x264"]
    assert any("leaves out 1 labelled video: 'Abuse001_x264'" in note for note in found.notes)


G, B2, B6 = "Explosion (G)", "Shooting (B2)", "Car accident (B6)"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("annotations.txt", f"{XD[0]}.mp4 157 180 185 244\n{XD[1]} 26 80 210 288\n"),
        ("with a class", f"{XD[0]} G 157 180 185 244 -1\n{XD[1]} B6 26 80 210 288 -1\n"),
        ("a class an interval", f"{XD[0]} G 185 244 B2 157 180\n{XD[1]} B6 26 80 B6 210 288\n"),
    ],
)
@pytest.mark.parametrize("listing", ["names", "features", "frames"])
def test_xd_violence(form: str, text: str, listing: str, tmp_path: Path) -> None:
    annotation = written(tmp_path / "annotations.txt", text)
    lines = {
        "names": [f"{name}.mp4" for name in reversed(XD)],
        "features": [f"/features/RGBTest/{name}__{crop}.npy" for name in reversed(XD) for crop in range(5)],
        "frames": [f"{name} 0 999 4" for name in reversed(XD)],
    }[listing]
    found = open_dataset("xd-violence", annotation, written(tmp_path / "list", "\n".join(lines)))
    frames = 1000 if listing == "frames" else None
    assert list(found.videos) == list(reversed(XD))
    assert content(found) == {
        XD[0]: ((G, B2, B6), ((157, 180), (185, 244)), frames),
        XD[1]: ((B6,), ((26, 80), (210, 288)), frames),
        XD[2]: ((), (), frames),
    }, form


def test_xd_violence_takes_normal_videos_from_a_folder(tmp_path: Path) -> None:
    annotation = written(tmp_path / "annotations.txt", f"{XD[0]} 157 180\n")
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in (XD[0], XD[2], "trailer"):
        (videos / f"{name}.mp4").touch()
    found = open_dataset("xd-violence", annotation, videos=videos)
    assert list(found.videos) == [XD[0], XD[2]]
    alone = open_dataset("xd-violence", annotation)
    assert any("there is no normal video" in note for note in alone.notes)


def test_xd_violence_with_normal_videos_in_the_annotation(tmp_path: Path) -> None:
    annotation = written(tmp_path / "a.txt", f"{XD[1]} B6 5 9 -1\n{XD[2]} A -1 -1\nother_label_A Normal -1\n")
    found = content(open_dataset("xd-violence", annotation))
    assert found[XD[2]] == found["other_label_A"] == ((), (), None)


def test_overlapping_intervals_of_classes_are_one(tmp_path: Path) -> None:
    annotation = written(tmp_path / "a.txt", f"{XD[0]} G 10 30 B2 20 40 B6 41 50 B6 60 70\n")
    assert open_dataset("xd-violence", annotation).videos[XD[0]].intervals == ((10, 50), (60, 70))


MSAD_CSV = """name,scenario,total frames,starting frame of anomaly,ending frame of anomaly
Traffic_accident_12,road,426,55,426
Assault_1,shop,300,1,20
"""


@pytest.mark.parametrize(
    ("form", "name", "text"),
    [
        ("published", "anomaly_annotation.csv", MSAD_CSV),
        ("semicolons", "anomaly_annotation.csv", "\ufeff" + MSAD_CSV.replace(",", ";").replace("\n", "\r\n")),
        ("text", "msad.txt", "Traffic_accident_12 Traffic_accident 55 426\nAssault_1.mp4 Assault 1 20\n"),
    ],
)
def test_msad(form: str, name: str, text: str, tmp_path: Path) -> None:
    listing = written(tmp_path / "Test.list", "/x/MSAD_normal_testing_7_i3d.npy\n/x/Assault_1_i3d.npy\n")
    found = open_dataset("msad", written(tmp_path / name, text), listing)
    frames = None if form == "text" else 300
    assert content(found) == {"MSAD_normal_testing_7": ((), (), None), "Assault_1": (("Assault",), ((0, 19),), frames)}
    everything = open_dataset("msad", tmp_path / name)
    assert everything.videos["Traffic_accident_12"].classes == ("Traffic_accident",)
    assert everything.videos["Traffic_accident_12"].intervals == ((54, 425),)


def test_ubnormal_tracks(tmp_path: Path) -> None:
    tracks = {
        "abnormal_scene_1_scenario_1": "1.0,10,20\n2,15,30\n3,31,40\n4,50,50\n",
        "abnormal_scene_12_scenario_1_fog": "1.000e+00,0.000e+00,9.000e+00",
    }
    root = miniature.ubnormal(tmp_path, tracks, ["normal_scene_1_scenario_2"])
    assert content(open_dataset("ubnormal", root)) == {
        "abnormal_scene_1_scenario_1": ((), ((10, 40), (50, 50)), None),
        "abnormal_scene_12_scenario_1_fog": ((), ((0, 9),), None),
        "normal_scene_1_scenario_2": ((), (), None),
    }
    listing = written(tmp_path / "test.txt", "normal_scene_9_scenario_1\nabnormal_scene_1_scenario_1\n")
    listed = open_dataset("ubnormal", root, listing)
    assert [(name, video.is_anomalous) for name, video in listed.videos.items()] == [
        ("normal_scene_9_scenario_1", False),
        ("abnormal_scene_1_scenario_1", True),
    ]


def test_ubnormal_intervals(tmp_path: Path) -> None:
    path = written(
        tmp_path / "ub.txt", "abnormal_scene_1_scenario_1 Abnormal 10 20\nnormal_scene_1_scenario_2 Normal -1 -1\n"
    )
    assert open_dataset("ubnormal", path).videos["abnormal_scene_1_scenario_1"].intervals == ((10, 20),)


def test_shanghaitech(tmp_path: Path) -> None:
    folder = miniature.shanghaitech(tmp_path, {"01_0014": [0, 1, 1, 0, 1], "12_0149": [0, 0]})
    assert content(open_dataset("shanghaitech", folder)) == {
        "01_0014": ((), ((1, 2), (4, 4)), 5),
        "12_0149": ((), (), 2),
    }
    listing = written(tmp_path / "split.txt", "01_001\n01_0014\n")
    assert list(open_dataset("shanghaitech", folder, listing).videos) == ["01_001", "01_0014"]


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_frame_masks_of_any_kind_of_number(kind: type, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    np.save(tmp_path / "m" / "01_0014.npy", np.array([1, 0, 1], dtype=kind))
    assert open_dataset("shanghaitech", tmp_path / "m").videos["01_0014"].intervals == ((0, 0), (2, 2))


def test_avenue(tmp_path: Path) -> None:
    folder = miniature.avenue(tmp_path, {10: [0, 0, 1], 2: [1, 1, 0, 1]})
    assert content(open_dataset("avenue", folder)) == {"02": ((), ((0, 1), (3, 3)), 4), "10": ((), ((2, 2),), 3)}


def test_ped2_masks(tmp_path: Path) -> None:
    folder = miniature.ped2(tmp_path, {"Test002": [0, 0], "Test001": [0, 1, 1]})
    assert content(open_dataset("ped2", folder)) == {"Test001": ((), ((1, 2),), 3), "Test002": ((), (), 2)}


SCRIPT = """% frames of test clips with anomalies
TestVideoFile = {};
TestVideoFile{end+1}.gt_frame = [2:3];
%TestVideoFile{end+1}.gt_frame = [1:180];
TestVideoFile{end+1}.gt_frame=[ 1:1, 2 : 2 ] ;
"""


def test_ped2_script(tmp_path: Path) -> None:
    folder = miniature.ped2(tmp_path, {"Test001": [0, 1, 1]})
    path = written(folder / "UCSDped2.m", SCRIPT)
    assert content(open_dataset("ped2", path)) == {
        "Test001": ((), ((1, 2),), 3),
        "Test002": ((), ((0, 0), (1, 1)), None),
    }
    assert open_dataset("ped2", path).videos["Test001"] == open_dataset("ped2", folder).videos["Test001"]


@pytest.mark.parametrize(
    ("case", "script", "expected"),
    [
        ("no brackets", "TestVideoFile{end+1}.gt_frame = 2:3;", {"Test001": ((1, 2),)}),
        (
            "numbered",
            "TestVideoFile{2}.gt_frame = [2:3];\nTestVideoFile{1}.gt_frame = [];",
            {"Test002": ((1, 2),), "Test001": ()},
        ),
        ("spaces between", "TestVideoFile{ end + 1 }.gt_frame = [2:3 5:6]", {"Test001": ((1, 2), (4, 5))}),
    ],
)
def test_ped2_scripts(case: str, script: str, expected: dict[str, tuple[tuple[int, int], ...]], tmp_path: Path) -> None:
    found = open_dataset("ped2", written(tmp_path / "UCSDped2.m", script)).videos
    assert {name: video.intervals for name, video in found.items()} == expected, case


OWN = """video,start,end,unit,class,frames,frame_rate
cam 1 #3.mp4,10,20,frames,Theft,300,10
cam 1 #3.mp4,1.5,2.25,seconds,Fire,300,10
b=2,0.1,0.1,seconds,Fire,,30
night,,,,,200,10
"""


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_own_csv(separator: str, ends: str, tmp_path: Path) -> None:
    path = tmp_path / "street.csv"
    path.write_bytes(("\ufeff" + OWN.replace(",", separator).replace("\n", ends)).encode())
    found = open_dataset("own", path)
    assert content(found) == {
        "cam 1 #3": (("Theft", "Fire"), ((10, 20), (15, 22)), 300),
        "b=2": (("Fire",), ((3, 3),), None),
        "night": ((), (), 200),
    }
    assert (found.title, found.frame_rate) == ("street", None)


def test_own_json_says_the_same_as_csv(tmp_path: Path) -> None:
    header, *lines = OWN.splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    rows[0]["start"] = 10  # type: ignore[assignment]
    rows[3] = {"video": "night", "start": None, "frames": 200, "frame_rate": 10}  # type: ignore[dict-item]
    as_json = open_dataset("own", written(tmp_path / "a.json", json.dumps(rows)))
    as_csv = open_dataset("own", written(tmp_path / "a.csv", OWN))
    assert as_json.videos == as_csv.videos


def test_seconds_are_the_frames_that_begin_in_them(tmp_path: Path) -> None:
    rows = [
        {"video": f"v{rate}", "start": 0.5, "end": 1, "unit": "seconds", "frame_rate": rate}
        for rate in (10, 29.97, 0.5)
    ]
    found = open_dataset("own", written(tmp_path / "a.json", json.dumps(rows))).videos
    for rate, video in zip((10, 29.97, 0.5), found.values(), strict=True):
        inside = [frame for frame in range(100) if 0.5 <= frame / rate < 1]
        expected = (inside[0], inside[-1]) if inside else (1, 1)
        assert video.intervals == (expected,), rate


def test_one_frame_rate_for_all_is_the_data_sets(tmp_path: Path) -> None:
    text = "video,start,end,frame_rate\na,1,2,25\na,5,6,\nb,,,25\n"
    assert open_dataset("own", written(tmp_path / "a.csv", text)).frame_rate == 25


def test_a_folder_without_labels(tmp_path: Path) -> None:
    for name in ("b.mp4", "a #1.avi"):
        (tmp_path / name).touch()
    for found in (open_dataset("folder", tmp_path), open_dataset("folder", videos=tmp_path)):
        assert content(found) == {"a #1": ((), (), None), "b": ((), (), None)}
        assert any("no labels" in note for note in found.notes)


def test_names_match_in_another_normal_form(tmp_path: Path) -> None:
    name = "Überfall_é #1=2"
    annotation = written(tmp_path / "a.txt", unicodedata.normalize("NFC", name) + " Abuse 1 2\n")
    listing = written(tmp_path / "l.txt", "x/" + unicodedata.normalize("NFD", name) + ".MP4 0 9 0\n")
    (video,) = open_dataset("ucf-crime", annotation, listing).videos.values()
    assert (video.intervals, video.frames) == (((1, 2),), 10)


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_the_same_files_give_the_same_digests_anywhere(adapter: str, tmp_path: Path) -> None:
    makers = {
        "ucf-crime": lambda place: miniature.ucf_crime(place)[0],
        "xd-violence": lambda place: written(place / "a.txt", f"{XD[0]} 1 2\n"),
        "msad": lambda place: written(place / "a.csv", MSAD_CSV),
        "ubnormal": lambda place: miniature.ubnormal(place, {"abnormal_scene_1_scenario_1": "1,2,3"}, []),
        "shanghaitech": lambda place: miniature.shanghaitech(place, {"01_0014": [0, 1]}),
        "avenue": lambda place: miniature.avenue(place, {1: [0, 1]}),
        "ped2": lambda place: miniature.ped2(place, {"Test001": [0, 1]}),
        "own": lambda place: written(place / "a.csv", OWN),
        "folder": lambda place: written(place / "v.mp4", "").parent,
    }
    found = []
    for place in (tmp_path / "one" / "data", tmp_path / "two" / "data"):
        place.mkdir(parents=True)
        found.append(open_dataset(adapter, makers[adapter](place)))
    if adapter not in ("avenue",):  # its writer puts the time into the file
        assert found[0] == found[1]
    assert found[0].adapter == adapter
    assert all(isinstance(video, LabelledVideo) for video in found[0].videos.values())
    canonical_json([list(video.intervals) for video in found[0].videos.values()])
