"""Text that users made, on its way to a terminal or into a table: nothing of it is ever interpreted."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins with one of these."""


def inert(text: object, *, keep_lines: bool = False) -> str:
    """``text`` with control characters, line breaks, direction marks and lone surrogates as escapes."""
    return "".join(
        char if char.isprintable() or (keep_lines and char == "\n") else char.encode("unicode_escape").decode("ascii")
        for char in str(text)
    )


def csv_cell(value: object) -> object:
    """A value for a CSV file: texts are inert, and a ``'`` goes before one that a spreadsheet would compute."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    return inert("'" + value if value.startswith(FORMULA_STARTS) else value)
