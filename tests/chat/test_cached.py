"""Nothing is asked twice, and nothing that was answered is lost."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lavad_core.errors import RequestRejected, ServiceUnavailable
from lavad_core.models.chat.cached import CachedAnswers, request_key
from lavad_core.models.chat.ready import ReadyAnswers
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.store.answers import MAX_ANSWER_BYTES, AnswerCache


class DictCache:
    """Answers as their JSON, as a real cache gives them back."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.flushes: list[int] = []

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        return {key: json.loads(self.rows[key]) for key in keys if key in self.rows}

    def put_many(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        self.flushes.append(len(answers))
        self.rows.update({key: json.dumps(value) for key, value in answers.items()})


class Scripted:
    """Answers in reverse order; fails after ``most`` answers."""

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.asked, self.closed = most, [], 0
        self.context_tokens = 4096

    def count_tokens(self, messages: Sequence[tuple[str, str]]) -> int:
        return 1

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        try:
            for number in reversed(range(len(requests))):
                if len(self.asked) >= self.most:
                    raise ServiceUnavailable("gone")
                self.asked.append(requests[number])
                yield number, answer_of(requests[number])
        finally:
            self.closed += 1

    def close(self) -> None: ...


def request_of(text: str, **fields: Any) -> ChatRequest:
    return dataclasses.replace(ChatRequest((("user", text),), 10, 0.6, 0.9, 0), **fields)


def answer_of(request: ChatRequest) -> ChatAnswer:
    if request.choices is None:
        return ChatAnswer(f"about {request.messages[0][1]}", "stop", 5, 3)
    values = sorted({choice.strip() for choice in request.choices})
    logs = dict.fromkeys(values, -0.6931471805599453) if request.distribution else None
    return ChatAnswer(values[0], "stop", 5, 3, logs)


def test_equal_requests_are_asked_once_and_stored_ones_not_at_all() -> None:
    model, cache = Scripted(), DictCache()
    requests = [request_of(text) for text in "abcabca"]
    asking = CachedAnswers(model, requests, cache, "m")
    answers = dict(asking)
    assert answers == {number: answer_of(request) for number, request in enumerate(requests)}
    assert (asking.asked, asking.from_cache) == (3, 0)
    again = CachedAnswers(model, [*requests, request_of("d")], cache, "m")
    assert dict(again) == answers | {7: answer_of(request_of("d"))}
    assert (again.asked, again.from_cache) == (1, 3)
    assert len(model.asked) == 4


def test_an_answer_is_stored_before_it_is_handed_on() -> None:
    cache = DictCache()
    for taken, _ in enumerate(CachedAnswers(Scripted(), [request_of(text) for text in "abcd"], cache, "m"), 1):
        assert len(cache.rows) == taken


class InRounds(Scripted):
    """Answers come three at once."""

    def answer(self, requests: Sequence[ChatRequest]) -> ReadyAnswers[tuple[int, ChatAnswer]]:
        found = list(super().answer(requests))
        return ReadyAnswers(found[start : start + 3] for start in range(0, len(found), 3))


def test_answers_that_come_at_once_are_stored_with_one_flush() -> None:
    cache, requests = DictCache(), [request_of(text) for text in "abcdefgh"]
    asking = CachedAnswers(InRounds(), requests, cache, "m")
    found = dict(itertools.islice(asking, 4))
    assert (len(cache.rows), cache.flushes) == (6, [3, 3])
    kept = asking.keep_finished()
    assert [found[7 - at] for at in range(4)] + kept == [answer_of(request) for request in reversed(requests[2:])]
    assert (asking.asked, cache.flushes) == (6, [3, 3])


def test_an_answer_that_the_store_does_not_take_loses_none_before_it() -> None:
    requests = [request_of("a"), request_of("b" * MAX_ANSWER_BYTES), request_of("c")]
    cache = DictCache()
    with pytest.raises(RequestRejected, match="the store takes"):
        list(CachedAnswers(InRounds(), requests, cache, "m"))
    assert list(cache.rows) == [request_key("m", requests[2])]


def test_what_came_before_a_failure_is_not_asked_again(tmp_path: Path) -> None:
    requests = [request_of(str(number)) for number in range(10)]
    cache = AnswerCache(tmp_path / "answers.sqlite")
    first = Scripted(most=6)
    with pytest.raises(ServiceUnavailable):
        list(CachedAnswers(first, requests, cache, "m"))
    cache.close()
    second = Scripted()
    asking = CachedAnswers(second, requests, AnswerCache(tmp_path / "answers.sqlite"), "m")
    assert dict(asking) == {number: answer_of(request) for number, request in enumerate(requests)}
    assert (asking.asked, asking.from_cache) == (4, 6)
    assert not set(first.asked) & set(second.asked)


def test_stopping_closes_the_models_iterator() -> None:
    model = Scripted()
    asking = CachedAnswers(model, [request_of(text) for text in "abcd"], DictCache(), "m")
    next(asking)
    asking.close()
    assert (model.closed, len(model.asked), asking.asked) == (1, 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"messages": (("user", "b"),)}, id="text"),
        pytest.param({"messages": (("system", "a"),)}, id="role"),
        pytest.param({"messages": (("user", "a"), ("user", ""))}, id="one-message-more"),
        pytest.param({"max_tokens": 11}, id="max_tokens"),
        pytest.param({"temperature": 0.7}, id="temperature"),
        pytest.param({"top_p": 0.8}, id="top_p"),
        pytest.param({"seed": 1}, id="seed"),
        pytest.param({"choices": ("a",)}, id="choices"),
        pytest.param({"choices": ("b", "a")}, id="order-of-choices"),
        pytest.param({"distribution": True}, id="distribution"),
        pytest.param({"distribution": "free"}, id="free-distribution"),
        pytest.param({"pictures": ("data:a",)}, id="pictures"),
    ],
)
def test_every_field_of_a_request_is_in_its_key(change: dict[str, Any]) -> None:
    base = request_of("a", choices=("a", "b")) if "choices" in change else request_of("a")
    assert request_key("m", base) == request_key("m", dataclasses.replace(base))
    assert request_key("m", base) != request_key("m", dataclasses.replace(base, **change))


