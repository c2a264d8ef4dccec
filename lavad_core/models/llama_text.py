"""Llama 2's kind of tokenizer and its chat template, for small models that are made here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

from lavad_core.models.random_text import BYTES, merges_of

_HF: Any = transformers

CHAT_TEMPLATE = (
    "{% if messages and messages[0].role == 'system' %}"
    "{% set system = '<<SYS>>\\n' + messages[0].content.strip() + '\\n<</SYS>>\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}"
    "{% if turn.role != ('user' if loop.index0 is even else 'assistant') %}"
    "{{ raise_exception('roles must be user, assistant, user, … after at most one system message') }}{% endif %}"
    "{% if turn.role == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + turn.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + turn.content.strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)
"""Llama 2's dialog format (Touvron et al. 2023): the system message goes into the first user turn."""


def llama_tokenizer(words: Iterable[str], longest: int) -> Any:
    """Byte-fallback BPE as Llama 2 has it: ``▁`` for spaces and in front, single digits, ``▁[`` beside ``[``.

    Args:
        words: that are one token each, with the space in front; all other text is made of their beginnings, of letters and of
            bytes.
        longest: the model's context, tokens.
    """
    specials = ["<unk>", "<s>", "</s>"]
    letters = [chr(code) for code in range(33, 127)]
    tokens, merges = merges_of([*words, "[", "I", "[/"], "▁")
    vocabulary = list(dict.fromkeys([*specials, *BYTES, "▁", *letters, *tokens]))
    core = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(vocabulary)},
            merges=merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = _HF.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", model_max_length=longest
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
