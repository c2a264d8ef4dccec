"""The tokens of a batch of answers: chosen on the model's device, for all of them at once, and read by the host at the end.

Everything that a further token does is an operation on tensors that keep their places, so that a GPU can repeat it as part of a
CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavad_core.errors import ModelError
from lavad_core.models.chat.choice_table import ChoiceTable
from lavad_core.models.chat.choices import Position
from lavad_core.models.chat.drawing import GREEDY_BELOW, drawn, random_numbers
from lavad_core.models.protocols import ChatRequest, FinishReason

Way = tuple[tuple[str, ...], bool, bool, bool]
"""Among which choices tokens are chosen, whether drawn, whether their probabilities are kept, and whether as those of all
tokens."""


@dataclass(frozen=True)
class Item:
    """One generation. ``said`` and ``text`` are what was generated before (a branch), and are not in the result."""

    prompt: list[int]
    """Token ids."""
    request: ChatRequest
    """What is asked."""
    said: tuple[int, ...] = ()
    """Token ids after the prompt."""
    text: str = ""
    """What they spell."""
    follow_up: bool = False
    """It completes an answer: greedy, and never interrupted."""

    @property
    def most(self) -> int:
        """Most new tokens. A follow-up has nothing to say: its answer's end is where the choices end."""
        return max(map(len, self.request.choices or ("",))) if self.follow_up else self.request.max_tokens

    @property
    def way(self) -> Way:
        """How its tokens are chosen."""
        draws = not self.follow_up and not self.request.free and self.request.temperature >= GREEDY_BELOW
        return self.request.choices or (), draws, bool(self.request.distribution), self.request.free


@dataclass(frozen=True)
class Generated:
    """The tokens of one answer."""

    tokens: list[int]
    """Without the end."""
    finish_reason: FinishReason
    """``stop`` or ``length``."""
    positions: list[Position]
    """One for each token, the end included, where the request asks for a distribution."""
    completion_tokens: int
    """The end included."""
    outside: float | None
    """With choices: the probability, before the mask, of a first token that is not allowed."""


