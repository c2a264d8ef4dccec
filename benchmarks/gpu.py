"""What the models take on this device, at full size with random weights: captioners, ImageBind and a 13B Llama.

Each is set beside its operations at the rate that this device reaches, in the same run, for the product of two large matrices.
Nothing is downloaded. The five captioners, in batches of several sizes: milliseconds a caption, what a batch's parts take, peak
memory, in how many captions the token ids are those of the largest batch and those of transformers' own loop, and whether a
picture's ids are the same alone and among others. Under six minutes on an H100; `--small` runs everything on small models, also
on a CPU, whose figures mean nothing.

`--rates FILE` writes what `lavad plan --rates FILE` reads: pictures, texts and tokens a second on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from lavad_core.config.models import Blip2Config
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.captioners.greedy import GreedyDecoder, rules_of
from lavad_core.models.captioners.random_blip2 import opt_tokenizer, t5_tokenizer
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.template import ChatTemplate
from lavad_core.models.devices import free
from lavad_core.models.encoders.imagebind.clip_bpe import tokenizer_folder
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.imagebind.tokenizer import ClipBpe
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.models.protocols import ChatRequest, Image
from lavad_core.models.random_text import prompt_words, spoken_words
from lavad_core.models.random_weights import fill

HF: Any = transformers

CAPTIONERS = ("opt-6.7b", "opt-6.7b-coco", "flan-t5-xl", "flan-t5-xl-coco", "flan-t5-xxl")
PARTS = ("captioners", "imagebind", "chat")
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured, and how large."""

    device: torch.device
    small: bool
    batches: tuple[int, ...]
    """Sizes of captioners' batches; ``usual`` is among them."""
    usual: int
    """The size for which rates and parts are given."""
    images: int
    """Pictures of a measurement, a multiple of all sizes."""
    times: int
    """Measurements of which the median counts."""
    new_tokens: int = 19
    """Most tokens of a caption."""
    captioners: tuple[str, ...] = CAPTIONERS
    """Which are measured."""

    def dtype(self, wanted: torch.dtype) -> torch.dtype:
        return torch.float32 if self.device.type == "cpu" else wanted


def plan_of(small: bool) -> Plan:
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if small:
        return Plan(device, True, (2, 4), 4, 4, 1, 5, ("opt-6.7b-coco", "flan-t5-xxl"))
    return Plan(device, False, (32, 64, 128, 256), 64, 256, 2)


