"""Scores of events: how anomalous the language model finds the summary of each, 0 to 1."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.stages import score
from lavad_core.stages.asking import chat_read_if
from lavad_core.stages.context import StageContext
from lavad_core.stages.find_events import most_asked
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.score_counts import ScoreCounts
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import FrameTimes
from lavad_core.stages.yes_no import ask_thresholds, is_ordinal, questions_about
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
    """At most a request for each event that there may be, or one for each threshold; equal summaries are one."""
    return questions_about(config, node, most_asked(config, video))


def run(context: StageContext) -> Commit:
    """Commit one row per event, in the order of ``find_events``: the score, null where the answer holds none or nothing was
    asked; what the model answered; and, where it was measured, how probable it was that the answer would have begun unlike any
    choice."""
    events = context.table(
        "summarise_events", ["level", "start_frame", "end_frame", "summary", "caption_frames"]
    ).to_pydict()
    told = [at for at, frames in enumerate(events.pop("caption_frames")) if frames]
    summaries = events.pop("summary")
    texts = [summaries[at] for at in told]
    beside = score.Beside()
    found: list[ReadAnswer | None]
    scores: list[float | None]
    if is_ordinal(context.config):
        build = partial(score.threshold_questions, context.config)
        judged, shortened = score.answers_about(context, texts, build, ask_thresholds)
        found, scores = ([getattr(one, name, None) for one in judged] for name in ("reading", "score"))
        beside = score.beside_judged(context, judged)
    else:
        found, shortened = score.ask_about(context, texts, partial(score.score_request, context.config))
        scores = [None if reading is None else score.read_answer(context.config, reading) for reading in found]
    tally = ScoreCounts.of(found, scores)
    score.reject_useless(context, tally, "events")
    said = dict(zip(told, zip(found, scores, strict=True), strict=True))
    rows = [said.get(at, (None, None)) for at in range(len(summaries))]
    outside = [None if reading is None else reading.answer.outside for reading, _ in rows]
    columns = {
        "score": [own for _, own in rows],
        "answer": [None if reading is None else reading.shown for reading, _ in rows],
        "outside": outside,
    }
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict({**events, **columns}, schema=SCHEMA))
        return score.commit_rows(context, writer, tally, outside, shortened, beside)
