"""A server that refuses one question in plain words, and one that refuses all of them."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.scripted_server import TOO_LONG, Reply, Seen, chat_body, error_body, scripted

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import RequestRejected, ServiceUnavailable
from lavad_core.models.chat.control import CONTROL_TEXT
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatModel, ChatRequest

FREE = ChatRequest((("system", "Tell."), ("user", "a dog")), 50, 0.6, 0.9, 7)
SCORE = ChatRequest((("system", "Rate."), ("user", "a dog")), 8, 0.0, 1.0, 7, ("[0.1]", "[0.2]"))
FORMS = [pytest.param(FREE, id="free-text"), pytest.param(SCORE, id="choice")]
GOOD = Reply(body=chat_body("[0.1]"))


@contextmanager
def served(base_url: str, **settings: Any) -> Iterator[ChatModel]:
    given = {"model": "tiny", "base_url": base_url, "retries": 1, "max_backoff_s": 0.01, "timeout_s": 5.0}
    config = VllmChatConfig(**{**given, "concurrency": 1, "system_role": "send", **settings})
    model = load_model(config, random_folder=lambda name: pytest.fail(name))
    try:
        yield model
    finally:
        model.close()


def of(request: ChatRequest, text: str) -> ChatRequest:
    return dataclasses.replace(request, messages=(request.messages[0], ("user", text)))


def text_of(seen: Seen) -> str:
    return str(seen.body["messages"][-1]["content"])


PLAIN = {
    "deepseek": (Reply(400, error_body("Content Exists Risk", "invalid_request_error", 400)), "Content Exists Risk"),
    "names-the-text": (Reply(400, error_body("No.", "BadRequestError", 400, "messages[1].content")), "No."),
    "fastapi": (Reply(422, {"detail": "inappropriate"}), "inappropriate"),
    "firewall": (Reply(403, b"<html>Blocked</html>", content_type="text/html"), "<html>Blocked</html>"),
    "not-acceptable": (Reply(406, b"Not Acceptable!"), "Not Acceptable!"),
    "under-200": (Reply(200, {"error": {"message": "Risk", "code": 400}}), "Risk"),
    "under-200-flat": (Reply(200, {"code": "400", "msg": "Risk"}), "Risk"),
}


@pytest.mark.parametrize("request_", FORMS)
@pytest.mark.parametrize(("refusal", "words"), PLAIN.values(), ids=PLAIN)
def test_one_refused_question_is_an_answer_with_the_servers_words(
    request_: ChatRequest, refusal: Reply, words: str
) -> None:
    def script(seen: Seen) -> Reply:
        return refusal if "fire" in text_of(seen) else GOOD

    texts = ["a fire", "a dog", "a fire in a house", "a cat"]
    with scripted(script=script) as server, served(server.base_url) as model:
        answers = dict(model.answer([of(request_, text) for text in texts]))
        asked = [text_of(seen) for seen in server.seen]
    assert [answers[at].finish_reason for at in range(4)] == ["refused", "stop", "refused", "stop"]
    assert [answers[at].text for at in range(4)] == [words, "[0.1]", words, "[0.1]"]
    assert sorted(asked) == sorted([*texts, CONTROL_TEXT, CONTROL_TEXT])
    assert [answers[at].follow_ups for at in range(4)] == [1, 0, 1, 0]


@pytest.mark.parametrize("request_", FORMS)
def test_a_server_that_refuses_all_questions_is_an_error(request_: ChatRequest) -> None:
    refusal = Reply(400, error_body("unknown field 'seed'", "BadRequestError", 400))
    with scripted(refusal) as server, served(server.base_url) as model:
        with pytest.raises(RequestRejected, match="unknown field 'seed'"):
            list(model.answer([request_]))
        assert [text_of(seen) for seen in server.seen] == ["a dog", CONTROL_TEXT]


def test_a_server_that_refuses_all_questions_of_one_form_is_an_error() -> None:
    def script(seen: Seen) -> Reply:
        return Reply(400, {"error": "structured_outputs?"}) if "structured_outputs" in seen.body else GOOD

    with scripted(script=script) as server, served(server.base_url) as model:
        assert len(list(model.answer([FREE]))) == 1
        with pytest.raises(RequestRejected, match="structured_outputs"):
            list(model.answer([SCORE]))


def test_a_key_that_is_taken_away_in_the_middle_is_an_error() -> None:
    gone = threading.Event()

    def script(seen: Seen) -> Reply:
        if gone.is_set():
            return Reply(403, {"error": {"message": "account suspended"}})
        return Reply(403, {"error": {"message": "blocked"}}) if "fire" in text_of(seen) else GOOD

    with scripted(script=script) as server, served(server.base_url) as model:
        assert [answer.finish_reason for _, answer in model.answer([of(FREE, "a fire")])] == ["refused"]
        gone.set()
        with pytest.raises(RequestRejected, match=r"account suspended; the key is read from chat\.api_key"):
            list(model.answer([of(FREE, "a cat")]))


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(Reply(400, TOO_LONG), id="vllm-too-long"),
        pytest.param(
            Reply(400, {"error": {"message": "Too long.", "param": "messages", "code": "context_length_exceeded"}}),
            id="openai-too-long",
        ),
        pytest.param(
            Reply(400, {"error": {"code": 400, "type": "exceed_context_size_error"}}), id="llama-cpp-too-long"
        ),
        pytest.param(Reply(413, b"Payload Too Large"), id="payload"),
        pytest.param(Reply(400, error_body("top_p?", "BadRequestError", 400, "top_p")), id="a-parameter"),
        pytest.param(Reply(402, {"error": {"message": "Insufficient Balance"}}), id="balance"),
    ],
)
def test_what_is_not_of_the_text_is_an_error_and_no_control_question_is_asked(refusal: Reply) -> None:
    with scripted(script=lambda seen: refusal if "fire" in text_of(seen) else GOOD) as server:
        with served(server.base_url) as model, pytest.raises(RequestRejected):
            list(model.answer([of(FREE, "a fire")]))
        assert len(server.seen) == 1


def test_many_refusals_at_once_share_control_questions(caplog: pytest.LogCaptureFixture) -> None:
    def script(seen: Seen) -> Reply:
        if "fire" in text_of(seen):
            return Reply(400, {"error": {"message": "Content Exists Risk"}})
        return dataclasses.replace(GOOD, until=all_have_come)

    def all_have_come() -> bool:
        return sum("fire" in text_of(seen) for seen in server.seen) >= 16

    fires = [of(FREE, f"a fire {number}") for number in range(16)]
    with scripted(script=script) as server, served(server.base_url, concurrency=16) as model:
        with caplog.at_level(logging.WARNING):
            answers = [answer for _, answer in model.answer(fires)]
        controls = [seen for seen in server.seen if text_of(seen) == CONTROL_TEXT]
    assert {answer.finish_reason for answer in answers} == {"refused"}
    assert sum(answer.follow_ups for answer in answers) == len(controls) < 8
    assert len([record for record in caplog.records if "refuses single questions" in record.message]) == 1


ERRORS = {
    "rate": ({"error": {"message": "Rate limit exceeded", "code": 429}}, ServiceUnavailable, "200 Rate limit exceeded"),
    "text": ({"error": "come back later"}, ServiceUnavailable, "200 come back later"),
    "key": (
        {"error": {"message": "bad key", "code": 401}},
        RequestRejected,
        r"200 bad key; the key is read from chat\.",
    ),
    "flat-key": ({"code": 401, "msg": "bad key"}, RequestRejected, r"200 bad key; the key is read from chat\."),
    "old-vllm": ({"object": "error", "message": "no", "code": 500}, ServiceUnavailable, "200 no"),
    "other": (
        {"base_resp": {"status_msg": "login fail"}},
        ServiceUnavailable,
        "200, but an answer without .*login fail",
    ),
}


@pytest.mark.parametrize(("body", "error", "words"), ERRORS.values(), ids=ERRORS)
def test_an_error_under_200_is_quoted(body: dict[str, Any], error: type[Exception], words: str) -> None:
    with scripted(Reply(200, body)) as server, served(server.base_url) as model, pytest.raises(error, match=words) as e:
        list(model.answer([FREE]))
    assert str(e.value).startswith(f"POST {server.base_url}/chat/completions: ")


def test_that_a_server_does_not_count_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def script(_: Seen) -> Reply:
        return Reply(404, {"detail": "Not Found"}, delay_s=0.05)

    with scripted(script=script) as server, served(server.base_url) as model, caplog.at_level(logging.WARNING):
        threads = [
            threading.Thread(target=model.count_tokens, args=((("user", f"text {number}"),),)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.seen) == 1
    (record,) = [record for record in caplog.records if "estimates" in record.message]
    assert "base_url" not in record.message
