"""What a curve shows, and where; which frames are shown beside it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from support.reported import FRAME_RATE, video

from lavad_core.reports.charts import chart
from lavad_core.reports.score_curve import Colours, draw_curve
from lavad_core.reports.video import FrameSpan, VideoReport, key_frames


def artists(report: VideoReport) -> dict[str, list[tuple[float, float]]]:
    """Name of what is drawn to its first and last second."""
    axes = Figure().add_subplot()
    draw_curve(axes, report, Colours())
    found: dict[str, list[tuple[float, float]]] = {}
    for patch in axes.patches:
        found.setdefault(patch.get_gid().split("-")[0], []).append((patch.get_x(), patch.get_x() + patch.get_width()))
    for line in axes.lines:
        if line.get_gid():
            seconds = line.get_xdata()
            found.setdefault(line.get_gid().split("-")[0], []).append((seconds[0], seconds[-1]))
    return found


def test_events_segments_and_scores_are_where_they_belong() -> None:
    spans = [FrameSpan(160, 319, "fire"), FrameSpan(700, 900, "beyond the end")]
    drawn = artists(video(truth=spans, found=[FrameSpan(0, 15), FrameSpan(160, 239)]))
    np.testing.assert_allclose(drawn["truth"], [(160 / FRAME_RATE, 320 / FRAME_RATE), (700 / FRAME_RATE, 50)])
    np.testing.assert_allclose(drawn["found"], [(0, 16 / FRAME_RATE), (160 / FRAME_RATE, 16)])
    np.testing.assert_allclose(drawn["score"], [(0, 50)])
    np.testing.assert_allclose(drawn["raw"], [(0, 50)])


@pytest.mark.parametrize("frames", [1, 2, 17], ids=["one frame", "two frames", "two grid frames"])
def test_short_videos_have_curves(frames: int) -> None:
    short = video(frames=frames, truth=[FrameSpan(0, 0)], found=[])
    assert set(artists(short)) == {"truth", "score", "raw"}
    assert chart(short).score.startswith("M0 ")
    assert len(key_frames(short)) == len(short.grid)


@pytest.mark.parametrize(
    ("truth", "found", "overlap"),
    [
        ([FrameSpan(0, 99)], [FrameSpan(0, 99)], 1.0),
        ([FrameSpan(0, 99)], [FrameSpan(50, 149)], 1 / 3),
        ([FrameSpan(0, 99), FrameSpan(50, 149)], [FrameSpan(0, 149)], 1.0),
        ([FrameSpan(0, 99)], [], 0.0),
        ([], [FrameSpan(0, 99)], 0.0),
        ([], [], None),
        (None, [FrameSpan(0, 99)], None),
    ],
    ids=["the same", "a third", "overlapping events", "missed", "false alarm", "nothing", "no labels"],
)
def test_overlap(truth: list[FrameSpan] | None, found: list[FrameSpan], overlap: float | None) -> None:
    assert video(truth=truth, found=found).overlap == (None if overlap is None else pytest.approx(overlap))


def test_key_frames_are_the_peak_a_frame_before_and_what_happens() -> None:
    shown = key_frames(video())
    assert [(frame.at.frame, frame.why) for frame in shown] == [(80, "before"), (192, "peak"), (224, "fire"), (736, "")]
    several = key_frames(video(truth=[FrameSpan(300, 400, "a"), FrameSpan(500, 600, "b")], found=[FrameSpan(192, 200)]))
    assert [frame.why for frame in several] == ["before", "peak", "a", "b"]
