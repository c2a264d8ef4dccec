"""What headers announce is believed as far as it can be true, and a header that hides frames is found out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from support.video_factory import make_frames, make_video
from support.video_limits import default_limits

from lavad_core.errors import VideoRejected
from lavad_core.pipeline.execute import REJECTED_BY_CONTENT
from lavad_core.video.decoder import probe
from lavad_core.video.numbered_frames import number_frames, without_jumps
from lavad_core.video.types import Probe, VideoSource

FRAMES = 60

Damage = Callable[[bytearray], None]


def look(path: Path) -> Probe:
    return probe(VideoSource("v", path), default_limits(threads=1), 30.0)


def put(kind: bytes, offset: int, value: bytes, nth: int = 0) -> Damage:
    """Other bytes in the payload of the nth box of a kind."""

    def damage(data: bytearray) -> None:
        at = -1
        for _ in range(nth + 1):
            at = data.index(kind, at + 1)
        data[at + 4 + offset : at + 4 + offset + len(value)] = value

    return damage


def renamed(kind: bytes, nth: int) -> Damage:
    return put(kind, -4, b"zzzz", nth)


DASH: dict[str, Damage] = {
    "a part that names another track": put(b"tfhd", 4, (7).to_bytes(4, "big"), 2),
    "flags of a part": put(b"tfhd", 0, b"\1\xff\xff\xff", 2),
    "a part without its header": renamed(b"tfhd", 2),
    "a part without its run": renamed(b"trun", 1),
    "the last part without its run": renamed(b"trun", 4),
    "a fragment without its part": renamed(b"traf", 2),
    "a segment of hours": put(b"sidx", 36, (1 << 24).to_bytes(4, "big")),
    "a segment of minutes": put(b"sidx", 48, (1 << 20).to_bytes(4, "big")),
    "an index of another clock": put(b"sidx", 8, (1000).to_bytes(4, "big")),
    "media of another clock": put(b"mdhd", 12, (1 << 16).to_bytes(4, "big")),
}


@pytest.fixture(scope="module")
def dash(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof+dash+global_sidx"}
    path = make_video(
        tmp_path_factory.mktemp("dash") / "v.mp4", frames=FRAMES, gop=12, b_frames=0, container_options=options
    )
    return path.read_bytes()


@pytest.mark.parametrize("damage", DASH.values(), ids=DASH)
def test_a_damaged_fragment_or_index_is_said_and_no_number_is_impossible(
    damage: Damage, dash: bytes, tmp_path: Path
) -> None:
    data = bytearray(dash)
    damage(data)
    (tmp_path / "v.mp4").write_bytes(data)
    found = look(tmp_path / "v.mp4")
    good = found.frames - len(found.gaps)
    assert found.status == "ok_with_gaps"
    assert FRAMES <= good + found.counts["frames_missing"] <= FRAMES + 2 or "the least" in found.reason


def test_a_cut_file_is_believed_by_its_index(dash: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(dash[: dash.index(b"moof", len(dash) // 3) - 4])
    found = look(tmp_path / "v.mp4")
    assert 0 < found.frames < FRAMES
    assert (found.status, found.frames + found.counts["frames_missing"]) == ("ok_with_gaps", FRAMES)


def test_sample_durations_that_hide_a_frame_between_others_are_found_out(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=FRAMES, gop=60, b_frames=2, options={"x264-params": "scenecut=0"})
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") + 12
    step = int.from_bytes(data[at + 4 : at + 8], "big")
    shorts = []
    for changed in range(step - 8, step + 12):
        data[at + 4 : at + 8] = changed.to_bytes(4, "big")
        path.write_bytes(data)
        found = look(path)
        if found.frames - len(found.gaps) < FRAMES:
            shorts.append((found.status, found.frames + found.counts["missing_tail"]))
    assert shorts
    assert set(shorts) == {("ok_with_gaps", FRAMES)}


@pytest.mark.parametrize("start", [10.0, 10.5])
def test_a_cut_by_copying_with_b_frames_is_whole(start: float, tmp_path: Path) -> None:
    """As FFmpeg's ``-ss … -t … -c copy``: it hides what comes before, and lacks frames that are shown before its last ones."""
    make_video(tmp_path / "whole.mp4", frames=FRAMES, gop=FRAMES, b_frames=2, options={"x264-params": "scenecut=0"})
    with av.open(str(tmp_path / "whole.mp4")) as whole, av.open(str(tmp_path / "v.mp4"), "w") as cut:
        stream = whole.streams.video[0]
        out = cut.add_stream_from_template(stream)
        for packet in list(whole.demux(stream))[:45]:
            if packet.dts is not None:
                shift = round(start * 512)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, out
                cut.mux(packet)
    found = look(tmp_path / "v.mp4")
    assert (found.status, found.reason) == ("ok", "")
    assert found.frames + found.counts["hidden_packets"] == 45


