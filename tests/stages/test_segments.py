"""Segments: the texts at their peaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))


def test_segments_have_the_summary_at_their_peak(make_bench: Callable[..., Any], street: VideoSource) -> None:
    resources = make_bench(window={"duration_s": 4.8}, refine={"enabled": False}, detect={"threshold": 0.5})
    video = resources.prepare(street)
    resources.run(video)
    (segment,) = resources.rows(video, "detect")
    assert (segment["start_frame"], segment["peak_score"], segment["summary"]) == (32, 1.0, "first sees level 20")
    assert segment["start_s"] == pytest.approx(3.2), "the window of frame 32 reaches into the bright part"
    cleaned = {row["frame"]: row["caption"] for row in resources.rows(video, "clean")}
    assert segment["caption"] == cleaned[segment["peak_frame"]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"window": {"sampling": "any-frame", "frame_rate": "native"}}, 1),
        ({"clean": {"enabled": False}}, 1),
        ({"detect": {"threshold": 0.5, "min_length_s": 60.0}}, 0),
    ],
    ids=["the nearest cleaned frame's", "cleaning switched off", "no segment"],
)
def test_a_segment_has_the_caption_that_cleaning_left_at_its_peak(
    make_bench: Callable[..., Any], street: VideoSource, settings: dict[str, Any], expected: int
) -> None:
    resources = make_bench(refine={"enabled": False}, **settings)
    video = resources.prepare(street)
    assert resources.run(video) == {}
    found = resources.rows(video, "detect")
    assert len(found) == expected
    cleaned = {row["frame"]: row["caption"] for row in resources.rows(video, "clean")}
    for row in found:
        nearest = min(cleaned, key=lambda frame: (abs(frame - row["peak_frame"]), frame))
        assert row["caption"] == cleaned[nearest]


def test_imported_summaries_have_no_captions_to_show(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    for folder in (texts := tmp_path / "texts", scores := tmp_path / "scores"):
        folder.mkdir()
    (texts / "street.json").write_text(json.dumps({str(frame): f"level {frame}" for frame in GRID}))
    (scores / "street.json").write_text(json.dumps({str(frame): 0.9 for frame in GRID}))
    resources = make_bench(imports={"summaries": texts, "scores": scores}, run={"targets": ["detect"]})
    assert not resources.graph.has("clean")
    video = resources.prepare(street)
    assert resources.run(video) == {}
    (row,) = resources.rows(video, "detect")
    assert (row["summary"], row["caption"]) == ("level 0", None)
