"""Greedy decoding of a BLIP-2 language model over a cache of fixed length: the token ids of transformers' ``generate``.

``generate`` does much in Python between two tokens, and a GPU waits meanwhile. Here a token is a fixed list of operations on
tensors that keep their places, so that a GPU repeats it as one CUDA graph; a CPU runs the same function. Layers and cache are
transformers' own. docs/design/gpu.md says what was measured.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor

from lavad_core.models.decoding import ALIGNED, causal_mask, graph_of, rounded_up
from lavad_core.models.loading import cache_name

_HF: Any = transformers
"""Its annotations do not cover what is used here."""

_LOG = logging.getLogger(__name__)

_HONOURED = re.compile(r"(eos|pad|bos|decoder_start)_token_id|min_length|min_new_tokens")
"""Settings of ``generate`` that are done here."""

_WITHOUT_EFFECT = re.compile(
    r"max_length|max_new_tokens|do_sample|num_beams|"  # the caller says them
    r"early_stopping|length_penalty|temperature|top_[kph]|min_p|typical_p|epsilon_cutoff|eta_cutoff|"
    r"use_cache|max_cache_len|cache_config|cache_implementation|compile_config|disable_compile|"
    r"output_(attentions|hidden_states|scores|logits)|transformers_version|_from_model_config"
)
"""Settings of ``generate`` that choose no token of a greedy answer."""

_NEUTRAL = {
    **dict.fromkeys(("repetition_penalty", "encoder_repetition_penalty", "guidance_scale"), 1.0),
    **dict.fromkeys(("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "diversity_penalty"), 0),
    **dict.fromkeys(("num_return_sequences", "num_beam_groups"), 1),
}
"""Values that are as good as none. ``None`` and ``False`` are everywhere."""


@dataclass(frozen=True)
class Rules:
    """What a checkpoint's generation configuration asks of greedy decoding."""

    ends: tuple[int, ...]
    """Token ids that end an answer; the one that did is part of it."""
    filler: int
    """Token id after the end."""
    start: int
    """Token id with which a decoder of its own (T5) starts."""
    shortest: int
    """New tokens before which no end may be chosen."""


def rules_of(language: Any, prompt_tokens: int) -> Rules:
    """The rules of a language model.

    Args:
        language: with its ``generation_config``.
        prompt_tokens: positions that ``min_length`` counts beside the new tokens.

    Raises:
        ValueError: names the settings that :class:`GreedyDecoder` does not have.
    """
    settings = language.generation_config
    given = {name: value for name, value in settings.to_diff_dict().items() if value is not None and value is not False}
    unknown = {
        name: value
        for name, value in given.items()
        if not (_HONOURED.fullmatch(name) or _WITHOUT_EFFECT.fullmatch(name)) and value != _NEUTRAL.get(name, ())
    }
    start = settings.decoder_start_token_id if settings.decoder_start_token_id is not None else settings.bos_token_id
    if not isinstance(start, int | None):
        unknown["decoder_start_token_id"] = start
    if unknown:
        raise ValueError(", ".join(f"{name} {value!r:.60}" for name, value in sorted(unknown.items())))
    ends = settings.eos_token_id
    ends = () if ends is None else tuple(ends) if isinstance(ends, list | tuple) else (ends,)
    filler = settings.pad_token_id if settings.pad_token_id is not None else next(iter(ends), 0)
    shortest = max((settings.min_length or 0) - prompt_tokens, settings.min_new_tokens or 0, 0)
    return Rules(ends, int(filler), int(start or 0), shortest if ends else 0)


@dataclass(frozen=True)
class Said:
    """What a language model said to a batch."""

    tokens: Tensor
    """int64 [n, steps]: as many steps as the longest answer has. A shorter one is filled up after its end."""
    finite: Tensor
    """bool [n]: whether all logits were finite."""


