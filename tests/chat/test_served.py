"""The served chat model against a scripted server: what it sends, and which answers it believes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from scripted_server import BUSY, MODELS, TOO_LONG, Reply, ScriptedServer, Seen, chat_body, scripted

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ModelError, RequestRejected, ServiceUnavailable
from lavad_core.method.prompts import SCORE_CHOICES
from lavad_core.models.chat import load_chat
from lavad_core.models.chat.openai_server import ALLOWANCE_PER_MESSAGE, TRIES_OUTSIDE_CHOICES, ServedChat
from lavad_core.models.chat.replies import ONLY_THOUGHT
from lavad_core.models.protocols import ChatModel, ChatRequest

BOTH = tuple(spelling for choice in SCORE_CHOICES for spelling in (choice, " " + choice))
DIALOG = (("system", "Rate it."), ("user", "a dog."))
FREE = ChatRequest(DIALOG, max_tokens=50, temperature=0.6, top_p=0.9, seed=7)
SCORE = ChatRequest(DIALOG, max_tokens=8, temperature=0.0, top_p=1.0, seed=7, choices=BOTH)


def config_of(server: ScriptedServer, **settings: Any) -> VllmChatConfig:
    given = {"model": "tiny", "base_url": server.base_url, "retries": 4, "max_backoff_s": 0.01, "timeout_s": 5.0}
    return VllmChatConfig(**{**given, **settings})


@contextmanager
def served(server: ScriptedServer, **settings: Any) -> Iterator[ChatModel]:
    model = load_chat(config_of(server, **settings), random_folder=lambda name: pytest.fail(name))
    try:
        yield model
    finally:
        model.close()


def test_what_is_sent_and_what_comes_back() -> None:
    with scripted(Reply(body=chat_body(" It rains."))) as server, served(server) as model:
        assert isinstance(model, ChatModel)
        ((number, answer),) = model.answer([FREE])
    assert (number, answer.text, answer.finish_reason) == (0, " It rains.", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.log_probabilities) == (20, 6, None)
    assert server.seen[0].path == "/v1/chat/completions"
    assert server.seen[0].body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Rate it."}, {"role": "user", "content": "a dog."}],
        "max_tokens": 50,
        "temperature": 0.6,
        "top_p": 0.9,
        "seed": 7,
    }


@pytest.mark.parametrize("text", [pytest.param("[0.3]", id="bare"), pytest.param(" [0.3]", id="leading-space")])
def test_both_spellings_of_a_choice_are_one_answer(text: str) -> None:
    with scripted(Reply(body=chat_body(text))) as server, served(server) as model:
        ((_, answer),) = model.answer([SCORE])
    assert answer.text == "[0.3]"
    assert server.seen[0].body["structured_outputs"] == {"choice": list(BOTH)}
    assert server.seen[0].body["temperature"] == 0.0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("I cannot rate people.", id="free-text"),
        pytest.param("[0.35]", id="not-of-the-list"),
        pytest.param("[0.3]\n", id="one-byte-more"),
        pytest.param("  [0.3]", id="two-spaces"),
        pytest.param("[0.3", id="a-beginning-that-says-stop"),
        pytest.param("", id="empty"),
    ],
)
def test_a_server_that_ignores_the_choices_is_found_out(text: str) -> None:
    with scripted(Reply(body=chat_body(text))) as server, served(server) as model:
        with pytest.raises(RequestRejected, match="ignores structured_outputs"):
            list(model.answer([SCORE]))
        assert len(server.seen) == TRIES_OUTSIDE_CHOICES


def test_one_answer_outside_the_choices_may_pass() -> None:
    replies = (Reply(body=chat_body("no")), Reply(body=chat_body("[0]")))
    with scripted(*replies) as server, served(server) as model:
        ((_, answer),) = model.answer([SCORE])
    assert answer.text == "[0]"


def test_without_retries_the_first_answer_outside_the_choices_is_final() -> None:
    with scripted(Reply(body=chat_body("no"))) as server, served(server, retries=0) as model:
        with pytest.raises(RequestRejected, match="ignores structured_outputs"):
            list(model.answer([SCORE]))
        assert len(server.seen) == 1


def test_too_few_tokens_for_a_choice_are_not_asked_for_again() -> None:
    with scripted(Reply(body=chat_body("[0.", "length"))) as server, served(server) as model:
        with pytest.raises(RequestRejected, match="max_tokens 8 ended the answer"):
            list(model.answer([SCORE]))
        assert len(server.seen) == 1


def no_usage() -> dict[str, Any]:
    return {key: value for key, value in chat_body("x").items() if key != "usage"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chat_body("half an ans", "abort"), id="abort"),
        pytest.param(chat_body("x", "error"), id="error"),
        pytest.param({**chat_body("x"), "choices": []}, id="no-choices"),
        pytest.param({**chat_body("x"), "choices": None}, id="choices-null"),
        pytest.param(no_usage(), id="no-usage"),
        pytest.param({"error": {"message": "upstream", "code": 500}}, id="error-with-200"),
        pytest.param(chat_body(["x"]), id="content-of-another-type"),  # type: ignore[arg-type]
        pytest.param({**chat_body("x"), "usage": {"prompt_tokens": "1", "completion_tokens": 2}}, id="usage-is-text"),
    ],
)
def test_a_200_that_is_not_an_answer_is_tried_again(body: dict[str, Any]) -> None:
    with scripted(Reply(body=body), Reply(body=chat_body("good"))) as server, served(server) as model:
        ((_, answer),) = model.answer([FREE])
    assert answer.text == "good"
    with scripted(Reply(body=body)) as server, served(server, retries=1) as model:
        with pytest.raises(ServiceUnavailable):
            list(model.answer([FREE]))
        assert len(server.seen) == 2


def test_an_empty_answer_is_an_answer() -> None:
    body = chat_body("", "length")
    body["choices"][0]["message"]["content"] = None
    with scripted(Reply(body=body)) as server, served(server) as model:
        ((_, answer),) = model.answer([FREE])
    assert (answer.text, answer.finish_reason) == ("", "length")


FILTERED = {"error": {"message": "No.", "type": None, "param": "prompt", "code": "content_filter", "status": 400}}
REFUSAL = {"choices": [{"finish_reason": "stop", "message": {"content": None, "refusal": "I cannot."}}]}


@pytest.mark.parametrize("request_", [pytest.param(FREE, id="free-text"), pytest.param(SCORE, id="choice")])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(400, FILTERED), id="filter-400"),
        pytest.param(Reply(403, FILTERED), id="filter-403"),
        pytest.param(Reply(body=chat_body("", "content_filter")), id="filter-200"),
        pytest.param(Reply(body=chat_body("A man hits", "content_filter")), id="filter-in-the-middle"),
        pytest.param(Reply(body=REFUSAL), id="refusal"),
    ],
)
def test_a_refused_question_is_an_answer_and_the_others_are_asked(request_: ChatRequest, reply: Reply) -> None:
    fire = dataclasses.replace(request_, messages=(("user", "a fire"),))

    def script(seen: Seen) -> Reply:
        return reply if "fire" in seen.body["messages"][-1]["content"] else Reply(body=chat_body("[0.3]"))

    with scripted(script=script) as server, served(server) as model:
        answers = dict(model.answer([fire, request_]))
        assert len(server.seen) == 2
    assert (answers[0].finish_reason, answers[1].text) == ("refused", "[0.3]")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        pytest.param(chat_body("<think>\n[0.9]?\n</think>\n\n[0.3]"), "[0.3]", id="before-the-choice"),
        pytest.param(chat_body("<think>\n\n</think>\n\n[0.3]", "length"), "[0.3]", id="whole-at-the-limit"),
        pytest.param(chat_body("<think>\n[0.9]", "length"), "<think>\n[0.9]", id="cut"),
    ],
)
def test_a_choice_after_a_thought(said: dict[str, Any], text: str) -> None:
    with scripted(Reply(body=said)) as server, served(server) as model:
        ((_, answer),) = model.answer([SCORE])
        assert len(server.seen) == 1
    assert answer.text == text


def test_a_thought_in_a_field_of_its_own_is_no_text() -> None:
    body = chat_body("A man.")
    body["choices"][0]["message"] |= {"content": None, "reasoning_content": "Hmm, [0.9]"}
    for request in (FREE, SCORE):
        with scripted(Reply(body=body)) as server, served(server) as model:
            ((_, answer),) = model.answer([request])
        assert answer.text == ONLY_THOUGHT


def test_a_prompt_that_is_too_long_is_not_sent_again() -> None:
    with scripted(Reply(400, TOO_LONG)) as server, served(server) as model:
        with pytest.raises(RequestRejected, match="maximum context length") as caught:
            list(model.answer([FREE]))
        assert caught.value.status == 400
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("models", "word"),
    [
        pytest.param({"object": "list", "data": []}, "it serves none", id="nothing"),
        pytest.param(MODELS | {"data": [{"id": f"other{n}"} for n in range(9)]}, "'other4', … ", id="others"),
        pytest.param({"detail": "?"}, "it serves none", id="not-a-list"),
    ],
)
def test_the_model_must_be_served(models: dict[str, Any], word: str) -> None:
    with scripted(Reply(body={})) as server:
        server.models = Reply(body=models)
        with pytest.raises(ModelError, match=word):
            ServedChat(config_of(server))


def test_a_refused_key_names_its_setting() -> None:
    with scripted(Reply(body={})) as server:
        server.models = Reply(401, {"error": "Unauthorized"})
        with pytest.raises(RequestRejected, match=r"LAVAD_CHAT__API_KEY") as caught:
            ServedChat(config_of(server, api_key=SecretStr("hunter2")))
        assert "hunter2" not in str(caught.value)


def test_the_context_is_the_shorter_of_both() -> None:
    with scripted(Reply(body={})) as server:
        for configured, expected in ((4096, 2048), (1024, 1024)):
            with served(server, context_tokens=configured) as model:
                assert model.context_tokens == expected


def test_tokens_are_counted_by_the_server_once_a_text() -> None:
    with scripted(Reply(body={"count": 31, "max_model_len": 2048, "tokens": [1]})) as server, served(server) as model:
        assert [model.count_tokens(DIALOG) for _ in range(3)] == [31, 31, 31]
        assert model.count_tokens(list(DIALOG[1:])) == 31
    assert [seen.path for seen in server.seen] == ["/tokenize", "/tokenize"]
    assert server.seen[0].body["add_generation_prompt"] is True


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(404, {"detail": "Not Found"}), id="no-such-path"),
        pytest.param(Reply(405, {"detail": "Method Not Allowed"}), id="no-such-method"),
        pytest.param(Reply(200, {"tokens": []}), id="another-answer"),
    ],
)
def test_a_server_that_does_not_count_gets_an_estimate(reply: Reply) -> None:
    with scripted(reply) as server, served(server) as model:
        assert model.count_tokens([("user", "é" * 10), ("assistant", "ab")]) == 7 + 1 + 2 * ALLOWANCE_PER_MESSAGE
        assert model.count_tokens([("user", "x")]) == 1 + ALLOWANCE_PER_MESSAGE
        assert len(server.seen) == 1


PIECES = {1: "[", 2: " [", 3: "0", 4: "1", 5: ".", 6: "]", **{10 + digit: str(digit) for digit in range(1, 10)}}


def top(chosen: int, **scores: float) -> dict[str, Any]:
    """A row of ``logprobs.content``, tokens as ids; forbidden tokens shown as vLLM shows them."""
    rows = [{"token": f"token_id:{name[1:]}", "logprob": math.log(score)} for name, score in scores.items()]
    rows.append({"token": "token_id:999", "logprob": -9999.0})
    return {"token": f"token_id:{chosen}", "logprob": 0.0, "top_logprobs": rows}


def with_distribution(seen: Seen) -> Reply:
    """Says " [0]"; of "[0." it tells only when asked."""
    if seen.path == "/detokenize":
        text = "".join(PIECES[token] for token in seen.body["tokens"])
        return Reply(body={"prompt": text.removeprefix(" ")})
    if seen.path == "/v1/completions":
        assert seen.body["prompt"] == [101, 102, 2, 3, 5]
        assert seen.body["structured_outputs"] == {"choice": [f"{digit}]" for digit in range(1, 10)]}
        tops = [{f"token_id:{10 + digit}": math.log(digit / 45) for digit in range(1, 10)}, {"token_id:6": 0.0}]
        logprobs = {"tokens": ["token_id:19", "token_id:6"], "top_logprobs": tops}
        return Reply(body={"choices": [{"text": "9]", "finish_reason": "stop", "logprobs": logprobs}]})
    rows = [top(2, _2=1.0), top(3, _3=0.9, _4=0.1), top(6, _6=0.5, _5=0.5)]
    return Reply(body=chat_body(" [0]", logprobs={"content": rows}) | {"prompt_token_ids": [101, 102]})


def test_a_distribution_follows_the_branch_that_the_answer_did_not_take() -> None:
    request = ChatRequest(DIALOG, 8, 0.0, 1.0, 7, BOTH, distribution=True)
    with scripted(script=with_distribution) as server, served(server) as model:
        ((_, answer),) = model.answer([request])
    assert answer.text == "[0]"
    assert answer.log_probabilities is not None
    probabilities = {value: math.exp(log) for value, log in answer.log_probabilities.items()}
    expected = {"[0]": 0.45, "[1.0]": 0.1, **{f"[0.{digit}]": 0.45 * digit / 45 for digit in range(1, 10)}}
    assert probabilities == pytest.approx(expected, abs=1e-9)
    assert [seen.path for seen in server.seen].count("/v1/completions") == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chat_body("[0]"), id="none"),
        pytest.param(chat_body("[0]", logprobs={"content": []}) | {"prompt_token_ids": [1]}, id="no-tokens"),
        pytest.param(
            chat_body("[0]", logprobs={"content": [{"token": "[", "top_logprobs": [{"token": "[", "logprob": -0.1}]}]})
            | {"prompt_token_ids": [1]},
            id="tokens-as-text",
        ),
        pytest.param(
            chat_body("[0]", logprobs={"content": [top(6, _6=1.0)]}) | {"prompt_token_ids": [1]}, id="of-a-free-answer"
        ),
    ],
)
def test_log_probabilities_that_cannot_be_used(body: dict[str, Any]) -> None:
    def script(seen: Seen) -> Reply:
        return with_distribution(seen) if seen.path == "/detokenize" else Reply(body=body)

    request = ChatRequest(DIALOG, 8, 0.0, 1.0, 7, BOTH, distribution=True)
    refused = pytest.raises(RequestRejected, match="log-probabilities are not those of a choice")
    with scripted(script=script) as server, served(server) as model, refused:
        list(model.answer([request]))


def test_every_request_is_answered_once_however_busy_the_server() -> None:
    def script(seen: Seen) -> Reply:
        text = seen.body["messages"][0]["content"]
        if int(text) % 7 == 3 and sum(other.body == seen.body for other in server.seen) < 3:
            return Reply(503, BUSY)
        return Reply(body=chat_body(text))

    requests = [ChatRequest((("user", str(number)),), 5, 0.0, 1.0, 0) for number in range(100)]
    with scripted(script=script) as server, served(server, concurrency=16) as model:
        answers = list(model.answer(requests))
    assert sorted(number for number, _ in answers) == list(range(100))
    assert all(answer.text == str(number) for number, answer in answers)
