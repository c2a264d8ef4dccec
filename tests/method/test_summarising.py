"""Eq. 3: the question, what is kept of the answer, and what is left out of a long question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.errors import InputError
from lavad_core.method.summarising import kept_part, shorten, summary_messages


def test_dialog_layout_of_the_reference() -> None:
    assert summary_messages(["a man", "a dog"], "Summarize.", "\n ") == (
        ("system", "Summarize."),
        ("user", "a man\n a dog"),
    )


@pytest.mark.parametrize(
    ("word", "reply", "last_line", "everything"),
    [
        ("one-line", "A man runs.", "A man runs.", "A man runs."),
        ("preamble", "Sure!\n\nA man runs.", "A man runs.", "Sure!\n\nA man runs."),
        ("line-break-at-the-end", "Sure!\nA man runs.\n", "A man runs.", "Sure!\nA man runs."),
        ("blank-lines-at-the-end", "A man runs.\n \n\t\n", "A man runs.", "A man runs."),
        ("leading-space", " A man runs.", "A man runs.", "A man runs."),
        ("windows", "Sure!\r\nA man runs.\r\n", "A man runs.", "Sure!\r\nA man runs."),
        ("empty", "", "", ""),
        ("blank", " \n ", "", ""),
    ],
)
def test_kept_part(word: str, reply: str, last_line: str, everything: str) -> None:
    assert kept_part(reply, "last-line") == last_line
    assert kept_part(reply, "all") == everything


@settings(deadline=None)
@given(reply=st.text(max_size=60), keep=st.sampled_from(["last-line", "all"]))
def test_a_reply_with_text_is_never_lost(reply: str, keep: Literal["last-line", "all"]) -> None:
    kept = kept_part(reply, keep)
    assert bool(kept) == bool(reply.strip())
    assert kept in reply
    assert keep == "all" or "\n" not in kept


class Limit:
    """Fits while the captions have at most this many characters together; counts the questions."""

    def __init__(self, characters: int) -> None:
        self.characters = characters
        self.calls = 0

    def __call__(self, captions: Sequence[str]) -> bool:
        self.calls += 1
        return sum(map(len, captions)) <= self.characters


TEN = [f"{number}" * 10 for number in range(10)]


@pytest.mark.parametrize(
    ("word", "captions", "centre", "characters", "expected"),
    [
        ("all-fit", TEN, 4.5, 100, TEN),
        ("farthest-goes-first", TEN, 4, 99, TEN[:9]),
        ("of-equal-the-later", TEN, 4.5, 99, TEN[:9]),
        ("both-ends", TEN, 4.5, 80, TEN[1:9]),
        ("centre-at-the-start", TEN, 0, 30, TEN[:3]),
        ("centre-at-the-end", TEN, 9, 30, TEN[7:]),
        ("centre-outside", TEN, 12.0, 30, TEN[7:]),
        ("one", TEN, 3, 10, [TEN[3]]),
        ("cut-at-a-word", ["a man runs fast"], 0, 12, ["a man runs"]),
        ("cut-leaves-no-space", ["a man  runs"], 0, 7, ["a man"]),
        ("nearest-is-cut", ["x y", "a man runs fast", "z"], 1, 6, ["a man"]),
        ("long-word", ["incomprehensibilities and more"], 0, 5, ["incom"]),
        ("long-only-word", ["incomprehensibilities"], 0, 5, ["incom"]),
        ("one-character", ["ab"], 0, 1, ["a"]),
    ],
)
def test_shorten(word: str, captions: list[str], centre: float, characters: int, expected: list[str]) -> None:
    assert list(shorten(captions, centre, Limit(characters))) == expected


@settings(deadline=None)
@given(
    captions=st.lists(st.text(alphabet="ab ", min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=40),
    centre=st.floats(-1, 41),
    characters=st.integers(1, 300),
)
def test_shortened_captions_fit_and_are_the_nearest(captions: list[str], centre: float, characters: int) -> None:
    limit = Limit(characters)
    found = list(shorten(captions, centre, limit))
    assert found
    assert sum(map(len, found)) <= characters
    assert limit.calls <= 20
    if len(found) > 1:
        # In order of time, contiguous, and one more would not have fitted.
        assert any(captions[at : at + len(found)] == found for at in range(len(captions)))
        by_distance = sorted(range(len(captions)), key=lambda at: (abs(at - centre), at))
        if len(found) < len(captions):
            assert sum(len(captions[at]) for at in by_distance[: len(found) + 1]) > characters


def test_a_prompt_that_fills_the_context_is_an_error() -> None:
    with pytest.raises(InputError, match="no room for one character"):
        shorten(["a man", "a dog"], 0, Limit(0))


def test_no_captions() -> None:
    with pytest.raises(ValueError, match="no captions"):
        shorten([], 0, Limit(9))
