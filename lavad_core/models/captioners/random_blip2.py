"""Small random BLIP-2 models of the real classes, for tests and for the default that needs no download.

They say words that have nothing to do with the picture, but different pictures get different words, and the same
picture always gets the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from lavad_core.models.quiet import save_quietly
from lavad_core.models.random_text import merges_of, spoken_words, unigram
from lavad_core.models.random_weights import random_normal, randomise, speaking_head

_HF: Any = transformers
_WIDTH = 48
_QUERIES = 4
_PATCH = 14
"""Side of a patch, pixels; the released models' vision tower has the same."""

_SHARPNESS = 6.0
"""Standard deviation of the logits: large, so that rounding never decides between two words."""


def make_blip2_opt(folder: Path, seed: int = 0, image: int = 56) -> None:
    """Write a random BLIP-2 with an OPT language model to ``folder``, which must exist; ``image`` is the side of its square
    images, pixels, a multiple of 14."""
    tokenizer = opt_tokenizer(spoken_words())
    ids = tokenizer.get_vocab()
    text = _HF.OPTConfig(
        vocab_size=len(ids) + 8,  # room for <image>, and as released the matrix is larger than the vocabulary
        hidden_size=_WIDTH,
        word_embed_proj_dim=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=2 * _WIDTH,
        max_position_embeddings=128,
        bos_token_id=ids["</s>"],
        pad_token_id=ids["<pad>"],
        eos_token_id=ids["Ċ"],
        tie_word_embeddings=False,
    )
    words = [ids["Ġ" + word] for word in spoken_words()] + [ids["."], ids[","]]
    _make(folder, tokenizer, text.to_dict(), seed, image, words, stop=ids["."], end=ids["Ċ"])


def make_blip2_t5(folder: Path, seed: int = 0, image: int = 56) -> None:
    """Write a random BLIP-2 with a Flan-T5 language model to ``folder``; arguments as :func:`make_blip2_opt`."""
    tokenizer = t5_tokenizer(spoken_words())
    ids = tokenizer.get_vocab()
    text = _HF.T5Config(
        vocab_size=len(ids) + 8,
        d_model=_WIDTH,
        d_kv=24,
        d_ff=2 * _WIDTH,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        dense_act_fn="gelu",
        bos_token_id=ids["</s>"],
        eos_token_id=ids["</s>"],
        pad_token_id=ids["<pad>"],
        decoder_start_token_id=ids["<pad>"],
    )
    words = [ids["▁" + word] for word in spoken_words()] + [ids["."], ids[","]]
    _make(folder, tokenizer, text.to_dict(), seed, image, words, stop=ids["."], end=ids["</s>"])


def _make(
    folder: Path,
    tokenizer: Any,
    text: dict[str, Any],
    seed: int,
    image: int,
    words: list[int],
    *,
    stop: int,
    end: int,
) -> None:
    size = {"height": image, "width": image}
    processor = _HF.Blip2Processor(
        image_processor=_HF.BlipImageProcessorPil(size=size), tokenizer=tokenizer, num_query_tokens=_QUERIES
    )
    sizes = {
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = _HF.Blip2Config(
        vision_config={**sizes, "image_size": image, "patch_size": _PATCH},
        qformer_config={**sizes, "cross_attention_frequency": 2},
        text_config=text,
        num_query_tokens=_QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    with torch.random.fork_rng(devices=[]):  # building it draws numbers, which are then replaced
        model = _HF.Blip2ForConditionalGeneration(config)
    language = model.language_model
    if config.text_config.model_type == "t5":
        # Flan-T5's output matrix is its own; the class ties it to the input's unless it is given one.
        language.lm_head.weight = torch.nn.Parameter(torch.empty_like(language.lm_head.weight))
    generator = randomise(model, seed, gain=1.5)
    with torch.no_grad():
        model.query_tokens.copy_(random_normal(generator, *model.query_tokens.shape))
        embeddings = language.get_input_embeddings().weight
        head = speaking_head(generator, embeddings, words, stop=stop, end=end, sharpness=_SHARPNESS)
        language.get_output_embeddings().weight.copy_(head)
    save_quietly(folder, model, processor)


def opt_tokenizer(words: Iterable[str]) -> Any:
    """Byte-level BPE with OPT's special tokens and its ``</s>`` in front; each of the words is one token."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens, merges = merges_of(words, "Ġ")
    vocabulary = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet()), *tokens]
    core = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(vocabulary)}, merges=merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in specials])
    core.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    return _HF.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def t5_tokenizer(words: Iterable[str]) -> Any:
    """Unigram with T5's special tokens and its ``</s>`` at the end; each of the words is one token."""
    core = unigram(words)
    core.decoder = decoders.Metaspace()
    return _HF.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
