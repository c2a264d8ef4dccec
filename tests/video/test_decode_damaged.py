"""Damaged and foreign files: each ends ok, ok_with_gaps with honest counts, or rejected with its reason."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from support.video_factory import make_audio, make_video, picture, read_index
from support.video_limits import default_limits

from lavad_core.errors import VideoRejected
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.types import NATIVE, REJECTIONS, FrameRequest, Probe, VideoSource

EVERY_FRAME = [FrameRequest(NATIVE, every=1)]
FRAMES = 96
FASTSTART = {"container_options": {"movflags": "faststart"}}


def run(path: Path) -> tuple[Probe, list[tuple[int, int, bool]]]:
    """The probe, and (index, index that the picture shows, substituted) of every frame."""
    source, limits = VideoSource("v", path), default_limits()
    found = probe(source, limits, 30.0)
    with open_frames(source, EVERY_FRAME, found, limits) as frames:
        return found, [(f.index, read_index(f.image), f.substituted) for f in frames]


def reason_of(path: Path, **changes: Any) -> str:
    with pytest.raises(VideoRejected) as caught:
        probe(VideoSource("v", path), default_limits(**changes), 30.0)
    assert caught.value.reason in REJECTIONS
    assert str(caught.value).startswith("'v': ")
    return caught.value.reason


def drop(path: Path, out: Path, lost: Callable[[int], bool]) -> Path:
    """Copy a video without its packets of those numbers (decode order)."""
    with av.open(str(path)) as whole, av.open(str(out), "w") as part:
        stream = whole.streams.video[0]
        copy = part.add_stream_from_template(stream)
        for number, packet in enumerate(whole.demux(stream)):
            if packet.dts is not None and not lost(number):
                packet.stream = copy
                part.mux(packet)
    return out


def spoil(path: Path, lost: Callable[[int], bool]) -> Path:
    """Overwrite the content of packets of those numbers in an MP4 file."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as media:
        for number, packet in enumerate(media.demux(video=0)):
            if packet.size and lost(number):
                data[packet.pos + 4 : packet.pos + packet.size] = bytes([0xFF]) * (packet.size - 4)
    path.write_bytes(data)
    return path


TRUNCATED = {
    "mp4, index in front": ("v.mp4", FASTSTART, True),
    "mkv": ("v.mkv", {}, True),
    "webm": ("v.webm", {"codec": "libvpx"}, True),
    "avi": ("v.avi", {"codec": "mpeg4"}, True),
    "mpegts, within a packet": ("v.ts", {}, False),
}


@pytest.mark.parametrize("case", TRUNCATED)
def test_a_truncated_video_says_so(case: str, tmp_path: Path) -> None:
    name, how, counted = TRUNCATED[case]
    path = make_video(tmp_path / name, frames=FRAMES, gop=24, **how)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10 // 188 * 188 + 100])

    found, got = run(path)

    assert found.status == "ok_with_gaps"
    assert found.reason
    assert 0 < found.frames < FRAMES
    assert found.counts["cut_bytes"] > 0
    if counted:
        assert found.counts["missing_tail"] > 0
        missing = found.counts["frames_missing"] - len(found.gaps)
        assert abs(found.frames + missing - FRAMES) <= 1
    assert [index for index, _, _ in got] == list(range(found.frames))
    wrong = [index for index, seen, substituted in got if not substituted and seen != index]
    assert len(wrong) <= found.counts["corrupt_frames"] + found.counts["corrupt_packets"] + 1


def test_an_mp4_without_its_index_is_rejected(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=FRAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason_of(path) == "format"


@pytest.mark.parametrize("b_frames", [0, 2])
def test_packets_that_do_not_decode_are_gaps(b_frames: int, tmp_path: Path) -> None:
    """Frames behind the gap keep their index; the missing ones come as their nearest earlier frame."""
    path = make_video(tmp_path / "v.mp4", frames=FRAMES, gop=24, b_frames=b_frames)
    spoil(path, lambda number: 30 <= number < 48)

    found, got = run(path)

    assert found.status == "ok_with_gaps"
    assert found.frames == FRAMES
    assert found.counts["frames_decoded"] + len(found.gaps) == FRAMES
    assert found.gaps
    assert set(found.gaps) <= set(range(24, 48))
    assert tuple(index for index, _, substituted in got if substituted) == found.gaps
    assert [(i, seen) for i, seen, _ in got if i >= 48] == [(i, i) for i in range(48, FRAMES)]
    assert [(i, seen) for i, seen, _ in got if i < 24] == [(i, i) for i in range(24)]
    first = found.gaps[0]
    assert all(seen <= index and not index > first + 24 for index, seen, substituted in got if substituted)


def test_a_gap_at_the_start_comes_as_the_next_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=48, gop=24, b_frames=0)
    spoil(path, lambda number: number < 24)
    found, got = run(path)
    # nothing before the first decoded frame is part of the video, but it is counted
    assert (found.frames, found.counts["frames_missing"]) == (24, 24)
    assert [seen for _, seen, _ in got] == list(range(24, 48))


