"""Decoding a batch of prompts of different lengths, padded in front.

Keys and values lie in transformers' ``StaticCache`` where that is known to say the same: then a further token is a fixed list
of operations, and a GPU repeats it as one CUDA graph. Other models keep the cache that they make for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import transformers
from torch import Tensor

from lavad_core.errors import ModelError
from lavad_core.models.chat.choice_table import ChoiceTable
from lavad_core.models.chat.writing import Generated, Item, Writer, in_groups
from lavad_core.models.decoding import causal_mask, graph_of, rounded_up
from lavad_core.models.finite import way_out
from lavad_core.models.loading import cache_name

_HF: Any = transformers

ROOM = 64
"""Cache positions come in multiples of it, so that the next batch, of prompts a little longer, can use the same memory and the
same graph."""


class ChatDecoder:
    """Decodes one batch after the other. Not thread-safe."""

    def __init__(
        self,
        model: Any,
        vocabulary: int,
        ends: Sequence[int],
        table_of: Callable[[tuple[str, ...]], ChoiceTable],
        device: torch.device,
    ) -> None:
        """
        Args:
            model: a causal language model of transformers, on its device.
            vocabulary: tokens that the tokenizer knows; a model may have logits beyond them.
            ends: token ids that end an answer.
            table_of: the table of a list of choices.
            device: the model's.
        """
        self._model, self._vocabulary, self._ends = model, vocabulary, ends
        self._table_of, self._device = table_of, device
        self._cache_name, self._fixed = cache_name(model), has_plain_attention(model)
        self._batch: _Batch | None = None

    @torch.inference_mode()
    def run(self, items: Sequence[Item], stopping: Callable[[], bool]) -> list[Generated | None]:
        """The answers, in order; None for what ``stopping`` cut off: it is asked after each token.

        Raises:
            ModelError: logits that are not finite, or no token with which a choice could be gone on with.
            RuntimeError: memory runs out; what was allocated is let go.
        """
        order = in_groups(items)
        grouped = [items[place] for place in order]
        sequences = [[*item.prompt, *item.said] for item in grouped]
        longest = max(map(len, sequences))
        padding = torch.tensor([longest - len(sequence) for sequence in sequences], device=self._device)
        filler = next(iter(self._ends), 0)
        ids = torch.tensor([[filler] * (longest - len(s)) + s for s in sequences], device=self._device)
        batch, self._batch = self._batch, None
        if batch is None or not batch.fits(grouped, longest):
            batch = None  # before the next is allocated
            batch = self._new_batch(grouped, longest)
        with torch.cuda.device_of(ids):
            batch.writer.begin(grouped)
            batch.choose(batch.memory.read(ids, padding), first=True)
            while not stopping() and batch.writer.going:
                batch.advance()
        if not batch.writer.finite:
            raise ModelError(
                f"the chat model's logits in {self._model.dtype} are not finite; "
                + way_out(self._model.dtype, "chat.dtype")
            )
        results = dict(zip(order, batch.writer.results(), strict=True))
        self._batch = batch
        return [results[place] for place in range(len(items))]

    def forget(self) -> None:
        """Let go of the cache and the graph."""
        self._batch = None

    def _new_batch(self, items: Sequence[Item], longest: int) -> _Batch:
        writer = Writer(items, self._ends, self._table_of, self._device)
        if not self._fixed:
            return _Batch(writer, _Growing(self._model, self._cache_name), self._vocabulary, record=False)
        most = max(item.most for item in items)
        fixed = _Fixed(self._model, self._cache_name, len(items), longest, most, self._device)
        # Follow-ups are over when their step would be recorded.
        return _Batch(writer, fixed, self._vocabulary, record=self._device.type == "cuda" and not items[0].follow_up)


def has_plain_attention(model: Any) -> bool:
    """Whether each layer of a causal language model sees all earlier tokens, and their places from their numbers alone: then it
    can be given the mask of a fixed cache."""
    base, config = getattr(model, "base_model", None), model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        bool(getattr(model, "_can_compile_fullgraph", False))
        and hasattr(base, "rotary_emb")
        and not getattr(config, "alibi", False)
        and kinds == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
        and config._attn_implementation in ("sdpa", "eager")
    )


class _Memory(Protocol):
    """A model with the keys and values of a batch."""

    def fits(self, longest: int) -> bool:
        """Whether prompts of that length have a place."""

    def read(self, ids: Tensor, padding: Tensor) -> Tensor:
        """Logits [n, all words] after prompts int64 [n, length], of which ``padding`` [n] tokens in front do not count."""

    def further(self, token: Tensor) -> Tensor:
        """Logits after one more token [n, 1]."""


class _Batch:
    """What is kept from batch to batch while they are of one shape."""

    def __init__(self, writer: Writer, memory: _Memory, vocabulary: int, *, record: bool) -> None:
        self.writer, self.memory, self._vocabulary = writer, memory, vocabulary
        self.graph: Any = None
        self._record = record

    def fits(self, items: Sequence[Item], longest: int) -> bool:
        return self.writer.fits(items) and self.memory.fits(longest)

    def choose(self, logits: Tensor, *, first: bool = False) -> None:
        self.writer.choose(logits[:, : self._vocabulary], first=first)

    def step(self) -> None:
        self.choose(self.memory.further(self.writer.token))

    def advance(self) -> None:
        """One more token."""
        if self.graph is not None:
            self.graph.replay()
            return
        self.step()
        if self._record:
            # After a step without it, which has made all that is made on first use.
            self._record = False
            self.graph = graph_of(self.step, "answers")


class _Growing:
    """With the cache that the model makes for itself."""

    def __init__(self, model: Any, cache_name: str) -> None:
        self._model, self._cache_name = model, cache_name
        self._cache: Any = None

    def fits(self, longest: int) -> bool:
        return False

    def read(self, ids: Tensor, padding: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        self._attention = (places >= padding[:, None]).long()
        self._positions = (places - padding[:, None]).clamp(min=0)
        return self._forward(ids)

    def further(self, token: Tensor) -> Tensor:
        self._attention = torch.cat([self._attention, torch.ones_like(token)], dim=1)
        self._positions = self._positions[:, -1:] + 1
        return self._forward(token)

    def _forward(self, ids: Tensor) -> Tensor:
        output = self._model(
            input_ids=ids,
            attention_mask=self._attention,
            position_ids=self._positions,
            use_cache=True,
            logits_to_keep=1,  # of all positions they would be gigabytes
            **{self._cache_name: self._cache},
        )
        self._cache = output[self._cache_name]
        logits: Tensor = output.logits[:, -1]
        return logits


class _Fixed:
    """With a cache of fixed length, of which what is not yet written is masked."""

    def __init__(self, model: Any, cache_name: str, count: int, longest: int, most: int, device: torch.device) -> None:
        self._model, self._cache_name, self._most = model, cache_name, most
        length = self._length(longest)
        self._cache = _HF.StaticCache(config=model.config, max_cache_len=length)
        self._places = torch.arange(length, device=device)
        self._padding = torch.zeros(count, dtype=torch.int64, device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)

    def fits(self, longest: int) -> bool:
        return self._length(longest) == len(self._places)

    def read(self, ids: Tensor, padding: Tensor) -> Tensor:
        self._cache.reset()  # a masked NaN would still be one
        self._padding.copy_(padding)
        self._position.fill_(ids.shape[1])
        return self._forward(ids, torch.arange(ids.shape[1], device=ids.device))

    def further(self, token: Tensor) -> Tensor:
        logits = self._forward(token, self._position)
        self._position.add_(1)
        return logits

    def _length(self, longest: int) -> int:
        return rounded_up(longest + self._most - 1, ROOM)  # the last token is not read

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        output = self._model(
            input_ids=ids,
            attention_mask=causal_mask(positions, self._places, self._model.dtype, self._padding),
            position_ids=(positions - self._padding[:, None]).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: self._cache},
        )
        logits: Tensor = output.logits[:, -1]
        return logits
