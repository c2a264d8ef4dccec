"""A shortened or damaged file is never ``ok``, in any container whose structure can tell; healthy ones are."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from support.video_factory import make_video
from support.video_limits import default_limits

from lavad_core.errors import VideoRejected
from lavad_core.video.decoder import probe
from lavad_core.video.types import Probe, VideoSource

FRAMES = 60

MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("v.mp4", {"b_frames": 2, "container_options": {"movflags": "faststart"}}),
    "mov": ("v.mov", {"codec": "mpeg4", "container_options": {"movflags": "faststart"}}),
    "mp4 of HEVC": ("v.mp4", {"codec": "libx265", "container_options": {"movflags": "faststart"}}),
    "mp4 in fragments": ("v.mp4", {"gop": 12, "container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "mp4 for streaming": (
        "v.mp4",
        {"gop": 12, "container_options": {"movflags": "frag_keyframe+empty_moov+dash+global_sidx"}},
    ),
    "mkv": ("v.mkv", {"b_frames": 2}),
    "webm": ("v.webm", {"codec": "libvpx"}),
    "avi": ("v.avi", {"codec": "mpeg4"}),
    "flv": ("v.flv", {"b_frames": 2}),
    "asf": ("v.wmv", {"codec": "wmv2", "container": "asf"}),
    "ogg": ("v.ogv", {"codec": "libvpx", "container": "ogg"}),
    "mpegts": ("v.ts", {"b_frames": 2}),
    "mpeg": ("v.mpg", {"codec": "mpeg2video", "container": "vob"}),
    "h264": ("v.264", {"container": "h264"}),
    "hevc": ("v.hevc", {"codec": "libx265", "container": "hevc"}),
    "m4v": ("v.m4v", {"codec": "mpeg4", "container": "m4v"}),
    "mpegvideo": ("v.m2v", {"codec": "mpeg2video", "container": "mpeg2video"}),
}
"""A healthy file for each container that ``video.formats`` allows."""

ENDLESS = frozenset({"mpegts", "mpeg", "h264", "hevc", "m4v", "mpegvideo"})
"""Containers that announce no end."""

Damage = Callable[[bytes], bytes]


def cut_at(part: float) -> Damage:
    return lambda data: data[: int(len(data) * part)]


def without(part: float, count: int) -> Damage:
    return lambda data: data[: int(len(data) * part)] + data[int(len(data) * part) + count :]


def zeroed(part: float, count: int) -> Damage:
    def damage(data: bytes) -> bytes:
        at = int(len(data) * part)
        return data[:at] + bytes(len(data[at : at + count])) + data[at + count :]

    return damage


def in_box(kind: bytes, offset: int, value: bytes) -> Damage:
    """Other bytes in the payload of the first MP4 box of a kind; the same ones where there is no such box."""

    def damage(data: bytes) -> bytes:
        at = data.find(kind)
        return data if at < 0 else data[: at + 4 + offset] + value + data[at + 4 + offset + len(value) :]

    return damage


DAMAGES: dict[str, Damage] = {
    "cut at a third": cut_at(0.3),
    "cut at three quarters": cut_at(0.73),
    "without 3,000 bytes": without(0.5, 3000),
    "4,000 bytes zeroed": zeroed(0.6, 4000),
}

MORE_DAMAGES: dict[str, Damage] = {
    **{f"cut at {part:.0%}": cut_at(part) for part in (0.1, 0.5, 0.9, 0.97)},
    "without its last 64 bytes": lambda data: data[:-64],
    "without a sixth": lambda data: without(0.5, len(data) // 6)(data),
    "64 bytes zeroed": zeroed(0.4, 64),
}

TABLES: dict[str, Damage] = {
    "movie of fewer seconds": in_box(b"mvhd", 12, (20_000).to_bytes(4, "big")),
    "movie of some seconds less": in_box(b"mvhd", 12, (1_100).to_bytes(4, "big")),
    "media of fewer seconds": in_box(b"mdhd", 12, (1 << 10).to_bytes(4, "big")),
    "media without a clock": in_box(b"mdhd", 12, bytes(4)),
    "edit list of a part": in_box(b"elst", 8, (700).to_bytes(4, "big")),
    "edit list that begins late": in_box(b"elst", 12, (1 << 13).to_bytes(4, "big")),
    "fewer durations": in_box(b"stts", 8, (20).to_bytes(4, "big")),
    "longer durations": in_box(b"stts", 12, (1 << 16).to_bytes(4, "big")),
    "fewer samples in chunks": in_box(b"stsc", 12, (1).to_bytes(4, "big")),
    "fewer sizes": in_box(b"stsz", 8, (30).to_bytes(4, "big")),
    "a late frame": in_box(b"ctts", 12, (1 << 20).to_bytes(4, "big")),
}

RUNS: dict[str, Damage] = {
    "fewer samples in a run": in_box(b"trun", 4, (5).to_bytes(4, "big")),
}


@pytest.fixture(scope="module", params=MADE)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name, how = MADE[request.param]
    folder = tmp_path_factory.mktemp("healthy")
    return request.param, make_video(folder / name, **{"frames": FRAMES, "size": (160, 96), "draw": noise, **how})


def noise(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture that takes some bytes."""
    chance = np.random.default_rng(index)
    coarse = chance.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)