class Writer:
    """The answers of a batch. Its tensors serve one batch after the other as long as :meth:`fits` says so."""

    def __init__(
        self,
        items: Sequence[Item],
        ends: Sequence[int],
        table_of: Callable[[tuple[str, ...]], ChoiceTable],
        device: torch.device,
    ) -> None:
        """
        Args:
            items: a first batch; :meth:`begin` is called for it, too.
            ends: token ids that end an answer.
            table_of: the table of choices, on the device.
            device: where logits come from.
        """
        self._ways, self._most = _ways(items), max(item.most for item in items)
        self._filler = next(iter(ends), 0)
        count = len(items)
        self._ends = torch.tensor(list(ends), dtype=torch.int64, device=device)
        self._count = torch.zeros(1, dtype=torch.int64, device=device)
        self._limits = torch.zeros(count, dtype=torch.int64, device=device)
        self._said = torch.zeros(count, self._most, dtype=torch.int64, device=device)
        self._finite = torch.ones(count, dtype=torch.bool, device=device)
        self._going = torch.ones(count, dtype=torch.bool, device=device)
        self.token = torch.zeros(count, 1, dtype=torch.int64, device=device)
        self._groups: list[_Group] = []
        start = 0
        while start < count:
            choices, draws, distribution, free = way = self._ways[start]
            stop = start + self._ways.count(way)
            if choices:
                table = table_of(choices)
                kept = min(self._most, table.longest) if distribution else 0
                self._groups.append(_Choosing(slice(start, stop), self._most, draws, device, table, kept, free=free))
            else:
                self._groups.append(_Group(slice(start, stop), self._most, draws, device))
            start = stop

    def fits(self, items: Sequence[Item]) -> bool:
        """Whether :meth:`begin` takes this batch."""
        return _ways(items) == self._ways and max(item.most for item in items) == self._most

    def begin(self, items: Sequence[Item]) -> None:
        """Begin a batch, in the order of :func:`in_groups`."""
        self._count.zero_()
        self._said.fill_(self._filler)
        self._finite.fill_(True)
        self._going.fill_(True)
        self._limits.copy_(torch.tensor([item.most for item in items]))
        for group in self._groups:
            group.begin(items[group.rows])

    def choose(self, logits: Tensor, *, first: bool = False) -> None:
        """Append a token to each answer that is not at its end.

        Args:
            logits: [n, vocabulary], as the model gives them.
            first: these are the answers' first.
        """
        self._finite.logical_and_(torch.isfinite(logits).all(dim=1))
        chosen = torch.cat(
            [group.choose(logits[group.rows], self._count, self._going[group.rows], first) for group in self._groups]
        )
        chosen = chosen.masked_fill(~self._going, self._filler)
        self._said.index_copy_(1, self._count, chosen[:, None])
        self.token.copy_(chosen[:, None])
        self._count.add_(1)
        self._going.logical_and_((chosen[:, None] != self._ends).all(dim=1))
        self._going.logical_and_(self._count < self._limits)
        # After a fault nobody goes on.
        self._going.logical_and_(self._finite.all())
        for group in self._groups:
            if group.stuck is not None:
                self._going.logical_and_(~group.stuck.any())

    @property
    def going(self) -> bool:
        """Whether any answer is not at its end. The host waits for the device."""
        return bool(self._going.any())

    @property
    def finite(self) -> bool:
        """Whether all logits were finite. The host waits for the device."""
        return bool(self._finite.all())

    def results(self) -> list[Generated | None]:
        """The answers; None for those that are not at their end.

        Raises:
            ModelError: the vocabulary has nothing with which a choice could be gone on with.
        """
        said, going, ends = self._said.tolist(), self._going.tolist(), set(self._ends.tolist())
        limits, steps = self._limits.tolist(), int(self._count)
        results: list[Generated | None] = []
        for group in self._groups:
            kept = group.kept(steps)
            for row, (positions, outside) in zip(range(*group.rows.indices(len(said))), kept, strict=True):
                if going[row]:
                    results.append(None)
                    continue
                tokens = said[row][: limits[row]]
                stop = next((at for at, token in enumerate(tokens) if token in ends), None)
                whole = tokens if stop is None else tokens[:stop]
                taken = len(tokens) if stop is None else stop + 1
                found = [
                    Position(token, values) for token, values in zip(tokens[:taken], positions[:taken], strict=False)
                ]
                results.append(Generated(whole, "length" if stop is None else "stop", found, taken, outside))
        return results


def _ways(items: Sequence[Item]) -> list[Way]:
    return [item.way for item in items]


def in_groups(items: Sequence[Item]) -> list[int]:
    """Places of the items, those whose tokens are chosen in one way next to each other."""
    ways = list(dict.fromkeys(_ways(items)))
    return sorted(range(len(items)), key=lambda place: ways.index(items[place].way))


class _Group:
    """Neighbours in a batch that say what they like, all greedy or all drawn."""

    stuck: Tensor | None = None
    """bool [n]: which have no token to go on with."""

    def __init__(self, rows: slice, most: int, draws: bool, device: torch.device) -> None:
        self.rows, self._draws = rows, draws
        self._size = count = rows.stop - rows.start
        if draws:
            self._temperature, self._top_p = torch.ones(2, count, dtype=torch.float64, device=device)
            self._random = torch.zeros(count, most, dtype=torch.float64, device=device)

    def begin(self, items: Sequence[Item]) -> None:
        if self._draws:
            requests = [item.request for item in items]
            self._temperature.copy_(torch.tensor([request.temperature for request in requests], dtype=torch.float64))
            self._top_p.copy_(torch.tensor([request.top_p for request in requests], dtype=torch.float64))
            self._random.copy_(random_numbers([request.seed for request in requests], self._random.shape[1]))

    def choose(self, logits: Tensor, count: Tensor, going: Tensor, first: bool) -> Tensor:
        """Token ids int64 [n], from logits [n, vocabulary] and the number [1] of the tokens so far."""
        return self._pick(logits, count)

    def kept(self, steps: int) -> list[tuple[list[dict[int, float]], float | None]]:
        """For each answer: the log-probabilities of each token, and the probability outside the choices."""
        return [([], None)] * self._size

    def _pick(self, values: Tensor, count: Tensor) -> Tensor:
        """The column that each row [n, m] takes."""
        if not self._draws:
            return values.argmax(dim=1)
        return drawn(values.double(), self._temperature, self._top_p, self._random.index_select(1, count)[:, 0])


