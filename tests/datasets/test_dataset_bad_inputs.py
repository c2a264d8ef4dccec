"""Files that are not what they should be: each with the message that a user needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import miniature
from support.miniature import XD
from support.refused import refused

from lavad_core.datasets.catalogue import open_dataset

UCF = "a_x264 Abuse 1 2\nb_x264 Arson 3 4\nn_x264 Normal -1 -1\n"


@pytest.mark.parametrize(
    ("case", "adapter", "labels", "listing", "says"),
    [
        (
            "wrong label file",
            "ucf-crime",
            f"{XD[0]} 1 2\n",
            "a_x264 0 9 0",
            ["1 of 1 videos have no labels", "'a_x264'"],
        ),
        ("another data set's list", "ucf-crime", UCF, f"{XD[0]}.mp4", [XD[0], "of the same data set?"]),
        ("a name with a slip", "ucf-crime", UCF, "a_x265\nb_x264", ["'a_x265' (nearest: 'a_x264')"]),
        ("names in another case", "ucf-crime", UCF, "A_x264", ["'A_x264' (nearest: 'a_x264')"]),
        ("another numbering of classes", "ucf-crime", UCF, "a_x264 0 9 0\nb_x264 0 9 1", ["another class", "'b_x264'"]),
        ("normal in the list", "ucf-crime", UCF, "a_x264 0 9 7", ["1 of 1 videos have another class", "7 is Normal"]),
        (
            "duplicated video",
            "ucf-crime",
            UCF + "\na_x264.mp4 Abuse 5 6",
            None,
            ["line 5", "before, in line 1", "keep one"],
        ),
        (
            "duplicated in the list",
            "ucf-crime",
            UCF,
            "x/a_x264.mp4\n\na_x264",
            ["line 3", "first in line 1", "'a_x264'"],
        ),
        ("empty labels", "ucf-crime", "\n \n", None, ["holds no annotation", "name class start end"]),
        ("empty list", "ucf-crime", UCF, "\r\n", ["names no video", "`name first last label`"]),
        ("list of no frames", "ucf-crime", UCF, "a_x264 5 4 0", ["line 1", "frames 5 to 4"]),
        ("anomalous without interval", "ucf-crime", "a Abuse -1 -1\n", None, ["class 'Abuse'", "0 intervals"]),
        ("normal with interval", "ucf-crime", "a Normal 1 2\n", None, ["class 'Normal'", "1 interval"]),
        ("xd: no such code", "xd-violence", "v_label_B3-0-0 1 2\n", None, ["'B3-0-0'", "B1, B2, B4, B5, B6, G"]),
        ("xd: normal with interval", "xd-violence", f"{XD[2]} 1 2\n", None, [XD[2], "has none"]),
        ("xd: violent without", "xd-violence", f"{XD[1]} -1 -1\n", None, [XD[1], "a violent video has some"]),
        ("xd: violent, not annotated", "xd-violence", f"{XD[1]} 1 2\n", f"{XD[1]}\n{XD[0]}", ["1 of 2", XD[0]]),
        (
            "ubnormal: by its name",
            "ubnormal",
            "normal_scene_1_scenario_1 Abnormal 1 2\n",
            None,
            ["the other way round"],
        ),
        ("msad: not called normal", "msad", "Assault_1 Assault 1 2\n", "Assault_1\nAssault_2", ["'Assault_2'"]),
        ("xd: UCF-Crime's labels", "xd-violence", UCF, None, ["'a_x264' has the class 'Abuse'", "B1, B2"]),
        ("list of too many frames", "ucf-crime", UCF, "a_x264 0 999999999999 0", ["line 1", "not 1 to 20,000,000"]),
        ("ped2: nothing in it", "ped2", "TestVideoFile = {};\n", None, ["no frame label", "[61:180]"]),
        (
            "ped2: 0-based",
            "ped2",
            "TestVideoFile{end+1}.gt_frame = [0:5];",
            None,
            ["Test001", "'0:5' is not first:last"],
        ),
        (
            "ped2: not closed",
            "ped2",
            "TestVideoFile{1}.gt_frame = [1:5",
            None,
            ["line 1", "'TestVideoFile{1}.gt_frame = [1:5'"],
        ),
        (
            "ped2: on two lines",
            "ped2",
            "TestVideoFile{end+1}.gt_frame = [1:5, ...\n 7:9];\nTestVideoFile{end+1}.gt_frame = [1:2];",
            None,
            ["line 1", "is not understood"],
        ),
        (
            "ped2: twice",
            "ped2",
            "TestVideoFile{2}.gt_frame = [1:5];\nTestVideoFile{2}.gt_frame = [1:2];",
            None,
            ["line 2", "Test002 appears twice"],
        ),
        ("ped2: words", "ped2", "TestVideoFile{1}.gt_frame = [a:b];", None, ["'a:b' is not first:last"]),
    ],
)
def test_labels_and_lists(
    case: str, adapter: str, labels: str, listing: str | None, says: list[str], tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text(labels)
    if listing is not None:
        (tmp_path / "list.txt").write_text(listing)
    message = refused(adapter, tmp_path / "labels.txt", None if listing is None else tmp_path / "list.txt")
    for part in says:
        assert part in message, (case, message)
    assert str(tmp_path) in message, case


@pytest.mark.parametrize(
    ("case", "rows", "says"),
    [
        ("empty", "", ["has no row"]),
        ("no row", "video,start\n", ["has no row"]),
        ("no such column", "video,begin\na,1\n", ["line 2", "no column 'begin'", "start"]),
        ("column twice", "video,start,Start\na,1,2\n", ["appears twice"]),
        ("no name", "video,start,end\n,1,2\n", ["line 2", "'video' is empty"]),
        ("no end", "video,start,end\na,1,\n", ["line 2", "'end' is empty"]),
        ("backwards", "video,start,end\na,9,3\n", ["line 2", "ends at 3, before its start at 9"]),
        ("half a frame", "video,start,end\na,1.5,3\n", ["'start' is '1.5'", "whole number"]),
        ("seconds without a rate", "video,start,end,unit\na,1,3,seconds\n", ["line 2", "no 'frame_rate'"]),
        ("another unit", "video,start,end,unit\na,1,3,ms\n", ["'unit' is 'ms'", "frames or seconds"]),
        ("not a number", "video,start,end,unit,frame_rate\na,nan,3,seconds,9\n", ["'start' is 'nan'"]),
        ("rate of nothing", "video,start,end,unit,frame_rate\na,1,3,seconds,0\n", ["'frame_rate' is 0"]),
        ("the same twice", "video,start,end\na,1,3\nb,1,3\na.mp4,1,3\n", ["line 4", "'a' is in line 2"]),
        ("normal and not", "video,start,end\na,1,3\na,,\n", ["line 3", "again in line 2"]),
        ("lengths differ", "video,start,end,frames\na,1,3,9\na,5,6,8\n", ["line 3", "'frames' is 8, and 9 in line 2"]),
        ("a class without an anomaly", "video,class\na,Fire\n", ["class 'Fire'", "neither start nor end"]),
        ("a normal anomaly", "video,start,end,class\na,1,2,Normal\n", ["class 'Normal' and has an anomaly"]),
        ("too long", "video,frames\na,99999999999\n", ["'frames' is '99999999999'", "1 to 20,000,000"]),
        ("too many cells", "video,start,end\na,1,2,3\n", ["4 cells, and 3 columns"]),
    ],
)
def test_rows_of_ones_own(case: str, rows: str, says: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(rows)
    message = refused("own", tmp_path / "labels.csv")
    for part in says:
        assert part in message, (case, message)


@pytest.mark.parametrize(
    ("case", "text", "says"),
    [
        ("not JSON", "{", "is not JSON"),
        ("not a number of JSON", '[{"video": "a", "start": NaN}]', "NaN"),
        ("an object", "{}", "holds an object; expected is a list of objects with video"),
        ("nothing", "[]", "an empty list"),
        ("a list in it", '[["a"]]', "entry 1 is a list"),
        ("deep", "[" * 100_000, "is not JSON"),
        ("a value that is a list", '[{"video": "a", "start": [1]}]', "entry 1 is an object whose 'start' is a list"),
        (
            "a key of another program",
            '[{"video": "a", "qa": [{"q": "x"}]}]',
            "entry 1 is an object whose 'qa' is a list",
        ),
        (
            "an object in it",
            '[{"video": "a"}, {"video": "b", "meta": {}}]',
            "entry 2 is an object whose 'meta' is an object",
        ),
        ("a truth value", '[{"video": "a", "end": true}]', "entry 1 is an object whose 'end' is True"),
        ("an empty list", '[{"video": "a", "tags": []}]', "entry 1 is an object whose 'tags' is an empty list"),
        ("a key twice", '[{"video": "a", "start": 1, "start": 9}]', "an object has the key 'start' twice"),
        ("no video", '[{"start": 1}]', "missing: video"),
        ("half a surrogate", '[{"video": "a\\ud800"}]', "half a surrogate pair"),
    ],
)
def test_json_of_ones_own(case: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    assert says in refused("own", tmp_path / "labels.json"), case


JUNK = (
    "._1_label.mat",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/1_label.mat",
    "@eaDir/1_label.mat",
    "notes_label.mat",
)


def litter(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\7 Mac OS X")


@pytest.mark.parametrize("adapter", ["avenue", "shanghaitech", "ped2", "ubnormal"])
def test_what_systems_put_beside_labels_does_not_count(adapter: str, tmp_path: Path) -> None:
    folder, junk = {
        "avenue": lambda: (miniature.avenue(tmp_path, {1: [0, 1], 2: [1, 1]}), JUNK),
        "shanghaitech": lambda: (
            miniature.shanghaitech(tmp_path, {"01_0014": [0, 1]}),
            ("._01_0014.npy", "Thumbs.db", "__MACOSX/._01_0014.npy", "@eaDir/01_0014.npy"),
        ),
        "ped2": lambda: (
            miniature.ped2(tmp_path, {"Test001": [0, 1]}),
            ("Test001_gt/._001.bmp", "Test001_gt/Thumbs.db", "Test001/._001.tif", "._Test001", "Test001_gt/readme.txt"),
        ),
        "ubnormal": lambda: (
            miniature.ubnormal(tmp_path, {"abnormal_scene_1_scenario_1": "1,1,2"}, ["normal_scene_1_scenario_2"]),
            (
                "Scene1/._abnormal_scene_1_scenario_1.mp4",
                "Scene1/._abnormal_scene_1_scenario_1_tracks.txt",
                "__MACOSX/abnormal_scene_1_scenario_1_tracks.txt",
                "Scene1/.DS_Store",
            ),
        ),
    }[adapter]()
    clean = open_dataset(adapter, folder)
    litter(folder, *junk)
    assert open_dataset(adapter, folder) == clean


def test_folders_with_nothing_of_the_kind(tmp_path: Path) -> None:
    for adapter, says in {
        "shanghaitech": "01_0014.npy",
        "avenue": "testing_label_mask",
        "ped2": "Test001",
        "ubnormal": "Scene1",
        "folder": "no video found",
    }.items():
        assert says in refused(adapter, tmp_path), adapter
        absent = refused(adapter, tmp_path / "absent")
        assert "absent" in absent
        assert "exist" in absent or "is not a folder" in absent, adapter


@pytest.mark.parametrize(
    "adapter", ["ucf-crime", "xd-violence", "msad", "ubnormal", "shanghaitech", "avenue", "ped2", "own"]
)
def test_labels_that_are_not_given(adapter: str) -> None:
    assert "there are no labels: give " in refused(adapter, None)


def test_no_such_adapter() -> None:
    assert "do you mean 'ucf-crime'?" in refused("ucf_crime", None)


def test_tracks_that_are_missing_or_there_twice(tmp_path: Path) -> None:
    root = miniature.ubnormal(tmp_path, {"abnormal_scene_1_scenario_1": "1,1,2"}, ["abnormal_scene_1_scenario_2"])
    assert "'abnormal_scene_1_scenario_2'" in refused("ubnormal", root)
    (root / "Scene1" / "abnormal_scene_1_scenario_2.mp4").unlink()
    (root / "copy").mkdir()
    (root / "copy" / "abnormal_scene_1_scenario_1_tracks.txt").write_text("1,1,2")
    message = refused("ubnormal", root)
    assert "Scene1" in message
    assert "copy" in message


def test_control_characters_do_not_reach_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a\x1b[31m\u202e Abuse 1\n")
    message = refused("ucf-crime", tmp_path / "l.txt")
    assert message.isprintable()


def test_a_length_that_list_and_masks_do_not_agree_on(tmp_path: Path) -> None:
    folder = miniature.shanghaitech(tmp_path, {"01_0014": [0, 1]})
    (tmp_path / "list.txt").write_text("01_0014 0 2 1\n")
    assert "'01_0014' has 3 frames there, and 2 in the labels" in refused("shanghaitech", folder, tmp_path / "list.txt")
