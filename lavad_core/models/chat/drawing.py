"""The next token of many answers at once: nucleus sampling as tensor operations on the device of the logits. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

GREEDY_BELOW = 1e-5
"""Temperatures under it are greedy, as in vLLM: dividing by them overflows."""


def random_numbers(seeds: Sequence[int], most: int) -> Tensor:
    """What each answer's own generator gives, token after token.

    Returns:
        float64 [n, most] on the CPU, in [0, 1).
    """
    rows = [torch.rand(most, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
    return torch.stack(rows)


def drawn(logits: Tensor, temperature: Tensor, top_p: Tensor, random: Tensor) -> Tensor:
    """By the inverse of the cumulative distribution of the nucleus, most probable first, of equal ones the first: rounding
    changes a draw only if it falls within it of a border.

    Args:
        logits: float64 [n, m]; minus infinity for what cannot be chosen. At least one of each row is finite.
        temperature: float64 [n], above 0.
        top_p: float64 [n]: the nucleus is the smallest set that reaches it.
        random: float64 [n], in [0, 1).

    Returns:
        int64 [n].
    """
    probabilities = torch.softmax(logits / temperature[:, None], dim=1)
    # What cannot be chosen comes after what can be, and is so improbable that it has 0 as well.
    ordered, numbers = probabilities.masked_fill_(logits.isneginf(), -1.0).sort(dim=1, descending=True, stable=True)
    possible = ordered.clamp(min=0.0)
    reached = possible.cumsum(1)
    nucleus = (reached - possible < top_p[:, None]) & (ordered >= 0.0)
    last = (nucleus.sum(1, keepdim=True) - 1).clamp(min=0)  # of a row of NaN there is none
    draw = random[:, None] * reached.gather(1, last)
    place = ((reached <= draw) & nucleus).sum(1, keepdim=True).minimum(last)
    return numbers.gather(1, place)[:, 0]
