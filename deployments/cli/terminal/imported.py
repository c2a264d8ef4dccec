"""What `lavad show` prints of a video that was imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lavad_core.exports.segments import found_segments
from lavad_core.method.detection import SegmentRule, to_frames
from lavad_core.results.open import open_results
from lavad_core.results.types import ScoredVideo, VideoTexts

Table = tuple[list[str], list[list[Any]], Sequence[int]]


def imported_table(root: Path, run_id: str, name: str, kind: str) -> tuple[Table, dict[str, Any], str]:
    """Headers, rows and columns to the right; facts for JSON; and a line for people.

    Args:
        root: the store's folder.
        run_id: of the import.
        name: of a scored video in it.
        kind: ``grid``, ``frames`` or ``segments``, these at the default threshold.
    """
    results = open_results(root, run_id)
    video = results.scores(name)
    rule = SegmentRule()
    found = found_segments(video, rule)
    peak = int(video.scores.argmax())
    facts = {
        "frame_interval": video.interval,
        "frames": video.frames,
        "frame_rate": video.frame_rate,
        "peak_score": float(video.scores[peak]),
        "peak_frame": int(video.grid[peak]),
        "threshold": rule.threshold,
    }
    footer = (
        f"{video.frames} frames; peak {facts['peak_score']:.3f} at frame {facts['peak_frame']}; {len(found)} segments at "
        f"threshold {rule.threshold:g}; imported"
    )
    if kind == "frames":
        return _frames(video), facts, footer
    texts = results.texts(name)
    if kind == "grid":
        return _grid(video, texts), facts, footer
    rows = [
        [
            number,
            segment.start_frame,
            segment.end_frame,
            *_seconds(video, segment.start_frame, segment.end_frame + 1),
            segment.peak_score,
            segment.peak_frame,
            texts.summaries.get(segment.peak_frame),
        ]
        for number, segment in enumerate(found)
    ]
    columns = ["segment", "start_frame", "end_frame", "start_s", "end_s", "peak_score", "peak_frame", "summary"]
    return (columns, rows, range(7)), facts, footer


def _frames(video: ScoredVideo) -> Table:
    scores = to_frames(video.scores, video.frames, video.interval, video=video.name).tolist()
    rows = [[frame, *_seconds(video, frame), score] for frame, score in enumerate(scores)]
    return ["frame", "time_s", "score"], rows, (0, 1, 2)


def _grid(video: ScoredVideo, texts: VideoTexts) -> Table:
    raw = np.full(len(video.scores), None) if video.raw_scores is None else video.raw_scores
    rows = [
        [frame, *_seconds(video, frame), score, own, texts.summaries.get(frame)]
        for frame, score, own in zip(video.grid.tolist(), video.scores.tolist(), raw.tolist(), strict=True)
    ]
    return ["frame", "time_s", "score", "raw_score", "summary"], rows, (0, 1, 2, 3)


def _seconds(video: ScoredVideo, *frames: int) -> list[float | None]:
    return [None if video.frame_rate is None else frame / video.frame_rate for frame in frames]
