"""Text that users made, on its way to a terminal or into a table: nothing of it is ever interpreted."""

from __future__ import annotations

import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins with one of these."""

_AHEAD = "\"'\ufeff\u200b\u200c\u200d\u2060"
"""Quotes, and what cannot be seen: spreadsheets and the programs before them drop these, as they drop white space."""


def inert(text: object, *, keep_lines: bool = False) -> str:
    """``text`` with control characters, line breaks, direction marks and lone surrogates as escapes."""
    return "".join(
        char if char.isprintable() or (keep_lines and char == "\n") else char.encode("unicode_escape").decode("ascii")
        for char in str(text)
    )


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may compute a cell with this text: it begins with a formula's character, in whatever width,
    perhaps behind white space, quotes or what cannot be seen."""
    bare = text
    while bare and (bare[0].isspace() or bare[0] in _AHEAD or not bare[0].isprintable()):
        bare = bare[1:]
    # Full-width and small forms are the same characters to a spreadsheet, and to what converts a file for it.
    return text.startswith(FORMULA_STARTS) or unicodedata.normalize("NFKC", bare[:1]).startswith(
        (*FORMULA_STARTS, "\u2212")
    )


def csv_cell(value: object) -> object:
    """A value for a CSV file: texts are inert, and a ``'`` goes before one that a spreadsheet would compute; 0 has no sign."""
    if value is None:
        return ""
    if isinstance(value, float):
        return value + 0.0
    if not isinstance(value, str):
        return value
    return inert("'" + value if is_formula(value) else value)


def fixed(value: float, digits: int, sign: str = "") -> str:
    """A number with so many decimals; one that rounds to 0 has no minus.

    Args:
        value: the number.
        digits: decimals.
        sign: ``+`` says the sign of positive numbers too.
    """
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"