def test_lost_transport_packets_are_gaps(tmp_path: Path) -> None:
    """The demuxer loses whole frames without a trace; a constant rate and the damage around the hole give them away."""
    path = make_video(tmp_path / "v.ts", frames=FRAMES, gop=24, b_frames=2)
    data = bytearray(path.read_bytes())
    start, end = (len(data) // 2 // 188) * 188, (len(data) * 6 // 10 // 188) * 188
    data[start:end] = bytes(end - start)
    path.write_bytes(data)

    found, got = run(path)

    assert (found.status, found.frames) == ("ok_with_gaps", FRAMES)
    assert found.gaps
    assert [(i, seen) for i, seen, sub in got if i >= found.gaps[-1] and not sub] == [
        (i, i) for i in range(found.gaps[-1] + 1, FRAMES)
    ]


def test_a_variable_rate_video_that_leaves_frames_out_is_healthy(tmp_path: Path) -> None:
    """The same holes as above, without damage."""
    path = drop(make_video(tmp_path / "w.mp4", frames=FRAMES, gop=1), tmp_path / "v.mp4", lambda n: 40 <= n < 50)
    found, got = run(path)
    assert (found.status, found.frames, found.gaps) == ("ok", FRAMES - 10, ())
    assert [seen for _, seen, _ in got] == [*range(40), *range(50, FRAMES)]


FOREIGN: dict[str, tuple[bytes, str]] = {
    "zero bytes": (b"", "empty"),
    "one byte": (b"\0", "format"),
    "text": (b"this is not a video\n" * 50, "format"),
    "ffconcat script": (b"ffconcat version 1.0\nfile good.mp4\n", "format"),
    "HLS playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ngood.mp4\n#EXT-X-ENDLIST\n", "format"),
    "session description": (
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "format",
    ),
    "XML": (b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "format"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "format"),
    "zeros": (bytes(100_000), "format"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_content_is_rejected(case: str, tmp_path: Path) -> None:
    make_video(tmp_path / "good.mp4", frames=5)
    content, reason = FOREIGN[case]
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    assert reason_of(path) == reason


def test_other_things_are_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert reason_of(tmp_path / "absent.mp4") == "missing"
    assert reason_of(tmp_path / "pipe.mp4") == "missing"
    assert reason_of(tmp_path / "folder.mp4") in ("missing", "unreadable")
    assert reason_of(tmp_path / "link.mp4") == "missing"
    assert reason_of(make_audio(tmp_path / "sound.mp4")) == "no-video"
    if os.geteuid():  # nothing is unreadable to root
        make_video(tmp_path / "v.mp4", frames=2).chmod(0)
        assert reason_of(tmp_path / "v.mp4") == "unreadable"


def test_a_format_outside_the_whitelist_is_rejected(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mkv", frames=5)
    assert reason_of(path, formats=("avi", "mov,mp4,m4a,3gp,3g2,mj2")) == "format"
    assert probe(VideoSource("v", path), default_limits(formats=("matroska,webm",)), 30.0).frames == 5


def test_limits_reject(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=20)
    assert reason_of(path, max_pixels=96 * 64 - 1) == "too-large"
    assert reason_of(path, max_frames=19) == "too-large"
    assert probe(VideoSource("v", path), default_limits(max_frames=20, max_pixels=96 * 64), 30.0).status == "ok"


def test_a_video_without_a_good_packet_is_rejected(tmp_path: Path) -> None:
    path = spoil(make_video(tmp_path / "v.mp4", frames=10), lambda number: True)
    assert reason_of(path) == "no-frames"


def test_a_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    limits = default_limits()
    source = VideoSource("v", make_video(tmp_path / "v.mp4", frames=40))
    found = probe(source, limits, 30.0)
    make_video(tmp_path / "v.mp4", frames=30)
    with (
        pytest.raises(VideoRejected, match=r"frame \d+ could be decoded before") as caught,
        open_frames(source, EVERY_FRAME, found, limits) as frames,
    ):
        assert len(list(frames)) == 40
    assert caught.value.reason == "changed"


@pytest.mark.parametrize(
    "name",
    ["-v.mp4", "a\nb.mp4", "\x1b[31m.mp4", "\u202egpj.mp4", "x" * 251 + ".mp4", "\udcff.mp4", "a:b.mp4", "%d.mp4"],
)
def test_odd_names_open(name: str, tmp_path: Path) -> None:
    make_video(tmp_path / "v.mp4", frames=3).rename(tmp_path / name)
    found = probe(VideoSource("v", tmp_path / name), default_limits(), 30.0)
    assert found.frames == 3


def test_tags_need_not_be_text(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=3)
    data = path.read_bytes()
    assert b"VideoHandler" in data
    path.write_bytes(data.replace(b"VideoHandler", b"Vid\xff\xfeHandler"))
    assert run(path)[0].status == "ok"


FUZZED = {
    "h264 mp4": ("v.mp4", {**FASTSTART, "b_frames": 2}),
    "h264 mkv": ("v.mkv", {"b_frames": 2}),
    "mpeg4 avi": ("v.avi", {"codec": "mpeg4", "b_frames": 2}),
    "hevc ts": ("v.ts", {"codec": "libx265"}),
    "vp9 webm": ("v.webm", {"codec": "libvpx-vp9"}),
}


def fuzz(case: str, seeds: range, tmp_path: Path) -> set[str]:
    """How damaged copies of a video end; each must keep its promises."""
    name, how = FUZZED[case]
    path = make_video(tmp_path / name, frames=30, gop=10, **how)
    healthy = path.read_bytes()
    ends = set()
    for seed in seeds:
        chance = random.Random(seed)
        data = bytearray(healthy)
        for _ in range(chance.choice((3, 30, 300))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            found, got = run(path)
        except VideoRejected as error:
            ends.add("rejected" if error.reason in REJECTIONS else error.reason)
            continue
        ends.add(found.status)
        assert [index for index, _, _ in got] == list(range(found.frames))
        assert found.counts["frames_missing"] >= len(found.gaps)
        assert found.frames - len(found.gaps) <= found.counts["frames_decoded"]
        assert (found.status == "ok") == (found.reason == "")
        if found.status == "ok":
            assert not any(substituted for _, _, substituted in got)
        elif seed % 3 == 1:
            same_again(path, found)
    return ends


@pytest.mark.parametrize("case", FUZZED)
def test_flipped_bytes_never_end_the_parent(case: str, tmp_path: Path) -> None:
    """Each ends in one of the three ways, with counts that agree with each other, and every requested frame or an error."""
    assert fuzz(case, range(4), tmp_path) <= {"ok", "ok_with_gaps", "rejected"}


@pytest.mark.slow
@pytest.mark.parametrize("case", FUZZED)
def test_many_flipped_bytes_never_end_the_parent(case: str, tmp_path: Path) -> None:
    ends = fuzz(case, range(100, 140), tmp_path)
    assert ends <= {"ok", "ok_with_gaps", "rejected"}
    assert "ok_with_gaps" in ends


def same_again(path: Path, found: Probe) -> None:
    """Damage is the same each time, or results would differ from run to run."""
    again = probe(VideoSource("v", path), default_limits(), 30.0)
    assert again.pts.tolist() == found.pts.tolist()
    assert (again.counts, again.gaps) == (found.counts, found.gaps)


def test_a_size_change_in_mid_stream(tmp_path: Path) -> None:
    """Each frame comes at its own size; indices go on."""
    parts = []
    for number, size in enumerate([(96, 64), (64, 96)]):
        part = make_video(
            tmp_path / f"{number}.264",
            frames=10,
            size=size,
            container="h264",
            draw=lambda i, s, n=number: picture(10 * n + i, s),
        )
        parts.append(part.read_bytes())
    (tmp_path / "v.264").write_bytes(b"".join(parts))
    source, limits = VideoSource("v", tmp_path / "v.264"), default_limits()
    found = probe(source, limits, 30.0)
    with open_frames(source, EVERY_FRAME, found, limits) as frames:
        got = [(f.index, read_index(f.image), f.image.shape[:2]) for f in frames]
    assert got == [(i, i, (64, 96) if i < 10 else (96, 64)) for i in range(20)]
