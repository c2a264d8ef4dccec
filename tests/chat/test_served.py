"""The served chat model against a scripted server: what it sends, and which answers it believes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import SecretStr
from support.scripted_server import (
    BUSY,
    MODELS,
    NO_MODEL,
    TOO_LONG,
    Reply,
    Seen,
    chat_body,
    in_turn,
    scripted,
)
from support.served import BOTH, DIALOG, FREE, SCORE, config_of, served

from lavad_core.errors import ModelError, RequestRejected, ServiceUnavailable
from lavad_core.models.chat.openai_server import TRIES_OUTSIDE_CHOICES, ServedChat
from lavad_core.models.chat.optional import ALLOWANCE_PER_MESSAGE, OPTIONAL_ATTEMPTS
from lavad_core.models.chat.replies import ONLY_THOUGHT
from lavad_core.models.protocols import ChatModel, ChatRequest


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


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chat_body("half an ans", "abort"), id="abort"),
        pytest.param(chat_body("x", "error"), id="error"),
        pytest.param({**chat_body("x"), "choices": []}, id="no-choices"),
        pytest.param({**chat_body("x"), "choices": None}, id="choices-null"),
        pytest.param({"error": {"message": "upstream", "code": 500}}, id="error-with-200"),
        pytest.param(chat_body(["x"]), id="content-of-another-type"),  # type: ignore[arg-type]
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
        pytest.param(MODELS | {"data": [{"id": f"other{n}"} for n in range(9)]}, "'other4' … 4 more ", id="others"),
        pytest.param(MODELS | {"data": [{"id": "tiny:13b"}]}, "it serves 'tiny:13b'", id="another-tag"),
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
        server.script = in_turn(Reply(401, {"error": "Unauthorized"}))
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


NO_USE = {
    "no-such-path": Reply(404, {"detail": "Not Found"}),
    "no-such-method": Reply(405, {"detail": "Method Not Allowed"}),
    "another-answer": Reply(200, {"tokens": []}),
    "tokens-and-no-count": Reply(200, {"tokens": [0] * 40}),
    "no-such-endpoint-400": Reply(400, {"error": {"message": "Unknown endpoint"}}),
    "key-401": Reply(401, {"error": "Unauthorized"}),
    "gateway-403": Reply(403, {"message": "Missing Authentication Token"}),
    "not-implemented": Reply(501, {"error": "not implemented"}),
    "model-404": Reply(404, NO_MODEL),
    "gone": Reply(410, b""),
    "redirect": Reply(302, b"", {"Location": "/login"}),
    "moved": Reply(308, b"", {"Location": "https://example.org/"}),
    "page": Reply(200, b"<!doctype html><title>app</title>", content_type="text/html"),
    "nothing": Reply(200, b""),
    "a-list": Reply(200, [1, 2, 3]),
    "null": Reply(200, None),
    "count-null": Reply(200, {"count": None}),
    "count-text": Reply(200, {"count": "40"}),
    "count-float": Reply(200, {"count": 40.5}),
    "count-true": Reply(200, {"count": True}),
    "count-zero": Reply(200, {"count": 0}),
    "count-negative": Reply(200, {"count": -3}),
    "count-huge": Reply(200, {"count": 10**40}),
    "not-json": Reply(200, b"{'count': 3}"),
    "deep": Reply(200, b"[" * 100_000),
    "error-500": Reply(500, b"Internal Server Error"),
    "busy": Reply(503, BUSY),
    "too-many": Reply(429, {"error": "slow down"}),
}
"""What an endpoint answers that a server does not have, or that a proxy in front of it has instead."""


@pytest.mark.parametrize("reply", NO_USE.values(), ids=NO_USE)
def test_a_server_that_does_not_count_gets_an_estimate(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    def script(seen: Seen) -> Reply:
        return reply if seen.path == "/tokenize" else Reply(body=chat_body("fine"))

    with scripted(script=script) as server, served(server) as model:
        assert model.count_tokens([("user", "é" * 10), ("assistant", "ab")]) == 7 + 1 + 2 * ALLOWANCE_PER_MESSAGE
        asked = len(server.seen)
        assert model.count_tokens([("user", "x")]) == 1 + ALLOWANCE_PER_MESSAGE
        assert asked == len(server.seen) <= OPTIONAL_ATTEMPTS
        assert [answer.text for _, answer in model.answer([FREE])] == ["fine"]
    assert len([record for record in caplog.records if "estimates" in record.message]) == 1


@pytest.mark.parametrize("reply", [*NO_USE.values(), Reply(200, {"data": None}), Reply(200, {"data": ["tiny"]})])
def test_a_server_that_does_not_say_what_it_serves_is_tried(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    with scripted(Reply(body=chat_body("fine"))) as server:
        server.models = reply
        with served(server) as model:
            assert model.context_tokens == 4096
            assert len(server.seen) == 1
            assert [answer.text for _, answer in model.answer([FREE])] == ["fine"]
    assert len([record for record in caplog.records if "is believed" in record.message]) == 1


@pytest.mark.parametrize(
    ("rows", "context"),
    [
        pytest.param([{"id": "tiny:latest"}], 4096, id="a tag"),
        pytest.param([{"id": "tiny:latest", "max_model_len": 7}, {"id": "tiny", "max_model_len": 512}], 512, id="both"),
        pytest.param(
            [{"id": "base", "max_model_len": 400}, {"id": "tiny", "parent": "base", "max_model_len": None}],
            400,
            id="adapter",
        ),
        pytest.param([{"id": "tiny", "parent": "tiny"}], 4096, id="its own parent"),
        pytest.param([{"id": "tiny", "parent": "gone", "max_model_len": True}], 4096, id="no parent"),
        *[
            pytest.param([{"id": "tiny", "max_model_len": odd}], 4096, id=f"{odd!r}")
            for odd in ("512", -1, 0, 512.0, [])
        ],
        pytest.param([{"id": ["tiny"]}, None, {"id": "tiny", "max_model_len": 300}], 300, id="odd rows beside it"),
    ],
)
def test_the_row_of_a_model(rows: list[Any], context: int) -> None:
    with scripted(Reply(body={})) as server:
        server.models = Reply(body={"object": "list", "data": rows})
        with served(server) as model:
            assert model.context_tokens == context


def test_a_server_that_is_not_there_is_not_one_without_endpoints() -> None:
    with scripted(Reply(reset=True)) as server, served(server) as model, pytest.raises(ServiceUnavailable):
        model.count_tokens(DIALOG)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        None,
        [],
        "10 tokens",
        {"prompt_tokens": -5, "completion_tokens": -(10**30)},
        {"prompt_tokens": "12", "completion_tokens": None},
        {"prompt_tokens": True, "completion_tokens": 1.5},
        {"prompt_tokens": 10**30, "completion_tokens": 1e300},
        {"prompt_tokens": {"text": 1}},
    ],
)
def test_counts_that_cannot_be_are_none(usage: Any) -> None:
    with scripted(Reply(body={**chat_body("x"), "usage": usage})) as server, served(server) as model:
        ((_, answer),) = model.answer([FREE])
    assert (answer.prompt_tokens, answer.completion_tokens) == (0, 0)


def test_whole_numbers_written_with_a_point_are_counts() -> None:
    usage = {"prompt_tokens": 12.0, "completion_tokens": 3}
    with scripted(Reply(body={**chat_body("x"), "usage": usage})) as server, served(server) as model:
        ((_, answer),) = model.answer([FREE])
    assert (answer.prompt_tokens, answer.completion_tokens) == (12, 3)
    assert type(answer.prompt_tokens) is int


@pytest.mark.parametrize("request_", [pytest.param(FREE, id="free-text"), pytest.param(SCORE, id="choice")])
@pytest.mark.parametrize("text", [pytest.param("x" * 5_000_000, id="5 MB"), pytest.param("車" * 200_000, id="600 kB")])
def test_an_answer_longer_than_its_tokens_can_be(request_: ChatRequest, text: str) -> None:
    with scripted(Reply(body=chat_body(text))) as server, served(server) as model:
        with pytest.raises(RequestRejected, match=r"an answer of \d+ characters, where \d+ tokens were asked for"):
            list(model.answer([request_]))
        assert len(server.seen) == 1


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
