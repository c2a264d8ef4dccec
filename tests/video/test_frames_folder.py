"""Folders of pre-extracted frames."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.video_factory import make_frames, make_video, picture, read_index
from support.video_limits import default_limits

from lavad_core.errors import VideoRejected
from lavad_core.video import images
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.numbered_frames import list_frames, number_frames
from lavad_core.video.types import NATIVE, FrameRequest, Geometry, Probe, VideoSource


def run(folder: Path, requests: list[FrameRequest] | None = None) -> tuple[Probe, list[tuple[int, int, bool]]]:
    source, limits = VideoSource("v", folder, "frames"), default_limits()
    found = probe(source, limits, 30.0)
    with open_frames(source, requests or [FrameRequest(NATIVE, every=1)], found, limits) as frames:
        return found, [(f.index, read_index(f.image), f.substituted) for f in frames]


@pytest.mark.parametrize(
    "name", ["{:06d}.jpg", "{}.jpg", "{:04d}.png", "{:06d}.JPEG", "{:06d}.webp", "{:06d}.bmp", "{:03d}.tif"]
)
def test_a_folder_is_a_video(name: str, tmp_path: Path) -> None:
    found, got = run(make_frames(tmp_path / "v", range(12), name=name))
    assert (found.status, found.frames, found.gaps) == ("ok", 12, ())
    assert (found.width, found.height, found.rotation, found.container) == (96, 64, 0, "frames")
    assert got == [(i, i, False) for i in range(12)]
    np.testing.assert_allclose(found.times_s, np.arange(12) / 30)


@pytest.mark.parametrize(
    ("rate", "time_base"),
    [(30.0, Fraction(1, 30)), (29.97, Fraction(100, 2997)), (30000 / 1001, Fraction(1001, 30000)), (0.5, Fraction(2))],
)
def test_the_frame_rate_is_the_configurations(rate: float, time_base: Fraction, tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "v", range(2))
    assert probe(VideoSource("v", folder, "frames"), default_limits(), rate).time_base == time_base


def test_missing_numbers_are_gaps(tmp_path: Path) -> None:
    found, got = run(make_frames(tmp_path / "v", [0, 1, 4, 5, 7]))
    assert (found.status, found.frames, found.gaps) == ("ok_with_gaps", 8, (2, 3, 6))
    assert found.counts["frames_missing"] == 3
    assert got == [
        (0, 0, False),
        (1, 1, False),
        (2, 1, True),
        (3, 1, True),
        (4, 4, False),
        (5, 5, False),
        (6, 5, True),
        (7, 7, False),
    ]


def test_a_missing_start_comes_as_the_next_frame(tmp_path: Path) -> None:
    found, got = run(make_frames(tmp_path / "v", [3, 4]))
    assert (found.frames, found.gaps) == (5, (0, 1, 2))
    assert got[:4] == [(0, 3, True), (1, 3, True), (2, 3, True), (3, 3, False)]


def test_only_grid_frames_are_there(tmp_path: Path) -> None:
    """A user who extracted every 16th frame alone: the grid is complete."""
    folder = make_frames(tmp_path / "v", range(0, 65, 16))
    found, got = run(folder, [FrameRequest(NATIVE, every=16)])
    assert found.frames == 65
    assert got == [(i, i, False) for i in range(0, 65, 16)]


def test_numbers_from_one_are_counted_from_one(tmp_path: Path) -> None:
    """FFmpeg's own numbering."""
    found, got = run(make_frames(tmp_path / "v", range(1, 9)))
    assert (found.status, found.frames, found.counts["first_number"]) == ("ok", 8, 1)
    assert got == [(i, i + 1, False) for i in range(8)]


