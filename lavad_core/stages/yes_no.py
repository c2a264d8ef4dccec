"""Yes/no questions to the chat model: how probable yes is among its two words, and scores from rising thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from lavad_core.config.schema import LavadConfig
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.recipes.ordinal import in_words, ordinal_score, question_messages, spellings, thresholds, two_way
from lavad_core.stages.asking import ask_all, asked
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Node
from lavad_core.stages.units import ROWS, Work


def yes_no_request(config: LavadConfig, messages: Messages, pictures: tuple[str, ...] = ()) -> ChatRequest:
    """A question whose answer begins with ``score.yes`` or ``score.no``.

    Only the probabilities of its first word are looked at, which no sampling changes; temperature and top-p are 1 for servers
    whose log-probabilities hold them.

    Args:
        messages: what is asked.
        pictures: ``data:`` URIs that the last message is about.
    """
    return ChatRequest(
        messages=tuple(messages),
        max_tokens=1,
        temperature=1.0,
        top_p=1.0,
        seed=0,
        choices=spellings(config.score.yes, config.score.no),
        distribution="free",
        pictures=pictures,
    )


def yes_probability(config: LavadConfig, reading: ReadAnswer) -> float | None:
    """The probability of yes among the two words, 0 … 1; None where the answer does not tell: it was refused, begins with
    neither word, or came without log-probabilities."""
    logs = reading.answer.log_probabilities
    return None if logs is None or reading.fault else two_way(logs[config.score.yes], logs[config.score.no])


def told_together(config: LavadConfig, readings: Sequence[ReadAnswer]) -> tuple[ReadAnswer, list[float] | None]:
    """Several answers about one text or clip as one, with the mean of what lay outside the two words; and the probability
    of yes for each. Where one does not tell, the first such is the answer, and there are no probabilities."""
    found = [yes_probability(config, reading) for reading in readings]
    looked = [reading.answer.outside for reading in readings if reading.answer.outside is not None]
    known = [one for one in found if one is not None]
    first = readings[0 if len(known) == len(found) else found.index(None)]
    outside = math.fsum(looked) / len(looked) if looked else None
    merged = replace(first, answer=replace(first.answer, outside=outside))
    return merged, known if len(known) == len(found) else None


def with_words(reading: ReadAnswer, said: str) -> ReadAnswer:
    """An answer that tells, in other words."""
    return ReadAnswer(said, None, replace(reading.answer, text=said))


def is_ordinal(config: LavadConfig) -> bool:
    """Whether scores are asked for by yes/no questions at rising thresholds."""
    return config.score.answer == "ordinal"


def questions_about(config: LavadConfig, node: Node, texts: int) -> Work:
    """What rating this many texts costs at most: a request for each, or one for each threshold."""
    own = config.score
    if is_ordinal(config):
        questions = asked(config, node, texts * own.thresholds, total=own.total_tokens, kept=1, answer=1)
        return questions | {ROWS: texts}
    answer = own.max_answer_tokens if own.answer == "choice" else own.total_tokens
    return asked(config, node, texts, total=own.total_tokens, kept=own.max_answer_tokens, answer=answer)


def threshold_messages(config: LavadConfig, threshold: float, text: str | None = None) -> Messages:
    """The question at a threshold, about a text or about pictures."""
    own = config.score
    return question_messages(own.question, own.rubric, (own.yes, own.no), threshold, text)


def threshold_requests(
    config: LavadConfig, text: str | None = None, pictures: tuple[str, ...] = ()
) -> list[ChatRequest]:
    """The questions at all thresholds, rising."""
    asked = (threshold_messages(config, at, text) for at in thresholds(config.score.thresholds))
    return [yes_no_request(config, messages, pictures) for messages in asked]


@dataclass(frozen=True)
class Judged:
    """What the model said about one text or clip."""

    reading: ReadAnswer
    """The answers as one: the first that does not tell, if any; otherwise their probabilities of yes in words."""
    score: float | None
    """The mean probability of yes, 0 … 1; None where one is not known."""
    probabilities: tuple[float, ...] | None = None
    """How probable yes is at each threshold, rising; None where one is not known."""


def ask_thresholds(
    context: StageContext,
    model: ChatModel,
    device: AbstractContextManager[Any],
    questions: Sequence[Sequence[ChatRequest]],
) -> list[Judged]:
    """:func:`ask_questions` of :func:`threshold_requests`; a score is the mean of the probabilities of yes."""
    return [_judged(context.config, readings) for readings in ask_questions(context, model, device, questions)]


def ask_questions(
    context: StageContext,
    model: ChatModel,
    device: AbstractContextManager[Any],
    questions: Sequence[Sequence[ChatRequest]],
) -> list[list[ReadAnswer]]:
    """The answers to the questions about several texts or clips.

    The first question of each comes before all others, so that a server has read a clip when the rest are asked about it.

    Args:
        questions: those about each.

    Raises:
        NotAsked: the answers for the first videos of this stage were of no use.
    """
    order = sorted(((at, number) for number, own in enumerate(questions) for at in range(len(own))), key=_round_of)
    readings = ask_all(context, model, device, [questions[number][at] for at, number in order])
    found = dict(zip(order, readings, strict=True))
    return [[found[at, number] for at in range(len(own))] for number, own in enumerate(questions)]


def _round_of(place: tuple[int, int]) -> tuple[bool, int, int]:
    at, number = place
    return at > 0, number, at


def _judged(config: LavadConfig, readings: Sequence[ReadAnswer]) -> Judged:
    reading, probabilities = told_together(config, readings)
    if probabilities is None:
        return Judged(reading, None)
    return Judged(with_words(reading, in_words(probabilities)), ordinal_score(probabilities), tuple(probabilities))
