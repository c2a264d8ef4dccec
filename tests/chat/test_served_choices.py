"""What a distribution costs, how it is led, and what a free answer would have begun with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from support.scripted_server import Reply, Seen, chat_body, scripted
from support.served import BOTH, DIALOG, PIECES, served

from lavad_core.method.prompts import SCORE_CHOICES
from lavad_core.models.chat.choices import leading_characters
from lavad_core.models.protocols import ChatAnswer, ChatRequest

DIGITS = {10 + digit: digit / 45 for digit in range(1, 10)}
ZERO, ONE, POINT, END = 3, 4, 5, 6
STEPS: list[dict[int, float]] = [{1: 1.0}, {ZERO: 0.9, ONE: 0.1}, {POINT: 0.2, END: 0.8}, DIGITS, {END: 1.0}]


def row(chosen: int, probabilities: dict[int, float], bias: dict[str, float]) -> dict[str, Any]:
    tops = [
        {"token": f"token_id:{number}", "logprob": math.log(p) + bias.get(str(number), 0.0)}
        for number, p in probabilities.items()
    ]
    most = max(top["logprob"] for top in tops)
    tops = [top | {"logprob": top["logprob"] - max(most, 0.0)} for top in tops]
    return {
        "token": f"token_id:{chosen}",
        "logprob": -0.1,
        "top_logprobs": [*tops, {"token": "token_id:999", "logprob": -9999.0}],
    }


class Server:
    """Plays vLLM with a model that says ``[0]`` unless it is led; which modes of log-probabilities it can be run in."""

    def __init__(self, *, processed: bool = False, first_free: dict[int, float] | None = None) -> None:
        self.processed = processed
        self.first_free = first_free or {1: 0.035, 77: 0.9}
        self.chats: list[dict[str, Any]] = []
        self.completions = 0

    def __call__(self, seen: Seen) -> Reply:
        if seen.path == "/detokenize":
            return Reply(body={"prompt": "".join(PIECES[token] for token in seen.body["tokens"]).removeprefix(" ")})
        bias = seen.body.get("logit_bias", {})
        if seen.path == "/v1/completions":
            self.completions += 1
            assert seen.body["prompt"] == [101, 1, ZERO, POINT]
            tops = [{f"token_id:{number}": math.log(p) for number, p in DIGITS.items()}, {f"token_id:{END}": 0.0}]
            logprobs = {"tokens": ["token_id:19", f"token_id:{END}"], "top_logprobs": tops}
            usage = {"prompt_tokens": 4, "completion_tokens": 3}
            return Reply(
                body={"choices": [{"text": "9]", "finish_reason": "stop", "logprobs": logprobs}], "usage": usage}
            )
        self.chats.append(seen.body)
        if "structured_outputs" not in seen.body:
            assert seen.body["max_tokens"] == 1
            body = chat_body("The", logprobs={"content": [row(77, self.first_free, {})]})
            body["choices"][0]["finish_reason"] = "length"
            return Reply(body=body)
        in_logs = bias if self.processed else {}
        path = [1, ZERO, POINT, 19, END] if bias else [1, ZERO, END]
        text = "".join(PIECES[token] for token in path)
        rows = [row(token, p, in_logs) for token, p in zip(path, STEPS, strict=False)]
        return Reply(body=chat_body(text, logprobs={"content": rows}) | {"prompt_token_ids": [101]})


EXPECTED = {"[0]": 0.72, "[1.0]": 0.1, **{f"[0.{digit}]": 0.18 * digit / 45 for digit in range(1, 10)}}


def ask(script: Callable[[Seen], Reply], count: int, **change: Any) -> list[ChatAnswer]:
    fields: dict[str, Any] = {"choices": BOTH, "distribution": True} | change
    requests = [ChatRequest(DIALOG, 8, 0.0, 1.0, seed, **fields) for seed in range(count)]
    with scripted(script=script) as server, served(server, concurrency=1) as model:
        return [answer for _, answer in sorted(model.answer(requests), key=lambda pair: pair[0])]


def check(answer: ChatAnswer) -> None:
    assert answer.text == "[0]", "the most probable choice, whatever the answer was led to"
    assert answer.log_probabilities is not None
    assert {v: math.exp(log) for v, log in answer.log_probabilities.items()} == pytest.approx(EXPECTED, abs=1e-9)


def test_after_the_first_answer_one_request_tells_all() -> None:
    script = Server()
    answers = ask(script, 5)
    for answer in answers:
        check(answer)
    assert [answer.follow_ups for answer in answers] == [1, 0, 0, 0, 0]
    assert (script.completions, len(script.chats)) == (1, 5)
    assert "logit_bias" not in script.chats[0]
    assert script.chats[1]["logit_bias"] == {str(ZERO): 100.0, str(POINT): 100.0}
    assert answers[0].prompt_tokens == answers[1].prompt_tokens + 4
    assert answers[0].completion_tokens == answers[1].completion_tokens + 3


MANY = [ChatRequest(DIALOG, 8, 0.0, 1.0, seed, choices=BOTH, distribution=True) for seed in range(24)]


def test_side_questions_are_asked_once_however_many_answers_are_wanted() -> None:
    script = Server()
    with scripted(script=script) as server, served(server, concurrency=24) as model:
        for _, answer in model.answer(MANY):
            check(answer)
        asked = [tuple(seen.body["tokens"]) for seen in server.seen if seen.path == "/detokenize"]
    assert len(asked) == len(set(asked)) == 2 * len(PIECES) - 2, "a space before the bracket is never seen"
    assert script.completions == 1
    assert ["logit_bias" in body for body in script.chats if "structured_outputs" in body] == [False] + 23 * [True]


def test_a_first_answer_without_a_choice_keeps_no_other_waiting() -> None:
    plays = Server()
    thoughts = iter([Reply(body=chat_body("<think>Hm", "length"))])

    def script(seen: Seen) -> Reply:
        return (next(thoughts, None) if seen.path.endswith("/chat/completions") else None) or plays(seen)

    with scripted(script=script) as server, served(server, concurrency=24) as model:
        thought, *others = [answer for _, answer in sorted(model.answer(MANY), key=lambda pair: pair[0])]
        assert server.most_at_once > 1
    assert thought.log_probabilities is None
    for answer in others:
        check(answer)


def test_a_server_whose_log_probabilities_hold_the_bias_is_not_led() -> None:
    """``--logprobs-mode processed_logprobs``: every value would seem to be certain."""
    script = Server(processed=True)
    answers = ask(script, 4)
    for answer in answers:
        check(answer)
    assert [answer.follow_ups for answer in answers] == [1, 2, 1, 1], "the second is asked again"
    assert ["logit_bias" in body for body in script.chats] == [False, True, False, False, False]


def test_every_eighth_answer_is_asked_what_it_would_have_begun_with() -> None:
    script = Server()
    answers = ask(script, 17)
    found = {number: answer.outside for number, answer in enumerate(answers) if answer.outside is not None}
    assert found == pytest.approx({7: 0.965, 15: 0.965})
    assert [answer.follow_ups for answer in answers] == [1] + [int(number in found) for number in range(1, 17)]
    assert sum("structured_outputs" not in body for body in script.chats) == 2


@pytest.mark.parametrize(
    ("first", "outside"),
    [
        pytest.param({1: 0.98, 77: 0.01}, 0.02, id="it wants a choice"),
        pytest.param({77: 0.99}, 1.0, id="no choice among the most probable"),
        pytest.param({1: 1.0}, 0.0, id="it is sure"),
    ],
)
def test_outside(first: dict[int, float], outside: float) -> None:
    assert ask(Server(first_free=first), 8)[7].outside == pytest.approx(outside, abs=1e-9)


def test_without_a_distribution_nothing_more_is_asked() -> None:
    script = Server()
    answers = ask(script, 9, distribution=False)
    assert {(answer.text, answer.outside, answer.follow_ups) for answer in answers} == {("[0]", None, 0)}
    assert len(script.chats) == 9
    assert not any("logprobs" in body or "logit_bias" in body for body in script.chats)


@pytest.mark.parametrize(
    ("choices", "characters"),
    [
        pytest.param(BOTH, {"0", "."}, id="the scores with and without a space"),
        pytest.param(SCORE_CHOICES, {"0", "."}, id="the scores"),
        pytest.param(("red", "blue"), set(), id="apart at once"),
        pytest.param(("yes", "no", "not sure"), {"n"}, id="words"),
        pytest.param(("[0.5]",), set(), id="one"),
    ],
)
def test_leading_characters(choices: tuple[str, ...], characters: set[str]) -> None:
    assert leading_characters(choices) == characters
