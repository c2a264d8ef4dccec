"""The scripted server's bodies against the real server's: status, error type, keys and finish reason of the same requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.scripted_server import MODELS, NO_MODEL, TOO_LONG, chat_body
from support.vllm_server import VllmServer, get, post

from lavad_core.method import prompts

pytestmark = pytest.mark.vllm

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "a dog."}], "max_tokens": 4, "temperature": 0}


def keys_missing(scripted: Any, real: Any, path: str = "") -> list[str]:
    """Keys and types of the scripted body that the real one does not have."""
    if isinstance(scripted, dict):
        if not isinstance(real, dict):
            return [f"{path} is {type(real).__name__}"]
        return [
            line
            for key, value in scripted.items()
            for line in ([f"{path}.{key}"] if key not in real else keys_missing(value, real[key], f"{path}.{key}"))
        ]
    if isinstance(scripted, list) and scripted:
        return keys_missing(scripted[0], real[0], f"{path}[0]") if real else [f"{path} is empty"]
    return [] if scripted is None or type(scripted) is type(real) else [f"{path} is {type(real).__name__}"]


def test_models(vllm_server: VllmServer) -> None:
    status, body = get(f"{vllm_server.base_url}/models")
    assert status == 200
    assert keys_missing(MODELS, body) == []
    assert body["data"][0]["max_model_len"] == MODELS["data"][0]["max_model_len"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "scripted"),
    [
        pytest.param({"max_tokens": 1}, chat_body("a", "length"), id="cut"),
        pytest.param({"max_tokens": 60}, chat_body("a b."), id="stopped"),
        pytest.param(
            {"structured_outputs": {"choice": ["[0]", " [0]"]}, "max_tokens": 8}, chat_body("[0]"), id="choice"
        ),
        pytest.param(
            {"structured_outputs": {"choice": ["[0.1]"]}, "max_tokens": 2}, chat_body("[0", "length"), id="choice-cut"
        ),
    ],
)
def test_answers(vllm_server: VllmServer, change: dict[str, Any], scripted: dict[str, Any]) -> None:
    status, body = post(f"{vllm_server.base_url}/chat/completions", ASK | change)
    assert status == 200
    assert keys_missing(scripted, body) == []
    assert body["choices"][0]["finish_reason"] == scripted["choices"][0]["finish_reason"]


@pytest.mark.parametrize(
    ("change", "status", "scripted"),
    [
        pytest.param({"model": "nope"}, 404, NO_MODEL, id="no-such-model"),
        pytest.param(
            {"messages": [{"role": "user", "content": "a dog. " * 3000}]}, 400, TOO_LONG, id="prompt-too-long"
        ),
    ],
)
def test_refusals(vllm_server: VllmServer, change: dict[str, Any], status: int, scripted: dict[str, Any]) -> None:
    real_status, body = post(f"{vllm_server.base_url}/chat/completions", ASK | change)
    assert real_status == status
    assert set(body["error"]) >= set(scripted["error"])
    for field in ("type", "param", "code"):
        assert body["error"][field] == scripted["error"][field]


def test_no_such_path(vllm_server: VllmServer) -> None:
    assert post(f"{vllm_server.base_url}/nothing", {}) == (404, {"detail": "Not Found"})


def test_the_old_spelling_of_choices_is_ignored_with_200(vllm_server: VllmServer) -> None:
    body = ASK | {"guided_choice": ["[0]"], "max_tokens": 30}
    status, answer = post(f"{vllm_server.base_url}/chat/completions", body)
    assert status == 200
    assert answer["choices"][0]["message"]["content"].strip() != "[0]"


def test_completions_of_token_ids(vllm_server: VllmServer) -> None:
    """What a follow-up of a distribution relies on."""
    body = {
        "model": "tiny",
        "prompt": [1, 300, 301],
        "max_tokens": 6,
        "temperature": 0,
        "structured_outputs": {"choice": ["0]", "1]"]},
        "logprobs": 20,
        "return_tokens_as_token_ids": True,
        "add_special_tokens": False,
    }
    status, answer = post(f"{vllm_server.base_url}/completions", body)
    assert status == 200
    assert answer["usage"]["prompt_tokens"] == 3
    choice = answer["choices"][0]
    assert choice["text"] in ("0]", "1]")
    assert choice["finish_reason"] == "stop"
    assert all(token.startswith("token_id:") for tokens in choice["logprobs"]["top_logprobs"] for token in tokens)


def real_sized(number: int) -> dict[str, Any]:
    """A prompt as the paper's are, sampled with a seed, which all requests of a run have."""
    captions = [f"a man walks down a street with a bag number {number} in shot {shot}" for shot in range(10)]
    messages = [{"role": "system", "content": prompts.SUMMARY}, {"role": "user", "content": "\n ".join(captions)}]
    return ASK | {"messages": messages, "temperature": 0.6, "top_p": 0.9, "seed": 1000 + number, "max_tokens": 16}


def test_many_seeded_real_sized_prompts_at_once(vllm_server: VllmServer) -> None:
    """More tokens than are read in one step: read in chunks, a seeded one among them ends vLLM 0.32 on the CPU."""
    with ThreadPoolExecutor(48) as threads:
        answers = list(
            threads.map(lambda n: post(f"{vllm_server.base_url}/chat/completions", real_sized(n)), range(48))
        )
    assert [status for status, _ in answers] == [200] * 48
    assert sum(body["usage"]["prompt_tokens"] for _, body in answers) > 8192
    assert all(body["choices"][0]["finish_reason"] in ("stop", "length") for _, body in answers)
    assert get(f"{vllm_server.base_url}/models")[0] == 200
