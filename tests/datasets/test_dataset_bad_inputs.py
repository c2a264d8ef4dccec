"""Files that are not what they should be: each with the message that a user needs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from support import miniature
from support.miniature import XD

from lavad_core.datasets import matlab
from lavad_core.datasets.check import check
from lavad_core.datasets.registry import open_dataset
from lavad_core.errors import InputError

UCF = "a_x264 Abuse 1 2\nb_x264 Arson 3 4\nn_x264 Normal -1 -1\n"


def refused(adapter: str, annotation: Path | None, listing: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(adapter, annotation, listing)
    message = str(caught.value)
    assert len(message) < 1200
    return message


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
        ("normal with interval", "ucf-crime", "a Normal 1 2\n", None, ["class 'Normal'", "1 intervals"]),
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
            ["line 2", "Test002 is there twice"],
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
        ("column twice", "video,start,Start\na,1,2\n", ["there twice"]),
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


def huge_header() -> bytes:
    """Announces 8 TiB."""
    text = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776,), }"
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 64


def array(values: object, **how: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(values), **how)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize(
    ("case", "content", "says"),
    [
        ("empty", b"", "0 and 1"),
        ("text", b"0 1 1 0", "0 and 1"),
        ("pictures", array([[0, 1], [1, 0]]), "an array [2, 2]"),
        ("other values", array([0, 2, 1]), "an array [3]"),
        ("not finite", array([0.0, np.nan]), "an array [2]"),
        ("no frame", array([]), "an array [0]"),
        ("texts", array(["0", "1"]), "an array [2]"),
        ("pickled", array([0, None], allow_pickle=True), "an array [2] of object"),
        ("more than there is", huge_header(), "an array [1099511627776]"),
        ("cut off", array([0, 1, 1])[:-5], "expected"),
    ],
)
def test_frame_masks(case: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "01_0014.npy").write_bytes(content)
    message = refused("shanghaitech", tmp_path)
    assert "01_0014.npy" in message
    assert says in message or "is not an array" in message, (case, message)


def other_variable(path: Path) -> None:
    savemat(path, {"label": np.zeros((3, 3))})


def no_cell(path: Path) -> None:
    savemat(path, {"volLabel": np.zeros((3, 3))})


def cut_off(path: Path) -> None:
    miniature.avenue(path.parent, {1: [0, 1, 1, 0]})
    made = path.parent / "testing_label_mask" / "1_label.mat"
    path.write_bytes(made.read_bytes()[:-40])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"nothing of the kind" * 20),
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 600),
        other_variable,
        no_cell,
        cut_off,
    ],
    ids=["empty", "text", "version-7.3", "other-variable", "no-cell", "cut-off"],
)
def test_matlab_masks(write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / "1_label.mat")
    message = refused("avenue", tmp_path)
    assert "1_label.mat" in message
    assert "a cell volLabel" in message


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(kind: int, lengths: tuple[int, ...], body: bytes, name: bytes = b"") -> bytes:
    flags = element(6, struct.pack("<II", kind, 0))
    return element(14, flags + element(5, struct.pack(f"<{len(lengths)}i", *lengths)) + element(1, name) + body)


def cell(lengths: tuple[int, ...], body: bytes) -> bytes:
    return matrix(1, lengths, body, b"volLabel")


MASK = matrix(9, (2, 3), element(2, bytes((0, 1, 0, 0, 0, 0))))
HUGE = 2**31 - 1


@pytest.mark.parametrize(
    ("case", "content", "says"),
    [
        ("a cell", cell((1, HUGE), MASK), "says that it has 2147483647 elements, and 64 bytes"),
        ("a product", cell((HUGE, HUGE), MASK), "says that it has 4611686014132420609 elements"),
        ("some gigabytes", cell((1, 3 * 10**8), MASK), "says that it has 300000000 elements"),
        ("negative", cell((1, -5), MASK), "dimensions [1, -5]"),
        ("a mask", cell((1, 1), matrix(9, (HUGE, 1000), element(2, b"\1" * 8))), "2147483647000 numbers, and 16 bytes"),
        (
            "bytes of a mask",
            cell((1, 1), matrix(9, (1, 1), struct.pack("<IIQ", 2, 2**32 - 16, 1))),
            "1 numbers, and 42949672",
        ),
        ("a cell in it", cell((1, 1), matrix(1, (1, HUGE), MASK)), "element 1 of volLabel is no array of numbers"),
        ("a structure", cell((1, 1), matrix(2, (1, HUGE), MASK)), "is no array of numbers"),
        ("a text", cell((1, 1), matrix(4, (1, HUGE), element(4, b"ab"))), "is no array of numbers"),
        ("a sparse one", cell((1, 1), matrix(5, (HUGE, HUGE), element(9, b"\0" * 8))), "is no array of numbers"),
        ("a type that SciPy dies of", cell((1, 1), matrix(9, (1, 1), element(99, b"\1"))), "of an unknown type"),
        ("many dimensions", cell((1,) * 10_000, MASK), "flags or dimensions of another length"),
        ("no element", cell((1, 0), b""), "volLabel has no element"),
        ("one mask of two", cell((1, 2), MASK), "ValueError: "),
        ("a file in a file", struct.pack("<II", 14, 2**32 - 16) + MASK, "it ends in the middle"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_matlab_files_that_announce_what_is_not_there(
    case: str, content: bytes, says: str, packed: bool, tmp_path: Path
) -> None:
    if packed:
        small = zlib.compress(content)
        content = struct.pack("<II", 15, len(small)) + small
    start = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    (tmp_path / "1_label.mat").write_bytes(start + content)
    message = refused("avenue", tmp_path)
    assert "a cell volLabel of a mask for each frame" in message
    assert says in message, (case, message)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i4", "u8", "f4", "f8", "bool"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_masks_of_any_kind_of_number_are_read(kind: str, packed: bool, tmp_path: Path) -> None:
    cells = np.empty((1, 5), dtype=object)
    values = [np.zeros((300, 400)), np.eye(300, 400), np.zeros((0, 0)), np.ones((1, 1)), -np.zeros((2, 2))]
    for index, mask in enumerate(values):
        cells[0, index] = mask.astype(kind)
    savemat(tmp_path / "1_label.mat", {"other": np.ones(9), "volLabel": cells}, do_compression=packed)
    (video,) = open_dataset("avenue", tmp_path).videos.values()
    assert (video.frames, video.intervals) == (5, ((1, 1), (3, 3)))


def test_a_packed_mask_with_a_wrong_checksum(tmp_path: Path) -> None:
    folder = miniature.avenue(tmp_path, {1: [0, 1, 1, 0]})
    content = bytearray((folder / "1_label.mat").read_bytes())
    content[-1] ^= 1
    (folder / "1_label.mat").write_bytes(content)
    assert "incorrect data check" in refused("avenue", folder)


def test_a_matlab_file_that_becomes_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = miniature.avenue(tmp_path, {1: [0, 1] * 8}, size=(200, 200))
    assert open_dataset("avenue", folder)
    monkeypatch.setattr(matlab, "MAX_UNPACKED_BYTES", 16 * 200 * 200)
    assert "bytes when unpacked" in refused("avenue", folder)
    monkeypatch.setattr(matlab, "MAX_UNPACKED_BYTES", 20 * 200 * 200)
    assert open_dataset("avenue", folder)


def test_two_masks_of_one_video(tmp_path: Path) -> None:
    folder = miniature.avenue(tmp_path, {1: [0, 1]})
    (folder / "01_label.mat").write_bytes((folder / "1_label.mat").read_bytes())
    assert "'01_label.mat' and '1_label.mat' are of the same video" in refused("avenue", folder)


def test_the_case_of_the_nested_key(shared: Path) -> None:
    if not (shared / "cases" / "own_nested.json").is_file():
        pytest.skip("no ../shared/cases/own_nested.json: the same is tried above")
    assert "'qa' is a list" in refused("own", shared / "cases" / "own_nested.json")


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


def test_the_case_of_the_copied_masks(shared: Path, tmp_path: Path) -> None:
    case = shared / "cases" / "avenue_with_macos_files"
    if not case.is_dir():
        pytest.skip("no ../shared/cases/avenue_with_macos_files: the same is tried above")
    clean = tmp_path / case.name
    clean.mkdir()
    for path in case.glob("[0-9]*"):
        (clean / path.name).write_bytes(path.read_bytes())
    assert open_dataset("avenue", case).files == open_dataset("avenue", clean).files


def test_a_damaged_mask_sets_its_own_video_aside(tmp_path: Path) -> None:
    folder = miniature.shanghaitech(tmp_path, {"01_0014": [0, 1], "01_0015": [1, 1], "02_0001": [0, 0]})
    (folder / "01_0015.npy").write_bytes(huge_header())
    found = open_dataset("shanghaitech", folder)
    assert list(found.videos) == ["01_0014", "02_0001"]
    assert "1099511627776" in found.unreadable["01_0015"]
    assert "the labels of 1 of 3 videos cannot be read, and these videos are unscored" in found.notes[0]
    (tmp_path / "list").write_text("01_0014\n02_0001\n")
    assert not open_dataset("shanghaitech", folder, tmp_path / "list").unreadable
    (tmp_path / "list").write_text("x/01_0015.avi\n02_0001\n")
    assert list(open_dataset("shanghaitech", folder, tmp_path / "list").unreadable) == ["01_0015"]
    (report,) = [
        finding for finding in check(found).findings if "01_0015" in finding.message and finding.level == "error"
    ]
    assert report.videos == ["01_0015"]


def test_a_damaged_mask_of_avenue_does_so_too(tmp_path: Path) -> None:
    folder = miniature.avenue(tmp_path, {1: [0, 1], 2: [1, 1]})
    (folder / "2_label.mat").write_bytes(b"nothing of the kind" * 20)
    found = open_dataset("avenue", folder)
    assert (list(found.videos), list(found.unreadable)) == (["01"], ["02"])


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


def test_ped2_masks_that_are_not_there(tmp_path: Path) -> None:
    folder = miniature.ped2(tmp_path, {"Test001": [0, 1], "Test002": [1, 1]})
    (folder / "Test001_gt" / "002.bmp").unlink()
    assert "Test001 has 2 frames, and 1 masks" in refused("ped2", folder)
    (folder / "Test002_gt").rename(folder / "elsewhere")
    message = refused("ped2", folder)
    assert "'Test002'" in message
    assert "UCSDped2.m" in message
    (folder / "elsewhere").rename(folder / "Test002_gt")
    (folder / "Test001_gt" / "002.bmp").write_bytes(b"BM nothing")
    assert "002.bmp" in refused("ped2", folder)


@pytest.mark.parametrize("line", ["1,2", "1,2,3,4", "a,1,2", "1,5,3", "1,-1,3", "1,1.5,3", "1,nan,3", "1,0,inf"])
def test_tracks(line: str, tmp_path: Path) -> None:
    root = miniature.ubnormal(tmp_path, {"abnormal_scene_1_scenario_1": f"1,1,2\n{line}\n"}, [])
    message = refused("ubnormal", root)
    assert "line 2" in message
    assert "object,first,last" in message


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
