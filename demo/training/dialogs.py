"""Prompts with their answers, as a chat model learns them: the loss is on the answers, and what all prompts of a group begin
with is computed once for a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lavad_core.method.summarising import Messages
from lavad_core.models.loading import cache_name

_UNSEEN = -100
"""Target of tokens that are not part of an answer."""


@dataclass(frozen=True)
class DialogGroup:
    """Samples with the same beginning."""

    beginning: list[int]
    """Token ids that all samples begin with."""
    rest: list[list[int]]
    """What follows, each with its answer."""
    answers: list[int]
    """Length of the answer at the end of each."""
    share: float
    """The share of the steps, relative to others'."""
    weight: float
    """Weight of its loss: only one token of a rating says much."""

    @classmethod
    def of(cls, tokenizer: Any, samples: Sequence[tuple[Messages, str]], share: float, weight: float) -> DialogGroup:
        """A group from its prompts and the answers to them; its samples begin with what all the prompts have in common."""
        asked = [tokenizer.apply_chat_template(_dialog(messages), tokenize=False) for messages, _ in samples]
        said = [f"{prompt} {answer}</s>" for prompt, (_, answer) in zip(asked, samples, strict=True)]
        prompt_ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
        whole = tokenizer(said, add_special_tokens=False)["input_ids"]
        common = next(
            size for size in range(len(prompt_ids[0]), 0, -1) if all(ids[:size] == whole[0][:size] for ids in whole)
        )
        answers = [len(ids) - len(prompt) for ids, prompt in zip(whole, prompt_ids, strict=True)]
        return cls(whole[0][:common], [ids[common:] for ids in whole], answers, share, weight)

    def with_share(self, part: float) -> DialogGroup:
        """The same samples in this part of its share of the steps."""
        return replace(self, share=part * self.share)


def _dialog(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in messages]


class DialogCorpus:
    """All groups; a sample's number is its group's first plus its place in it."""

    def __init__(self, groups: Sequence[DialogGroup], batch: int, seed: int) -> None:
        self._groups, self._batch = groups, batch
        self._firsts = np.cumsum([0, *(len(group.rest) for group in groups)])
        self._random = np.random.default_rng([seed, 1])

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Numbers of samples of one group and of about one length."""
        shares = np.array([group.share for group in self._groups])
        sources = [self._of(number) for number in range(len(self._groups))]
        while True:
            yield next(sources[self._random.choice(len(sources), p=shares / shares.sum())])

    def _of(self, number: int) -> Iterator[NDArray[np.int64]]:
        rest, first = self._groups[number].rest, self._firsts[number]
        size = self._batch if number == 0 else 2 * self._batch
        size = min(size, len(rest))
        while True:
            order = self._random.permutation(len(rest))
            for start in range(0, len(order), 16 * size):
                pool = sorted(order[start : start + 16 * size], key=lambda at: len(rest[at]))
                starts = range(0, len(pool) - size + 1, size)
                for at in self._random.permutation(starts):
                    yield first + np.array(pool[at : at + size])

    def loss(self, model: Any, numbers: NDArray[np.int64]) -> torch.Tensor:
        """Mean over the tokens of the answers."""
        at = int(np.searchsorted(self._firsts, numbers[0], side="right")) - 1
        group = self._groups[at]
        rows = [int(number - self._firsts[at]) for number in numbers]
        longest = max(len(group.rest[row]) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        targets = torch.full((len(rows), longest), _UNSEEN)
        for line, row in enumerate(rows):
            tokens, answer = torch.tensor(group.rest[row]), group.answers[row]
            ids[line, : len(tokens)] = tokens
            targets[line, len(tokens) - answer - 1 : len(tokens) - 1] = tokens[-answer:]
        states = _states(model, group.beginning, ids)
        wanted = targets != _UNSEEN
        return group.weight * torch.nn.functional.cross_entropy(model.lm_head(states[wanted]), targets[wanted])


def _states(model: Any, beginning: list[int], ids: torch.Tensor) -> torch.Tensor:
    """Last hidden states [n, length, width] of token ids [n, length] that come after the same beginning."""
    name = cache_name(model)
    before = model.model(torch.tensor([beginning]), use_cache=True)[name]
    before.batch_repeat_interleave(len(ids))
    states: torch.Tensor = model.model(ids, use_cache=True, **{name: before}).last_hidden_state
    return states
