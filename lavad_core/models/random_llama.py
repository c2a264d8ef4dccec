"""A small random Llama with Llama-2's kind of tokenizer and its chat template, for tests and the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from lavad_core.method import prompts
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.models.quiet import save_quietly
from lavad_core.models.random_text import SENTENCES, prompt_words, spoken_words
from lavad_core.models.random_weights import random_normal, randomise

_HF: Any = transformers
_WIDTH = 64
_CONTEXT = 4096

_SPREAD = 2.0
"""Standard deviation of the logits of the words it says: at temperature 0.6 a dozen words have a chance."""

_NEVER = -25.0
"""Logit of tokens that it does not say unless nothing else is allowed."""

_FOLLOWS = 35.0
"""What is added to the logit of a token that comes after the one before it."""

_DIGITS = tuple("0123456789")
_LAST_WORDS = tuple(f"▁{sentence.rstrip('.').split()[-1]}" for sentence in SENTENCES[::2])
_FOLLOWERS = (
    (_LAST_WORDS, ("</s>",), _FOLLOWS),
    (("[", "▁["), ("0", "1"), _FOLLOWS),
    ((".",), _DIGITS, _FOLLOWS),
    (("0", "1"), (".",), _FOLLOWS),
    (_DIGITS[1:], ("]",), _FOLLOWS),
    (("0",), ("]",), _FOLLOWS - 2),  # "[0]" is one score of eleven, and ten start with "[0."
)
"""(tokens, what comes after them, by how much): a text ends after a last word, and what a score such as ``[0.3]`` is made
of follows in that order once it was begun, so that none of the eleven is far likelier than the others."""

_CONSTANT = 3.0
_HELD_SIZE = 2.0
"""Size of a held coordinate in the embeddings, and about what the last normalisation leaves of it."""

_HELD = 1 + len(_FOLLOWERS)
"""Coordinates of the hidden state that no layer writes to: a constant, and one for each group of followed tokens."""


def make_llama(folder: Path, seed: int = 0) -> None:
    """Write a random ``LlamaForCausalLM`` to ``folder``, which must exist: width 64, two layers, context 4096.

    It says a few words of :mod:`~lavad_core.models.random_text` and ends. Made to choose among the eleven scores,
    it likes none in particular."""
    tokenizer = llama_tokenizer(prompt_words(), _CONTEXT)
    ids = tokenizer.get_vocab()
    config = _HF.LlamaConfig(
        vocab_size=len(ids),
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,  # 32 wide: vLLM on a CPU has no attention for narrower heads
        num_key_value_heads=2,
        max_position_embeddings=_CONTEXT,
        rms_norm_eps=1e-5,
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):  # building it draws numbers, which are then replaced
        model = _HF.LlamaForCausalLM(config)
    generator = randomise(model, seed)
    with torch.no_grad():
        _shape_output(model, generator, tokenizer)
    save_quietly(folder, model, tokenizer)


def _shape_output(model: Any, generator: np.random.Generator, tokenizer: Any) -> None:
    """Give the output matrix its meaning."""
    ids = tokenizer.get_vocab()
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight *= 3  # attends to few tokens, so that another prompt gets another answer
        layer.self_attn.o_proj.weight *= 2
        layer.self_attn.o_proj.weight[:_HELD] = 0
        layer.mlp.down_proj.weight[:_HELD] = 0
    embeddings = model.model.embed_tokens.weight
    embeddings[:, :_HELD] = 0
    embeddings[:, 0] = _CONSTANT
    head = random_normal(generator, *embeddings.shape, scale=_SPREAD / _WIDTH**0.5)
    said = [ids["▁" + word] for word in spoken_words()]
    head[said] -= torch.nn.functional.normalize(embeddings[said], dim=-1)  # not the same word twice running
    head[:, :_HELD] = 0
    head[:, 0] = _NEVER / _HELD_SIZE
    head[said, 0] = 0
    for held, (before, after, weight) in enumerate(_FOLLOWERS, start=1):
        embeddings[[ids[token] for token in before], held] = _CONSTANT
        head[[ids[token] for token in after], held] = weight / _HELD_SIZE
    model.lm_head.weight.copy_(head)
    _centre_scores(model, tokenizer, [ids[token] for token in (*_DIGITS, ".", "]")])


def _centre_scores(model: Any, tokenizer: Any, parts: list[int]) -> None:
    """Let the score depend on the text that is rated, and on nothing that all texts have in common.

    The hidden states within ``[0.3]`` are nearly the same after every prompt, so that one score would always win. The rows of
    a score's parts are made orthogonal to the means of those states, and as wide again along the rest.
    """
    system = f"{prompts.CONTEXT['plain']} {prompts.FORMAT}"
    states = []
    for sentence in SENTENCES:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": sentence}]
        text = tokenizer.apply_chat_template(messages, tokenize=False) + " [0.3]"
        tokens = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        states.append(model.model(tokens).last_hidden_state[0, -5:-1])  # at "▁[", "0", "." and "3"
    inside = torch.stack(states)  # [sentences, 4, width]
    inside[:, :, :_HELD] = 0
    # Rounded, since sums differ in their last digits with the number of threads.
    means = (inside.mean(0) * 100).round() / 100
    basis = torch.linalg.qr(means.T).Q
    rows = model.lm_head.weight[parts]
    held, free = rows.clone(), rows.clone()
    held[:, _HELD:] = 0
    free[:, :_HELD] = 0
    free -= free @ basis @ basis.T
    spread = float(((inside - means) @ free.T).std().round(decimals=2))
    model.lm_head.weight[parts] = ((held + free * (_SPREAD / spread)) * 10_000).round() / 10_000
