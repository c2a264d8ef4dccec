"""Healthy videos over codecs, containers and oddities: the right frame at every index, and no gap reported."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.video_factory import make_video, picture, read_index, turn
from support.video_limits import default_limits

from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.limits import Limits
from lavad_core.video.types import NATIVE, FrameRequest, Geometry, Probe, VideoSource

EVERY_FRAME = [FrameRequest(NATIVE, every=1)]

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "h264 mp4, B-frames": ("v.mp4", {"b_frames": 3}),
    "h264 mp4, no B-frames": ("v.mp4", {"b_frames": 0}),
    "h264 mp4, open groups": ("v.mp4", {"b_frames": 3, "gop": 12, "options": {"x264-params": "open-gop=1"}}),
    "h264 mp4, with sound": ("v.mp4", {"audio": True}),
    "h264 mp4, fragmented": ("v.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "h264 mp4, index in front": ("v.mp4", {"container_options": {"movflags": "faststart"}}),
    "h264 mov": ("v.mov", {"b_frames": 2}),
    "h264 mkv": ("v.mkv", {"b_frames": 2}),
    "h264 mkv, with sound": ("v.mkv", {"audio": True}),
    "h264 mpegts": ("v.ts", {"b_frames": 2}),
    "h264 flv": ("v.flv", {"b_frames": 2}),
    "h264 avi, stamps in decode order": ("v.avi", {"b_frames": 2}),
    "h264 raw, no stamps": ("v.264", {"container": "h264", "b_frames": 2}),
    "h264 interlaced": ("v.mp4", {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}}),
    "h264 10 bit": ("v.mp4", {"pix_fmt": "yuv420p10le"}),
    "h264 4:4:4": ("v.mp4", {"pix_fmt": "yuv444p"}),
    "h264 grey": ("v.mp4", {"pix_fmt": "gray"}),
    "h264 full range": ("v.mp4", {"pix_fmt": "yuvj420p"}),
    "h264 first stamp 3 s": ("v.mp4", {"pts": range(90, 138)}),
    "h264 mpegts, first stamp 3 s": ("v.ts", {"pts": range(90, 138)}),
    "h264 mkv, first stamp 3 s": ("v.mkv", {"pts": range(90, 138)}),
    "h264 flv, first stamp 3 s": ("v.flv", {"pts": range(90, 138)}),
    "h264 24000/1001 per second": ("v.mp4", {"fps": Fraction(24000, 1001)}),
    "hevc mp4": ("v.mp4", {"codec": "libx265"}),
    "hevc raw, no stamps": ("v.hevc", {"codec": "libx265", "container": "hevc"}),
    "hevc mkv 10 bit": ("v.mkv", {"codec": "libx265", "pix_fmt": "yuv420p10le"}),
    "mpeg4 avi, B-frames": ("v.avi", {"codec": "mpeg4", "b_frames": 2}),
    "mpeg4 mp4, B-frames": ("v.mp4", {"codec": "mpeg4", "b_frames": 2}),
    "mpeg4 raw": ("v.m4v", {"codec": "mpeg4", "container": "m4v"}),
    "mpeg2 mpeg, B-frames": ("v.mpg", {"codec": "mpeg2video", "b_frames": 2, "container": "vob"}),
    "mpeg2 mpegts": ("v.ts", {"codec": "mpeg2video", "b_frames": 2}),
    "mpeg1 mpeg": ("v.mpg", {"codec": "mpeg1video", "b_frames": 2, "container": "mpeg"}),
    "mjpeg avi": ("v.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "wmv2 asf": ("v.wmv", {"codec": "wmv2", "container": "asf"}),
    "vp8 webm": ("v.webm", {"codec": "libvpx"}),
    "vp8 webm, invisible references": (
        "v.webm",
        {
            "codec": "libvpx",
            "frames": 64,
            "options": {"deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5"},
        },
    ),
    "vp9 webm, invisible references": (
        "v.webm",
        {
            "codec": "libvpx-vp9",
            "frames": 64,
            "options": {"deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16"},
        },
    ),
    "vp8 ogv": ("v.ogv", {"codec": "libvpx", "container": "ogg"}),
    "av1 mp4": ("v.mp4", {"codec": "libsvtav1"}),
    "av1 mkv": ("v.mkv", {"codec": "libsvtav1"}),
    "ffv1 mkv": ("v.mkv", {"codec": "ffv1"}),
    "prores mov": ("v.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "one frame": ("v.mp4", {"frames": 1}),
    "two frames": ("v.mp4", {"frames": 2}),
    "odd size": ("v.mkv", {"codec": "ffv1", "size": (97, 63)}),
    "odd size 4:4:4": ("v.mp4", {"size": (101, 67), "pix_fmt": "yuv444p"}),
}


@pytest.fixture(scope="module")
def limits() -> Limits:
    return default_limits()


def indices(
    source: VideoSource, found: Probe, limits: Limits, requests: list[FrameRequest] = EVERY_FRAME
) -> list[tuple[int, int]]:
    """(index, index that the picture shows) of all delivered frames."""
    with open_frames(source, requests, found, limits) as frames:
        return [(frame.index, read_index(frame.image)) for frame in frames]


@pytest.mark.parametrize("case", CASES)
def test_every_frame_is_the_right_one(case: str, tmp_path: Path, limits: Limits) -> None:
    name, how = CASES[case]
    source = VideoSource("v", make_video(tmp_path / name, **how))
    number = how.get("frames", 48)

    found = probe(source, limits, 30.0)

    assert (found.status, found.reason, found.gaps) == ("ok", "", ())
    assert found.frames == number == found.counts["frames_decoded"]
    assert (found.width, found.height) == how.get("size", (96, 64))
    rate = float(how.get("fps", 30))
    if not name.endswith((".264", ".hevc", ".m4v")):  # these have no time of their own
        np.testing.assert_allclose(found.times_s, np.arange(number) / rate, atol=0.0021)
    assert indices(source, found, limits) == [(i, i) for i in range(number)]


def test_variable_frame_rate(tmp_path: Path, limits: Limits) -> None:
    stamps = np.cumsum(np.random.default_rng(1).integers(20, 400, 48)).tolist()
    path = make_video(tmp_path / "v.mp4", pts=stamps, time_base=Fraction(1, 1000), b_frames=2)
    source = VideoSource("v", path)

    found = probe(source, limits, 30.0)

    assert found.status == "ok"
    np.testing.assert_allclose(found.times_s, (np.array(stamps) - stamps[0]) / 1000, atol=0.002)
    assert indices(source, found, limits) == [(i, i) for i in range(48)]


def test_a_long_pause_is_not_a_gap(tmp_path: Path, limits: Limits) -> None:
    stamps = [*range(30), *range(3000, 3018)]
    source = VideoSource("v", make_video(tmp_path / "v.mkv", pts=stamps))
    found = probe(source, limits, 30.0)
    assert (found.status, found.frames) == ("ok", 48)
    assert found.times_s[30] == pytest.approx(100.0, abs=0.002)


def test_an_edit_list_hides_the_first_frames(tmp_path: Path, limits: Limits) -> None:
    """Packets before the start of the edit list are decoded and not shown."""
    make_video(tmp_path / "whole.mp4", frames=48, gop=48, b_frames=0)
    with av.open(str(tmp_path / "whole.mp4")) as whole, av.open(str(tmp_path / "v.mp4"), "w") as cut:
        stream = whole.streams.video[0]
        out = cut.add_stream_from_template(stream)
        for packet in whole.demux(stream):
            if packet.dts is not None:
                packet.pts -= 10 * 512
                packet.dts -= 10 * 512
                packet.stream = out
                cut.mux(packet)
    source = VideoSource("v", tmp_path / "v.mp4")
    found = probe(source, limits, 30.0)
    assert found.status == "ok"
    shown = indices(source, found, limits)
    assert [index for index, _ in shown] == list(range(found.frames))
    assert [seen for _, seen in shown] == list(range(48 - found.frames, 48))
    assert found.frames == 38


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_makes_pictures_upright(degrees: int, tmp_path: Path, limits: Limits) -> None:
    def draw(index: int, size: tuple[int, int]) -> np.ndarray:
        # as a camera does that was turned: upright after a clockwise turn
        upright = picture(index, (96, 64))
        return np.ascontiguousarray(np.rot90(upright, k=degrees // 90))

    size = (64, 96) if degrees in (90, 270) else (96, 64)
    path = turn(make_video(tmp_path / "v.mp4", frames=20, size=size, draw=draw), degrees)
    source = VideoSource("v", path)

    found = probe(source, limits, 30.0)

    assert (found.rotation, found.width, found.height) == (degrees, 96, 64)
    with open_frames(source, EVERY_FRAME, found, limits) as frames:
        for frame in frames:
            assert frame.image.shape == (64, 96, 3)
            assert read_index(frame.image) == frame.index
            assert frame.image[:12, :40].mean() > 160 > 96 > frame.image[:12, 56:].mean()


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_colours_follow_the_declared_matrix(matrix: str, tmp_path: Path, limits: Limits) -> None:
    # Red in limited-range YCbCr: (63, 102, 240) by BT.709, (81, 90, 240) by BT.601.
    y, u, v = {"bt709": (63, 102, 240), "smpte170m": (81, 90, 240)}[matrix]
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as media:
        stream = media.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace = {"bt709": 1, "smpte170m": 6}[matrix]
        stream.codec_context.color_range = 1
        planes = np.concatenate([np.full(64 * 64, y), np.full(32 * 32, u), np.full(32 * 32, v)]).astype(np.uint8)
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(planes.reshape(96, 64), format="yuv420p")
            frame.pts = number
            media.mux(stream.encode(frame))
        media.mux(stream.encode())
    source = VideoSource("v", path)
    with open_frames(source, [FrameRequest(NATIVE, frames=(2,))], probe(source, limits, 30.0), limits) as frames:
        colour = next(frames).image[32, 32].astype(int)
    assert np.abs(colour - (255, 0, 0)).max() <= 4, colour


def test_several_requests_share_one_pass(tmp_path: Path, limits: Limits) -> None:
    source = VideoSource("v", make_video(tmp_path / "v.mp4", frames=50, size=(96, 64)))
    found = probe(source, limits, 30.0)
    requests = [
        FrameRequest(Geometry("square", 32), every=16),
        FrameRequest(NATIVE, frames=(3, 16, 17)),
        FrameRequest(Geometry("short_side", 16), frames=()),
        FrameRequest(Geometry("short_side", 32), frames=(16, 49)),
    ]
    with open_frames(source, requests, found, limits) as frames:
        got = [(f.index, f.request, f.image.shape[:2], read_index(f.image), f.substituted) for f in frames]
    assert got == [
        (0, 0, (32, 32), 0, False),
        (3, 1, (64, 96), 3, False),
        (16, 0, (32, 32), 16, False),
        (16, 1, (64, 96), 16, False),
        (16, 3, (32, 48), 16, False),
        (17, 1, (64, 96), 17, False),
        (32, 0, (32, 32), 32, False),
        (48, 0, (32, 32), 48, False),
        (49, 3, (32, 48), 49, False),
    ]


def test_nothing_wanted_nothing_sent(tmp_path: Path, limits: Limits) -> None:
    source = VideoSource("v", make_video(tmp_path / "v.mp4", frames=5))
    found = probe(source, limits, 30.0)
    assert indices(source, found, limits, [FrameRequest(NATIVE, frames=())]) == []
    assert indices(source, found, limits, []) == []


@pytest.mark.parametrize("threads", [1, 2, 0])
def test_threads_change_nothing(threads: int, tmp_path: Path, limits: Limits) -> None:
    source = VideoSource("v", make_video(tmp_path / "v.mp4", b_frames=3))
    limits = replace(limits, threads=threads)
    found = probe(source, limits, 30.0)
    assert indices(source, found, limits) == [(i, i) for i in range(48)]


def test_pictures_are_read_only(tmp_path: Path, limits: Limits) -> None:
    source = VideoSource("v", make_video(tmp_path / "v.mp4", frames=2))
    found = probe(source, limits, 30.0)
    with open_frames(source, EVERY_FRAME, found, limits) as frames:
        image = next(frames).image
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        found.pts[0] = 1
