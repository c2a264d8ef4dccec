"""What each model takes alone: captioners, ImageBind and a 13B Llama, without video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from full_size.made import HF, Captioners, Towers, built, caption_dtype
from full_size.measuring import Plan, Row, forget, operations, peak_gib, seconds

from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.captioners.greedy import GreedyDecoder, rules_of
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.template import ChatTemplate
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.models.protocols import ChatRequest, Image
from lavad_core.models.random_text import prompt_words, spoken_words


def agreement(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of rows that are the same."""
    width = max(one.shape[1], other.shape[1])
    padded = [torch.nn.functional.pad(rows.cpu(), (0, width - rows.shape[1]), value=-1) for rows in (one, other)]
    return round(float((padded[0] == padded[1]).all(dim=1).float().mean()), 4)


def captioner_rows(plan: Plan, name: str, rates: dict[torch.dtype, float]) -> Iterator[Row]:
    """Batches of several sizes, then a batch's parts, and transformers' own loop beside it."""
    forget(plan)
    made = Captioners(plan, name)
    images: list[Image] = list(
        np.random.default_rng(0).integers(0, 256, (plan.images, made.side, made.side, 3), dtype=np.uint8)
    )
    first = made.in_batches(plan.usual)
    with patch.object(GreedyDecoder, "_capture"):  # the recording of a graph is a step that nobody asked for
        tflop = operations(lambda: first.caption(images[: plan.usual])) / plan.usual
    first._forget()
    plan.tflop[name] = tflop
    said: dict[int, torch.Tensor] = {}
    for size in plan.batches:
        captioner = made.in_batches(size)
        forget(plan)
        said[size] = ids_of(captioner, images)
        taken = seconds(plan, lambda captioner=captioner: captioner.caption(images), warm=True) / plan.images
        alone = ids_of(captioner, images[:1])
        yield {"captioner": name, "batch": size, "ms a caption": round(1000 * taken, 2), "TFLOP": round(tflop, 3)} | {
            "ms at the matrix rate": round(1000 * tflop / rates[caption_dtype(plan, name)], 2),
            "peak GiB": peak_gib(plan),
            "alone as among others": agreement(alone, said[size][:1]) == 1.0,
            f"ids as in batches of {plan.batches[0]}": agreement(said[size], said[plan.batches[0]]),
        }
        captioner._forget()
    usual = made.in_batches(plan.usual)
    parts = caption_parts(plan, usual, images[: plan.usual])
    usual._decoder = None  # transformers' own loop
    generated: Row = {
        "ids as by generate": agreement(ids_of(usual, images[: plan.usual]), said[plan.usual][: plan.usual])
    }
    taken = seconds(plan, lambda: usual.caption(images[: plan.usual]), 1, warm=True)
    generated["ms by generate"] = round(1000 * taken / plan.usual, 2)
    generated["distinct captions"] = len(said[plan.usual].unique(dim=0))
    yield {"captioner": name, "batch": plan.usual, **parts, **generated}
    usual.close()
    yield {"captioner": name, "auto": made.in_batches("auto").batch_size}


def ids_of(captioner: Blip2Captioner, images: Sequence[Image]) -> torch.Tensor:
    """Token ids of pictures, [n, the limit], filled up with -1, as :meth:`Blip2Captioner.caption` gets them."""
    said: list[torch.Tensor] = []
    tokens = captioner._tokens
    captioner._tokens = lambda pixels: said.append(tokens(pixels)) or said[-1]
    try:
        captioner.caption(images)
    finally:
        del captioner._tokens
    padded = [torch.nn.functional.pad(ids, (0, captioner._max_new_tokens - ids.shape[1]), value=-1) for ids in said]
    return torch.cat(padded)[: len(images)].cpu()


