"""Answers limited to a list of strings: which tokens may come next, and how probable each string is. Pure.

The definition, the same for a served and a local model. A token is allowed after a text if text and token together are
the beginning of a choice; the end of the answer is allowed after a whole choice only. The model's probabilities (at
temperature 1, whatever the request's) are renormalised over the allowed tokens, token by token. The probability of a
choice is the sum, over all token sequences that spell it, of the products of these; choices that differ only in white
space around them are one. So ``[`` as one token, as a byte token or with a space in front all count.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lavad_core.errors import InternalError

FLOOR = 1e-4
"""Probability below which a branch is not followed. A Llama-2 chat model leaves one or two branches above it, and each
costs a request; the expected score can be off by at most the mass that was left, a few 1e-4."""

TINY = 1e-12
"""Least probability given to a choice, so that every logarithm is finite."""

MASKED = -50.0
"""Log-probabilities below it are of tokens that the grammar forbids: vLLM shows them as -9999."""


class NotConstrained(Exception):
    """Log-probabilities that cannot come from a model held to the choices."""


@dataclass(frozen=True)
class Branch:
    """The beginning of an answer, several choices still being possible."""

    tokens: tuple[int, ...]
    """Token ids so far."""
    text: str
    """What the token ids spell."""
    mass: float
    """Its probability under the definition above."""


@dataclass(frozen=True)
class Position:
    """What a model thought of one next token."""

    chosen: int
    """The token that it went on with."""
    log_probabilities: Mapping[int, float]
    """Natural log-probabilities after the mask, by token id; with or without the forbidden tokens, and possibly
    only of the most probable ones."""


def leading_characters(choices: Sequence[str]) -> frozenset[str]:
    """Characters that lead an answer along where most of the choices can be seen from.

    A character is one of them if after some beginning more of the (stripped) choices go on with it than with all others: ``0``
    and ``.`` of the eleven scores, but not ``[`` against a space, which both go on to all.
    """
    found = set()
    for choice in choices:
        for length in range(len(choice)):
            following: dict[str, set[str]] = defaultdict(set)
            for other in choices:
                if other.startswith(choice[:length]) and len(other) > length:
                    following[other[length]].add(other.strip())
            best = max(following, key=lambda character: len(following[character]))
            others = sum(len(values) for character, values in following.items() if character != best)
            if 0 < others < len(following[best]):
                found.add(best)
    return frozenset(found)


class TokenMask:
    """Which tokens may come next."""

    def __init__(self, choices: Sequence[str], pieces: Iterable[tuple[int, str]]) -> None:
        """``pieces`` are (token id, its text) of the ordinary tokens of a vocabulary."""
        self._choices = sorted(set(choices))
        parts = {choice[i:j] for choice in choices for i in range(len(choice)) for j in range(i + 1, len(choice) + 1)}
        self._ids: dict[str, list[int]] = defaultdict(list)
        for number, piece in pieces:
            if piece in parts:
                self._ids[piece].append(number)

    def allowed(self, text: str) -> dict[int, str]:
        """Token id to piece of the tokens that may follow ``text``; empty after a whole choice that none extends."""
        found: dict[int, str] = {}
        for choice in itertools.islice(self._choices, bisect.bisect_left(self._choices, text), None):
            if not choice.startswith(text):
                break  # sorted, those that do are neighbours
            rest = choice[len(text) :]
            for end in range(1, len(rest) + 1):
                found.update((number, rest[:end]) for number in self._ids.get(rest[:end], ()))
        return found

    def complete(self, text: str) -> bool:
        """True if ``text`` is a choice, so that the answer may end."""
        place = bisect.bisect_left(self._choices, text)
        return self._choices[place : place + 1] == [text]


class ChoiceTree:
    """Collects log-probabilities along token sequences until every choice's probability is known."""

    def __init__(self, choices: Sequence[str], floor: float = FLOOR) -> None:
        """
        Raises:
            InternalError: a choice is blank, not ASCII, or the beginning of another: then its end would have to be seen
                as a token, which servers do not show.
        """
        for choice in choices:
            if not choice.strip() or not choice.isascii():
                raise InternalError(f"choice {choice!r} has no distribution: choices must be ASCII and not blank")
            if any(other != choice and other.startswith(choice) for other in choices):
                raise InternalError(f"choice {choice!r} has no distribution: another one begins with it")
        self._choices = tuple(dict.fromkeys(choices))
        self._floor = floor
        self._known = {choice.strip(): 0.0 for choice in choices}
        self._open: list[Branch] = [Branch((), "", 1.0)]
        self._left: list[tuple[float, frozenset[str]]] = []

    def suffixes(self, branch: Branch) -> list[str]:
        """What may still follow the branch's text, in the order of the choices."""
        return [choice[len(branch.text) :] for choice in self._choices if choice.startswith(branch.text)]

    def next(self) -> Branch | None:
        """The most probable branch that is worth following; None when there is none."""
        best = max(self._open, key=lambda branch: branch.mass, default=None)
        if best is None or best.mass < self._floor:
            return None
        return best

    def follow(self, branch: Branch, positions: Sequence[Position], pieces: Mapping[int, str]) -> None:
        """Learn from a continuation of ``branch``.

        Args:
            branch: one that :meth:`next` gave.
            positions: those of the continuation, from its first token on; what comes after only one choice is possible is
                not read.
            pieces: text of every token with a log-probability above :data:`MASKED`.

        Raises:
            NotConstrained: a token with probability that no choice allows, or no positions at all.
        """
        if not positions:
            raise NotConstrained("no log-probabilities")
        self._open.remove(branch)
        for position in positions:
            onward: Branch | None = None
            shown = 0.0
            for number, log_probability in position.log_probabilities.items():
                if not log_probability > MASKED:
                    continue
                probability = math.exp(min(log_probability, 0.0))
                piece = pieces[number]
                child = Branch((*branch.tokens, number), branch.text + piece, branch.mass * probability)
                values = self._values(child.text)
                if not piece or not values:
                    raise NotConstrained(f"token {piece!r} after {branch.text!r} has probability {probability:.2g}")
                shown += probability
                if len(values) == 1:
                    self._known[values[0]] += child.mass
                elif number == position.chosen:
                    onward = child
                else:
                    self._open.append(child)
            self._leave(branch.mass * max(0.0, 1.0 - shown), branch.text)
            if onward is None:
                return
            branch = onward
        self._open.append(branch)

    def left(self) -> float:
        """Probability that has not been traced to one choice; it bounds the error of :meth:`result`."""
        return sum(branch.mass for branch in self._open) + sum(mass for mass, _ in self._left)

    def result(self) -> dict[str, float]:
        """Stripped choice to natural log-probability; they sum to 1.

        What was left is shared by the choices that its text allows, in proportion to what is known about them.
        """
        total = dict(self._known)
        rest = [(branch.mass, frozenset(self._values(branch.text))) for branch in self._open]
        for mass, values in (*self._left, *rest):
            weights = {value: self._known[value] + TINY for value in values}
            for value, weight in weights.items():
                total[value] += mass * weight / sum(weights.values())
        everything = sum(max(probability, TINY) for probability in total.values())
        return {value: math.log(max(probability, TINY) / everything) for value, probability in total.items()}

    def _values(self, text: str) -> list[str]:
        """Stripped choices that begin with ``text``."""
        return list(dict.fromkeys(choice.strip() for choice in self._choices if choice.startswith(text)))

    def _leave(self, mass: float, text: str) -> None:
        if mass > 0.0:
            self._left.append((mass, frozenset(self._values(text))))


class FreeTree(ChoiceTree):
    """How probable it is that a free answer begins with each choice: the product of the probabilities of its tokens, over all
    that the model might say, summed over the token sequences that spell it. Nothing is renormalised but the result."""

    def next(self) -> Branch | None:
        """The most probable branch that matters beside what is known; None when there is none."""
        best = max(self._open, key=lambda branch: branch.mass, default=None)
        return best if best is not None and best.mass > self._floor * self.known else None

    @property
    def known(self) -> float:
        """Probability of the choices, as far as it was traced."""
        return sum(self._known.values())

    def follow(self, branch: Branch, positions: Sequence[Position], pieces: Mapping[int, str]) -> None:
        """As :meth:`ChoiceTree.follow`; what begins no choice is left aside, and so are tokens without a piece."""
        if not positions:
            raise NotConstrained("no log-probabilities")
        self._open.remove(branch)
        for position in positions:
            onward: Branch | None = None
            for number, log_probability in position.log_probabilities.items():
                piece = pieces.get(number)
                if not piece:
                    continue
                mass = branch.mass * math.exp(min(log_probability, 0.0))
                child = Branch((*branch.tokens, number), branch.text + piece, mass)
                if child.text in self._choices:
                    self._known[child.text.strip()] += mass
                elif self._values(child.text):
                    if number == position.chosen:
                        onward = child
                    else:
                        self._open.append(child)
            if onward is None:
                return
            branch = onward
        self._open.append(branch)

    def missing(self) -> list[str]:
        """Stripped choices that nothing was seen of, not even a beginning."""
        begun = {value for branch in self._open for value in self._values(branch.text)}
        return [value for value, probability in self._known.items() if not probability and value not in begun]

    def result(self) -> dict[str, float]:
        """Stripped choice to natural log-probability; they sum to 1. Empty where none has a probability."""
        known = self.known
        return {value: math.log(max(p / known, TINY)) for value, p in self._known.items()} if known else {}
