"""One answer after the other, token by token, in Python and on the CPU: what a batch on a device must say, too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lavad_core.errors import ModelError
from lavad_core.models.chat.choices import Position, TokenMask
from lavad_core.models.chat.drawing import GREEDY_BELOW
from lavad_core.models.chat.writing import Generated, Item


class RowByRow:
    """Chooses the tokens of one answer."""

    def __init__(self, item: Item, mask: TokenMask | None) -> None:
        self._request, self._mask, self._text = item.request, mask, item.text
        self._greedy = item.follow_up or item.request.temperature < GREEDY_BELOW
        self._most = item.most
        self._random = torch.Generator().manual_seed(item.request.seed)
        self._tokens: list[int] = []
        self._positions: list[Position] = []
        self._ended: Any = None
        self._end_tokens = 0
        self._outside: float | None = None

    @property
    def done(self) -> bool:
        return self._ended is not None

    def write(self, logits: Tensor, ends: set[int]) -> int:
        """The next token, given float64 logits [vocabulary]."""
        pieces: dict[int, str] = {}
        if self._mask is not None:
            pieces = self._mask.allowed(self._text)
            if self._mask.complete(self._text):
                pieces |= dict.fromkeys(ends, "")
            if not pieces:
                raise ModelError(f"the chat model has no token that continues {self._text!r} to one of the choices")
            allowed = sorted(pieces)
            if not self._tokens:
                inside = torch.exp(torch.logsumexp(logits[allowed], dim=0) - torch.logsumexp(logits, dim=0))
                self._outside = min(1.0, max(0.0, 1.0 - float(inside)))
            values = torch.log_softmax(logits[allowed], dim=0)
            token = allowed[self._pick(values)]
            if self._request.distribution:
                self._positions.append(Position(token, dict(zip(allowed, values.tolist(), strict=True))))
        else:
            token = self._pick(logits)
        if token in ends:
            self._ended, self._end_tokens = "stop", 1
            return token
        self._tokens.append(token)
        self._text += pieces.get(token, "")
        if len(self._tokens) == self._most:
            self._ended = "length"
        return token

    def _pick(self, logits: Tensor) -> int:
        if self._greedy:
            return int(logits.argmax())
        probabilities = torch.softmax(logits / self._request.temperature, dim=0)
        sorted_ones, numbers = torch.sort(probabilities, descending=True, stable=True)
        below = sorted_ones.cumsum(0) - sorted_ones
        nucleus = sorted_ones[below < self._request.top_p]  # the smallest set that reaches top_p
        draw = torch.rand((), generator=self._random, dtype=torch.float64) * nucleus.sum()
        return int(numbers[min(int((nucleus.cumsum(0) <= draw).sum()), len(nucleus) - 1)])

    def result(self) -> Generated:
        tokens = len(self._tokens) + self._end_tokens
        return Generated(self._tokens, self._ended, self._positions, tokens, self._outside)
