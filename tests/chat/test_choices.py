"""The mask of choices and the distribution over them, against brute force on made-up tokenizers and models."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lavad_core.errors import InternalError
from lavad_core.method.prompts import SCORE_CHOICES
from lavad_core.models.chat.choices import ChoiceTree, NotConstrained, Position, TokenMask

BOTH = tuple(spelling for choice in SCORE_CHOICES for spelling in (choice, " " + choice))
"""With and without a leading space, as callers give them."""

LLAMA = ["[", "[", " ", " ", " [", "0", "0", "1", "1", ".", *"23456789", "]", "]"]
"""Pieces of Llama's kind: single digits, byte tokens that repeat a piece, spaces in front."""

WHOLE = [
    "[",
    "[0",
    "[0.",
    "0.",
    ".1]",
    "]",
    " [0.2]",
    "[1.0]",
    "1",
    "0",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    ".",
    " ",
]
"""Pieces that run over several characters, so that one string has many tokenisations."""

PREFIXES_APART = ("red", " red", "rose", " rose", "blue", " blue")


class FakeModel:
    """Log-probabilities that depend on the whole sequence so far, as a language model's do."""

    def __init__(self, choices: tuple[str, ...], pieces: list[str], seed: int, sharpness: float) -> None:
        self.choices, self.pieces, self.seed, self.sharpness = choices, dict(enumerate(pieces)), seed, sharpness
        self.mask = TokenMask(choices, self.pieces.items())

    def position(self, tokens: tuple[int, ...], text: str) -> dict[int, float]:
        """Renormalised over the allowed tokens."""
        scores = {}
        for number in self.mask.allowed(text):
            noise = hashlib.sha256(f"{self.seed} {tokens} {number}".encode()).digest()
            scores[number] = self.sharpness * int.from_bytes(noise[:4]) / 2**32
        total = math.log(sum(map(math.exp, scores.values())))
        return {number: score - total for number, score in scores.items()}

    def path(self, tokens: tuple[int, ...], text: str, turn: int) -> list[Position]:
        """One answer from there on: the most probable one, or any other."""
        positions = []
        while text not in self.choices:
            scores = self.position(tokens, text)
            chosen = sorted(scores, key=lambda number: -scores[number])[turn % len(scores)]
            positions.append(Position(chosen, scores))
            tokens, text = (*tokens, chosen), text + self.pieces[chosen]
        return positions

    def brute_force(self) -> dict[str, float]:
        """The definition: every token sequence that spells a choice."""
        total: dict[str, float] = defaultdict(float)
        stack: list[tuple[tuple[int, ...], str, float]] = [((), "", 1.0)]
        while stack:
            tokens, text, mass = stack.pop()
            if text in self.choices:
                total[text.strip()] += mass
                continue
            for number, score in self.position(tokens, text).items():
                stack.append(((*tokens, number), text + self.pieces[number], mass * math.exp(score)))
        return total


def traced(model: FakeModel, floor: float, turn: int) -> ChoiceTree:
    tree = ChoiceTree(model.choices, floor)
    for round_number in range(10_000):
        branch = tree.next()
        if branch is None:
            return tree
        tree.follow(branch, model.path(branch.tokens, branch.text, turn * round_number), model.pieces)
    raise AssertionError("never ends")


SHAPES = pytest.mark.parametrize(
    ("choices", "pieces"),
    [
        pytest.param(BOTH, LLAMA, id="single-digits-and-byte-tokens"),
        pytest.param(BOTH, WHOLE, id="pieces-of-several-characters"),
        pytest.param(BOTH, [*LLAMA, *WHOLE], id="both"),
        pytest.param(SCORE_CHOICES, LLAMA, id="no-leading-space"),
        pytest.param(PREFIXES_APART, [*"redosblu ", "re", " r", "blue", " blue", "r"], id="words"),
        pytest.param(("[0.5]",), list("[0.5]"), id="only-one"),
    ],
)


@SHAPES
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), sharpness=st.floats(0, 12), turn=st.integers(0, 3))
def test_equals_the_sum_over_all_tokenisations(
    choices: tuple[str, ...], pieces: list[str], seed: int, sharpness: float, turn: int
) -> None:
    model = FakeModel(choices, pieces, seed, sharpness)
    result = traced(model, floor=0.0, turn=turn).result()
    for value, probability in model.brute_force().items():
        assert math.exp(result[value]) == pytest.approx(probability, abs=1e-9)
    assert list(result) == list(dict.fromkeys(choice.strip() for choice in choices))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), sharpness=st.floats(0, 30), floor=st.sampled_from([1e-3, 1e-2, 0.3]))
