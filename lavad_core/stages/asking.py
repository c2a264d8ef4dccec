"""Asking the language model many things at once: each answer durable before it is used, nothing asked twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Literal, TypeVar

from lavad_core.config.models import ChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.digest import digest
from lavad_core.errors import Interrupted, ModelError
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.cached import CachedAnswers
from lavad_core.models.chat.read_answer import ReadAnswer, read_answers
from lavad_core.models.protocols import ChatAnswer, ChatModel, ChatRequest
from lavad_core.models.shared_batches import SharedBatches
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition, Node, never
from lavad_core.stages.passes import call_size
from lavad_core.stages.units import ROWS, TOKENS, Work
from lavad_core.store.commits import storable

Item = TypeVar("Item")
Built = TypeVar("Built")

TOKENISING_THREADS = 16
"""Prompts whose tokens a server is asked to count at once: each is a round trip, and a data set has 10^5."""


def chat_read_if(stage: Literal["summarise", "score"]) -> dict[str, Condition]:
    """When a stage that asks the language model reads settings of ``chat``."""
    return {
        # A model in process says its context when it is loaded; then it is part of the weights' identity.
        "chat.context_tokens": lambda config: (
            getattr(config.chat, "context_tokens", sys.maxsize) < getattr(config, stage).total_tokens
        ),
        # What these come to is part of the model's identity.
        "chat.system_role": never,
        "chat.on_change": never,
    }


def asked(config: LavadConfig, node: Node, rows: int, *, total: int, kept: int, answer: int) -> Work:
    """The work of a stage that asks for each of its rows; where it asks no model, the rows alone.

    Args:
        rows: how many.
        total: the stage's own limit of tokens, of question and answer together.
        kept: tokens of it that no question takes.
        answer: most tokens of an answer.
    """
    if node.role != "chat":
        return {ROWS: rows}
    both = min(total, getattr(config.chat, "context_tokens", total))  # a local model says it when it is loaded
    return {
        work.LLM_REQUESTS: rows,
        work.PROMPT_TOKENS: rows * max(1, both - kept),
        work.COMPLETION_TOKENS: rows * min(answer, both),
        TOKENS: rows * both,
        ROWS: rows,
    }


def seed_of(config: LavadConfig, messages: Messages, pictures: Sequence[str] = ()) -> int:
    """The seed of a request's sampling: ``chat.seed``, the messages and the pictures decide.

    With one seed for all, the n-th token of every answer would be drawn with the same random number, in every window of
    every video: scores of alike windows would err alike, and Eq. 5, which averages K of them, would average nothing out.
    Equal requests still have equal seeds, and are asked once.

    Returns:
        0 to 2^31 − 1: every server takes it.
    """
    asked = [config.chat.seed, [list(message) for message in messages], *pictures]
    return int(digest(asked)[:8], 16) & 0x7FFFFFFF


def seeing(config: LavadConfig, model: ChatModel, why: str, instead: str) -> None:
    """Check that a model is one that is shown pictures.

    Args:
        why: what setting shows it some.
        instead: the setting that does without.

    Raises:
        ModelError: it is not.
    """
    if getattr(model, "sees_pictures", False) is not True:
        raise ModelError(
            f"chat model {config.chat.model!r} is shown no pictures (its sees_pictures is not True), and {why}: give a model "
            f"that takes them, or {instead}"
        )


def fits(model: ChatModel, messages: Messages, most: int) -> bool:
    """Whether a prompt has at most ``most`` tokens. A model that knows a bound without counting is asked for that first: a
    count may be a round trip."""
    at_most = getattr(model, "at_most_tokens", None)
    return (at_most is not None and at_most(messages) <= most) or model.count_tokens(messages) <= most


def build_all(chat: ChatConfig, build: Callable[[Item], Built], items: Sequence[Item]) -> list[Built]:
    """``build`` for each item, in order; several at once where counting tokens waits for a server."""
    if chat.in_process:
        return [build(item) for item in items]
    with ThreadPoolExecutor(call_size(chat, TOKENISING_THREADS)) as threads:
        return list(threads.map(build, items))


def asked_of(config: LavadConfig, identity: str) -> str:
    """What answers are kept under: the model's identity, and what its section says that changes answers to equal requests."""
    fields = ("extra_body", "options", "dtype", "template_kwargs")
    beside = {name: value for name in fields if (value := getattr(config.chat, name, None)) not in (None, {}, "auto")}
    return f"{identity};{digest(beside)}" if beside else identity


def ask_all(
    context: StageContext, model: ChatModel, device: AbstractContextManager[Any], requests: Sequence[ChatRequest]
) -> list[ReadAnswer]:
    """What can be used of the answers, in the order of the requests, texts storable. What was asked before, in this video
    or another, is not asked again.

    A server takes the questions of several videos at once. So does a model in this process that has shared batches: the device
    is held for each of them. Any other holds it until the last answer.

    Raises:
        NotAsked: the answers for the first videos of this stage were of no use.
    """
    identity = asked_of(context.config, context.resources.graph.identities["chat"])
    context.resources.patience.check(context.node.id)
    shares = isinstance(getattr(model, "shared_batches", None), SharedBatches)

    @contextmanager
    def at_work() -> Iterator[None]:
        with device if context.config.chat.in_process else nullcontext(), context.at_work():
            yield

    how: dict[str, Any] = {"at_work": at_work, "check_stop": context.resources.check_stop} if shares else {}
    if getattr(model, "replicas", 1) > 1:
        how["together"] = context.video.video_id  # its prompts begin alike, which one server remembers
    answers: dict[ChatRequest, ChatAnswer] = {}
    missing = list(dict.fromkeys(requests))
    context.count(work.LLM_REPEATED, len(requests) - len(missing))
    while missing:
        with context.resources.in_flight.claim(missing) as mine, nullcontext() if shares else at_work():
            asked = [request for request in missing if request in mine]
            answered_before = len(answers)
            asking = CachedAnswers(model, asked, context.resources.answers, identity, **how)
            try:
                for position, answer in asking:
                    answers[asked[position]] = answer
                    if len(answers) > asking.from_cache + answered_before:  # new, not from the cache
                        _spend(context, answer)
                        context.count(work.LLM_REQUESTS, 0)  # so that a stop is noticed
            except Interrupted:
                # A batch ends at once, and is taken answer by answer: those that nobody has taken yet are not thrown away.
                for answer in asking.keep_finished():
                    _spend(context, answer)
                raise
            finally:
                asking.close()
                # Not by count(), which may raise: an error on its way out must not be hidden by that.
                context.record.work[work.LLM_REQUESTS] += asking.asked
                context.record.work[work.LLM_CACHED] += asking.from_cache
        missing = [request for request in missing if request not in answers]
    return read_answers([replace(answers[request], text=storable(answers[request].text)) for request in requests])


def _spend(context: StageContext, answer: ChatAnswer) -> None:
    """Note what an answer took; raises nothing."""
    spent = context.record.work
    spent[work.PROMPT_TOKENS] += answer.prompt_tokens
    spent[work.COMPLETION_TOKENS] += answer.completion_tokens
    if answer.follow_ups:
        spent[work.LLM_FOLLOW_UPS] += answer.follow_ups
