"""Recordings that were joined, and single damaged time stamps in each container: every frame comes once, or is counted."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.video_factory import make_video, picture, read_index
from support.video_limits import default_limits

from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.other_streams import OtherStreams
from lavad_core.video.types import NATIVE, FrameRequest, Probe, VideoSource

FIRST, SECOND = 60, 40

Draw = Callable[[int, tuple[int, int]], NDArray[np.uint8]]


def from_index(start: int) -> Draw:
    return lambda index, size: picture(start + index, size)


def run(path: Path) -> tuple[Probe, list[tuple[int, int, bool]]]:
    source, limits = VideoSource("v", path), default_limits()
    found = probe(source, limits, 30.0)
    with open_frames(source, [FrameRequest(NATIVE, every=1)], found, limits) as frames:
        return found, [(f.index, read_index(f.image), f.substituted) for f in frames]


def join(folder: Path, ending: str, how: dict[str, Any], **second: Any) -> Path:
    parts = [
        make_video(folder / f"1.{ending}", frames=FIRST, gop=20, **how),
        make_video(folder / f"2.{ending}", frames=SECOND, gop=20, **{**how, "draw": from_index(FIRST), **second}),
    ]
    path = folder / f"v.{ending}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


JOINED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "H.264 transport streams": ("ts", {"b_frames": 2}, {}),
    "MPEG-2 transport streams": ("ts", {"codec": "mpeg2video", "b_frames": 2}, {}),
    "MPEG-2 programme streams": ("mpg", {"codec": "mpeg2video", "b_frames": 2, "container": "vob"}, {}),
    "Matroska": ("mkv", {}, {}),
    "the second ten minutes back, which FFmpeg takes for a wrap": ("ts", {"pts": range(18_000, 18_060)}, {"pts": None}),
    "another size": ("ts", {}, {"size": (192, 128)}),
    "another pixel format": ("ts", {}, {"pix_fmt": "yuv444p"}),
    "another rate": ("ts", {}, {"fps": 15}),
    "sound that begins with the second": ("ts", {}, {"audio": True}),
}


@pytest.mark.parametrize("word", JOINED)
def test_joined_recordings_lose_nothing(word: str, tmp_path: Path) -> None:
    ending, how, second = JOINED[word]
    found, got = run(join(tmp_path, ending, how, **second))
    assert found.counts["frames_missing"] == 0
    assert found.counts["time_line_parts"] == 2
    assert got == [(i, i, False) for i in range(FIRST + SECOND)]
    rate = second.get("fps", 30)
    np.testing.assert_allclose(found.times_s[FIRST:], FIRST / 30 + np.arange(SECOND) / rate, atol=0.005)


APART: dict[str, dict[str, Any]] = {
    "another identifier": {"container_options": {"mpegts_start_pid": "0x200"}},
    "another programme": {
        "container_options": {
            "mpegts_start_pid": "0x200",
            "mpegts_service_id": "7",
            "mpegts_pmt_start_pid": "0x1100",
        }
    },
}


@pytest.mark.parametrize("word", APART)
def test_a_recording_that_goes_on_in_another_stream_is_not_whole(word: str, tmp_path: Path) -> None:
    found, got = run(join(tmp_path, "ts", {}, **APART[word]))
    assert found.status == "ok_with_gaps"
    assert found.counts["other_packets"] == SECOND
    assert f"{SECOND} packets of another video stream" in found.reason
    assert got == [(i, i, False) for i in range(FIRST)]


def test_a_codec_that_changes_is_counted(tmp_path: Path) -> None:
    found, _ = run(join(tmp_path, "ts", {}, codec="mpeg2video"))
    assert found.status == "ok_with_gaps"
    # The parser may put the last packet of the one codec and the first of the other together.
    assert FIRST + SECOND - 1 <= found.frames - len(found.gaps) + found.counts["frames_missing"] <= FIRST + SECOND


def test_movies_behind_the_first_are_counted(tmp_path: Path) -> None:
    found, got = run(join(tmp_path, "mp4", {}))
    assert (found.status, found.counts["further_movies"]) == ("ok_with_gaps", 1)
    assert "1 further movies" in found.reason
    assert got == [(i, i, False) for i in range(FIRST)]


@pytest.mark.parametrize(
    ("word", "before", "apart"),
    [
        ("beside ours", range(0, 100, 2), 0),
        ("behind ours", [100] * 50, 50),
        ("behind, but for what a parser holds back", [98] * 50, 50),
        ("before ours", [0] * 50, 50),
        ("a second camera that records longer", [*range(0, 100, 2), *[100] * 30], 0),
        ("too few to say", [100] * 5, 0),
    ],
)
def test_streams_apart(word: str, before: list[int], apart: int) -> None:
    others = OtherStreams()
    for count in before:
        others.note(1, count)
    assert others.apart(100) == apart


def flv_tags(data: bytes) -> Iterator[int]:
    """Where the tags of an FLV file's video begin."""
    at = 13
    while at + 11 <= len(data):
        if data[at] == 9:
            yield at
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")


