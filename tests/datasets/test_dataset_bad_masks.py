"""Masks that are damaged, too large or missing: NumPy and MATLAB files."""

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
from support.refused import refused

from lavad_core.datasets import matlab
from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.check import check_dataset


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
        ("a cell in it", cell((1, 1), matrix(1, (1, HUGE), MASK)), "element 1 of volLabel is not an array of numbers"),
        ("a structure", cell((1, 1), matrix(2, (1, HUGE), MASK)), "is not an array of numbers"),
        ("a text", cell((1, 1), matrix(4, (1, HUGE), element(4, b"ab"))), "is not an array of numbers"),
        ("a sparse one", cell((1, 1), matrix(5, (HUGE, HUGE), element(9, b"\0" * 8))), "is not an array of numbers"),
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
        finding
        for finding in check_dataset(found).findings
        if "01_0015" in finding.message and finding.level == "error"
    ]
    assert report.videos == ["01_0015"]


def test_a_damaged_mask_of_avenue_does_so_too(tmp_path: Path) -> None:
    folder = miniature.avenue(tmp_path, {1: [0, 1], 2: [1, 1]})
    (folder / "2_label.mat").write_bytes(b"nothing of the kind" * 20)
    found = open_dataset("avenue", folder)
    assert (list(found.videos), list(found.unreadable)) == (["01"], ["02"])


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