def test_a_damaged_image_is_a_gap(tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "v", range(6))
    whole = (folder / "000002.jpg").read_bytes()
    (folder / "000002.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "000004.jpg").write_bytes(b"not an image")
    found, got = run(folder)
    assert (found.status, found.frames, found.gaps) == ("ok_with_gaps", 6, (2, 4))
    assert found.counts["decode_errors"] == 2
    assert [(seen, sub) for _, seen, sub in got] == [
        (0, False),
        (1, False),
        (1, True),
        (3, False),
        (3, True),
        (5, False),
    ]


def test_sizes_may_differ(tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "v", [0], size=(96, 64))
    make_frames(folder, [1], size=(64, 96))
    source, limits = VideoSource("v", folder, "frames"), default_limits()
    found = probe(source, limits, 30.0)
    requests = [FrameRequest(NATIVE, every=1), FrameRequest(Geometry("short_side", 32), every=1)]
    with open_frames(source, requests, found, limits) as frames:
        assert [f.image.shape[:2] for f in frames] == [(64, 96), (32, 48), (96, 64), (48, 32)]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    image = Image.fromarray(picture(5)).convert(mode)
    image.save(folder / ("000000.jpg" if mode == "CMYK" else "000000.png"))
    found, got = run(folder)
    assert (found.status, got) == ("ok", [(0, 5, False)])


def reason_of(folder: Path, **changes: int) -> str:
    with pytest.raises(VideoRejected) as caught:
        probe(VideoSource("v", folder, "frames"), default_limits(**changes), 30.0)
    return caught.value.reason


def test_rejections(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert reason_of(tmp_path / "empty") == "empty"
    assert reason_of(tmp_path / "absent") == "missing"
    folder = make_frames(tmp_path / "v", range(4))
    assert reason_of(folder, max_frames=3) == "too-large"
    assert reason_of(folder, max_pixels=96 * 64 - 1) == "too-large"
    assert reason_of(make_video(tmp_path / "file.mp4", frames=2)) == "missing"
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "000000.jpg").write_bytes(b"x")
    assert reason_of(tmp_path / "bad") == "no-frames"


def test_a_huge_image_is_refused_from_its_header(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    Image.new("1", (20_000, 20_000)).save(folder / "000000.png")  # 50 kB that would be 1.2 GB
    assert reason_of(folder, max_pixels=10**8) == "too-large"


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EIO, "unreadable"), (errno.EMFILE, "unreadable"), (errno.ENOENT, "changed")]
)
def test_what_the_system_cannot_read_is_no_damage(
    number: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gap would be committed, and stay when the disk is well again."""
    path = tmp_path / "000000.png"
    Image.new("RGB", (8, 8)).save(path)

    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(images.Image, "open", fails)
    for read in (images.examine_image, images.read_rgb):
        with pytest.raises(VideoRejected, match=r"000000\.png") as caught:
            read(str(path), 1 << 20)
        assert caught.value.reason == reason


def test_no_memory_for_an_image_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(images.Image, "open", fails)
    for read in (images.examine_image, images.read_rgb):
        with pytest.raises(MemoryError):
            read(str(tmp_path / "000000.png"), 1 << 20)


def test_an_image_that_vanishes_is_noticed(tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "v", range(4))
    source, limits = VideoSource("v", folder, "frames"), default_limits()
    found = probe(source, limits, 30.0)
    os.unlink(folder / "000002.jpg")
    with (
        pytest.raises(VideoRejected) as caught,
        open_frames(source, [FrameRequest(NATIVE, every=1)], found, limits) as frames,
    ):
        list(frames)
    assert caught.value.reason == "changed"


def test_other_images_are_left_out_or_counted(tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "v", range(3))
    Image.fromarray(picture(9)).save(folder / "cover.jpg")
    assert list_frames(folder) == ["000000.jpg", "000001.jpg", "000002.jpg"]
    other = make_frames(tmp_path / "w", range(3), name="frame_{:03d}.jpg")
    assert number_frames(list_frames(other)) == ({0: "frame_000.jpg", 1: "frame_001.jpg", 2: "frame_002.jpg"}, 0)
    for hidden in ("._frame_000.jpg", "._frame_001.jpg", ".cover.png"):
        (other / hidden).write_bytes(b"\0\5\x16\7 Mac OS X")
    assert list_frames(other) == ["frame_000.jpg", "frame_001.jpg", "frame_002.jpg"]


def test_the_numbers_of_the_reference_program(shared: Path) -> None:
    """The frames that the authors' program extracted are found complete."""
    import tarfile

    with tarfile.open(shared / "golden" / "reference" / "frames.tar") as archive:
        names = [m.name.rsplit("/", 1)[-1] for m in archive.getmembers() if "Fighting902" in m.name and m.isfile()]
    numbers, first = number_frames(sorted(names))
    assert (list(numbers), first) == (list(range(90)), 0)
