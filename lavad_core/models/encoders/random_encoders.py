"""Small random encoders of the real classes, for tests and for a first run without any download.

Their vectors mean nothing, but different images and texts get clearly different ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import normalizers, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from lavad_core.models.encoders.imagebind.clip_bpe import END, START
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.models.quiet import save_quietly
from lavad_core.models.random_text import prompt_words, unigram, words_of
from lavad_core.models.random_weights import random_normal, randomise

_WIDTH = 64
_DEPTH = 3
_HEADS = 4
_OUTPUT = 48
_PATCH = 14
_SIDE = 56
_SIZES = {
    "hidden_size": _WIDTH,
    "intermediate_size": 4 * _WIDTH,
    "num_hidden_layers": _DEPTH,
    "num_attention_heads": _HEADS,
}
_GAIN = 2.5
"""The gain of the matrices: above 1, layers mix more than their shortcuts keep, and inputs are told apart better (mean cosine
of different sentences 0.5; 0.9 with 1.5)."""


def make_imagebind(folder: Path, seed: int = 0) -> None:
    """Write ``imagebind.safetensors`` and a CLIP tokenizer's two files to ``folder``, which must exist."""
    vocabulary, merges = clip_bpe()
    write_bpe(folder, vocabulary, merges)
    vision = VisionShape(_WIDTH, _DEPTH, _HEADS, 4 * _WIDTH, _OUTPUT, frames=2, patch=_PATCH, grid=_SIDE // _PATCH)
    text = TextShape(_WIDTH, _DEPTH, _HEADS, 4 * _WIDTH, _OUTPUT, vocabulary=len(vocabulary), context=77)
    with torch.random.fork_rng(devices=[]):  # building a module draws numbers that are then replaced
        towers = ImageBindTowers(vision, text)
    generator = randomise(towers, seed, gain=_GAIN)
    state = {name: tensor.detach().clone() for name, tensor in towers.state_dict().items()}
    state["modality_preprocessors.text.pos_embed"] = random_normal(generator, 1, text.context, _WIDTH, scale=0.3)
    state["modality_postprocessors.text.1.log_logit_scale"] = torch.tensor(math.log(1 / 0.07))
    # One entry: safetensors writes several in an order that changes from call to call, and the same seed is the same bytes.
    save_file(state, folder / "imagebind.safetensors", metadata={"heads": str(_HEADS)})


def make_clip(folder: Path, seed: int = 0) -> None:
    """Write a random CLIP as transformers keeps it; arguments as :func:`make_imagebind`."""
    vocabulary, merges = clip_bpe()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)  # type: ignore[arg-type]
    ends = {"bos_token_id": vocabulary[START], "eos_token_id": vocabulary[END], "pad_token_id": vocabulary[END]}
    config = CLIPConfig(
        text_config={**_SIZES, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": 77},
        vision_config={**_SIZES, "image_size": _SIDE, "patch_size": _PATCH},
        projection_dim=_OUTPUT,
    )
    with torch.random.fork_rng(devices=[]):
        model = CLIPModel(config)
    randomise(model, seed, gain=_GAIN)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE}, do_center_crop=True
    )
    save_quietly(folder, model, tokenizer, processor)


def make_siglip(folder: Path, seed: int = 0) -> None:
    """Write a random SigLIP as transformers keeps it; arguments as :func:`make_imagebind`."""
    tokenizer = _word_tokenizer()
    config = SiglipConfig(
        text_config={
            **_SIZES,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "projection_size": _WIDTH,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 1,
        },
        vision_config={**_SIZES, "image_size": _SIDE, "patch_size": _PATCH},
    )
    with torch.random.fork_rng(devices=[]):
        model = SiglipModel(config)
    randomise(model, seed, gain=_GAIN)
    processor = SiglipImageProcessorPil(size={"height": _SIDE, "width": _SIDE})
    save_quietly(folder, model, tokenizer, processor)


def clip_bpe() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """:func:`word_bpe` of the random models' sentences and the method's prompts."""
    return word_bpe(words_of(text.lower() for text in prompt_words()))


def word_bpe(words: Iterable[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A small byte-pair vocabulary in CLIP's layout: bytes, bytes that end a word, merges, start, end.

    Words are built from their end: the end mark occurs once a word, so that merges never compete, and every one of the
    words becomes one token.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[str, tuple[str, str]] = {}
    for word in words:
        right = word[-1] + "</w>"
        for letter in reversed(word[:-1]):
            merges.setdefault(letter + right, (letter, right))
            right = letter + right
    tokens = [*letters, *(letter + "</w>" for letter in letters), *merges, START, END]
    return {token: number for number, token in enumerate(tokens)}, list(merges.values())


def write_bpe(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Write ``vocab.json`` and ``merges.txt`` as CLIP's tokenizers have them."""
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _word_tokenizer() -> PreTrainedTokenizerFast:
    """Words and, for those it does not know, letters; an end token after the text."""
    core = unigram(words_of(text.lower() for text in prompt_words()), upper=False)
    core.normalizer = normalizers.Lowercase()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=64
    )
