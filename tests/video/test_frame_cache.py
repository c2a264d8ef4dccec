"""Kept frames are those of a pass, to the bit, or they are not used."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.video_factory import make_frames, make_video
from support.video_limits import default_limits

from lavad_core.video import frame_cache
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.frame_cache import FrameCache, KeptFrameDamaged
from lavad_core.video.scratch import default_scratch
from lavad_core.video.types import NATIVE, Frame, FrameRequest, Geometry, Probe, VideoSource

FRAMES = 40
WANTED = np.arange(0, FRAMES, 3)
REQUESTS = {
    "one size": [FrameRequest(Geometry("square", 56), WANTED)],
    "as decoded": [FrameRequest(NATIVE, WANTED[2:])],
    "three sizes, other frames": [
        FrameRequest(Geometry("short_side", 50), WANTED[::2]),
        FrameRequest(NATIVE, WANTED[1::2]),
        FrameRequest(Geometry("square", 98), WANTED),
    ],
    "every third": [FrameRequest(Geometry("short_side", 30), every=3)],
}


def without_two(folder: Path) -> Path:
    make_frames(folder, [index for index in range(FRAMES) if index not in (6, 7)])
    return folder


SOURCES = {
    "file": lambda folder: VideoSource("v", make_video(folder / "v.mp4", frames=FRAMES, size=(98, 66))),
    "folder with gaps": lambda folder: VideoSource("v", without_two(folder / "v"), "frames"),
}


@pytest.fixture(scope="module", params=SOURCES)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    source: VideoSource = SOURCES[request.param](tmp_path_factory.mktemp("videos"))
    return source


@pytest.fixture(scope="module")
def found(video: VideoSource) -> Probe:
    return probe(video, default_limits(), 30.0)


@pytest.fixture(scope="module")
def decoded(video: VideoSource, found: Probe) -> dict[str, list[Frame]]:
    """What passes without a cache deliver."""
    return {name: passed(video, found, requests) for name, requests in REQUESTS.items()}


def passed(
    video: VideoSource, found: Probe, requests: Sequence[FrameRequest], through: Any = None, limit: int | None = None
) -> list[Frame]:
    # With room for one frame, a pass that is left early cannot have been read to its end ahead.
    with open_frames(video, requests, found, default_limits(), queue_frames=1, through=through) as frames:
        return [frame for frame, _ in zip(frames, range(limit or sys.maxsize), strict=False)]


def fill(cache: FrameCache, video: VideoSource, found: Probe, limit: int | None = None) -> list[Frame]:
    """A pass for one size, whose wanted frames are kept as decoded."""
    own = REQUESTS["one size"]
    filling = cache.filling("id", WANTED, found)
    assert filling is not None
    with filling:
        return passed(video, found, [*own, filling.request], lambda frames: filling.through(frames, len(own)), limit)


def plain(frames: Sequence[Frame]) -> list[tuple[int, int, bool, bytes, tuple[int, ...]]]:
    return [(f.index, f.request, f.substituted, f.image.tobytes(), f.image.shape) for f in frames]


def test_kept_frames_are_those_of_a_pass_to_the_bit(
    video: VideoSource, found: Probe, decoded: dict[str, list[Frame]], tmp_path: Path
) -> None:
    cache = FrameCache(tmp_path, None)
    assert plain(fill(cache, video, found)) == plain(decoded["one size"])
    for name, requests in REQUESTS.items():
        assert cache.holds("id", requests, found.frames), name
        kept = list(cache.frames("id", requests, found.frames))
        assert plain(kept) == plain(decoded[name]), name
        assert not any(frame.image.flags.writeable for frame in kept), name
    assert not cache.holds("id", [FrameRequest(NATIVE, [0, 1])], found.frames)
    assert not cache.holds("another", REQUESTS["one size"], found.frames)
    assert any(frame.substituted for frame in decoded["one size"]) == bool(found.gaps)
    cache.clear()
    assert not cache.holds("id", REQUESTS["one size"], found.frames)


def test_a_pass_that_did_not_end_is_not_kept_and_the_next_is(
    video: VideoSource, found: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_cache, "_EXPECTED", 1000)
    roomy = FrameCache(tmp_path, None)
    fill(roomy, video, found)
    cache = FrameCache(tmp_path, roomy._end)
    assert len(fill(cache, video, found, limit=5)) == 5
    assert not cache.holds("id", REQUESTS["one size"], found.frames)
    for _ in range(2):  # in the room of the one before: there is none for two
        fill(cache, video, found)
        assert cache.holds("id", REQUESTS["one size"], found.frames)
    assert (cache._end, cache._spare) == (roomy._end, [])


def test_a_video_that_takes_more_than_was_expected_gives_its_room_back(
    video: VideoSource,
    found: Probe,
    decoded: dict[str, list[Frame]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(frame_cache, "_EXPECTED", 1000)
    roomy = FrameCache(tmp_path, None)
    fill(roomy, video, found)
    cache = FrameCache(tmp_path, roomy._end - 1)
    assert plain(fill(cache, video, found)) == plain(decoded["one size"])  # the pass itself goes on
    assert not cache.holds("id", REQUESTS["one size"], found.frames)
    assert sum(size for _, size in cache._spare) == cache._end > 0
    (said,) = caplog.records
    assert "run.frame_cache_bytes" in said.message


def test_two_passes_do_not_fill_one_video(video: VideoSource, found: Probe, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, None)
    filling = cache.filling("id", WANTED, found)
    assert filling is not None
    with filling:
        assert cache.filling("id", WANTED, found) is None
    fill(cache, video, found)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut"])
def test_damage_is_found(
    damage: str, video: VideoSource, found: Probe, decoded: dict[str, list[Frame]], tmp_path: Path
) -> None:
    cache = FrameCache(tmp_path, None)
    fill(cache, video, found)
    assert cache._file is not None
    descriptor, at = cache._file._descriptor, int(cache._kept["id"]["place"][5]) + 10
    if damage == "cut":
        os.ftruncate(descriptor, at)
    else:
        os.pwrite(descriptor, bytes([os.pread(descriptor, 1, at)[0] ^ 1]), at)
    good: list[Frame] = []
    with pytest.raises(KeptFrameDamaged, match="frame 15 is not as it was written"):
        good.extend(cache.frames("id", REQUESTS["one size"], found.frames))
    assert plain(good) == plain(decoded["one size"])[:5]


def put(images: Sequence[tuple[int, bool]]) -> Iterator[Frame]:
    """Frames of a pass with two requests, the second of which is kept."""
    for index, substituted in images:
        image = np.full((4, 4, 3), index, np.uint8)
        yield Frame(index, 0, image, substituted)
        yield Frame(index, 1, image, substituted)


@pytest.mark.parametrize(
    ("lost", "kept"),
    [pytest.param((), True, id="none"), pytest.param((2,), True, id="a gap"), pytest.param((3,), False, id="lost")],
)
def test_a_video_of_which_a_frame_was_lost_is_not_kept(lost: Sequence[int], kept: bool, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, None)
    found: Any = type("Probe", (), {"width": 4, "height": 4, "gaps": (2,)})
    filling = cache.filling("id", np.arange(5), found)
    assert filling is not None
    with filling:
        own = list(filling.through(put([(index, index in lost) for index in range(5)]), 1))
    assert [frame.index for frame in own] == [0, 1, 2, 3, 4]
    assert cache.holds("id", [FrameRequest(NATIVE, [1])], 5) == kept


@pytest.mark.parametrize("second", [(64, 40), (200, 160)], ids=["smaller", "larger"])
def test_pictures_of_several_sizes(second: tuple[int, int], tmp_path: Path) -> None:
    """Noise of another size behind the first pictures: what is expected of a video is no limit."""
    folder = make_frames(tmp_path / "v", range(6))
    for index in range(3, 6):
        Image.effect_noise(second, 90).convert("RGB").save(folder / f"{index:06d}.jpg")
    video = VideoSource("v", folder, "frames")
    found, cache = probe(video, default_limits(), 30.0), FrameCache(tmp_path, None)
    wanted = FrameRequest(NATIVE, np.arange(6))
    filling = cache.filling("id", np.arange(6), found)
    assert filling is not None
    with filling:
        alone = passed(video, found, [wanted, filling.request], lambda frames: filling.through(frames, 1))
    assert cache.holds("id", [wanted], 6)
    assert plain(list(cache.frames("id", [wanted], 6))) == plain(alone)


BAD_DISKS = {
    "no folder": errno.ENOENT,
    "full": errno.ENOSPC,
    "broken": errno.EIO,
}


@pytest.mark.parametrize("case", BAD_DISKS)
def test_a_disk_that_refuses_is_said_once_and_asked_no_more(
    case: str,
    video: VideoSource,
    found: Probe,
    decoded: dict[str, list[Frame]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = FrameCache(tmp_path / "absent" if case == "no folder" else tmp_path, None)

    def refuse(*_: Any) -> int:
        raise OSError(BAD_DISKS[case], os.strerror(BAD_DISKS[case]))

    if case == "no folder":
        assert cache.filling("id", WANTED, found) is None
    else:
        monkeypatch.setattr(os, "pwrite", refuse)
        assert plain(fill(cache, video, found)) == plain(decoded["one size"])  # the pass itself goes on
    assert not cache.holds("id", REQUESTS["one size"], found.frames)
    assert cache.filling("other", WANTED, found) is None
    (said,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert os.strerror(BAD_DISKS[case]) in said.message
    assert "run.scratch" in said.message


@pytest.mark.parametrize(("most", "words"), [(1000, ["run.frame_cache_bytes"]), (0, [])], ids=["too little", "off"])
def test_room(most: int, words: list[str], found: Probe, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = FrameCache(tmp_path, most)
    assert cache.filling("id", WANTED, found) is None
    assert cache.filling("id", WANTED, found) is None
    said = [record.message for record in caplog.records]
    assert len(said) == len(words)
    assert all(word in text for word, text in zip(words, said, strict=True))


ROOM = {
    "half of what is free": (None, 5, [True, True, False]),
    "a full disk": (100, 1.5, [True, False, False]),
    "a limit": (1, 100, [True, False, False]),
}


@pytest.mark.parametrize("case", ROOM)
def test_what_other_passes_will_write_counts_as_used(
    case: str, found: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit and the free space are multiples of what a video is expected to take."""
    limit, free, rooms = ROOM[case]
    expected = len(WANTED) * found.width * found.height * 3 // 2
    monkeypatch.setattr("lavad_core.video.frame_cache._Nameless.free", lambda file: int(free * expected))
    cache = FrameCache(tmp_path, None if limit is None else limit * expected)
    assert [cache.filling(name, WANTED, found) is not None for name in ("a", "b", "c")] == rooms


PROCESS = """
import sys; sys.path[:0] = {path!r}
from test_frame_cache import *
found, cache = probe(VideoSource("v", Path({video!r})), default_limits(), 30.0), FrameCache(Path({folder!r}), None)
fill(cache, VideoSource("v", Path({video!r})), found)
print(cache.holds("id", REQUESTS["one size"], found.frames), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows the files that a process holds")
def test_processes_share_a_folder_and_a_kill_leaves_nothing(tmp_path: Path) -> None:
    video = SOURCES["file"](tmp_path).path
    folder = tmp_path / "scratch"
    folder.mkdir()
    path = [str(Path(__file__).parent), *sys.path]
    program = PROCESS.format(path=path, video=str(video), folder=str(folder))
    start = [subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) for _ in range(2)]
    for process in start:
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            held = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
            assert [name for name in held if name.startswith(str(folder)) and name.endswith("(deleted)")]
            assert list(folder.iterdir()) == []
            process.send_signal(signal.SIGKILL)
    assert list(folder.iterdir()) == []


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    assert default_scratch() in (Path("/var/tmp"), Path("/tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert default_scratch() == tmp_path
