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


def parse_free_text(reply: str) -> float | None:
    """The first bracketed number of a reply, as the reference finds it; None if it is absent or outside [0, 1]."""
    match = _BRACKETED.search(reply)
    value = float(match[1]) if match else math.nan
    return value if 0 <= value <= 1 else None


def interpolate_missing(
    frames: Sequence[int] | NDArray[np.int64], scores: Sequence[float | None]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fill scores that could not be read from an answer.

    Linear over the frame index between the scores around them, constant before the first and after the last.

    Args:
        frames: [n], strictly increasing frame indices.
        scores: [n], in [0, 1], None where missing.

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
    outside = known[~((known >= 0) & (known <= 1))]
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
        ValueError: a key is no choice, a value is NaN or +inf, or no choice is possible.
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
