"""Ask a chat model only what was not asked before.

Every new answer is durable before it is handed on: a stage that is killed asks again only what was in flight.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, get_args

from lavad_core.digest import digest
from lavad_core.errors import RequestRejected
from lavad_core.models.chat.replies import finish_reason_of, token_count
from lavad_core.models.chat.thoughts import without_thoughts
from lavad_core.models.protocols import ChatAnswer, ChatModel, ChatRequest, FinishReason
from lavad_core.store.answers import MAX_ANSWER_BYTES, AnswerCache

KEY_VERSION = 1
"""Part of every key; raise it when what a stored answer means changes."""


MOSTLY = 0.5
"""Probability of neither word above which an answer to a yes/no question is one, although it does not tell."""


_FIELDS = dataclasses.fields(ChatAnswer)
NEEDED = {field.name for field in _FIELDS if field.default is dataclasses.MISSING} | {"log_probabilities"}
OPTIONAL = {field.name for field in _FIELDS} - NEEDED
"""Fields of a stored answer; older stores lack the optional ones."""


def request_key(identity: str, request: ChatRequest) -> str:
    """The cache's key of a request: a digest of the model's identity and of every field of the request."""
    fields = dataclasses.asdict(request)
    if not request.pictures:
        del fields["pictures"]  # requests without any have the keys that they had before there were some
    return digest({"version": KEY_VERSION, "model": identity, "request": fields})


class CachedAnswers(Iterator[tuple[int, ChatAnswer]]):
    """Answers to requests, from the cache where it has them: (position of the request, answer), each request exactly once, in
    no order. What was yielded is stored. Iterating raises what ``model.answer`` and the cache do.

    Args:
        model: asked once for each distinct request that the cache does not have.
        requests: any number.
        cache: answers that were given before.
        identity: the model's: its name and revision, and what else its answers depend on.
        how: further arguments of ``model.answer``.

    Attributes:
        asked: distinct requests that the model answered; final when the iteration ends.
        from_cache: distinct requests that the cache answered; likewise.
    """

    def __init__(
        self, model: ChatModel, requests: Sequence[ChatRequest], cache: AnswerCache, identity: str, **how: Any
    ) -> None:
        self.asked = self.from_cache = 0
        self._left = 0  # durable, and not handed on yet
        self._given: Iterator[tuple[int, ChatAnswer]] = iter(())
        self._answers = self._run(partial(model.answer, **how), requests, cache, identity)

    def __next__(self) -> tuple[int, ChatAnswer]:
        return next(self._answers)

    def keep_finished(self) -> list[ChatAnswer]:
        """What the model has finished and nobody has taken yet, stored, and nothing more, once a caller stops iterating.

        Returns:
            These answers.
        """
        kept: list[ChatAnswer] = []
        while self._left or getattr(self._given, "ready", 0):
            pair = next(self._answers, None)
            if pair is None:
                break
            kept.append(pair[1])
        return kept

    def close(self) -> None:
        """Abandon what is in flight."""
        self._answers.close()
        close = getattr(self._given, "close", None)
        if close is not None:
            close()

    def _run(
        self,
        ask: Callable[[Sequence[ChatRequest]], Iterator[tuple[int, ChatAnswer]]],
        requests: Sequence[ChatRequest],
        cache: AnswerCache,
        identity: str,
    ) -> Generator[tuple[int, ChatAnswer], None, None]:
        places: dict[ChatRequest, list[int]] = {}
        for number, request in enumerate(requests):
            places.setdefault(request, []).append(number)
        keys = {request: request_key(identity, request) for request in places}
        stored = cache.get_many(list(keys.values()))
        missing: list[ChatRequest] = []
        for request, numbers in places.items():
            answer = _restore(stored.get(keys[request]), request)
            if answer is None:
                missing.append(request)
                continue
            self.from_cache += 1
            for number in numbers:
                yield number, answer
        if not missing:
            return
        self._given = ask(missing)
        for pair in self._given:
            # What is ready besides is made durable with it: a flush to disk takes longer than an answer.
            given = [pair, *itertools.islice(self._given, getattr(self._given, "ready", 0))]
            answers = [(missing[position], _named(answer)) for position, answer in given]
            values: dict[str, dict[str, Any]] = {}
            try:
                for request, answer in answers:
                    values[keys[request]] = _checked_size(answer)
            finally:
                cache.put_many(values)
            self.asked += len(answers)
            durable = [(number, answer) for request, answer in answers for number in places[request]]
            for self._left, found in zip(reversed(range(len(durable))), durable, strict=True):
                yield found


def _named(answer: ChatAnswer) -> ChatAnswer:
    """With one of our finish reasons, a text and counts: a model of the user's own may pass on what its service says."""
    reason = finish_reason_of(answer.finish_reason) or "stop"
    counts = token_count(answer.prompt_tokens), token_count(answer.completion_tokens)
    return dataclasses.replace(
        answer, finish_reason=reason, text=answer.text or "", prompt_tokens=counts[0], completion_tokens=counts[1]
    )


def _checked_size(answer: ChatAnswer) -> dict[str, Any]:
    """The answer as the cache keeps it.

    Raises:
        RequestRejected: it is longer than the cache takes.
    """
    value = dataclasses.asdict(answer)
    size = len(json.dumps(value))
    if size > MAX_ANSWER_BYTES:
        raise RequestRejected(
            200,
            f"an answer of {size} bytes, beginning {answer.text[:40]!r}; the store takes {MAX_ANSWER_BYTES} of one answer",
        )
    return value


def _restore(stored: Mapping[str, Any] | None, request: ChatRequest) -> ChatAnswer | None:
    """The answer that a cache entry holds, or None if it cannot be the answer to this request: then it is asked again."""
    if stored is None or not NEEDED <= set(stored) <= NEEDED | OPTIONAL:
        return None
    answer = ChatAnswer(**stored)
    counts = (answer.prompt_tokens, answer.completion_tokens)
    if not isinstance(answer.text, str) or not all(type(count) is int for count in counts):
        return None
    if answer.finish_reason not in get_args(FinishReason) or type(answer.follow_ups) is not int:
        return None
    if answer.outside is not None and not (type(answer.outside) is float and 0 <= answer.outside <= 1):
        return None
    said = without_thoughts(answer.text)
    if request.choices is None or answer.finish_reason == "refused" or (answer.text and not said):
        return answer
    if request.free and answer.log_probabilities is None and (answer.outside or 0.0) > MOSTLY:
        return answer  # the model says neither word, and will not the next time; a server that hides them can be mended
    values = {choice.strip() for choice in request.choices}
    if said not in values:
        return None
    if not request.distribution:
        return answer
    logs = answer.log_probabilities
    if not isinstance(logs, dict) or set(logs) != values or not all(type(log) is float for log in logs.values()):
        return None
    return answer if abs(math.fsum(map(math.exp, logs.values())) - 1.0) < 1e-6 else None
