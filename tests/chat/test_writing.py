"""Tokens chosen for a whole batch on a device are those that one answer after the other gets on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.local_chat import BOTH
from support.row_by_row import RowByRow
from torch import Tensor

from lavad_core.errors import ModelError
from lavad_core.models.chat.choice_table import ChoiceTable, choice_table
from lavad_core.models.chat.choices import TokenMask
from lavad_core.models.chat.drawing import drawn, random_numbers
from lavad_core.models.chat.writing import Generated, Item, Writer, in_groups
from lavad_core.models.protocols import ChatRequest

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PIECES = ["", "", *"abcd", *"0123456789", *".[] ", "[0", " [", ".5]", "[", "[0.2]", "red", "rose", " r", *"reso"]
ENDS = (0, 1)
COLOURS = ("red", "rose", "r", "yellow")
"""One begins others, and one cannot be spelled."""


def item(temperature: float, seed: int, **fields: Any) -> Item:
    follow = {name: fields.pop(name) for name in ("text", "follow_up") if name in fields}
    request = {"messages": (), "max_tokens": 9, "top_p": 1.0, **fields}
    return Item([], ChatRequest(temperature=temperature, seed=seed, **request), **follow)


def logits_of(kind: str, count: int, steps: int, seed: int) -> Tensor:
    values = torch.randn(steps, count, len(PIECES), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if kind == "ties":
        return values.round()
    return (
        values * {"flat": 0.1, "usual": 3.0, "steep": 300.0, "half": 3.0}[kind]
        if kind != "half"
        else values.half().double()
    )


def one_by_one(items: Sequence[Item], logits: Tensor, pieces: Sequence[str]) -> list[Generated | None]:
    rows = []
    for one in items:
        choices = one.request.choices
        rows.append(RowByRow(one, TokenMask(choices, enumerate(pieces)) if choices else None))
    for values in logits:
        for row, own in zip(rows, values.double(), strict=True):
            if not row.done:
                row.write(own, set(ENDS))
    return [row.result() if row.done else None for row in rows]


def together(writer: Writer, items: Sequence[Item], logits: Tensor) -> list[Generated | None]:
    order = in_groups(items)
    writer.begin([items[place] for place in order])
    for number, values in enumerate(logits):
        if not writer.going:
            break
        writer.choose(values[order], first=number == 0)
    found = dict(zip(order, writer.results(), strict=True))
    return [found[place] for place in range(len(items))]


def writer_of(items: Sequence[Item], pieces: Sequence[str] = PIECES) -> Writer:
    def table_of(choices: tuple[str, ...]) -> ChoiceTable:
        return choice_table(choices, enumerate(pieces), ENDS, CPU)

    return Writer([items[place] for place in in_groups(items)], ENDS, table_of, CPU)


def assert_alike(one: Sequence[Generated | None], other: Sequence[Generated | None]) -> None:
    for left, right in zip(one, other, strict=True):
        if left is None or right is None:
            assert left is right
            continue
        assert (left.tokens, left.finish_reason) == (right.tokens, right.finish_reason)
        assert left.completion_tokens == right.completion_tokens
        assert left.outside == pytest.approx(right.outside, abs=1e-14)
        assert [position.chosen for position in left.positions] == [position.chosen for position in right.positions]
        for ours, theirs in zip(left.positions, right.positions, strict=True):
            assert ours.log_probabilities == pytest.approx(theirs.log_probabilities, abs=1e-13)


WAYS: dict[str, list[Item]] = {
    "greedy": [item(0.0, seed) for seed in range(3)],
    "below the least temperature": [item(1e-6, seed) for seed in range(3)],
    "temperatures": [item(temperature, 5) for temperature in (1e-5, 0.01, 0.3, 0.6, 1.0, 2.0, 50.0)],
    "nuclei": [item(0.9, 7, top_p=top_p) for top_p in (0.01, 0.05, 0.3, 0.5, 0.9, 0.95, 0.999999, 1.0)],
    "limits": [item(1.0, 3, max_tokens=most) for most in (1, 2, 9, 4)],
    "choices": [item(temperature, 1, choices=BOTH) for temperature in (0.0, 0.6, 0.0, 1.0, 2.0)],
    "a small nucleus of choices": [item(1.0, seed, choices=BOTH, top_p=0.2) for seed in range(5)],
    "distributions": [item(0.0, 1, choices=BOTH, distribution=True), item(1.3, 2, choices=BOTH, distribution=True)],
    "a choice that begins another": [item(1.0, seed, choices=COLOURS) for seed in range(8)],
    "follow-ups": [
        item(0.9, 1, choices=BOTH, distribution=True, text=text, follow_up=True) for text in ("[0", " [", "[0.", "")
    ],
    "everything": [
        item(0.0, 1),
        item(1.0, 2, top_p=0.8),
        item(0.0, 3, choices=BOTH, distribution=True),
        item(0.7, 4, max_tokens=3),
        item(1.0, 5, choices=COLOURS, max_tokens=2),
        item(0.0, 6, max_tokens=14),
        item(0.9, 7, choices=BOTH),
        item(0.8, 7, choices=BOTH, distribution=True),
    ],
}


@pytest.mark.parametrize("kind", ["usual", "flat", "steep", "ties", "half"])
@pytest.mark.parametrize("items", [pytest.param(items, id=name) for name, items in WAYS.items()])
def test_a_batch_says_what_one_after_the_other_says(items: list[Item], kind: str) -> None:
    writer = writer_of(items)
    assert writer.fits([items[place] for place in in_groups(items)])
    seen = []
    for seed in range(12):  # by the same writer
        logits = logits_of(kind, len(items), 14, seed)
        expected = one_by_one(items, logits, PIECES)
        assert_alike(together(writer, items, logits), expected)
        assert_alike(together(writer, items, logits[:2]), one_by_one(items, logits[:2], PIECES))  # cut off
        seen += [tuple(one.tokens) for one in expected if one is not None]
    assert len(set(seen)) > 4


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 1.5, -3.0, 40.0, -800.0]), min_size=5, max_size=5), min_size=1, max_size=4
    ),
    temperature=st.sampled_from([1e-5, 0.1, 0.6, 1.0, 3.0]),
    top_p=st.sampled_from([0.01, 0.25, 0.5, 0.75, 0.9, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_draws_with_ties_and_what_has_no_probability(
    values: list[list[float]], temperature: float, top_p: float, seed: int
) -> None:
    """Columns that are masked are never drawn, wherever they are, and change no draw."""
    logits = torch.tensor(values, dtype=torch.float64)
    count = len(logits)
    request = ChatRequest((), 1, temperature, top_p, seed)
    expected = [RowByRow(Item([], request), None).write(row, set()) for row in logits]
    given = torch.tensor([temperature, top_p], dtype=torch.float64)[:, None].expand(2, count)
    random = random_numbers([seed] * count, 1)[:, 0]
    assert drawn(logits, *given, random).tolist() == expected
    nothing = torch.full((count, 3), -torch.inf, dtype=torch.float64)
    assert drawn(torch.cat([nothing, logits, nothing], dim=1), *given, random).tolist() == [one + 3 for one in expected]


def test_the_highest_random_number_takes_the_last_of_the_nucleus() -> None:
    logits = torch.tensor([[0.0, -1.0, -torch.inf, -900.0, 0.5]], dtype=torch.float64)
    one, highest = torch.ones(1, dtype=torch.float64), torch.tensor([1.0 - 2**-53], dtype=torch.float64)
    assert drawn(logits, one, one, highest).item() in (1, 3)
    assert drawn(logits, one, 0.7 * one, highest).item() == 0


def test_random_numbers_drawn_ahead_are_those_drawn_one_by_one() -> None:
    seeds = (0, 1, 77, 2**31 - 1)
    ahead = random_numbers(seeds, 300)
    for seed, row in zip(seeds, ahead, strict=True):
        generator = torch.Generator().manual_seed(seed)
        assert row.tolist() == [torch.rand((), generator=generator, dtype=torch.float64).item() for _ in range(300)]
    assert torch.equal(random_numbers(seeds, 16), ahead[:, :16])


@settings(max_examples=100, deadline=None)
@given(
    choices=st.lists(st.text("ab ", min_size=1, max_size=4), min_size=1, max_size=5),
    pieces=st.lists(st.text("ab ", max_size=3), max_size=12),
)
def test_a_table_allows_what_the_mask_allows(choices: list[str], pieces: list[str]) -> None:
    ends = (len(pieces), len(pieces) + 1)
    table, mask = choice_table(tuple(choices), enumerate(pieces), ends, CPU), TokenMask(choices, enumerate(pieces))
    assert table.texts[0] == ""
    assert len(set(table.texts)) == len(table.texts)
    for state, text in enumerate(table.texts):
        assert table.state(text) == state
        expected = mask.allowed(text) | (dict.fromkeys(ends, "") if mask.complete(text) else {})
        run = slice(int(table.first[state]), int(table.first[state] + table.count[state]))
        assert table.tokens[run].tolist() == sorted(expected)
        assert [table.texts[target] for target in table.targets[run].tolist()] == [
            text + expected[token] for token in sorted(expected)
        ]
        assert int(table.count[state]) <= table.width


def test_a_table_grows_with_the_letters_of_long_lists() -> None:
    """Not with texts times words: 500 choices of 30 letters would be 10^8 entries for 32,000 words."""
    choices = tuple(f"{number:04}" + "abcdefghijklmnopqrstuvwxyz" for number in range(500))
    pieces = ["", "", *"0123456789abcdefghijklmnopqrstuvwxyz", "abc", "xyz", *[""] * 60]
    table = choice_table(choices, enumerate(pieces), ENDS, CPU)
    assert len(table.texts) < 31 * 500
    assert len(table.tokens) < 2 * len(table.texts)
    items = [item(1.0, seed, choices=choices, max_tokens=40) for seed in range(6)]
    logits = torch.randn(40, 6, len(pieces), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    said = together(writer_of(items, pieces), items, logits)
    for one in said:
        assert one is not None
        assert "".join(pieces[token] for token in one.tokens) in choices


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        pytest.param(("yellow",), "", id="no first token"),
        pytest.param(("redx", "red/"), "red", id="no token after some"),
    ],
)
def test_choices_that_the_vocabulary_cannot_spell(choices: tuple[str, ...], text: str) -> None:
    items = [item(0.0, 0), item(1.0, 0, choices=choices)]
    logits = logits_of("usual", 2, 9, 3)
    with pytest.raises(ModelError, match=f"no token that continues '{text}' to one of the choices"):
        one_by_one(items, logits, PIECES)
    writer = writer_of(items)
    with pytest.raises(ModelError, match=f"no token that continues '{text}' to one of the choices"):
        together(writer, items, logits)
    assert not writer.going
