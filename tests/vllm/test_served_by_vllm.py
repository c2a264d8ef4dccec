"""The served chat model against a real vLLM, and against the local one with the same weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.local_chat import BOTH, answers_of
from support.vllm_server import VllmServer

from lavad_core.config.models import LocalChatConfig, VllmChatConfig
from lavad_core.errors import ModelError, RequestRejected, ServiceTimeout
from lavad_core.method import prompts
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.one_server import Server
from lavad_core.models.chat.openai_server import ServedChat
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.models.served.ask_server import ask_for_facts
from lavad_core.models.served.model_facts import fact_differences

pytestmark = pytest.mark.vllm

SCENES = [
    "a man walks through the parking lot at night.",
    "smoke rises from the back of a building.",
    "a dog.",
    "two people stand near the entrance of a shop. a car drives down the empty street.",
    "übung – 車 [0.5]",
]
SPACED = tuple(" " + choice for choice in prompts.SCORE_CHOICES)


def served_config(server: VllmServer, **settings: Any) -> VllmChatConfig:
    return VllmChatConfig(model="tiny", base_url=server.base_url, retries=1, timeout_s=120, **settings)


@pytest.fixture(scope="module")
def served(vllm_server: VllmServer) -> Iterator[ServedChat]:
    model = ServedChat(served_config(vllm_server))
    yield model
    model.close()


@pytest.fixture(scope="module")
def local(one_thread: None, tiny_llama: Path) -> Iterator[LocalChat]:
    model = load_model(LocalChatConfig(model="random:llama", dtype="float32"), random_folder=lambda name: tiny_llama)
    assert isinstance(model, LocalChat)
    yield model
    model.close()


def summary_of(scene: str, temperature: float = 0.0, seed: int = 0) -> ChatRequest:
    return ChatRequest((("system", prompts.SUMMARY), ("user", scene)), 40, temperature, 0.9, seed)


def score_of(scene: str, choices: tuple[str, ...] = BOTH, *, distribution: bool = False) -> ChatRequest:
    system = prompts.CONTEXT["plain"] + " " + prompts.FORMAT
    return ChatRequest((("system", system), ("user", scene)), 12, 0.0, 1.0, 0, choices, distribution)


def test_the_same_greedy_answers_as_the_local_model(served: ServedChat, local: ChatModel) -> None:
    requests = [make(scene) for make in (summary_of, score_of) for scene in SCENES]
    assert answers_of(served, requests) == answers_of(local, requests)


def test_the_same_token_counts_as_the_local_model(served: ServedChat, local: ChatModel) -> None:
    for scene in SCENES:
        messages = summary_of(scene).messages
        assert served.count_tokens(messages) == local.count_tokens(messages)
        assert served.count_tokens(messages) == answers_of(served, [summary_of(scene)])[0].prompt_tokens


def test_the_tokenizer_of_the_folder_that_is_served_counts_as_the_server(
    served: ServedChat, vllm_server: VllmServer
) -> None:
    assert served._counts.folder == vllm_server.folder, "chat.tokenizer: auto"
    asking = ServedChat(served_config(vllm_server, tokenizer=None))
    try:
        assert asking._counts.folder is None
        for scene in [*SCENES, "a dog. " * 200, "  two\n\nlines\t "]:
            messages = summary_of(scene).messages
            assert served.count_tokens(messages) == asking.count_tokens(messages) <= served.at_most_tokens(messages)
    finally:
        asking.close()


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(BOTH, id="both-spellings"),
        pytest.param(SPACED, id="with-a-space"),
        pytest.param(prompts.SCORE_CHOICES, id="without"),
    ],
)
def test_choices_are_kept_to_and_stripped(served: ServedChat, choices: tuple[str, ...]) -> None:
    for answer in answers_of(served, [score_of(scene, choices) for scene in SCENES]):
        assert answer.text in prompts.SCORE_CHOICES


def test_the_same_distribution_as_the_local_model(served: ServedChat, local: ChatModel) -> None:
    requests = [score_of(scene, distribution=True) for scene in SCENES]
    for ours, theirs in zip(answers_of(served, requests), answers_of(local, requests), strict=True):
        assert ours.log_probabilities is not None
        assert theirs.log_probabilities is not None
        assert math.fsum(map(math.exp, ours.log_probabilities.values())) == pytest.approx(1.0, abs=1e-9)
        for value in prompts.SCORE_CHOICES:
            assert math.exp(ours.log_probabilities[value]) == pytest.approx(
                math.exp(theirs.log_probabilities[value]), abs=1e-3
            )


def test_the_first_words_of_a_free_answer_are_as_probable_as_to_the_local_model(
    served: ServedChat, local: LocalChat
) -> None:
    """Words of one token, and words that the tokenizer splits; a random model likes no word of its own accord."""
    messages = (("user", SCENES[0]),)
    prompt, pieces = local._render(messages), local._pieces

    def likely(tokens: list[int]) -> list[int]:
        with torch.inference_mode():
            logits = local._model(torch.tensor([prompt + tokens])).logits[0, -1]
        order = logits.argsort(descending=True).tolist()
        return [
            token for token in order if pieces.get(token, "").strip(" ").isascii() and pieces.get(token, "").strip()
        ]

    first, second = likely([])[:2]
    longer = [pieces[token] + pieces[likely([token])[0]] for token in (first, second)]
    for one, other in ((pieces[first], pieces[second]), longer):
        choices = tuple(text for word in (one.strip(), other.strip()) for text in (word, f" {word}"))
        request = ChatRequest(messages, 1, 1.0, 1.0, 0, choices, "free")
        (theirs,), (ours,) = answers_of(served, [request]), answers_of(local, [request])
        assert theirs.log_probabilities is not None
        assert ours.log_probabilities is not None
        for word, log in ours.log_probabilities.items():
            assert math.exp(theirs.log_probabilities[word]) == pytest.approx(math.exp(log), abs=5e-3)
    assert theirs.follow_ups > 0, "a word of two tokens is followed"


def test_a_seed_repeats_and_another_does_not(served: ServedChat) -> None:
    requests = [summary_of(SCENES[0], 1.0, seed) for seed in range(8)]
    first = answers_of(served, requests)
    assert answers_of(served, requests[::-1]) == first[::-1]
    assert len({answer.text for answer in first}) > 4


def test_a_prompt_that_is_too_long_is_refused_at_once(served: ServedChat, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    once = Server.once

    async def counted(
        self: Server, method: str, url: str, content: bytes | None, timeout_s: float
    ) -> dict[str, object]:
        sent.append(url)
        return await once(self, method, url, content, timeout_s)

    monkeypatch.setattr(Server, "once", counted)
    request = summary_of("a dog. " * 3000)
    assert served.count_tokens(request.messages) > served.context_tokens
    with pytest.raises(RequestRejected, match="maximum context length is 2048") as caught:
        list(served.answer([request]))
    assert caught.value.status == 400
    assert sum(url.endswith("/chat/completions") for url in sent) == 1


def test_a_server_that_ignores_the_choices_is_found_out(served: ServedChat, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM before 0.12 spelled the field ``guided_choice`` and ignores ours; this one ignores the old one."""
    real = Server.once

    async def old(self: Server, method: str, url: str, content: bytes | None, timeout_s: float) -> dict[str, object]:
        assert content is not None
        changed = content.replace(b'"structured_outputs": {"choice"', b'"guided_choice": {"x"')
        return await real(self, method, url, changed, timeout_s)

    monkeypatch.setattr(Server, "once", old)
    with pytest.raises(RequestRejected, match="ignores structured_outputs"):
        list(served.answer([score_of(SCENES[0])]))