def seconds(plan: Plan, work: Callable[[], object], times: int = 0) -> float:
    """Median of what ``work`` takes, after one time that is not counted."""
    taken = []  # each begins where the one before was waited for
    for _ in range(1 + (times or plan.times)):
        start = time.perf_counter()
        work()
        if plan.device.type == "cuda":
            torch.cuda.synchronize(plan.device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def operations(work: Callable[[], object]) -> float:
    """10^12 operations of ``work``, two for a multiply-add."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e12


def peak_gib(plan: Plan) -> float | None:
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if plan.device.type == "cuda" else None


def forget(plan: Plan) -> None:
    free(plan.device)
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(plan.device)


def matrix_rates(plan: Plan) -> dict[torch.dtype, float]:
    """10^12 operations a second of a product of two square matrices."""
    side = 256 if plan.small else 8192
    rates = {}
    for dtype in {plan.dtype(torch.float16), plan.dtype(torch.bfloat16)}:
        one, other = (torch.randn(side, side, device=plan.device, dtype=dtype) for _ in range(2))
        rates[dtype] = 2 * side**3 / seconds(plan, lambda one=one, other=other: one @ other, 10) / 1e12
    return rates


def built(plan: Plan, dtype: torch.dtype, make: Callable[[], Any], gain: float = 1.0) -> Any:
    """A model of random weights, made on the device; with a ``gain`` above 1 it tells inputs apart better."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with plan.device:
            model = make()
    finally:
        torch.set_default_dtype(before)
    model = model.to(dtype).eval().requires_grad_(False)
    torch.manual_seed(0)
    fill(model, lambda values, scale: values.normal_(0.0, scale), gain=gain)
    if hasattr(model, "query_tokens"):  # they meet all pictures, and are no matrix
        model.query_tokens.normal_()
    return model


def caption_config(name: str, small: bool) -> Any:
    """The published shapes of a captioner."""
    tiny = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    if name.startswith("opt"):
        width = {"hidden_size": 64, "ffn_dim": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
        if not small:
            width = {"hidden_size": 4096, "ffn_dim": 16384, "num_hidden_layers": 32, "num_attention_heads": 32}
        ends = {"bos_token_id": 2, "pad_token_id": 1, "eos_token_id": 3 if small else 50118}
        # Tied as published, random embeddings would make it say what it has just read.
        words = {
            "vocab_size": 1024 if small else 50272,
            "word_embed_proj_dim": width["hidden_size"],
            "tie_word_embeddings": False,
        }
        text = HF.OPTConfig(**width, **ends, **words, max_position_embeddings=2048)
    else:
        width, inner, heads, layers = (4096, 10240, 64, 24) if "xxl" in name else (2048, 5120, 32, 24)
        if small:
            width, inner, heads, layers = 64, 128, 2, 2
        sizes = {
            "d_model": width,
            "d_ff": inner,
            "num_heads": heads,
            "num_layers": layers,
            "num_decoder_layers": layers,
        }
        ends = {"bos_token_id": 1, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
        text = HF.T5Config(
            **sizes,
            **ends,
            d_kv=32 if small else 64,
            vocab_size=1024 if small else 32128,
            feed_forward_proj="gated-gelu",
        )
    side = 56 if small else 364 if name.endswith("coco") else 224
    return HF.Blip2Config(
        vision_config={"image_size": side, "patch_size": 14, **(tiny if small else {})},
        qformer_config=tiny if small else {},
        text_config=text.to_dict(),
        num_query_tokens=4 if small else 32,
        image_token_index=1000 if small else 50265 if name.startswith("opt") else 32100,
    )


def agreement(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of rows that are the same."""
    width = max(one.shape[1], other.shape[1])
    padded = [torch.nn.functional.pad(rows.cpu(), (0, width - rows.shape[1]), value=-1) for rows in (one, other)]
    return round(float((padded[0] == padded[1]).all(dim=1).float().mean()), 4)


def captioner_rows(plan: Plan, name: str, rates: dict[torch.dtype, float]) -> Iterator[Row]:
    forget(plan)
    config = caption_config(name, plan.small)
    dtype = plan.dtype(torch.float16 if name.startswith("opt") else torch.bfloat16)
    model = built(plan, dtype, lambda: HF.Blip2ForConditionalGeneration(config), gain=1.5)
    side = config.vision_config.image_size
    processor = HF.BlipImageProcessorPil(size={"height": side, "width": side})
    tokenizer = (opt_tokenizer if name.startswith("opt") else t5_tokenizer)(spoken_words())
    images: list[Image] = list(np.random.default_rng(0).integers(0, 256, (plan.images, side, side, 3), dtype=np.uint8))

    def loaded(size: int | str) -> Blip2Captioner:
        section = Blip2Config(model=name, batch_size=size, max_new_tokens=plan.new_tokens)
        return Blip2Captioner(section, model, processor, tokenizer, plan.device, f"captioners.{name}")

    first = loaded(plan.usual)
    with patch.object(GreedyDecoder, "_capture"):  # the recording of a graph is a step that nobody asked for
        tflop = operations(lambda: first.caption(images[: plan.usual])) / plan.usual
    first._forget()
    said: dict[int, torch.Tensor] = {}
    rows: list[Row] = []
    for size in plan.batches:
        captioner = loaded(size)
        forget(plan)
        taken = seconds(plan, lambda captioner=captioner: captioner.caption(images)) / plan.images
        said[size] = ids_of(captioner, images)
        alone = ids_of(captioner, images[:1])
        rows.append(
            {"captioner": name, "batch": size, "ms a caption": round(1000 * taken, 2), "TFLOP": round(tflop, 3)}
            | {"ms at the matrix rate": round(1000 * tflop / rates[dtype], 2), "peak GiB": peak_gib(plan)}
            | {"alone as among others": agreement(alone, said[size][:1]) == 1.0}
        )
        captioner._forget()
    for row in rows:
        yield row | {"ids as in the largest batch": agreement(said[row["batch"]], said[plan.batches[-1]])}
    usual = loaded(plan.usual)
    parts = caption_parts(plan, usual, images[: plan.usual])
    usual._decoder = None  # transformers' own loop
    taken = seconds(plan, lambda: usual.caption(images[: plan.usual]))
    generated: Row = {"ms by generate": round(1000 * taken / plan.usual, 2)}
    generated["ids as by generate"] = agreement(ids_of(usual, images), said[plan.usual])
    generated["distinct captions"] = len(said[plan.usual].unique(dim=0))
    yield {"captioner": name, "batch": plan.usual, **parts, **generated}
    usual.close()
    yield {"captioner": name, "auto": loaded("auto").batch_size}


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
    forget(plan)
    vision, text = VisionShape(1280, 32, 16, 5120, 1024, 2, 14, 16), TextShape(1024, 24, 16, 4096, 1024, 49408, 77)
    if plan.small:
        vision, text = VisionShape(64, 2, 2, 128, 32, 2, 14, 4), TextShape(64, 2, 2, 128, 32, 49408, 77)
    dtype = plan.dtype(torch.float16)
    towers = built(plan, dtype, lambda: ImageBindTowers(vision, text))
    towers.prepare()
    folder = tokenizer_folder(None, Path("none") / "none")
    tokenizer = ClipBpe(folder, context=text.context, vocabulary=text.vocabulary, long_text="keep-end")
    random, count, side = np.random.default_rng(0), 4 if plan.small else 512, vision.image_side
    images = list(random.integers(0, 256, (count, side, side * 4 // 3, 3), dtype=np.uint8))
    frames = list(random.integers(0, 256, (count // 2 + 1, 240, 320, 3), dtype=np.uint8))
    clips = list(pairwise(frames))
    texts = [
        f"a man number {number} walks along a street with a dog and a red car passes by" for number in range(count)
    ]
    for batch in (2,) if plan.small else (64, 256):
        encoder = ImageBindEncoder(towers, tokenizer, device=plan.device, dtype=dtype, batch_size=batch)
        calls = {"images": (encoder.embed_images, images), "clips of three views": (encoder.embed_clips, clips)}
        for what, (call, items) in (calls | {"texts": (encoder.embed_texts, texts)}).items():
            forget(plan)
            tflop = operations(lambda call=call, items=items: call(items[:2])) / 2
            taken = seconds(plan, lambda call=call, items=items: call(items)) / len(items)
            yield {"imagebind": what, "batch": batch, "ms": round(1000 * taken, 3), "TFLOP": round(tflop, 4)} | {
                "share of the matrix rate": round(tflop / rates[dtype] / taken, 3),
                "peak GiB": peak_gib(plan),
            }


def chat_rows(plan: Plan) -> Iterator[Row]:
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


def rate_table(rows: Sequence[Row], plan: Plan, machine: str) -> dict[str, Any]:
    """What ``lavad plan --rates`` reads."""
    common = {"kind": "measured", "machine": machine}
    found = []
    for row in rows:
        batch = f"benchmarks/gpu.py, random weights, batches of {row.get('batch', row.get('requests'))}"
        if "ms a caption" in row and row["batch"] == plan.usual:
            model, a_second = f"Salesforce/blip2-{row['captioner']}", 1000 / row["ms a caption"]
            found.append({"stages": ["caption"], "model": model, "unit": "captions_made", "per_second": a_second})
        elif row.get("imagebind") in ("images", "texts"):
            of_images = row["imagebind"] == "images"
            stages = ["embed_frames", "embed_windows"] if of_images else ["embed_captions", "embed_summaries"]
            unit = "vision_passes" if of_images else "texts_encoded"
            found.append(
                {"stages": stages, "model": "imagebind_huge.pth", "unit": unit, "per_second": 1000 / row["ms"]}
            )
        elif row.get("chat") == "sampled":
            model, a_second = "meta-llama/Llama-2-13b-chat-hf", row["completion tokens"] / row["s"]
            stages = ["summarise", "score"]
            found.append({"stages": stages, "model": model, "unit": "completion_tokens", "per_second": a_second})
        else:
            continue
        found[-1] |= {"per_second": round(found[-1]["per_second"], 3), "source": batch, **common}
    return {"rates": found}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small models, to see that it runs")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; repeatable; all by default")
    parser.add_argument("--rates", type=Path, help="write a table for `lavad plan --rates`")
    given = parser.parse_args(argv)
    plan = plan_of(given.small)
    if plan.device.type == "cpu":
        torch.set_num_threads(1)  # small models are slower with more, and much slower where cores are shared
    card = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else f"CPU ({platform.machine()})"
    machine = f"{card}, torch {torch.__version__}, transformers {transformers.__version__}, {os.cpu_count()} cores"
    print(machine, flush=True)
    rates = matrix_rates(plan)
    for dtype, rate in rates.items():
        print(f"product of two large matrices in {str(dtype).removeprefix('torch.')}: {rate:.1f} TFLOP/s", flush=True)
    rows: list[Row] = []
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "captioners": lambda: (row for name in plan.captioners for row in captioner_rows(plan, name, rates)),
        "imagebind": lambda: imagebind_rows(plan, rates),
        "chat": lambda: chat_rows(plan),
    }
    for part in given.only or PARTS:
        for row in parts[part]():
            rows.append(row)
            print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    for batch in plan.batches:
        timed = [row for row in rows if row.get("batch") == batch and "ms a caption" in row]
        total, bound = (sum(row[name] for row in timed) for name in ("ms a caption", "ms at the matrix rate"))
        if timed:
            print(
                f"{len(timed)} captioners together, batches of {batch}: {total:.1f} ms a grid frame, {bound:.1f} at that rate"
            )
    if given.rates:
        given.rates.write_text(json.dumps(rate_table(rows, plan, machine), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