class _Choosing(_Group):
    """Neighbours that all keep to the same choices."""

    def __init__(
        self,
        rows: slice,
        most: int,
        draws: bool,
        device: torch.device,
        table: ChoiceTable,
        kept: int,
        *,
        free: bool,
    ) -> None:
        """``kept``: tokens whose log-probabilities are kept; ``free``: those among all tokens, not among the allowed."""
        super().__init__(rows, most, draws, device)
        self._free = free
        self._table = table
        self._kept = kept
        self._columns = torch.arange(table.width, device=device)
        self._state = torch.zeros(self._size, dtype=torch.int64, device=device)
        self._outside = torch.zeros(self._size, dtype=torch.float64, device=device)
        self.stuck = self._stuck = torch.zeros(self._size, dtype=torch.bool, device=device)
        if kept:
            # A place more, for what comes while others in the batch go on.
            self._states = torch.zeros(self._size, kept + 1, dtype=torch.int64, device=device)
            self._values = torch.zeros(self._size, kept + 1, table.width, dtype=torch.float64, device=device)

    def begin(self, items: Sequence[Item]) -> None:
        super().begin(items)
        self._stuck.fill_(False)
        self._state.copy_(torch.tensor([self._table.state(item.text) for item in items]))

    def choose(self, logits: Tensor, count: Tensor, going: Tensor, first: bool) -> Tensor:
        table, state = self._table, self._state
        found = table.count[state]
        self._stuck.logical_or_(going & (found == 0))
        # The allowed tokens of each row, ascending; what is beyond its own is masked.
        beyond = self._columns >= found[:, None]
        lines = (table.first[state][:, None] + self._columns).masked_fill(beyond, len(table.tokens) - 1)
        allowed = table.tokens[lines]
        values = logits.gather(1, allowed).double().masked_fill(beyond, -torch.inf)
        if first:
            inside = torch.exp(values.logsumexp(dim=1) - logits.double().logsumexp(dim=1))
            self._outside.copy_((1.0 - inside).clamp(0.0, 1.0))
        of_all = values - logits.double().logsumexp(dim=1, keepdim=True)
        values = of_all if self._free else torch.log_softmax(values, dim=1)
        if self._kept:
            place = count.clamp(max=self._kept)
            self._states.index_copy_(1, place, state[:, None])
            self._values.index_copy_(1, place, values[:, None])
        column = self._pick(values, count)[:, None]
        state.copy_(table.targets[lines].gather(1, column)[:, 0].where(going & (found > 0), state))
        return allowed.gather(1, column)[:, 0]

    def kept(self, steps: int) -> list[tuple[list[dict[int, float]], float | None]]:
        table = self._table
        if bool(self._stuck.any()):
            state = int(self._state[self._stuck][0])
            raise ModelError(f"the chat model has no token that continues {table.texts[state]!r} to one of the choices")
        outside = self._outside.tolist()
        if not self._kept:
            return [([], value) for value in outside]
        steps = min(steps, self._kept)
        states, values = self._states[:, :steps], self._values[:, :steps].cpu()
        first, count = table.first[states].tolist(), table.count[states].tolist()
        tokens = table.tokens.tolist()
        rows = [
            [
                dict(zip(tokens[start : start + size], log[:size].tolist(), strict=True))
                for start, size, log in zip(first[row], count[row], values[row], strict=True)
            ]
            for row in range(self._size)
        ]
        return list(zip(rows, outside, strict=True))
