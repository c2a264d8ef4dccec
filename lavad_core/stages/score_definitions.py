"""Scores by the user's own definitions, in place of a rating: the language model is asked whether statements are true of each
summary, for each definition its hazard, an ordinary scene and harmless look-alikes. A row says which definition fits best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from lavad_core.config.definitions_file import Definitions
from lavad_core.config.recipes import used_definitions
from lavad_core.config.schema import LavadConfig
from lavad_core.method.sampling import nearest_rows
from lavad_core.method.summarising import Messages, shorten
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.recipes.definitions import definition_score, in_words, statement_messages
from lavad_core.stages import score
from lavad_core.stages.asking import asked, chat_read_if, fits
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition, Node, Reads, never, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.video_frames import FrameTimes, grid_of
from lavad_core.stages.yes_no import ask_questions, told_together, with_words, yes_no_request
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Anomaly scores of the summaries by the user's own definitions, and which of them fits."
SCORES_OF_KINDS = pa.list_(pa.struct({"kind": pa.string(), "score": pa.float64()}))
SCHEMA = pa.schema(
    [
        *score.SCHEMA,
        pa.field("reason", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("kinds", SCORES_OF_KINDS),
    ]
)

READ_IF: dict[str, Condition] = chat_read_if("score") | {"chat.seed": never}  # nothing is drawn


@dataclass(frozen=True)
class _Statement:
    """A statement that the model is asked about."""

    text: str
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Compared:
    """A definition, by the places of its statements; that of an ordinary scene is the first of all."""

    name: str
    hazards: range
    look_alikes: range


@dataclass(frozen=True)
class _Judged:
    """What the answers about one summary come to."""

    reading: ReadAnswer
    """The answers as one: the first that does not tell, if any; otherwise what the score comes from, in words."""
    score: float | None = None
    """The highest of the definitions' scores; None where a question was not answered."""
    kinds: list[dict[str, Any]] | None = None
    """The score of each definition, as a row of the store has it; None likewise."""


def reads(config: LavadConfig) -> list[Reads]:
    """The summaries."""
    return [Reads(("summarise",), settings_of(config, "score_definitions", READ_IF), role="chat")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a request for each statement about each grid frame; equal summaries are one."""
    rows = len(grid_of(config, video))
    statements, _ = _statements(config, used_definitions(config.definitions))
    return asked(config, node, rows * len(statements), total=config.score.total_tokens, kept=1, answer=1) | {ROWS: rows}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame, as the stage ``score`` does: also which definition fits best, and the score of each. A
    frame with a question that was not answered is filled in from its neighbours; its kind is the nearest one's.

    Raises:
        VideoRejected: too few summaries have a score.
    """
    config = context.config
    statements, compared = _statements(config, used_definitions(config.definitions))
    summaries = context.table("summarise", ["frame", "summary"])
    frames, texts = summaries["frame"].to_pylist(), summaries["summary"].to_pylist()
    answers, shortened = score.answers_about(context, texts, partial(_requests, config, statements), ask_questions)
    judged = [None if readings is None else _judged(config, compared, readings) for readings in answers]
    kinds = [None if one is None else one.kinds for one in judged]
    return score.commit_readings(
        context,
        frames,
        [None if one is None else one.reading for one in judged],
        SCHEMA,
        shortened,
        score.Beside({"kind": _kind_of_each(frames, kinds), "kinds": kinds}),
        found=[None if one is None else one.score for one in judged],
        said="compared",
    )


def statement_questions(config: LavadConfig, text: str) -> list[Messages]:
    """What is asked about a summary."""
    statements, _ = _statements(config, used_definitions(config.definitions))
    return [_messages(config, statement, text) for statement in statements]


def _statements(config: LavadConfig, definitions: Definitions) -> tuple[list[_Statement], list[_Compared]]:
    statements, compared = [_Statement(config.definitions.normal[0])], []
    for one in definitions:
        first = len(statements)
        second = first + len(one.hazard)
        statements += [_Statement(text, one.questions) for text in one.hazard]
        statements += [_Statement(text) for text in one.look_alikes]
        compared.append(_Compared(one.name, range(first, second), range(second, len(statements))))
    return statements, compared


def _messages(config: LavadConfig, statement: _Statement, text: str) -> Messages:
    own, words = config.definitions, (config.score.yes, config.score.no)
    return statement_messages(
        text, statement.text, statement.questions, asked=own.question, rubric=own.rubric, words=words
    )


def _requests(
    config: LavadConfig, statements: list[_Statement], model: ChatModel, text: str
) -> tuple[list[ChatRequest], bool]:
    """The questions about a text, and whether it was too long for the longest of them: then it loses its last words."""
    longest = max(statements, key=lambda one: len(one.text) + sum(map(len, one.questions)))
    # As many letters as a word has: no more tokens than that are read of an answer.
    most = min(config.score.total_tokens, model.context_tokens) - max(len(config.score.yes), len(config.score.no)) - 1
    (kept,) = shorten([text], 0, lambda texts: fits(model, _messages(config, longest, texts[0]), most))
    return [yes_no_request(config, _messages(config, one, kept)) for one in statements], kept != text


def _judged(config: LavadConfig, compared: list[_Compared], readings: Sequence[ReadAnswer]) -> _Judged:
    reading, known = told_together(config, readings)
    if known is None:
        return _Judged(reading)
    best, said, kinds = -1.0, "", []
    for one in compared:
        hazard, others = max(known[at] for at in one.hazards), [known[at] for at in one.look_alikes]
        value = definition_score(hazard, known[0], others)
        kinds.append({"kind": one.name, "score": value})
        if value > best:
            best, said = value, in_words(one.name, hazard, known[0], others)
    return _Judged(with_words(reading, said), best, kinds)


def _kind_of_each(frames: list[int], kinds: list[list[dict[str, Any]] | None]) -> list[str]:
    known = [
        (frame, max(own, key=lambda one: one["score"])["kind"]) for frame, own in zip(frames, kinds, strict=True) if own
    ]
    if not known:
        return [""] * len(frames)
    nearest = nearest_rows(np.array([frame for frame, _ in known]), np.array(frames))
    return [known[row][1] for row in nearest.tolist()]