class GreedyDecoder:
    """Decodes batches of one size after the other without a new allocation. Not thread-safe."""

    def __init__(self, language: Any, rules: Rules, max_new_tokens: int) -> None:
        """
        Args:
            language: ``OPTForCausalLM`` or ``T5ForConditionalGeneration``, on its device.
            rules: what :func:`rules_of` found.
            max_new_tokens: most tokens of an answer, its end included.
        """
        self._language, self._rules, self._most = language, rules, max_new_tokens
        self._encodes: bool = language.config.is_encoder_decoder
        self._cache_name = cache_name(language)
        self._state: _State | None = None

    def decode(self, prompts: Tensor) -> Said:
        """The answers to a batch.

        Args:
            prompts: embeddings [n, positions, width] in the model's precision, none of them padding.

        Raises:
            RuntimeError: memory runs out; what was allocated is let go.
        """
        state, self._state = self._state, None
        if state is None or state.shape != prompts.shape[:2]:
            state = None  # before the next is allocated
            state = self._new_state(prompts)
        else:
            state.reset()
        with torch.cuda.device_of(prompts):
            self._choose(state, self._read(state, prompts))
            for _ in range(self._most - 1):
                if not bool(state.unfinished.any()):
                    break
                if state.graph is not None:
                    state.graph.replay()
                else:
                    self._step(state)
            said = Said(state.said[:, : int(state.count)].clone(), state.finite.clone())
            if prompts.device.type == "cuda" and not state.tried:
                # After a batch without it, which has made all that is made on first use.
                self._capture(state)
        self._state = state
        return said

    def close(self) -> None:
        """Let go of the cache and the graph."""
        self._state = None

    def _new_state(self, prompts: Tensor) -> _State:
        count, positions = prompts.shape[:2]
        settings = self._language.decoder.config if self._encodes else self._language.config
        before = 1 if self._encodes else positions
        length = rounded_up(before + self._most - 1, ALIGNED)  # the last token is not read
        cache = _HF.StaticCache(config=settings, max_cache_len=length)
        if self._encodes:
            cache = _HF.EncoderDecoderCache(cache, _HF.StaticCache(config=settings, max_cache_len=positions))
        device = prompts.device
        return _State(
            shape=prompts.shape[:2],
            cache=cache,
            before=before,
            places=torch.arange(length, device=device),
            ends=torch.tensor(self._rules.ends, dtype=torch.int64, device=device),
            token=torch.full((count, 1), self._rules.start, device=device),
            count=torch.zeros(1, dtype=torch.int64, device=device),
            said=torch.full((count, self._most), self._rules.filler, device=device),
            unfinished=torch.ones(count, dtype=torch.bool, device=device),
            finite=torch.ones(count, dtype=torch.bool, device=device),
        )

    def _read(self, state: _State, prompts: Tensor) -> Tensor:
        """Logits [n, vocabulary] of the first token."""
        if self._encodes:
            state.token.fill_(self._rules.start)
            state.encoded = self._language.encoder(inputs_embeds=prompts, return_dict=True).last_hidden_state
            return self._next(state, torch.zeros_like(state.count))
        return self._forward(state, torch.arange(state.before, device=prompts.device), inputs_embeds=prompts)

    def _step(self, state: _State) -> None:
        """One more token: operations on the state's own tensors alone."""
        self._choose(state, self._next(state, state.before + state.count - 1))

    def _next(self, state: _State, position: Tensor) -> Tensor:
        if self._encodes:
            return self._forward(
                state, position, decoder_input_ids=state.token, encoder_outputs=(state.encoded,), attention_mask=None
            )
        return self._forward(state, position, input_ids=state.token)

    def _forward(self, state: _State, positions: Tensor, **inputs: Any) -> Tensor:
        """Logits [n, vocabulary] of the last of the given positions [length]."""
        mask = causal_mask(positions, state.places, self._language.dtype)
        if self._encodes:
            inputs |= {"decoder_attention_mask": mask}
        else:
            inputs |= {"attention_mask": mask, "position_ids": positions[None], "logits_to_keep": 1}
        output = self._language(**inputs, **{self._cache_name: state.cache}, use_cache=True, return_dict=True)
        logits: Tensor = output.logits[:, -1]
        return logits

    def _choose(self, state: _State, logits: Tensor) -> None:
        """Append the most probable token to each answer that is not at its end."""
        state.finite.logical_and_(torch.isfinite(logits).all(dim=1))
        if self._rules.shortest:
            early = (state.count < self._rules.shortest)[:, None]
            logits = logits.index_fill(1, state.ends, -torch.inf).where(early, logits)
        # Not where(…, filler): it would copy the number from the host, which a graph cannot.
        chosen = logits.argmax(dim=1).masked_fill(~state.unfinished, self._rules.filler)
        state.said.index_copy_(1, state.count, chosen[:, None])
        state.token.copy_(chosen[:, None])
        state.unfinished.logical_and_((chosen[:, None] != state.ends).all(dim=1))
        state.count.add_(1)

    def _capture(self, state: _State) -> None:
        """Record a step as a CUDA graph; without one, and with a warning, if this device or version cannot."""
        state.tried = True
        if self._encodes and self._language.dtype == torch.float16:
            # A recording that fails leaves the allocator worse off, so that it is not even tried.
            _LOG.warning(
                "captions are decoded without CUDA graphs, and slower: T5's clamp in float16 cannot be recorded"
            )
            return
        state.graph = graph_of(lambda: self._step(state), "captions")


@dataclass
class _State:
    """The tensors of a batch size, which keep their places; ``[n, …]`` are its rows."""

    shape: torch.Size
    cache: Any
    before: int
    places: Tensor
    ends: Tensor
    token: Tensor
    count: Tensor
    said: Tensor
    unfinished: Tensor
    finite: Tensor
    encoded: Tensor | None = None
    graph: Any = field(default=None, repr=False)
    tried: bool = False

    def reset(self) -> None:
        """As for a new batch. The cache is cleared, too: a masked NaN would still be one."""
        self.cache.reset()
        self.count.zero_()
        self.unfinished.fill_(True)
        self.finite.fill_(True)
