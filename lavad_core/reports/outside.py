"""From any set of results to what a report shows of a video: imports have scores, and texts if they brought some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import LabelledVideo
from lavad_core.imports.types import Neighbours
from lavad_core.method.detection import SegmentRule, segments
from lavad_core.reports.collect import KEY_FRAMES, changes
from lavad_core.reports.video import (
    Caption,
    Cleaned,
    GridFrame,
    Neighbour,
    Span,
    Steps,
    TextKind,
    VideoReport,
    key_frames,
)
from lavad_core.results.types import ScoredVideo, VideoTexts


def outside_report(
    scored: ScoredVideo,
    texts: VideoTexts,
    truth: tuple[Span, ...] | None,
    threshold: float,
    frame_rate: float | None = None,
    near: Neighbours | None = None,
    most: int = KEY_FRAMES,
) -> VideoReport:
    """What a report shows of a video whose scores and texts are all that is known.

    Args:
        scored: its scores.
        texts: its texts.
        truth: its labelled events; None if it has no labels.
        threshold: a score of at least this makes a segment.
        frame_rate: per second, of the data set, where the results do not tell.
        near: what the scores are averages of; None where nobody says so.
        most: key frames, whose scores are explained.
    """
    times, timed = _times(scored, frame_rate)
    kind, said = _texts(texts)
    raw = scored.raw_scores
    grid = tuple(
        GridFrame(
            frame,
            float(times[frame]),
            float(scored.scores[row]),
            None if raw is None else float(raw[row]),
            said.get(frame, ""),
        )
        for row, frame in enumerate(scored.grid.tolist())
    )
    found = segments(scored.scores, scored.grid, scored.frames, scored.interval, times, SegmentRule(threshold))
    bare = VideoReport(
        name=scored.name,
        times_s=times,
        interval=scored.interval,
        grid=grid,
        truth=truth,
        found=tuple(Span(segment.start_frame, segment.end_frame) for segment in found),
        threshold=threshold,
        text_kind=kind,
        timed=timed,
        notes=tuple(_absent(texts, raw is not None, near, timed)),
    )
    captions = _by_frame(texts)
    cleaned = {frame: Cleaned(text) for frame, text in texts.cleaned.items()}
    shown = [frame.at.frame for frame in key_frames(bare, most)]
    steps = {
        frame: Steps(captions.get(frame, ()), cleaned.get(frame), _neighbours(grid, frame // scored.interval, near))
        for frame in shown
    }
    return replace(bare, steps=steps, changes=changes(grid, captions, cleaned))


def truth_of(video: LabelledVideo | None, frames: int) -> tuple[Span, ...] | None:
    """The labelled events of a video of a data set; None for a video that it does not have.

    Args:
        video: the video. One that has a class and no intervals is labelled as a whole.
        frames: M.
    """
    if video is None:
        return None
    label = ", ".join(video.classes)
    whole = ((0, frames - 1),) if video.classes and not video.intervals else ()
    return tuple(Span(first, last, label) for first, last in (*video.intervals, *whole))


def _times(scored: ScoredVideo, frame_rate: float | None) -> tuple[NDArray[np.float64], bool]:
    if scored.times_s is not None:
        return scored.times_s, True
    numbers = np.arange(scored.frames, dtype=np.float64)
    rate = scored.frame_rate or frame_rate
    return (numbers / rate, True) if rate else (numbers, False)


def _texts(texts: VideoTexts) -> tuple[TextKind, Mapping[int, str]]:
    """What stands beside a score: what is nearest to what it was made from."""
    if texts.summaries:
        return "summary", texts.summaries
    if texts.cleaned:
        return "cleaned caption", texts.cleaned
    for captions in texts.captions.values():
        if captions:
            return "caption", captions
    return "text", {}


def _by_frame(texts: VideoTexts) -> dict[int, tuple[Caption, ...]]:
    found: dict[int, tuple[Caption, ...]] = {}
    for captioner, captions in texts.captions.items():
        for frame, text in captions.items():
            found[frame] = (*found.get(frame, ()), Caption(captioner, text))
    return found


def _neighbours(grid: Sequence[GridFrame], row: int, near: Neighbours | None) -> tuple[Neighbour, ...]:
    if near is None or not near.frames:
        return ()
    by_frame = {at.frame: at for at in grid}
    pairs = zip(near.frames[row], near.scores[row], near.similarities[row], strict=True)
    found = [
        Neighbour(replace(by_frame[frame], raw_score=score), alike)
        for frame, score, alike in pairs
        if frame in by_frame  # somebody else's file may name others
    ]
    return tuple(sorted(found, key=lambda one: -one.similarity))


def _absent(texts: VideoTexts, has_raw: bool, near: Neighbours | None, timed: bool) -> list[str]:
    """What this set of results does not have, and what a reader therefore does not see."""
    kinds = {
        "captions": any(texts.captions.values()),
        "cleaned captions": bool(texts.cleaned),
        "summaries": bool(texts.summaries),
        "raw scores": has_raw,
        "the neighbours that scores were refined with": near is not None and bool(near.frames),
    }
    lacking = [kind for kind, there in kinds.items() if not there]
    notes = [f"Not in these results: {', '.join(lacking)}."] if lacking else []
    if not timed:
        notes.append("Nothing tells the time of the frames: moments are the numbers of frames.")
    return notes
