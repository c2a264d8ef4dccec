"""The ten replacements that transformers 4.31 made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.models.captioners.blip2 import REPLACEMENTS, clean_decoded


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        pytest.param("a man walks .", "a man walks.", id="full stop"),
        pytest.param("who is it ?", "who is it?", id="question mark"),
        pytest.param("stop !", "stop!", id="exclamation mark"),
        pytest.param("a car , a van", "a car, a van", id="comma"),
        pytest.param("the dog ' s bowl", "the dog's bowl", id="apostrophe between spaces"),
        pytest.param("he does n't move", "he doesn't move", id="n't"),
        pytest.param("i 'm here", "i'm here", id="'m"),
        pytest.param("a man 's car", "a man's car", id="'s"),
        pytest.param("they 've left", "they've left", id="'ve"),
        pytest.param("they 're fighting", "they're fighting", id="'re"),
        pytest.param("  a street\n", "a street", id="stripped"),
        pytest.param(" . a street", ". a street", id="stripped after the replacements"),
        pytest.param(
            "a 'sign 'more", "a'sign'more", id="a word that begins like a contraction changes too, as in 4.31"
        ),
        pytest.param("a ' ' b", "a'' b", id="the apostrophe's spaces are not shared"),
        pytest.param("wait . . .", "wait...", id="several"),
        pytest.param("a b\tc", "a b\tc", id="other white space stays"),
        pytest.param(" \n ", "", id="nothing is left"),
    ],
)
def test_table(raw: str, clean: str) -> None:
    assert clean_decoded(raw) == clean


def test_order_matters_and_is_the_published_one() -> None:
    assert len(REPLACEMENTS) == 10
    # " ' " goes before " 's": the other way round this would give "a 's b".
    assert clean_decoded("a ' 's b") == "a''s b"


@given(st.text(alphabet=" .,?!'nmstver", max_size=40))
def test_takes_away_spaces_only(text: str) -> None:
    assert clean_decoded(text).replace(" ", "") == text.replace(" ", "")