def test_another_model_is_not_served(vllm_server: VllmServer) -> None:
    with pytest.raises(ModelError, match="does not serve the model 'llama-2'; it serves 'tiny'"):
        ServedChat(VllmChatConfig(model="llama-2", base_url=vllm_server.base_url))


def test_the_context_is_the_servers(served: ServedChat) -> None:
    assert served.context_tokens == 2048


def test_many_requests(served: ServedChat) -> None:
    requests = [score_of(f"{scene} {number}") for number in range(60) for scene in SCENES]
    answers = answers_of(served, requests)
    assert len(answers) == 300
    assert {answer.text for answer in answers} <= set(prompts.SCORE_CHOICES)


def test_a_frozen_engine_is_a_timeout(served: ServedChat, vllm_server: VllmServer) -> None:
    """A server that accepts connections and never answers."""
    config = VllmChatConfig(model="tiny", base_url=vllm_server.base_url, retries=1, timeout_s=2, max_backoff_s=0.1)
    impatient = ServedChat(config)
    vllm_server.freeze()
    try:
        with pytest.raises(ServiceTimeout, match="within 2 s"):
            list(impatient.answer([summary_of(SCENES[0])]))
    finally:
        vllm_server.thaw()
        impatient.close()
    assert len(answers_of(served, [summary_of(SCENES[0])])) == 1


def test_an_abandoned_call_leaves_the_server_free(served: ServedChat) -> None:
    answers = served.answer([summary_of(f"{SCENES[0]} {number}", 1.0) for number in range(300)])
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(answers_of(served, [summary_of(SCENES[0])])) == 1


def test_what_a_server_says_of_its_model(vllm_server: VllmServer) -> None:
    facts = ask_for_facts(VllmChatConfig(model="tiny", base_url=vllm_server.base_url))
    assert facts.root == str(vllm_server.folder)
    assert facts.version
    assert facts.answer
    assert facts.folds is False
    assert fact_differences(facts, ask_for_facts(VllmChatConfig(model="tiny", base_url=vllm_server.base_url))) == []