def caption_parts(plan: Plan, captioner: Blip2Captioner, images: Sequence[Image]) -> Row:
    """Milliseconds of a batch's parts, and of a token."""
    model, dtype = captioner._model, captioner._dtype
    with torch.inference_mode():
        pixels = captioner._levels(images, plan.device, dtype)
        prompts = captioner._prompts(pixels)
        rules = rules_of(model.language_model, captioner._prompt_tokens)
        decoders = [GreedyDecoder(model.language_model, replace(rules, ends=()), most) for most in (1, plan.new_tokens)]
        for decoder in decoders:
            decoder.decode(prompts)
        one, all_ = (seconds(plan, lambda decoder=decoder: decoder.decode(prompts)) for decoder in decoders)
        copied = seconds(plan, lambda: captioner._levels(images, plan.device, dtype))
        seen = seconds(plan, lambda: captioner._prompts(pixels))
        return {
            "ms: copy and values": round(1000 * copied, 2),
            "vision to prompt": round(1000 * seen, 1),
            "first token": round(1000 * one, 1),
            "each further token": round(1000 * (all_ - one) / (plan.new_tokens - 1), 2),
            "graph": bool(decoders[1]._state and decoders[1]._state.graph),
        }


def imagebind_rows(plan: Plan, rates: dict[torch.dtype, float]) -> Iterator[Row]:
    """Images, clips and texts."""
    forget(plan)
    towers = Towers(plan)
    random, count, side = np.random.default_rng(0), 4 if plan.small else 512, towers.side
    images = list(random.integers(0, 256, (count, side, side * 4 // 3, 3), dtype=np.uint8))
    frames = list(random.integers(0, 256, (count // 2 + 1, 240, 320, 3), dtype=np.uint8))
    clips = list(pairwise(frames))
    texts = [
        f"a man number {number} walks along a street with a dog and a red car passes by" for number in range(count)
    ]
    for batch in (2,) if plan.small else (64, 256):
        encoder = towers.in_batches(batch)
        calls = {"images": (encoder.embed_images, images), "clips of three views": (encoder.embed_clips, clips)}
        for what, (call, items) in (calls | {"texts": (encoder.embed_texts, texts)}).items():
            forget(plan)
            tflop = operations(lambda call=call, items=items: call(items[:2])) / 2
            taken = seconds(plan, lambda call=call, items=items: call(items)) / len(items)
            yield {"imagebind": what, "batch": batch, "ms": round(1000 * taken, 3), "TFLOP": round(tflop, 4)} | {
                "share of the matrix rate": round(tflop / rates[towers.dtype] / taken, 3),
                "peak GiB": peak_gib(plan),
            }


def chat_rows(plan: Plan, rates: dict[torch.dtype, float]) -> Iterator[Row]:
    """Requests of a Llama of 13 billion parameters in this process."""
    forget(plan)
    shape = {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40}
    if plan.small:
        shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = HF.LlamaConfig(vocab_size=32000, max_position_embeddings=4096, **shape)
    tokenizer = llama_tokenizer(prompt_words(), 4096)
    model = built(plan, plan.dtype(torch.float16), lambda: HF.LlamaForCausalLM(config))
    requests, tokens = (2, 4) if plan.small else (16, 60)
    template = ChatTemplate(tokenizer.chat_template, tokenizer.special_tokens_map, "random Llama")
    chat = LocalChat(model, tokenizer, plan.device, requests, template, folds=False)
    for what, temperature in (("greedy", 0.0), ("sampled", 0.6)):
        asked = [
            ChatRequest(
                messages=(("system", "Rate it."), ("user", " ".join(spoken_words()[number : number + 40]))),
                max_tokens=tokens,
                temperature=temperature,
                top_p=0.9,
                seed=number,
            )
            for number in range(requests)
        ]
        answers: list[Any] = []
        taken = seconds(plan, lambda asked=asked, answers=answers: answers.extend(chat.answer(asked)), 1)
        told = sum(answer.completion_tokens for _, answer in answers[requests:])
        yield {"chat": what, "requests": requests, "s": round(taken, 2), "completion tokens": told} | {
            "ms a token of all": round(1000 * taken / max(answer.completion_tokens for _, answer in answers), 1),
            "prompt tokens": answers[0][1].prompt_tokens,
            "peak GiB": peak_gib(plan),
        }
    chat.close()
