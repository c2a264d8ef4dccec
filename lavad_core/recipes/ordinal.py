"""Ordinal scores: yes/no questions at rising thresholds of severity, and the mean of how probable yes is (Probe-VAD,
arXiv 2609.17211). Prompts are in our own words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from lavad_core.method.summarising import Messages

RUBRIC = (
    "You examine footage of public surveillance cameras with care. Judge nothing but what is visible in the segment itself; "
    "do not guess what came before, what follows, or what is outside the picture. Severity is an ordered scale from 0 to 1: "
    "0 is ordinary and safe; 0.5 is clearly concerning, or plausibly anomalous; 1 is unmistakably severe: dangerous, violent, "
    "criminal, or an emergency. Questions at a higher threshold ask for more severity than those at a lower one."
)
"""What severity means: the system message of all questions."""

QUESTION = (
    "Is the severity of what is visible in this segment at least {threshold} on that scale? "
    "Answer with exactly one word, {yes} or {no}."
)
"""What is asked after a text or a clip."""

TEXT = "Caption of the current video clip: {text}"
"""How a text stands in front of the question."""

MANY_VIOLATIONS = 0.25
"""Mean fraction of neighbouring thresholds in the wrong order above which a message says so: a model that knows nothing has
about half of them in the wrong order."""


def thresholds(count: int) -> tuple[float, ...]:
    """1/K, 2/K … 1 for K = ``count``, at least 1."""
    return tuple(step / count for step in range(1, count + 1))


def spellings(yes: str, no: str) -> tuple[str, ...]:
    """The beginnings of an answer that count: either word, without and with a leading space."""
    return yes, f" {yes}", no, f" {no}"


def question_messages(
    question: str, rubric: str, words: tuple[str, str], threshold: float, text: str | None
) -> Messages:
    """One question. What differs between thresholds comes last, so that a server reads all before it once.

    Args:
        question: with ``{threshold}``, and ``{yes}`` and ``{no}`` where the words are to stand.
        rubric: the system message; none where it is empty.
        words: what stands for yes and for no.
        threshold: τ, shown with one decimal, or with as many as it needs.
        text: what it is about; None where it is about pictures.
    """
    yes, no = words
    shown = f"{threshold:.1f}" if math.isclose(threshold, round(threshold, 1)) else f"{threshold:.3g}"
    asked = question.replace("{threshold}", shown).replace("{yes}", yes).replace("{no}", no)
    turn = ("user", f"{TEXT.replace('{text}', text)}\n\n{asked}" if text is not None else asked)
    return (("system", rubric), turn) if rubric else (turn,)


def two_way(log_yes: float, log_no: float) -> float:
    """The probability of yes among the two words.

    Args:
        log_yes, log_no: natural log-probabilities of a word: the sum over its tokens, not divided by their number. -inf for
            an impossible one.

    Returns:
        e^yes / (e^yes + e^no), 0 … 1.

    Raises:
        ValueError: both are impossible, or one is NaN or +inf.
    """
    if any(math.isnan(one) or one == math.inf for one in (log_yes, log_no)) or log_yes == log_no == -math.inf:
        raise ValueError(f"log-probabilities {log_yes} of yes and {log_no} of no are not those of two words")
    difference = log_no - log_yes
    return 1.0 / (1.0 + math.exp(difference)) if difference < 700 else 0.0


def ordinal_score(probabilities: Sequence[float]) -> float:
    """The mean of the probabilities of yes at all thresholds. Making them non-increasing first (isotonic regression) would not
    change it."""
    return math.fsum(probabilities) / len(probabilities)


def violations(probabilities: Sequence[float]) -> float:
    """The fraction of neighbouring thresholds at which yes is more probable for the higher one, 0 … 1; 0 for one threshold."""
    pairs = len(probabilities) - 1
    wrong = sum(after > before for before, after in itertools.pairwise(probabilities))
    return wrong / pairs if pairs else 0.0


def in_words(probabilities: Sequence[float]) -> str:
    """For people: the probability of yes at each threshold."""
    at = thresholds(len(probabilities))
    return "severity at least " + ", ".join(f"{one:.3g}: {p:.0%}" for one, p in zip(at, probabilities, strict=True))
