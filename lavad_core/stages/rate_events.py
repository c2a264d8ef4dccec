"""Scores of events: how anomalous the language model finds the summary of each, 0 to 1."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.stages import score
from lavad_core.stages.asking import asked, chat_read_if
from lavad_core.stages.context import StageContext
from lavad_core.stages.find_events import most_asked
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.score_counts import ScoreCounts
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import FrameTimes
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Anomaly scores of the events' summaries by the language model."
SCHEMA = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),
        pa.field("start_frame", pa.int64(), nullable=False),
        pa.field("end_frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("answer", pa.string()),
        pa.field("outside", pa.float64()),
    ]
)
READ_IF = chat_read_if("score") | score.ANSWER_READ_IF


def reads(config: LavadConfig) -> list[Reads]:
    """The summaries of the events."""
    return [Reads(("summarise_events",), settings_of(config, "rate_events", READ_IF), role="chat")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a request for each event that there may be; equal summaries are one."""
    own = config.score
    answer = own.max_answer_tokens if own.answer == "choice" else own.total_tokens
    return asked(
        config, node, most_asked(config, video), total=own.total_tokens, kept=own.max_answer_tokens, answer=answer
    )


def run(context: StageContext) -> Commit:
    """Commit one row per event, in the order of ``find_events``: the score, null where the answer holds none or nothing was
    asked; what the model answered; and, where it was measured, how probable it was that the answer would have begun unlike any
    choice."""
    events = context.table(
        "summarise_events", ["level", "start_frame", "end_frame", "summary", "caption_frames"]
    ).to_pydict()
    told = [at for at, frames in enumerate(events.pop("caption_frames")) if frames]
    summaries = events.pop("summary")
    found, shortened = score.ask_about(
        context, [summaries[at] for at in told], partial(score.score_request, context.config)
    )
    scores = [None if reading is None else score.read_answer(context.config, reading) for reading in found]
    tally = ScoreCounts.of(found, scores)
    score.reject_useless(context, tally, "events")
    readings: dict[int, ReadAnswer] = {
        at: reading for at, reading in zip(told, found, strict=True) if reading is not None
    }
    said = dict(zip(told, scores, strict=True))
    rows = range(len(summaries))
    outside = [readings[at].answer.outside if at in readings else None for at in rows]
    columns = {
        "score": [said.get(at) for at in rows],
        "answer": [readings[at].shown if at in readings else None for at in rows],
        "outside": outside,
    }
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict({**events, **columns}, schema=SCHEMA))
        return score.commit_rows(context, writer, tally, outside, shortened, score.Beside())
