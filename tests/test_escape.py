"""Text that users made on its way into names, logs and Markdown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.escape import escape, escape_markdown

ANY_TEXT = st.text(st.characters(), max_size=200)


@given(ANY_TEXT)
def test_escaped_text_moves_no_cursor_and_is_encodable(text: str) -> None:
    shown = escape(text, limit=80)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    shown.encode("utf-8")
    assert len(shown) <= 80


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=80))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


@given(ANY_TEXT)
def test_escaped_markdown_has_no_bare_active_character(text: str) -> None:
    shown = escape_markdown(text)
    assert "<" not in shown
    assert ">" not in shown
    bare = ""
    escaped = False
    for char in shown:
        bare += "" if escaped or char == "\\" else char
        escaped = char == "\\" and not escaped
    assert not set("`*[](){}|~!:@$") & set(bare)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Arson001_x264", "Arson001_x264"),
        ("_x_", "\\_x\\_"),
        ("<b>", "&lt;b&gt;"),
        ("[a](http://b)", "\\[a\\]\\(http\\://b\\)"),
        ("www.example.org", "www\\.example.org"),
        ("1. x", "1\\. x"),
        ("- x", "\\- x"),
        ("a|b", "a\\|b"),
        ("\x1b[2J", "\\\\x1b\\[2J"),
    ],
)
def test_markdown_cases(name: str, shown: str) -> None:
    assert escape_markdown(name) == shown