def test_what_is_left_bounds_the_error(seed: int, sharpness: float, floor: float) -> None:
    model = FakeModel(BOTH, LLAMA, seed, sharpness)
    tree = traced(model, floor, turn=0)
    truth = model.brute_force()
    result = tree.result()
    off = sum(abs(math.exp(log) - truth.get(value, 0.0)) for value, log in result.items())
    assert off <= 2 * tree.left() + 1e-9
    assert math.fsum(math.exp(log) for log in result.values()) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), keep=st.integers(1, 6))
def test_a_server_that_shows_only_the_most_probable_tokens(seed: int, keep: int) -> None:
    model = FakeModel(BOTH, LLAMA, seed, sharpness=6.0)
    tree = ChoiceTree(BOTH)
    while (branch := tree.next()) is not None:
        shown = []
        for position in model.path(branch.tokens, branch.text, 0):
            best = sorted(position.log_probabilities.items(), key=lambda item: -item[1])[:keep]
            shown.append(Position(position.chosen, dict(best)))
        tree.follow(branch, shown, model.pieces)
    truth, result = model.brute_force(), tree.result()
    off = sum(abs(math.exp(log) - truth.get(value, 0.0)) for value, log in result.items())
    assert off <= 2 * tree.left() + 1e-9
    assert tree.left() < 1.0


def test_a_sure_model_needs_no_follow_up() -> None:
    pieces = dict(enumerate(LLAMA))
    tree = ChoiceTree(BOTH)
    branch = tree.next()
    assert branch is not None
    sure = math.log1p(-1e-6)
    masked = -9999.0
    path = [
        Position(4, {4: sure, 0: math.log(1e-6), 5: masked}),
        Position(5, {5: sure, 7: math.log(1e-6)}),
        Position(9, {9: math.log(0.9), 18: math.log(0.1)}),
        Position(11, {10: math.log(0.25), 11: math.log(0.75)}),
    ]
    tree.follow(branch, path, pieces)
    assert tree.next() is None
    probabilities = {value: math.exp(log) for value, log in tree.result().items()}
    assert probabilities["[0]"] == pytest.approx(0.1, abs=1e-5)
    assert probabilities["[0.2]"] == pytest.approx(0.225, abs=1e-5)
    assert probabilities["[0.3]"] == pytest.approx(0.675, abs=1e-5)


@pytest.mark.parametrize(
    ("positions", "word"),
    [
        pytest.param([], "no log-probabilities", id="none"),
        pytest.param([Position(0, {0: 0.0})], "'I'", id="token-outside-the-choices"),
        pytest.param([Position(1, {1: 0.0})], "''", id="token-without-text"),
    ],
)
def test_log_probabilities_of_a_free_answer_are_refused(positions: list[Position], word: str) -> None:
    tree = ChoiceTree(BOTH)
    branch = tree.next()
    assert branch is not None
    with pytest.raises(NotConstrained, match=word):
        tree.follow(branch, positions, {0: "I", 1: ""})


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(("a", "ab"), id="one-begins-another"),
        pytest.param(("", "a"), id="empty"),
        pytest.param((" ", "a"), id="blank"),
        pytest.param(("é",), id="not-ascii"),
    ],
)
def test_choices_without_a_distribution(choices: tuple[str, ...]) -> None:
    with pytest.raises(InternalError, match="has no distribution"):
        ChoiceTree(choices)


@settings(max_examples=200, deadline=None)
@given(
    choices=st.lists(st.text("ab ", min_size=1, max_size=4), min_size=1, max_size=5),
    pieces=st.lists(st.text("ab ", max_size=3), max_size=12),
    text=st.text("ab ", max_size=4),
)
def test_mask_allows_what_the_byte_grammar_allows(choices: list[str], pieces: list[str], text: str) -> None:
    mask = TokenMask(choices, enumerate(pieces))
    expected = {
        number: piece
        for number, piece in enumerate(pieces)
        if piece and any(choice.startswith(text + piece) for choice in choices)
    }
    assert mask.allowed(text) == expected
    assert mask.complete(text) == (text in choices)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_path_through_the_mask_ends_at_a_choice(seed: int) -> None:
    model = FakeModel(BOTH, LLAMA, seed, 3.0)
    positions = model.path((), "", turn=seed)
    text = "".join(model.pieces[position.chosen] for position in positions)
    assume(text)
    assert text in BOTH
