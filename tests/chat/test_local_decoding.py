"""Decoding over a cache of fixed length says what a model with its own cache says; a GPU's graph is tried without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from support.local_chat import SCENES, answers_of, score_of, summary_of
from support.tape import recorded

from lavad_core.config.models import LocalChatConfig
from lavad_core.errors import DeviceOutOfMemory
from lavad_core.models.chat import generating
from lavad_core.models.chat.generating import has_plain_attention
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.writing import Item
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatRequest

_HF: Any = transformers
TINY = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA = {**TINY, "intermediate_size": 16, "num_key_value_heads": 2}

pytestmark = pytest.mark.usefixtures("one_thread")

DEMO = Path(__file__).resolve().parents[2] / "demo" / "models" / "llama"


@pytest.fixture(scope="module")
def trained() -> Iterator[LocalChat]:
    loaded = load_model(LocalChatConfig(model=str(DEMO), batch_size=8))
    assert isinstance(loaded, LocalChat)
    yield loaded
    loaded.close()


def mixed(count: int) -> list[ChatRequest]:
    """Greedy and drawn, free and among choices, of several lengths and limits."""
    requests = []
    for number in range(count):
        scene = " ".join(SCENES[number % 5 :])
        fields: dict[str, Any] = {"temperature": (0.0, 0.8, 1.5)[number % 3], "top_p": 0.9, "seed": number}
        if number % 2:
            requests.append(score_of(scene, distribution=number % 4 == 1, **fields))
        else:
            requests.append(summary_of(scene, max_tokens=9 + 8 * (number % 4), **fields))
    return requests


@pytest.mark.parametrize("name", ["random", "demonstration"])
def test_a_fixed_cache_says_what_the_models_own_says(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = request.getfixturevalue("model" if name == "random" else "trained")
    assert isinstance(chat, LocalChat)
    assert chat._decoder is not None
    assert chat._decoder._fixed
    requests = mixed(14)
    fixed = answers_of(chat, requests)
    monkeypatch.setattr(chat._decoder, "_fixed", False)
    for one, other in zip(fixed, answers_of(chat, requests), strict=True):
        assert (one.text, one.finish_reason, one.completion_tokens) == (
            other.text,
            other.finish_reason,
            other.completion_tokens,
        )
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)
        assert one.outside == pytest.approx(other.outside, abs=1e-5)
    assert len({answer.text for answer in fixed}) > 5


def items_of(chat: LocalChat, requests: list[ChatRequest]) -> list[Item]:
    return [Item(chat._render(request.messages), request) for request in requests]


GROUPS = {
    "greedy": [summary_of(scene) for scene in SCENES],
    "drawn": [summary_of(scene, temperature=0.9, top_p=0.9, seed=seed) for seed, scene in enumerate(SCENES)],
    "choices": [score_of(scene, temperature=0.9, seed=seed) for seed, scene in enumerate(SCENES)],
    "distributions": [score_of(scene, distribution=True) for scene in SCENES],
    "all of them": mixed(9),
}


@pytest.mark.parametrize("requests", [pytest.param(requests, id=name) for name, requests in GROUPS.items()])
def test_a_token_can_be_recorded_and_repeated(
    model: LocalChat, requests: list[ChatRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does with a CUDA graph: nothing waits for the host, nothing changes its place, no Python runs in between."""
    decoder = model._decoder
    assert decoder is not None
    items = items_of(model, requests)
    other = [Item([*item.prompt[:4], *item.prompt[6:]], item.request) for item in items]  # shorter, of the same shape
    expected = [decoder.run(items, lambda: False), decoder.run(other, lambda: False)]
    kept: list[Any] = []
    new_batch = decoder._new_batch

    def to_record(*arguments: Any) -> Any:
        kept.append(new_batch(*arguments))
        kept[-1]._record = True
        return kept[-1]

    monkeypatch.setattr(decoder, "_batch", None)
    monkeypatch.setattr(decoder, "_new_batch", to_record)
    monkeypatch.setattr(generating, "graph_of", lambda step, what: recorded(step))
    # Recording does not run a step on a GPU. Here it does: a token that counts.
    assert decoder.run(items, lambda: False) == expected[0]
    kept[0].step = None  # what would run it is an error
    assert [decoder.run(chosen, lambda: False) for chosen in (items, other)] == expected
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("config", "plain"),
    [
        pytest.param(lambda: _HF.LlamaConfig(**LLAMA), True, id="llama"),
        pytest.param(lambda: _HF.Qwen2Config(**LLAMA), True, id="qwen2"),
        pytest.param(lambda: _HF.MistralConfig(**LLAMA, sliding_window=None), True, id="mistral"),
        pytest.param(lambda: _HF.MistralConfig(**LLAMA, sliding_window=8), False, id="a window that slides"),
        pytest.param(lambda: _HF.Gemma2Config(**LLAMA, head_dim=8), False, id="layers of two kinds"),
        pytest.param(lambda: _HF.FalconConfig(**TINY, alibi=True), False, id="alibi"),
        pytest.param(lambda: _HF.GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2), False, id="learned places"),
        pytest.param(
            lambda: _HF.MambaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=2), False, id="no attention"
        ),
    ],
)
def test_which_models_take_a_fixed_cache(config: Any, plain: bool) -> None:
    with torch.device("meta"):
        assert has_plain_attention(_HF.AutoModelForCausalLM.from_config(config())) is plain


def test_nothing_is_kept_after_the_answers_an_error_or_the_end(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = load_model(LocalChatConfig(model="random:llama", batch_size=2), random_folder=lambda name: tiny_llama)
    assert isinstance(chat, LocalChat)
    decoder = chat._decoder
    assert decoder is not None
    requests = [summary_of(scene) for scene in SCENES]
    answers = chat.answer(requests)
    next(answers)
    assert decoder._batch is not None, "for the next batch"
    answers.close()
    assert decoder._batch is None
    answers_of(chat, requests)
    assert decoder._batch is None
    forward = chat._model.forward

    def none(input_ids: torch.Tensor, **more: Any) -> Any:
        if input_ids.shape[1] == 1:
            raise torch.OutOfMemoryError("made by the test")
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(chat._model, "forward", none)
    with pytest.raises(DeviceOutOfMemory):
        answers_of(chat, requests)
    assert decoder._batch is None
    chat.close()
    assert chat._decoder is None
