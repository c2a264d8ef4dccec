"""Other people's words in our messages."""

from __future__ import annotations

MAX_QUOTED = 300
"""Characters of a library's own words that a message repeats."""


def first_line(error: BaseException) -> str:
    """The first line of an error's words, short and without control characters; its class where it has none."""
    line = (str(error).strip().splitlines() or [""])[0][:MAX_QUOTED]
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line) or type(error).__name__
