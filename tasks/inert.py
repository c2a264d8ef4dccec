"""Text that users made (names, paths, messages) on its way into the orchestrator's names, logs and artifacts."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 80
"""Characters of a name in the UI; longer ones push everything else off the screen."""

MAX_TEXT = 500
"""Characters of a message in a table cell."""

_CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that move a cursor, turn text around, or are not characters (lone surrogates)."""

_MARKDOWN = re.compile(r"[\\`*{}\[\]()#|~!:@$^=]")
_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LIST_MARK = re.compile(r"^(\s*)([-+])|^(\s*\d+)(\.)")


def inert(text: object, limit: int = MAX_NAME) -> str:
    """``text`` in one line that does nothing to a terminal, a log or JSON: control characters escaped, cut short."""
    shown = "".join(_escaped(char) for char in str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def _escaped(char: str) -> str:
    if unicodedata.category(char) not in _CONTROL:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def inert_markdown(text: object, limit: int = MAX_TEXT) -> str:
    """As :func:`inert`, and shown letter by letter by Markdown and HTML: no link, picture, emphasis or element.

    The UI renders Markdown in the cells of table artifacts too.
    """
    shown = inert(text, limit)
    shown = _MARKDOWN.sub(lambda match: "\\" + match[0], shown)
    shown = _UNDERSCORE.sub(r"\\_", shown)
    shown = _LIST_MARK.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[3]}\\{m[4]}", shown)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?i)(www)\.", r"\1\\.", shown)
