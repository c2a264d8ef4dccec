"""Which names are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.datasets.names import listed, match, match_key, without_ending
from lavad_core.errors import InputError


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("a.mp4", "a"),
        ("a.MKV", "a"),
        ("a.b.avi", "a.b"),
        ("Abuse_x264", "Abuse_x264"),
        ("a.h264", "a"),
        ("Bad.Boys.1995__#01", "Bad.Boys.1995__#01"),
        (".mp4", ".mp4"),
        ("a.txt", "a.txt"),
        ("v1.0", "v1.0"),
        ("", ""),
    ],
)
def test_endings(name: str, bare: str) -> None:
    assert without_ending(name) == bare


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("café", "cafe\u0301.mp4", True),
        ("a #1=2", "a #1=2.avi", True),
        ("A", "a", False),
        ("a b", "a  b", False),
        ("a", "a_", False),
    ],
)
def test_same_names(one: str, other: str, same: bool) -> None:
    assert (match_key(one) == match_key(other)) is same


def test_match_takes_any_order_and_lists_the_rest() -> None:
    found = match(["a", "b", "c"], ["x.mp4", "c.mp4", "a"])
    assert (found.pairs, found.missing, found.extra) == ({"a": "a", "c": "c.mp4"}, ("b",), ("x.mp4",))


def test_the_same_name_twice_is_an_error() -> None:
    with pytest.raises(InputError, match=r"videos here: 'a\.mp4' and 'a\.avi' are the same video"):
        match(["a"], ["a.mp4", "a.avi"], "videos here")


@given(st.lists(st.text(max_size=5)), st.randoms())
def test_every_name_is_somewhere(names: list[str], random: object) -> None:
    wanted = list({match_key(name): name for name in names}.values())
    # Only a name without an ending takes one: what is called 0.MP4.mp4 is not the video 0.MP4, whose name is 0.
    given_ = [f"{name}.mp4" if name and name == without_ending(name) else name for name in wanted]
    random.shuffle(given_)  # type: ignore[attr-defined]
    found = match(wanted, given_)
    assert (set(found.pairs), found.missing, found.extra) == (set(wanted), (), ())


def test_long_lists_are_cut() -> None:
    assert listed([str(number) for number in range(8)]) == "'0', '1', '2', '3', '4' … 3 more"
    assert listed(["Arson_1"], ["Arson_7", "Abuse"]) == "'Arson_1' (nearest: 'Arson_7')"
    assert listed(["Arson_1"], ["zzz"]) == "'Arson_1'"
