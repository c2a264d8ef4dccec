"""Text that users and models wrote, on its way to a terminal, Markdown, LaTeX or a spreadsheet: nothing reads it as code."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 80
"""Characters of a name in the orchestrator's UI; a longer one pushes everything else off the screen."""

MAX_MARKDOWN = 500
"""Characters of a message in a table cell of the orchestrator's UI."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins with one of these."""

_AHEAD = "\"'\ufeff\u200b\u200c\u200d\u2060"
"""Quotes and invisible characters: spreadsheets, and the programs that convert a file for them, drop these like white space."""

_MARKDOWN = re.compile(r"[\\`*{}\[\]()#|~!:@$^=]")
_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_MINUS = re.compile(r"(?<!\S)-(?=\d)")
_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
    "≠": r"$\neq$",
    "σ": r"$\sigma$",
}
_LIST_MARK = re.compile(r"^(\s*)([-+])|^(\s*\d+)(\.)")


def escape(text: object, *, limit: int | None = None, keep_lines: bool = False) -> str:
    """``text`` for a terminal, a log or JSON: it moves no cursor, turns no text around and breaks no line.

    Args:
        text: what is shown.
        limit: characters of the result; a longer one is cut and ends in an ellipsis.
        keep_lines: leave line breaks as they are.

    Returns:
        The text with control characters, line breaks, direction marks and lone surrogates as Python's escapes.
    """
    given = str(text) if limit is None else str(text)[: limit + 1]
    shown = "".join(
        char if char.isprintable() or (keep_lines and char == "\n") else char.encode("unicode_escape").decode("ascii")
        for char in given
    )
    return shown if limit is None else shortened(shown, limit)


def shortened(text: str, most: int) -> str:
    """At most ``most`` characters; a text that is cut ends in an ellipsis, which counts."""
    return text if len(text) <= most else text[: max(most - 1, 0)] + "…"


def escape_markdown(text: object, limit: int = MAX_MARKDOWN) -> str:
    """``text`` for Markdown and HTML, which then show it letter by letter: no link, picture, emphasis or element.

    Prefect's UI renders Markdown in the cells of table artifacts too.

    Args:
        text: what is shown.
        limit: characters before Markdown's own are escaped; as for :func:`escape`.
    """
    shown = escape(text, limit=limit)
    shown = _MARKDOWN.sub(lambda match: "\\" + match[0], shown)
    shown = _UNDERSCORE.sub(r"\\_", shown)
    shown = _LIST_MARK.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[3]}\\{m[4]}", shown)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?i)(www)\.", r"\1\\.", shown)


def escape_latex(text: str) -> str:
    """``text`` for a cell of a LaTeX table; a minus before a number is one."""
    return "".join(_LATEX.get(char, char) for char in _MINUS.sub("−", text))


def escape_cell(value: object) -> object:
    """``value`` for a CSV file: text is escaped, with a ``'`` before a formula; None is empty, and 0 has no sign."""
    if value is None:
        return ""
    if isinstance(value, float):
        return value + 0.0
    if not isinstance(value, str):
        return value
    return escape("'" + value if is_formula(value) else value)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may compute a cell with this text: its first character starts a formula.

    White space, quotes and invisible characters may precede it.
    """
    bare = text
    while bare and (bare[0].isspace() or bare[0] in _AHEAD or not bare[0].isprintable()):
        bare = bare[1:]
    # Full-width and small forms are the same characters to a spreadsheet, and to what converts a file for it.
    return text.startswith(FORMULA_STARTS) or unicodedata.normalize("NFKC", bare[:1]).startswith(
        (*FORMULA_STARTS, "\u2212")
    )


def fixed(value: float | None, digits: int = 4, sign: str = "", none: str = "–") -> str:
    """A number with a fixed number of decimals, as tables, pages and messages have metrics; one that rounds to 0 has no minus
    sign.

    Args:
        value: the number; None where it is undefined.
        digits: decimals.
        sign: ``+`` shows the sign of positive numbers too.
        none: the text in place of None.
    """
    return none if value is None else f"{round(value, digits) + 0.0:{sign}.{digits}f}"
