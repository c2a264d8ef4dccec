"""The overlay: every frame of the source at its own time, and below it what is known about the moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.reported import video
from support.video_factory import make_frames, make_video, read_index

from lavad_core.config.steps import VideoConfig
from lavad_core.errors import VideoRejected
from lavad_core.reports import overlay
from lavad_core.reports.overlay import ANOMALOUS, EDGE, NORMAL, overlay_layout, write_overlay
from lavad_core.reports.pictures import DecodableVideo
from lavad_core.reports.video import FrameSpan, VideoReport
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.types import NATIVE, FrameRequest, Probe, VideoSource

LIMITS = VideoConfig().limits


def footage(path: Path, kind: str = "file") -> DecodableVideo:
    source = VideoSource("clip", path, kind)  # type: ignore[arg-type]
    return DecodableVideo(source, probe(source, LIMITS, 12.5), LIMITS)


def report(found: Probe, truth: Sequence[FrameSpan] = (FrameSpan(16, 31, "fire"),)) -> VideoReport:
    """The score is 0.9 from frame 192 to 207, 0.7 around it, else 0.1."""
    made = video("clip", found.frames, truth, found=())
    return replace(made, scored=replace(made.scored, times_s=found.times_s))


def rate(path: Path) -> Fraction | None:
    with av.open(str(path)) as media:
        return media.streams.video[0].average_rate


CASES = {
    "30": {"fps": 30},
    "ntsc": {"fps": Fraction(30000, 1001)},
    "15 with B-frames": {"fps": 15, "b_frames": 3},
    "odd size": {"fps": 25, "size": (98, 66)},
    "one frame": {"frames": 1},
    "matroska": {"fps": 24},
}


@pytest.mark.parametrize("case", CASES)
def test_frame_count_times_and_rate_are_the_sources(case: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / f"in.{'mkv' if case == 'matroska' else 'mp4'}", **({"frames": 40} | CASES[case]))
    given = footage(path)
    write_overlay(report(given.probe), given, tmp_path / "out.mp4")
    made = footage(tmp_path / "out.mp4")
    assert (made.probe.codec, made.probe.status) == ("h264", "ok")
    assert made.probe.frames == given.probe.frames
    np.testing.assert_allclose(made.probe.times_s, given.probe.times_s, atol=1e-4)
    if case not in ("matroska", "one frame"):  # stamps are whole milliseconds; nothing tells its rate
        assert rate(tmp_path / "out.mp4") == rate(path)


def test_frames_of_a_variable_rate_stay_at_their_times(tmp_path: Path) -> None:
    stamps = [0, 1, 5, 6, 20, 21, 22, 60]
    given = footage(make_video(tmp_path / "in.mp4", frames=8, pts=stamps, time_base=Fraction(1, 50)))
    write_overlay(report(given.probe), given, tmp_path / "out.mp4")
    np.testing.assert_allclose(footage(tmp_path / "out.mp4").probe.times_s, np.array(stamps) / 50, atol=1e-4)


def test_a_folder_of_frames_becomes_a_video(tmp_path: Path) -> None:
    given = footage(make_frames(tmp_path / "frames", [0, 1, 3, 4]), "frames")
    write_overlay(report(given.probe), given, tmp_path / "out.mp4")
    assert footage(tmp_path / "out.mp4").probe.frames == 5
    assert rate(tmp_path / "out.mp4") == Fraction(25, 2)


def test_each_frame_shows_its_picture_its_score_and_its_moment(tmp_path: Path) -> None:
    given = footage(make_video(tmp_path / "in.mp4", frames=240, fps=15))
    seen: list[int] = []
    write_overlay(report(given.probe), given, tmp_path / "out.mp4", seen.append)
    assert seen == list(range(240))
    made, sizes = footage(tmp_path / "out.mp4"), overlay_layout(given.probe)
    wanted = [0, 20, 159, 160, 200, 239]
    with open_frames(made.source, [FrameRequest(NATIVE, wanted)], made.probe, LIMITS) as frames:
        images = {frame.index: frame.image for frame in frames}
    left, (width, height) = (sizes.width - sizes.frame[0]) // 2, sizes.frame
    columns = []
    for index, image in images.items():
        assert image.shape == (sizes.height, sizes.width, 3)
        assert read_index(image[EDGE : EDGE + height, left : left + width]) == index
        expected = ANOMALOUS if 160 <= index < 240 else NORMAL
        edge = image[1 : EDGE - 1, left : left + width].reshape(-1, 3).mean(axis=0)
        assert np.abs(edge - expected).max() < 30, index
        band = image[height + 2 * EDGE + overlay.TEXT_HEIGHT :][: overlay.CURVE_HEIGHT // 2].mean(axis=2)
        columns.append(int((band > 200).mean(axis=0).argmax()))
    assert columns == sorted(columns)
    assert columns[-1] - columns[0] > 0.85 * sizes.width
    texts = [image[height + 2 * EDGE :][: overlay.TEXT_HEIGHT].astype(int) for image in images.values()]
    assert np.abs(texts[0] - texts[1]).mean() > 1  # another time, and the label


@pytest.mark.parametrize(
    ("size", "whole"),
    [
        ((96, 64), (648, 632)),
        ((640, 360), (648, 564)),
        ((1920, 1080), (1288, 924)),
        ((64, 2000), (640, 922)),
        ((2000, 20), (1308, 218)),
    ],
    ids=["small", "as it is", "large", "tall", "wide"],
)
def test_sizes(size: tuple[int, int], whole: tuple[int, int]) -> None:
    found = Probe("ok", "", 1, np.zeros(1, np.int64), Fraction(1, 25), (), *size, 0, "h264", "mp4", None, {})
    assert (overlay_layout(found).width, overlay_layout(found).height) == whole


def test_a_failed_overlay_leaves_nothing_and_replaces_nothing(tmp_path: Path) -> None:
    given = footage(make_video(tmp_path / "in.mp4", frames=20))
    (tmp_path / "out.mp4").write_bytes(b"before")
    gone = DecodableVideo(VideoSource("clip", tmp_path / "gone.mp4"), given.probe, LIMITS)
    with pytest.raises(VideoRejected):
        write_overlay(report(given.probe), gone, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    with pytest.raises(OSError, match="No such file"):
        write_overlay(report(given.probe), given, tmp_path / "nowhere" / "out.mp4")