def look(path: Path) -> Probe | None:
    """The probe; None if the video is rejected."""
    try:
        return probe(VideoSource("v", path), default_limits(threads=1), 30.0)
    except VideoRejected:
        return None


def judged(case: str, damage: str, found: Probe | None) -> None:
    """Never ``ok`` for what is short, and what is missing is counted where the structure says it."""
    if found is None:
        return
    good = found.frames - len(found.gaps)
    if found.status == "ok":
        assert good >= FRAMES or found.completeness == "unchecked", (case, damage, good)
        return
    said = "not announced" in found.reason or "more may be missing" in found.reason
    assert good + found.counts["frames_missing"] >= FRAMES or said, (case, damage, good, found.reason)


def test_a_healthy_file_is_whole(made: tuple[str, Path]) -> None:
    case, path = made
    found = look(path)
    assert found is not None
    assert (found.status, found.reason, found.frames, found.counts["frames_missing"]) == ("ok", "", FRAMES, 0)
    assert (found.completeness == "unchecked") == (case in ENDLESS) == bool(found.unchecked)


def test_a_damaged_file_says_so(made: tuple[str, Path], tmp_path: Path) -> None:
    case, path = made
    tables = {"mp4": TABLES, "mp4 in fragments": RUNS}.get(case, {})
    assert "ok_with_gaps" in ends_of(case, path, DAMAGES | tables, tmp_path)


def ends_of(case: str, path: Path, damages: dict[str, Damage], tmp_path: Path) -> set[str]:
    """How damaged copies end; each is judged."""
    data = path.read_bytes()
    assert len(data) > 20_000
    ends = set()
    for name, damage in damages.items():
        other = damage(data)
        if other == data:
            continue
        copy = tmp_path / path.name
        copy.write_bytes(other)
        found = look(copy)
        judged(case, name, found)
        ends.add("rejected" if found is None else found.status)
    return ends


@pytest.mark.slow
def test_a_file_damaged_in_more_ways_says_so(made: tuple[str, Path], tmp_path: Path) -> None:
    case, path = made
    tables = TABLES | RUNS if case.startswith(("mp4", "mov")) else {}
    assert "ok_with_gaps" in ends_of(case, path, MORE_DAMAGES | tables, tmp_path)


@pytest.mark.slow
def test_files_damaged_by_chance(made: tuple[str, Path], tmp_path: Path) -> None:
    case, path = made
    data = path.read_bytes()
    chance = random.Random(case)
    for number in range(40):
        other = bytearray(data)
        kind = number % 4
        if kind == 0:
            del other[chance.randrange(1, len(data)) :]
        elif kind == 1:
            other[chance.randrange(min(len(data), 2500))] ^= 1 << chance.randrange(8)
        elif kind == 2:
            at = chance.randrange(len(data) // 10, len(data))
            del other[at : at + chance.choice((188, 1000, 2048, 9000))]
        else:
            at, to = (chance.randrange(len(data) // 10, len(data) - 3000) for _ in range(2))
            other[at : at + 2048], other[to : to + 2048] = other[to : to + 2048], other[at : at + 2048]
        copy = tmp_path / path.name
        copy.write_bytes(other)
        judged(case, f"by chance, number {number}", look(copy))


def test_a_cut_by_copying_is_whole_and_a_cut_by_the_list_alone_is_said(tmp_path: Path) -> None:
    """Frames that have to be decoded before a cut are hidden and healthy; those that nothing needs are missing."""
    make_video(tmp_path / "whole.mp4", frames=48, gop=48, b_frames=0, options={"x264-params": "scenecut=0"})
    with av.open(str(tmp_path / "whole.mp4")) as whole, av.open(str(tmp_path / "v.mp4"), "w") as cut:
        stream = whole.streams.video[0]
        out = cut.add_stream_from_template(stream)
        for packet in whole.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - 5120, packet.dts - 5120, out
                cut.mux(packet)
    found = look(tmp_path / "v.mp4")
    assert found is not None
    assert (found.status, found.frames, found.counts["hidden_packets"]) == ("ok", 38, 10)

    data = bytearray((tmp_path / "v.mp4").read_bytes())
    for at in (data.index(b"elst") + 12, data.index(b"tkhd") + 24):  # both agree on 20 frames
        data[at : at + 4] = (666).to_bytes(4, "big")
    (tmp_path / "v.mp4").write_bytes(data)
    found = look(tmp_path / "v.mp4")
    assert found is not None
    assert (found.status, found.frames) == ("ok_with_gaps", 20)
    assert found.counts["frames_missing"] == 18
    assert "hidden by the edit list" in found.reason
