"""LLM-based anomaly scores (paper Sec. 3.3, Eq. 1 and 4): what is asked, and how an answer becomes a number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lavad_core.method.prompts import SCORE_CHOICES, SCORE_VALUES
from lavad_core.method.summarising import Messages

_BRACKETED = re.compile(r"\[(\d+(?:\.\d+)?)\]", re.ASCII)
_PART_OF_MORE_BEFORE = re.compile(r"[\w)\]}$][\"'`]?\Z", re.ASCII)
"""An index of something; a quotation mark can be between: ``d['a'][0]``."""
_PART_OF_MORE_AFTER = re.compile(r"[\[(]|\.?\w|:\s*(?:http|www)", re.ASCII)
"""Another index, a call, a link, an attribute."""
_WORD = re.compile(r"\w")
_ANNOUNCED = re.compile(
    r"(?:\b(?:score|rating|rate|answer|response|output|result|value|level)\b[^.!?\[\]\n]{0,40}?"
    r"|[:：]|\b(?:is|as|be|at|say|give|assign|choose|select|pick))[\s\"'`*_:=>(-]*\Z",
    re.IGNORECASE,
)
_CODE_BEFORE = re.compile(r"[=({\[,;]\s*\Z")
_CODE_LINE = re.compile(r"[ \t]*(?:return|print|def|for|if|import|assert|yield)\b")
_NEAR = 80
"""Characters before a number within which a word announces it."""
_VALUES = dict(zip(SCORE_CHOICES, SCORE_VALUES, strict=True))


def score_messages(summary: str, context_prompt: str, format_prompt: str) -> Messages:
    """P_C ∘ P_F ∘ S_i in the reference's dialog layout: system message P_C and P_F, user message S_i and a full stop.

    Args:
        summary: S_i; the frame's caption for Eq. 1.
        context_prompt: P_C.
        format_prompt: P_F.
    """
    return ("system", f"{context_prompt} {format_prompt}"), ("user", f"{summary}.")


def choices() -> tuple[str, ...]:
    """The 22 answers that a constrained model may give: the 11 values, each without and with a leading space.

    After ``[/INST]`` Llama-2 wants to begin with a space. Constraints are on bytes, so a list without the space
    would force the model off what it was about to say.
    """
    return SCORE_CHOICES + tuple(f" {choice}" for choice in SCORE_CHOICES)


def parse_choice(reply: str) -> float | None:
    """The value of one of :func:`choices`; None for anything else, such as an answer cut off by a token limit."""
    return _VALUES.get(reply.strip())


def parse_free_text(reply: str, *, above_one: bool = False) -> float | None:
    """The first bracketed number of a reply, as the reference finds it; None if there is none.

    Args:
        reply: the model's answer.
        above_one: a number above 1 is a score too, as in the reference: ``[10]`` is 10. Otherwise the reply then has none.
    """
    match = _BRACKETED.search(reply)
    value = float(match[1]) if match else math.nan
    return value if 0 <= value <= 1 or (above_one and math.isfinite(value)) else None


def parse_own_score(reply: str) -> float | None:
    """The bracketed number of a reply that is a score in its own right; None if there is none, or two that differ.

    Not one is an index (``x[0]``), a link or a foot-note. A whole number within a text may be a citation ("as seen in [1]"): it
    counts only as the beginning of the answer, on a line of its own, or after a word that announces it ("score: [1]"). So does
    a decimal number within code. A number that is not a score, such as ``[1.5]``, makes the answer none.
    """
    values = {float(match[1]) for match in _BRACKETED.finditer(reply) if _is_own(reply, match)}
    (value,) = values if len(values) == 1 else (math.nan,)
    return value if 0 <= value <= 1 else None


def _is_own(reply: str, match: re.Match[str]) -> bool:
    start, end = match.span()
    if _PART_OF_MORE_BEFORE.search(reply[max(0, start - 2) : start]) or _PART_OF_MORE_AFTER.match(reply, end):
        return False
    line_start = reply.rfind("\n", 0, start) + 1
    line_end = reply.find("\n", end) % (len(reply) + 1)  # the reply's end where there is no line break
    first_word = _WORD.search(reply)
    assert first_word is not None  # the number itself, at the latest
    alone_before = not _WORD.search(reply, line_start, start)
    if alone_before and (first_word.start() >= start or not _WORD.search(reply, end, line_end)):
        return True
    just_before = reply[max(line_start, start - _NEAR) : start]
    if _ANNOUNCED.search(just_before):
        return True
    return "." in match[1] and not _CODE_BEFORE.search(just_before) and not _CODE_LINE.match(reply, line_start)


def interpolate_missing(
    frames: Sequence[int] | NDArray[np.int64], scores: Sequence[float | None], *, above_one: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fill scores that could not be read from an answer.

    Linear over the frame index between the scores around them, constant before the first and after the last.

    Args:
        frames: [n], strictly increasing frame indices.
        scores: [n], in [0, 1], None where missing.
        above_one: scores may be above 1, as in the reference.

    Returns:
        Scores, float64 [n], and which of them are interpolated, bool [n].

    Raises:
        ValueError: every score is missing (the reference crashes here; there is nothing to interpolate from, and the
            caller decides what that means), or a score is outside [0, 1], or the lengths differ.
    """
    if len(frames) != len(scores):
        raise ValueError(f"{len(frames)} frames but {len(scores)} scores")
    missing = np.array([score is None for score in scores], dtype=bool)
    if missing.all():
        raise ValueError(f"none of the {len(scores)} scores is known: there is nothing to interpolate from")
    at = np.asarray(frames, dtype=np.float64)
    if not (np.diff(at) > 0).all():
        raise ValueError("the frames of scores must be strictly increasing")
    known = np.array([score for score in scores if score is not None], dtype=np.float64)
    outside = known[~((known >= 0) & ((known <= 1) | (above_one & np.isfinite(known))))]
    if len(outside):
        raise ValueError(f"{len(outside)} scores are outside [0, 1], the first is {outside[0]}")
    filled = np.empty(len(scores), np.float64)
    filled[~missing] = known
    filled[missing] = np.interp(at[missing], at[~missing], known)
    return filled, missing


def expected_score(log_probabilities: Mapping[str, float]) -> float:
    """The mean of the 11 values under the model's probabilities.

    Args:
        log_probabilities: choice (spaces around it do not count) to natural log-probability; need not be normalised;
            -inf for an impossible one. Choices that are absent have probability 0.

    Returns:
        In [0, 1].

    Raises:
        ValueError: a key is not a choice, a value is NaN or +inf, or no choice is possible.
    """
    values, logs = [], []
    for choice, log_probability in log_probabilities.items():
        value = parse_choice(choice)
        if value is None or math.isnan(log_probability) or log_probability == math.inf:
            raise ValueError(
                f"log-probability {log_probability} of {choice!r}: not one of the choices, or not a number"
            )
        values.append(value)
        logs.append(log_probability)
    top = max(logs, default=-math.inf)
    if top == -math.inf:
        raise ValueError("no choice has a probability above 0")
    weights = np.exp(np.array(logs) - top)
    return float(np.clip(weights @ np.array(values) / weights.sum(), min(values), max(values)))
