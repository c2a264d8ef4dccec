"""Answers limited to a list of strings, without Python between two tokens: the texts on the way there as a table of states."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lavad_core.models.chat.choices import TokenMask


@dataclass(frozen=True)
class ChoiceTable:
    """What :class:`~lavad_core.models.chat.choices.TokenMask` allows after every text that can be reached, ends included.

    A state is a text. The tokens that may follow it are a run of :attr:`tokens`. The table has a line for each, so that it
    grows with the choices' letters, not with texts times vocabulary.
    """

    texts: tuple[str, ...]
    """State to text; the first is empty."""
    first: Tensor
    """int64 [states]: where a state's tokens begin."""
    count: Tensor
    """int64 [states]: how many it has; 0 where nothing may follow."""
    tokens: Tensor
    """int64 [all states' tokens], ascending in each state."""
    targets: Tensor
    """int64 [all states' tokens]: the state after that token; after an end, the same."""
    width: int
    """Most tokens of a state."""
    longest: int
    """Most tokens of an answer, its end included: a token has at least one letter."""

    def state(self, text: str) -> int:
        """
        Raises:
            ValueError: it does not begin a choice, or no tokens spell it.
        """
        return self.texts.index(text)


def choice_table(
    choices: tuple[str, ...], pieces: Iterable[tuple[int, str]], ends: Collection[int], device: torch.device
) -> ChoiceTable:
    """
    Args:
        choices: at least one.
        pieces: (token id, its text) of the ordinary tokens.
        ends: token ids that end an answer.
        device: where the table lies.
    """
    mask = TokenMask(choices, pieces)
    numbers, counts = {"": 0}, []
    tokens: list[int] = []
    targets: list[int] = []
    texts = [""]
    for text in texts:  # it grows meanwhile
        following = mask.allowed(text)
        if mask.complete(text):
            following |= dict.fromkeys(ends, "")
        for token, piece in sorted(following.items()):
            longer = text + piece
            if longer not in numbers:
                numbers[longer] = len(texts)
                texts.append(longer)
            tokens.append(token)
            targets.append(numbers[longer])
        counts.append(len(following))
    count = torch.tensor(counts)
    return ChoiceTable(
        tuple(texts),
        (count.cumsum(0) - count).to(device),
        count.to(device),
        # One that is never read: no index may be of nothing.
        torch.tensor([*tokens, 0], device=device),
        torch.tensor([*targets, 0], device=device),
        max(1, *counts),
        max(map(len, choices)) + 1,
    )
