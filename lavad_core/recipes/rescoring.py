"""Gated re-scoring with tags (URF, NeurIPS 2025): which videos are in doubt, what tags say, and what is asked about them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.method.summarising import Messages
from lavad_core.recipes.extremes import Extremes

CONTEXT = (
    "How would you rate the scene described on a scale from 0 to 1, with 0 representing a standard scene and 1 denoting a "
    "scene with suspicious or potentially criminal activities? What may have been seen elsewhere in the same video is given in "
    "brackets: let it count only as far as the description agrees with it."
)
"""What is asked in the second pass, before the tags."""

TAGS = (
    "These pictures are from one part of a video, in order of time. Name everything in them that is, or could be, suspicious "
    'or criminal, in short phrases. Answer with a JSON list of texts alone, such as ["broken window", "running away"]; '
    "with [] if nothing of the kind is visible."
)
"""What is asked about the pictures of the most suspicious part."""

DENIALS = ("no ", "no_")
"""A text of tags that has one of these is taken for the statement that nothing was seen, as URF's program takes it. That leaves
out a "piano player" too: whatever is left out is reported."""

SHOWN = 80
"""Characters of an answer in a message."""

_LIST = re.compile(r"\[.*\]", re.DOTALL)


@dataclass(frozen=True)
class Tags:
    """What was possibly seen in a video."""

    text: str = ""
    """The tags, as they are put into the prompt; empty if there are none."""
    why: str = ""
    """Why there are none, in words; empty if there are some."""
    unread: bool = False
    """Whether there may be some in an answer that could not be read."""


def outside_band(found: Extremes, band: float | None) -> str:
    """Why a video is not in doubt, in words; empty if it is: 0.5 − m ≤ highest mean ≤ 0.5 + m.

    Args:
        found: its extremes.
        band: m; None for the variance of its scores.
    """
    half = found.deviation**2 if band is None else band
    low, high = 0.5 - half, 0.5 + half
    mean = found.highest.mean
    return "" if low <= mean <= high else f"highest mean {mean:g} is outside {low:.3g}…{high:.3g}"


def tags_of_text(text: str) -> Tags:
    """Tags that somebody else's program gave as a text. Left out is what URF's program leaves out: a text without a word,
    ``none``, and one that has a denial."""
    words = " ".join(text.split())
    plain = words.strip("[] ").lower()
    if plain in ("", "none"):
        return Tags(why=f"its tags are {words!r}")
    if denial := next((part for part in DENIALS if part in plain), ""):
        return Tags(why=f"its tags {words!r} have {denial!r} in them, which counts as nothing seen")
    return Tags(words)


def tags_of_list(values: Sequence[str]) -> Tags:
    """Tags that are given one by one."""
    kept = [" ".join(value.split()) for value in values if value.strip()]
    return Tags(", ".join(kept)) if kept else Tags(why="there are no tags: nothing suspicious was seen")


def tags_of_answer(reply: str) -> Tags:
    """The list in a model's answer. Python's notation is taken too: models mix them up."""
    found = _LIST.search(reply)
    for read in (json.loads, ast.literal_eval):
        try:
            values = read(found[0]) if found is not None else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return tags_of_list(values)
    return Tags(why=f"the model's answer is not a list of tags: {reply.strip()[:SHOWN]!r}", unread=True)


def rescore_messages(text: str, tags: str, context_prompt: str, format_prompt: str) -> Messages:
    """The question of the second pass: as :func:`lavad_core.method.scoring.score_messages`, with the tags between the prompts
    and no full stop after the text.

    Args:
        text: what was rated before.
        tags: what was possibly seen; may be empty.
        context_prompt: what is asked.
        format_prompt: P_F.
    """
    return ("system", f"{context_prompt}\n[Possibly seen in this video: {tags}]\n\n{format_prompt}"), ("user", text)


def tags_messages(prompt: str) -> Messages:
    """What is asked about the pictures, in the turn of the user that they are in."""
    return (("user", prompt),)
