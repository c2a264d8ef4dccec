"""Summaries of events: what the captions of each say, by the language model, in place of the grid's windows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.method.sampling import spread_positions
from lavad_core.models.protocols import ChatRequest
from lavad_core.stages.asking import ask_all, asked, build_all, chat_read_if
from lavad_core.stages.context import StageContext
from lavad_core.stages.find_events import most_asked
from lavad_core.stages.node import Condition, Node, Reads, settings_of
from lavad_core.stages.summarise import cleaned_captions, read_summary, summary_request
from lavad_core.stages.summary_counts import SummaryCounts
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import FrameTimes
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Summaries of each event's captions by the language model."
SCHEMA = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),
        pa.field("start_frame", pa.int64(), nullable=False),
        pa.field("end_frame", pa.int64(), nullable=False),
        pa.field("summary", pa.string(), nullable=False),
        pa.field("caption_frames", pa.list_(pa.int64()), nullable=False),
        pa.field("captions_left_out", pa.int32(), nullable=False),
    ]
)
READ_IF: dict[str, Condition] = chat_read_if("summarise")


def reads(config: LavadConfig) -> list[Reads]:
    """The events, and the cleaned captions of their grid frames, through the language model or as they are."""
    if not config.summarise.enabled:
        return [Reads(("clean", "find_events"), {"summarise.enabled": False})]
    return [Reads(("clean", "find_events"), settings_of(config, "summarise_events", READ_IF), role="chat")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a request for each event that there may be; equal captions are one."""
    own = config.summarise
    return asked(
        config,
        node,
        most_asked(config, video),
        total=own.total_tokens,
        kept=own.min_answer_tokens,
        answer=own.total_tokens,
    )


def run(context: StageContext) -> Commit:
    """Commit one row per event, in the order of ``find_events``: the summary, the grid frames whose captions it was made of,
    and how many of these captions there was no room for. Without summaries it is the caption in the event's middle. An event
    between two grid frames has no captions, and no summary."""
    config = context.config
    events = context.table("find_events", ["level", "start_frame", "end_frame"])
    frames, captions = cleaned_captions(context)
    spans = zip(
        np.searchsorted(frames, events["start_frame"].to_numpy()).tolist(),
        np.searchsorted(frames, events["end_frame"].to_numpy(), side="right").tolist(),
        strict=True,
    )
    most = config.events.captions if config.summarise.enabled else 1
    chosen = [_spread(start, stop, most) for start, stop in spans]
    summaries, left_out = [""] * len(chosen), [0] * len(chosen)
    told = [at for at, rows in enumerate(chosen) if rows]
    if not config.summarise.enabled:
        for at in told:
            summaries[at] = captions[chosen[at][0]]
        outcome = SummaryCounts.of([summaries[at] for at in told])
    else:
        model, device = context.resources.models.chat()

        def build(at: int) -> tuple[ChatRequest, int]:
            texts = [captions[row] for row in chosen[at]]
            return summary_request(config, model, texts, (len(texts) - 1) // 2)

        built = build_all(config.chat, build, told)
        requests = [request for request, _ in built]
        readings = ask_all(context, model, device, requests)
        for at, reading, (_, kept) in zip(told, readings, built, strict=True):
            summaries[at], left_out[at] = read_summary(config, reading), len(chosen[at]) - kept
        context.resources.patience.note(context.node.id, context.video.name, any(summaries))
        outcome = SummaryCounts.of([summaries[at] for at in told], readings, requests, [left_out[at] for at in told])
    columns = {
        "summary": summaries,
        "caption_frames": [frames[rows].tolist() for rows in chosen],
        "captions_left_out": left_out,
    }
    gaps = outcome.gaps(config.summarise)
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict({**events.to_pydict(), **columns}, schema=SCHEMA))
        return writer.commit(
            "ok_with_gaps" if gaps else "ok",
            message="; ".join([*gaps, *outcome.warnings()]),
            counts={**outcome.counts, "without_captions": len(chosen) - len(told)},
        )


def _spread(start: int, stop: int, most: int) -> list[int]:
    """At most ``most`` of the rows from ``start`` to before ``stop``, evenly; of many a single one is the middle."""
    if most == 1:
        return [(start + stop - 1) // 2] if stop > start else []
    return [start + at for at in spread_positions(stop - start, most).tolist()]