def test_no_field_is_forgotten_and_the_model_counts() -> None:
    fields = {"messages", "max_tokens", "temperature", "top_p", "seed", "choices", "distribution", "pictures"}
    assert {field.name for field in dataclasses.fields(ChatRequest)} == fields
    assert request_key("m", request_of("a")) != request_key("n", request_of("a"))


FREE = request_of("a")
CHOICE = request_of("a", choices=("x", " x", "y"))
LIKELY = request_of("a", choices=("x", " x", "y"), distribution=True)


@pytest.mark.parametrize(
    ("request_", "damage"),
    [
        pytest.param(FREE, {"text": None}, id="text-missing"),
        pytest.param(FREE, {"finish_reason": "abort"}, id="not-finished"),
        pytest.param(FREE, {"prompt_tokens": "5"}, id="count-is-text"),
        pytest.param(FREE, {"more": 1}, id="unknown-field"),
        pytest.param(CHOICE, {"outside": 1.5}, id="no-probability"),
        pytest.param(CHOICE, {"outside": "0.5"}, id="probability-is-text"),
        pytest.param(CHOICE, {"outside": float("nan")}, id="probability-is-nan"),
        pytest.param(LIKELY, {"follow_ups": None}, id="requests-not-counted"),
        pytest.param(CHOICE, {"text": "z"}, id="not-a-choice"),
        pytest.param(CHOICE, {"text": " x"}, id="not-stripped"),
        pytest.param(LIKELY, {"log_probabilities": None}, id="no-distribution"),
        pytest.param(LIKELY, {"log_probabilities": {"x": 0.0}}, id="of-other-choices"),
        pytest.param(LIKELY, {"log_probabilities": {"x": 0.0, "y": 0.0}}, id="sums-to-2"),
        pytest.param(LIKELY, {"log_probabilities": {"x": float("nan"), "y": 0.0}}, id="nan"),
    ],
)
def test_a_stored_value_that_cannot_be_the_answer_is_asked_anew(request_: ChatRequest, damage: dict[str, Any]) -> None:
    model, cache = Scripted(), DictCache()
    good = dataclasses.asdict(answer_of(request_))
    cache.put_many({request_key("m", request_): good})
    assert dict(CachedAnswers(model, [request_], cache, "m")) == {0: answer_of(request_)}
    assert model.asked == []
    cache.put_many({request_key("m", request_): good | damage})
    asking = CachedAnswers(model, [request_], cache, "m")
    assert dict(asking) == {0: answer_of(request_)}
    assert (asking.asked, asking.from_cache) == (1, 0)


