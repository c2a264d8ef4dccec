"""Greedy decoding of our own says what ``generate`` says, token by token."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.small_blip2 import image_processor, load, pictures
from support.tape import recorded
from torch import Tensor

from lavad_core.config.models import Blip2Config
from lavad_core.models.batching import Batcher
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.captioners.greedy import GreedyDecoder, rules_of
from lavad_core.models.protocols import Image
from lavad_core.models.random_models import random_folder

CPU = torch.device("cpu")
DEMO = Path(__file__).resolve().parents[2] / "demo" / "models"
RANDOM = ("blip2-opt", "blip2-t5")
MODELS = (*RANDOM, *sorted(path.name for path in DEMO.glob("blip2-*")))


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def captioner(name: str) -> Blip2Captioner:
    return load(random_folder(name) if name in RANDOM else DEMO / name)


def images(count: int, side: int) -> list[Image]:
    """Half smooth, half noise."""
    noise = np.random.default_rng(7).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return [*pictures(count - count // 2, side, side), *noise[: count // 2]]


def pixels(of: Blip2Captioner, count: int) -> Tensor:
    return of._levels(images(count, of.geometry.side), CPU, torch.float32)


@torch.inference_mode()
def generated(of: Blip2Captioner, values: Tensor, most: int = 19) -> Tensor:
    tokens: Tensor = of._model.generate(pixel_values=values, max_new_tokens=most, do_sample=False, num_beams=1)
    return tokens[:, of._prompt_tokens :]


@torch.inference_mode()
def decoded(decoder: GreedyDecoder, of: Blip2Captioner, values: Tensor) -> Tensor:
    said = decoder.decode(of._prompts(values))
    assert said.finite.all()
    return said.tokens


def decoder_of(of: Blip2Captioner, most: int = 19) -> GreedyDecoder:
    language = of._model.language_model
    return GreedyDecoder(language, rules_of(language, of._prompt_tokens), most)


@pytest.mark.parametrize("name", MODELS)
def test_the_token_ids_are_generates(name: str) -> None:
    of = captioner(name)
    values = pixels(of, 12)
    decoder = decoder_of(of)
    seen = [decoded(decoder, of, batch) for batch in (values, values.flip(0), values[:3])]
    for batch, tokens in zip((values, values.flip(0), values[:3]), seen, strict=True):
        assert torch.equal(tokens, generated(of, batch))
    assert len({tuple(row) for row in seen[0].tolist()}) > 1


@pytest.mark.parametrize("name", MODELS)
def test_a_step_can_be_recorded_and_repeated(name: str) -> None:
    """What a GPU does with a CUDA graph: nothing waits for the host, nothing changes its place, no Python runs in between."""
    of = captioner(name)
    values = pixels(of, 6)
    decoder = decoder_of(of)
    first = decoded(decoder, of, values)
    state = decoder._state
    assert state is not None
    with torch.inference_mode():
        state.count.fill_(
            1
        )  # recording does not run a step on a GPU; here it does, and none has a place after the last
        state.graph = recorded(lambda: decoder._step(state))
    steps: list[int] = []
    decoder._step = steps.append  # type: ignore[assignment,method-assign]
    assert torch.equal(decoded(decoder, of, values), first)
    other = values.roll(2, dims=0).flip(3)
    assert torch.equal(decoded(decoder, of, other), generated(of, other))
    assert decoder._state is state
    assert not steps


@pytest.mark.parametrize(
    ("name", "dtype", "reason"),
    [
        pytest.param("blip2-opt", "float32", "", id="no GPU"),
        pytest.param("blip2-t5", "float16", "T5's clamp in float16", id="T5 in float16"),
    ],
)
def test_without_a_graph_it_goes_on_and_says_so(
    name: str, dtype: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    of = load(random_folder(name), dtype=dtype)
    captions, decoder = of.caption(pictures(2)), of._decoder
    assert decoder is not None
    assert decoder._state is not None
    decoder._capture(decoder._state)
    assert decoder._state.graph is None
    (message,) = caplog.messages
    assert message.startswith(f"captions are decoded without CUDA graphs, and slower: {reason}")
    assert of.caption(pictures(2)) == captions


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda values: values.sum().item(), id="a number for the host"),
        pytest.param(lambda values: values[values > 0], id="a size that depends on values"),
        pytest.param(lambda values: values + torch.tensor([1.0]), id="numbers of the host"),
        pytest.param(lambda values: values.where(values > 0, 2.0), id="a number that is copied to the device"),
    ],
)
def test_what_cannot_be_recorded_is_noticed(step: Any) -> None:
    with torch.inference_mode(), pytest.raises(AssertionError, match="cannot be recorded"):
        recorded(lambda: step(torch.ones(3)))


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize(
    ("settings", "most"),
    [
        pytest.param({}, 1, id="one token"),
        pytest.param({}, 2, id="two tokens"),
        pytest.param({}, 40, id="more than the answers have"),
        pytest.param({"eos_token_id": "said"}, 19, id="several ends, of which one is said early"),
        pytest.param({"eos_token_id": "said", "pad_token_id": None}, 19, id="no padding token"),
        pytest.param({"eos_token_id": "said", "min_new_tokens": 7}, 19, id="a least number of new tokens"),
        pytest.param({"eos_token_id": "said", "min_length": 9}, 19, id="a least length"),
        pytest.param({"eos_token_id": "said", "min_length": 3, "min_new_tokens": 19}, 19, id="both, up to the limit"),
        pytest.param({"eos_token_id": None}, 19, id="no end"),
        pytest.param({"max_length": 3}, 19, id="a limit that the call replaces"),
        pytest.param(
            {"do_sample": True, "temperature": 0.7, "top_k": 3, "num_beams": 4}, 19, id="what the call replaces"
        ),
        pytest.param({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}, 19, id="values that change nothing"),
    ],
)
def test_generation_settings(name: str, settings: dict[str, Any], most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of = captioner(name)
    values, language = pixels(of, 6), of._model.language_model
    usual = generated(of, values)
    changed = copy.deepcopy(language.generation_config)
    for setting, value in settings.items():
        setattr(changed, setting, [int(usual[0, 2]), int(usual[3, 4])] if value == "said" else value)
    monkeypatch.setattr(language, "generation_config", changed)
    expected = generated(of, values, most)
    assert torch.equal(decoded(decoder_of(of, most), of, values), expected)
    if settings.keys() <= {"eos_token_id", "pad_token_id"} and settings.get("eos_token_id") == "said":
        assert not torch.equal(expected, usual)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("repetition_penalty", 1.5, id="repetition_penalty"),
        pytest.param("no_repeat_ngram_size", 2, id="no_repeat_ngram_size"),
        pytest.param("suppress_tokens", [5, 6], id="suppress_tokens"),
        pytest.param("a_setting_of_later", 3, id="a setting that is not known"),
    ],
)
def test_what_is_not_done_here_is_left_to_generate_with_a_word(
    name: str, setting: str, value: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = random_folder(name)
    of = load(folder)
    changed = copy.deepcopy(of._model.language_model.generation_config)
    setattr(changed, setting, value)
    monkeypatch.setattr(of._model.language_model, "generation_config", changed)
    config = Blip2Config(model="unused", device="cpu")
    fallen = Blip2Captioner(config, of._model, image_processor(folder), of._tokenizer, CPU, "captioners.mine")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"captioners.mine: its generation configuration has {setting} {value}, ")
    captions = fallen.caption(images(6, of.geometry.side))
    texts = of._tokenizer.batch_decode(generated(of, pixels(of, 6)), skip_special_tokens=True)
    assert captions == [text.strip() for text in texts]


@pytest.mark.parametrize("name", RANDOM)
def test_a_caption_does_not_depend_on_its_batch(name: str) -> None:
    """On a GPU, where a batch is filled up to one shape; done here on the CPU."""
    of = load(random_folder(name))
    of._batcher = Batcher(8, CPU, what="images", fixed=True)
    shown = images(13, of.geometry.side)
    shapes: list[int] = []
    tokens, seen = of._tokens, []

    def spy(values: Tensor) -> Tensor:
        shapes.append(len(values))
        seen.append(tokens(values))
        return seen[-1]

    of._tokens = spy  # type: ignore[method-assign]
    picture, others = shown[0], shown[1:]
    for batch, place in [
        ([picture], 0),
        ([picture, *others[:7]], 0),
        ([*others[:7], picture], 7),
        ([*others[5:9], picture, *others[9:12]], 4),
        ([*others[:2], picture], 2),
    ]:
        of.caption(batch)
        assert torch.equal(seen[-1][place], seen[0][0])
    assert set(shapes) == {8}


def test_nothing_is_left_after_an_error_and_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    of = load(random_folder("blip2-opt"))
    decoder = of._decoder
    assert decoder is not None
    of.caption(pictures(2))
    assert decoder._state is not None
    values = pixels(of, 2)

    def none(state: Any) -> None:
        raise torch.OutOfMemoryError("made by the test")

    monkeypatch.setattr(decoder, "_step", none)
    with pytest.raises(torch.OutOfMemoryError):
        decoded(decoder, of, values)
    assert decoder._state is None
    monkeypatch.undo()
    of.caption(pictures(2))
    of.close()
    assert of._decoder is None
