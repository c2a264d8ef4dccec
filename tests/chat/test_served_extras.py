"""What servers of chat models differ in: extra fields, the system role, log probabilities."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.scripted_server import (
    Reply,
    Seen,
    chat_body,
    error_body,
    scripted,
)
from support.served import BOTH, DIALOG, FREE, PIECES, SCORE, served

from lavad_core.errors import RequestRejected
from lavad_core.models.protocols import ChatRequest

EXTRA = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}


def test_extra_fields_go_with_each_request() -> None:
    def script(seen: Seen) -> Reply:
        return Reply(body={"count": 9}) if seen.path == "/tokenize" else Reply(body=chat_body("[0.3]"))

    with scripted(script=script) as server, served(server, extra_body=EXTRA) as model:
        assert model.count_tokens(DIALOG) == 9
        list(model.answer([FREE, SCORE]))
        tokenize, *asked = server.seen
    assert tokenize.body["chat_template_kwargs"] == EXTRA["chat_template_kwargs"]
    assert "top_k" not in tokenize.body
    for seen in asked:
        assert EXTRA.items() <= seen.body.items()
        assert seen.body["model"] == "tiny"


def without_system(seen: Seen) -> Reply | None:
    """The refusal of a server whose template knows no system role."""
    if "messages" in seen.body and any(message["role"] == "system" for message in seen.body["messages"]):
        return Reply(400, error_body("Conversation roles must alternate user/assistant/…", "BadRequestError", 400))
    return None


SYSTEM = ChatRequest((("system", "Be brief."), ("user", "What?")), 8, 0.0, 1.0, 7)


FOLDED = [{"role": "user", "content": "Be brief.\n\nWhat?"}]


@pytest.mark.parametrize("role", ["auto", "fold"])
def test_a_server_without_a_system_role(role: str) -> None:
    def script(seen: Seen) -> Reply:
        other = Reply(body={"count": 9}) if seen.path == "/tokenize" else Reply(body=chat_body("fine"))
        return without_system(seen) or other

    with scripted(script=script) as server, served(server, system_role=role) as model:
        assert model.count_tokens(SYSTEM.messages) == 9
        for _ in range(3):
            assert [answer.text for _, answer in model.answer([SYSTEM])] == ["fine"]
        assert [seen.body["messages"] for seen in server.seen[-2:]] == [FOLDED, FOLDED]
        assert len(server.seen) == 4 + 2 * (role == "auto")


def test_sent_as_it_is_the_refusal_is_the_servers() -> None:
    with scripted(script=lambda seen: without_system(seen) or Reply(body=chat_body("fine"))) as server:
        with served(server, system_role="send") as model, pytest.raises(RequestRejected, match="roles must alternate"):
            list(model.answer([SYSTEM]))
        assert len(server.seen) == 2  # and the control question


def test_a_refusal_that_folding_does_not_mend_is_the_first_one() -> None:
    replies = Reply(400, {"error": "the first"}), Reply(400, {"error": "the second"})
    with scripted(*replies) as server, served(server) as model:
        with pytest.raises(RequestRejected, match="the first"):
            list(model.answer([SYSTEM]))
        assert len(server.seen) == 4  # and the control question


@pytest.mark.parametrize("system", [False, True])
def test_a_server_that_knows_the_newer_name_of_max_tokens_alone(system: bool) -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model."

    def script(seen: Seen) -> Reply:
        if "max_tokens" in seen.body:
            return Reply(400, error_body(words, "invalid_request_error", 400, "max_tokens"))
        return (without_system(seen) if system else None) or Reply(body=chat_body("fine"))

    with scripted(script=script) as server, served(server) as model:
        for _ in range(2):
            assert [answer.text for _, answer in model.answer([SYSTEM])] == ["fine"]
        assert server.seen[-1].body["max_completion_tokens"] == 8
        assert "max_tokens" not in server.seen[-1].body


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


@pytest.mark.parametrize("path", ["/v1/completions", "/detokenize"])
@pytest.mark.parametrize(
    "refusal", [Reply(400, error_body("logprobs?", "BadRequestError", 400)), Reply(404, {"detail": "Not Found"})]
)
def test_a_server_that_refuses_what_is_asked_beside_the_answer_is_an_error(path: str, refusal: Reply) -> None:
    def script(seen: Seen) -> Reply:
        return refusal if seen.path == path else with_distribution(seen)

    request = ChatRequest(DIALOG, 8, 0.0, 1.0, 7, BOTH, distribution=True)
    named = pytest.raises(RequestRejected, match=r"score\.expected needs vLLM, .*set score\.expected=false")
    with scripted(script=script) as server, served(server) as model, named as caught:
        list(model.answer([request]))
    assert "base_url" not in str(caught.value)
