"""Temporal summaries of cleaned captions (paper Sec. 3.3, Eq. 3): what is asked, and what is kept of the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from lavad_core.errors import InputError
from lavad_core.method.summary_text import whole_summary

Messages = tuple[tuple[str, str], ...]
"""(role, text) pairs, as ``models.protocols.ChatRequest`` takes them."""


def summary_messages(captions: Sequence[str], prompt: str, separator: str) -> Messages:
    """P_S ∘ Ĉ_i in the reference's dialog layout: P_S is the system message, the captions are the user's.

    Args:
        captions: those of the window's samples, in order of time.
        prompt: P_S.
        separator: between captions.
    """
    return ("system", prompt), ("user", separator.join(captions))


def kept_part(reply: str, keep: Literal["auto", "last-line", "all"]) -> str:
    """The part of a reply that is the summary S_i, without surrounding white space.

    ``last-line`` skips the model's "Sure, here is a summary:". The reference takes what follows the last line break,
    which is nothing for a reply that ends in one; here blank lines at the end do not count. ``auto`` is
    :func:`lavad_core.method.summary_text.whole_summary`: a reply that ends in "Let me know if …" is not known by its last line.

    Returns:
        Empty if the reply is blank, and with ``auto`` if it holds no summary.
    """
    if keep == "auto":
        return whole_summary(reply)
    text = reply.strip()
    return text if keep == "all" else text[text.rfind("\n") + 1 :].strip()


def shorten(captions: Sequence[str], centre_position: float, fits: Callable[[Sequence[str]], bool]) -> Sequence[str]:
    """Leave out captions until the rest fits, those farthest from the window's centre first.

    Of two equally far the later one goes first. If not even the nearest caption fits, it is cut after the last of its
    words with which it does, and within its first word if that alone is too long. ``fits`` is called about
    log2(n) times: it may ask a server to count tokens.

    Args:
        captions: in order of time, at least one.
        centre_position: where in ``captions`` the centre is; between two if it is not itself sampled.
        fits: whether a prompt with these captions leaves room for the answer; true for a part of what it is true for.

    Returns:
        Captions in order of time, at least one.

    Raises:
        InputError: not even one character fits: the prompt itself is too long.
        ValueError: no captions.
    """
    if not captions:
        raise ValueError("no captions to shorten")
    by_distance = sorted(range(len(captions)), key=lambda at: (abs(at - centre_position), at))

    def nearest(count: int) -> list[str]:
        return [captions[at] for at in sorted(by_distance[:count])]

    if fits(captions):
        return captions
    count = _longest(len(captions) - 1, lambda size: fits(nearest(size)))
    if count:
        return nearest(count)
    text = captions[by_distance[0]].strip()
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    words = _longest(len(ends) - 1, lambda size: fits([text[: ends[size - 1]]]))
    if words:
        return [text[: ends[words - 1]]]
    first = text[: ends[0]] if ends else text
    characters = _longest(len(first), lambda size: fits([first[:size]]))
    if characters:
        return [first[:characters]]
    raise InputError(
        "the prompt leaves no room for one character of a caption; allow more tokens, reserve fewer for the answer, "
        "or shorten the prompt"
    )


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest of 1 … most for which ``fits``, by bisection; 0 if none."""
    low, high = 0, max(most, 0)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
