"""Scores of the grid's frames by those of the events that they are in (VADTree)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.method.scoring import interpolate_missing
from lavad_core.recipes.event_tree import event_of, fused
from lavad_core.stages.context import StageContext
from lavad_core.stages.find_events import LEVELS
from lavad_core.stages.node import Node, Reads, grid_settings
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Anomaly scores of grid frames by the events that they are in."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("coarse", pa.float64()),
        pa.field("fine", pa.float64()),
    ]
)


def reads(config: LavadConfig) -> list[Reads]:
    """The events' scores, and their summaries as reasons."""
    return [Reads(("probe", "summarise_events", "rate_events"), grid_settings(config))]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """No model: a row for each grid frame."""
    return {ROWS: len(grid_of(config, video))}


@dataclass(frozen=True)
class _Level:
    """One level at the grid's frames."""

    scores: NDArray[np.float64]
    """Float64 [grid frames]."""
    reasons: list[str]
    """What the event of each is, and where it begins and ends; empty where it has no summary."""
    filled: int
    """Events whose score is that of those around them."""


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: the mean of the two levels' scores, each level's own, and the summary of the shortest
    event around the frame. An event without a score has one from those before and after it at its level, as ``score`` does it
    for windows; a level without any score does not count."""
    frames = grid_of(context.config, load_probe(context))
    rows = context.table("summarise_events", ["level", "start_frame", "end_frame", "summary", "caption_frames"])
    events = rows.append_column("score", context.table("rate_events", ["score"])["score"]).to_pylist()
    levels = {
        name: level
        for name in LEVELS[context.config.events.levels]
        if (level := _level([event for event in events if event["level"] == name], frames)) is not None
    }
    coarse, fine = (levels[name].scores if name in levels else None for name in LEVELS["both"])
    reasons = [level.reasons for level in levels.values()][::-1]  # the fine one's first
    columns = {
        "frame": frames,
        "score": fused(coarse, fine),
        "reason": [next(filter(None, said), "") for said in zip(*reasons, strict=True)],
        "coarse": pa.nulls(len(frames), pa.float64()) if coarse is None else coarse,
        "fine": pa.nulls(len(frames), pa.float64()) if fine is None else fine,
    }
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(counts={"interpolated": sum(level.filled for level in levels.values())})


def _level(events: Sequence[dict[str, Any]], frames: NDArray[np.int64]) -> _Level | None:
    """A level, by its events in order of time; None where none of them has a score."""
    told = [event for event in events if event["caption_frames"]]  # a grid frame is in no other
    known = [event["score"] for event in told]
    if all(score is None for score in known):
        return None
    middles = [(event["start_frame"] + event["end_frame"]) // 2 for event in told]
    scores, missing = interpolate_missing(middles, known, above_one=True)
    at = event_of([0, *(event["start_frame"] for event in told[1:])], frames)
    reasons = [
        f"frames {event['start_frame']}–{event['end_frame']}: {event['summary']}" if event["summary"] else ""
        for event in told
    ]
    return _Level(scores[at], [reasons[row] for row in at], int(missing.sum()))