def test_sample_durations_of_another_rate_are_said(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=FRAMES)
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") + 16
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") // 2).to_bytes(4, "big")
    path.write_bytes(data)
    found = look(path)
    assert (found.status, found.frames + found.counts["missing_tail"]) == ("ok_with_gaps", FRAMES)
    assert "times may be wrong" in found.reason


def test_a_duration_that_nothing_supports_is_not_believed(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.flv", frames=FRAMES)
    data = bytearray(path.read_bytes())
    at = data.index(b"duration") + 9
    data[at : at + 8] = struct.pack(">d", 400_000.0)
    path.write_bytes(data)
    found = look(path)
    assert (found.status, found.frames, found.counts["frames_missing"]) == ("ok_with_gaps", FRAMES, 0)
    assert "the least" in found.reason


def test_a_table_that_takes_any_memory_is_the_files_own_fault(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", frames=FRAMES)
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") + 8
    data[at : at + 4] = b"\xff\xff\xff\xf0"
    path.write_bytes(data)
    with pytest.raises(VideoRejected, match="repair it") as caught:
        look(path)
    assert caught.value.reason in REJECTED_BY_CONTENT


@pytest.mark.parametrize(("codec", "options"), [("libtheora", {}), ("libvpx", {"deadline": "realtime"})])
def test_headers_of_joined_ogg_files_are_no_frames(codec: str, options: dict[str, str], tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg does not write {codec}")
    parts = [
        make_video(tmp_path / f"{frames}.ogv", frames=frames, codec=codec, container="ogg", options=options)
        for frames in (20, 30)
    ]
    joined = tmp_path / "v.ogv"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = look(joined)
    assert (found.status, found.reason, found.frames, found.counts["frames_missing"]) == ("ok", "", 50, 0)
    joined.write_bytes(joined.read_bytes()[:-2000])
    assert look(joined).status == "ok_with_gaps"


@pytest.mark.parametrize("name", ["v.avi", "v.mkv"])
def test_the_stream_that_is_decoded_is_the_one_that_is_checked(name: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / name), "w") as media:
        small = make_video(tmp_path / "small.mp4", frames=12, size=(64, 48), codec="mpeg4")
        large = make_video(tmp_path / "large.mp4", frames=FRAMES, size=(192, 128), codec="mpeg4")
        sources = [av.open(str(path)) for path in (small, large)]
        streams = [media.add_stream_from_template(source.streams.video[0]) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    media.mux(packet)
            source.close()
    found = look(tmp_path / name)
    assert (found.status, found.frames) in (("ok", 12), ("ok", FRAMES))


NUMBERS: dict[str, tuple[list[int], list[int], int]] = {
    "one stray number behind": ([*range(100), 123_456], list(range(101)), 1),
    "a date behind": ([*range(1, 50), 20_240_101], list(range(50)), 1),
    "two recordings": ([*range(50), *range(10**6, 10**6 + 50)], list(range(100)), 1),
    "more digits than a number has": ([*range(20), int("9" * 400)], list(range(21)), 1),
    "only a stray number": ([123_456], [0], 1),
    "a part of a longer video": (list(range(5000, 5100)), list(range(5000, 5100)), 0),
    "every 16th frame": (list(range(0, 1600, 16)), list(range(0, 1600, 16)), 0),
    "a hole that can be": ([*range(10), 500], [*range(10), 500], 0),
    "from one": (list(range(1, 101)), list(range(100)), 0),
}


@pytest.mark.parametrize(("numbers", "indices", "jumps"), NUMBERS.values(), ids=NUMBERS)
def test_a_jump_of_the_numbers_makes_no_frames(numbers: list[int], indices: list[int], jumps: int) -> None:
    named, _ = number_frames([f"{number}.jpg" for number in numbers])
    found, out = without_jumps(named)
    assert (list(found), len(out)) == (indices, jumps)
    assert list(found.values()) == list(named.values())


def test_a_stray_image_is_named(tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "v", [*range(10), 123_456], name="{}.jpg")
    found = probe(VideoSource("v", folder, "frames"), default_limits(), 30.0)
    assert (found.status, found.frames, found.gaps) == ("ok_with_gaps", 11, ())
    assert found.counts["number_jumps"] == 1
    assert "from 9 to 123456, now frame 10" in found.reason
