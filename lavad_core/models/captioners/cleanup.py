"""The clean-up of spaces that transformers 4.31 applied to every decoded text and 5.x no longer does."""

from __future__ import annotations

REPLACEMENTS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""In this order, each over the whole text."""


def clean_up(text: str) -> str:
    """``text`` as transformers 4.31 gave it to the authors' program, which then stripped it.

    A word that begins like a contraction is changed as well (`` 'more`` to ``'more``): so did 4.31.
    """
    for old, new in REPLACEMENTS:
        text = text.replace(old, new)
    return text.strip()