@pytest.mark.parametrize(
    ("word", "request_", "answer"),
    [
        ("refused", FREE, ChatAnswer("", "refused", 0, 0)),
        ("refused-choice", CHOICE, ChatAnswer("", "refused", 0, 0)),
        ("refused-distribution", LIKELY, ChatAnswer("I cannot", "refused", 0, 0)),
        ("only-a-thought", CHOICE, ChatAnswer("<think>x", "length", 5, 3)),
        ("cut", FREE, ChatAnswer("about", "length", 5, 3)),
    ],
)
def test_an_answer_without_use_is_stored_and_not_asked_for_again(
    word: str, request_: ChatRequest, answer: ChatAnswer
) -> None:
    cache = DictCache()
    cache.put_many({request_key("m", request_): dataclasses.asdict(answer)})
    asking = CachedAnswers(Scripted(), [request_], cache, "m")
    assert dict(asking) == {0: answer}
    assert (asking.asked, asking.from_cache) == (0, 1)


@pytest.mark.parametrize(
    ("said", "kept"), [("content_filter", "refused"), ("eos_token", "stop"), ("max_tokens", "length"), ("?", "stop")]
)
def test_what_a_model_of_the_users_own_calls_an_end(said: str, kept: str) -> None:
    class Own(Scripted):
        def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
            for number, _ in enumerate(requests):
                yield number, ChatAnswer("a", said, 1, 1)  # type: ignore[arg-type]

    assert dict(CachedAnswers(Own(), [FREE], DictCache(), "m")) == {0: ChatAnswer("a", kept, 1, 1)}  # type: ignore[arg-type]


def test_an_answer_that_the_store_does_not_take_is_refused_with_the_limit(tmp_path: Path) -> None:
    class Long:
        def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
            yield 0, ChatAnswer("x" * 5_000_000, "stop", 1, 1)

    with pytest.raises(RequestRejected, match=r"an answer of 50001\d\d bytes.*the store takes 1048576"):
        list(
            CachedAnswers(
                Long(), [ChatRequest((("user", "a"),), 8, 0.0, 1.0, 0)], AnswerCache(tmp_path / "answers.sqlite"), "m"
            )
        )  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", [-1, 2.5, "7", None, True, 10**40])
def test_counts_of_a_model_of_the_users_own_are_counts_or_none(tmp_path: Path, odd: Any) -> None:
    class Odd:
        def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
            yield 0, ChatAnswer("fine", "stop", odd, odd)

    cache = AnswerCache(tmp_path / "answers.sqlite")
    for _ in range(2):
        ((_, answer),) = CachedAnswers(Odd(), [ChatRequest((("user", "a"),), 8, 0.0, 1.0, 0)], cache, "m")  # type: ignore[arg-type]
        assert (answer.prompt_tokens, answer.completion_tokens) == (0, 0)


@pytest.mark.parametrize("request_", [FREE, CHOICE, LIKELY], ids=["free", "choice", "likely"])
def test_answers_of_older_stores_are_read(request_: ChatRequest) -> None:
    """They say nothing of what lay outside the choices, nor of what an answer took."""
    older = {"text", "finish_reason", "prompt_tokens", "completion_tokens", "log_probabilities"}
    stored = {name: value for name, value in dataclasses.asdict(answer_of(request_)).items() if name in older}
    model, cache = Scripted(), DictCache()
    cache.put_many({request_key("m", request_): stored})
    assert dict(CachedAnswers(model, [request_], cache, "m")) == {0: answer_of(request_)}
    assert model.asked == []


def test_what_lies_outside_the_choices_is_kept() -> None:
    cache = DictCache()
    answer = dataclasses.replace(answer_of(CHOICE), outside=0.965, follow_ups=2)
    cache.put_many({request_key("m", CHOICE): dataclasses.asdict(answer)})
    found = dict(CachedAnswers(Scripted(), [CHOICE], cache, "m"))[0]
    assert (found.outside, found.follow_ups) == (0.965, 2)


@pytest.mark.parametrize(
    ("outside", "asked"), [(0.98, 0), (0.1, 1), (None, 1)], ids=["neither word", "hidden", "nothing shown"]
)
def test_a_question_without_an_answer_is_asked_again_where_a_server_may_be_to_blame(
    outside: float | None, asked: int
) -> None:
    """A server that shows no log-probabilities can be mended; a model that says neither word says so again."""
    free = request_of("a", choices=("x", " x", "y"), distribution="free")
    answer = ChatAnswer("Perhaps", "stop", 1, 1, None, outside=outside)
    model, cache = Scripted(), DictCache()
    cache.put_many({request_key("m", free): dataclasses.asdict(answer)})
    found = dict(CachedAnswers(model, [free], cache, "m"))[0]
    assert len(model.asked) == asked
    assert (found == answer) == (not asked)