def pes_headers(data: bytes) -> Iterator[int]:
    """Where the PES packets of a transport stream's video begin."""
    for start in range(0, len(data), 188):
        if data[start + 1] & 0x40:
            at = start + 4 + (1 + data[start + 4] if data[start + 3] & 0x20 else 0)
            if data[at : at + 3] == b"\0\0\1" and data[at + 3] & 0xF0 == 0xE0:
                yield at


def hours_in_flv(data: bytearray, which: slice) -> None:
    for at in list(flv_tags(data))[which]:
        data[at + 7] = 1  # the upper byte: 4.7 hours


def hours_in_ts(data: bytearray, which: slice) -> None:
    for at in list(pes_headers(data))[which]:
        for stamp in (9, 14)[: 1 + (data[at + 7] >> 6 & 1)]:
            data[at + stamp] |= 0x08  # bit 32: 13 hours


def hours_in_matroska(data: bytearray, which: slice) -> None:
    clusters, at = [], -1
    while (at := data.find(b"\x1f\x43\xb6\x75", at + 1)) >= 0:
        clusters.append(at)
    for cluster in clusters[which]:
        stamp = data.index(b"\xe7", cluster + 4)
        assert data[stamp + 1] == 0x82, "two bytes"
        data[stamp + 2] |= 0x80  # 33 seconds: a header of 2 bytes has no more


ONE, MIDDLE_ON, FIRST_ONE = slice(30, 31), slice(30, None), slice(0, 1)
DAMAGED: dict[str, tuple[str, Callable[[bytearray, slice], None], slice, str]] = {
    "FLV, one stamp": ("flv", hours_in_flv, ONE, "time stamps are damaged"),
    "FLV, from the middle on": ("flv", hours_in_flv, MIDDLE_ON, "jumps of the time stamps were taken out"),
    "transport stream, one stamp": ("ts", hours_in_ts, ONE, "time stamps are damaged"),
    "transport stream, from the middle on": ("ts", hours_in_ts, MIDDLE_ON, "jumps of the time stamps were taken out"),
    "transport stream, the first stamp": ("ts", hours_in_ts, FIRST_ONE, ""),
    "Matroska, one cluster": ("mkv", hours_in_matroska, slice(3, 4), "time stamps are damaged"),
    "Matroska, the last cluster": (
        "mkv",
        hours_in_matroska,
        slice(-1, None),
        "jumps of the time stamps were taken out",
    ),
}


@pytest.mark.parametrize("word", DAMAGED)
def test_damaged_stamps_do_not_stretch_a_video(word: str, tmp_path: Path) -> None:
    ending, spoil, which, words = DAMAGED[word]
    frames = 300 if ending == "mkv" else FIRST
    path = make_video(
        tmp_path / f"v.{ending}",
        frames=frames,
        gop=15,
        container_options={"cluster_time_limit": "1000"} if ending == "mkv" else None,
    )
    data = bytearray(path.read_bytes())
    spoil(data, which)
    path.write_bytes(data)

    found, got = run(path)

    assert words in found.reason
    assert got == [(i, i, False) for i in range(frames)]
    np.testing.assert_allclose(found.times_s, np.arange(frames) / 30, atol=0.05)


def test_the_joined_recording_of_the_report(shared: Path) -> None:
    source = VideoSource("v", shared / "cases" / "joined_reset.ts")
    found = probe(source, default_limits(), 30.0)
    assert (found.frames, found.gaps, found.counts["time_line_parts"]) == (960, (), 2)
    assert found.times_s[-1] == pytest.approx(959 / 30, abs=0.01)
    with open_frames(source, [FrameRequest(NATIVE, every=1)], found, default_limits()) as frames:
        assert [frame.index for frame in frames if not frame.substituted] == list(range(960))


@pytest.mark.parametrize(
    ("word", "scale", "rate", "replaced"),
    [
        ("one frame in 1000 seconds", 1000, 1, 1),
        ("a million frames a second", 1, 1_000_000, 1),
        ("the true rate", 1, 30, 0),
        ("another rate that can be", 1, 15, 0),
    ],
)
def test_a_rate_that_cannot_be_is_replaced(word: str, scale: int, rate: int, replaced: int, tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.avi", frames=FIRST, codec="mpeg4")
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"strh") + 28, scale, rate)
    path.write_bytes(data)
    found, got = run(path)
    assert (found.status == "ok", found.counts["rate_replaced"]) == (not replaced, replaced)
    assert len(got) == FIRST
    np.testing.assert_allclose(found.times_s, np.arange(FIRST) / (30 if replaced else rate), atol=0.002)
