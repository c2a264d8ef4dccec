"""Scores by a user's own definitions of what is anomalous: yes/no questions about statements, for each definition its hazard,
an ordinary scene and harmless look-alikes (CEAVAD, arXiv 2608.09908; guiding questions as in VERA, CVPR 2025). Prompts are in
our own words.
"""

from __future__ import annotations

from collections.abc import Sequence

from lavad_core.method.summarising import Messages

RUBRIC = (
    "You check statements about footage of a surveillance camera. Judge by nothing but the description that you are given; "
    "what it does not say did not happen."
)
"""The system message of all questions."""

STATEMENT = 'Is this statement true of the scene described? "{statement}" Answer with exactly one word, {yes} or {no}.'
"""What is asked after the description."""

TEXT = "Description of the scene: {text}"
"""How a description stands in front of a question."""

GUIDE = "Before you answer, consider: {questions}"
"""How a definition's own questions stand between them."""

NORMAL = (
    "The scene is ordinary, and nothing dangerous, violent or criminal happens.",
    "People go about their day.",
    "The place is calm and almost empty.",
)
"""What is normal anywhere: the first is the statement that every hazard is compared with, all are sentences of a bank."""

CONTEXT = (
    "How would you rate the scene described on a scale from 0 to 1, with 0 representing a standard scene and 1 denoting a "
    "scene with one of the following?"
)
"""How a context prompt made of definitions begins."""


def statement_messages(
    text: str, statement: str, questions: Sequence[str], *, asked: str, rubric: str, words: tuple[str, str]
) -> Messages:
    """Whether a statement is true of a text. The text comes first, so that a server reads it once for all statements.

    Args:
        text: the description of a scene.
        statement: what may be true of it.
        questions: what to look at first; none where it is empty.
        asked: the question, with ``{statement}``, and ``{yes}`` and ``{no}`` where the words are to stand.
        rubric: the system message; none where it is empty.
        words: what stands for yes and for no.
    """
    yes, no = words
    last = asked.replace("{yes}", yes).replace("{no}", no).replace("{statement}", statement)
    guide = [GUIDE.replace("{questions}", " ".join(questions))] if questions else []
    turn = ("user", "\n\n".join([TEXT.replace("{text}", text), *guide, last]))
    return (("system", rubric), turn) if rubric else (turn,)


def definition_score(hazard: float, normal: float, look_alikes: Sequence[float]) -> float:
    """How far the hazard is more probable than what it is compared with: (1 + h − max(n, b)) / 2.

    Args:
        hazard: the highest probability of a definition's hazards, 0 … 1.
        normal: that of an ordinary scene.
        look_alikes: those of its harmless look-alikes; may be empty.

    Returns:
        0 … 1; 0.5 where the hazard is as probable as the most probable of the others.
    """
    return (1 + hazard - max([normal, *look_alikes])) / 2


def context_of_definitions(definitions: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> str:
    """P_C for the method's own way to scores.

    Args:
        definitions: name, hazards and look-alikes of each.
    """
    lines = [CONTEXT]
    for name, hazards, look_alikes in definitions:
        harmless = f" This is not meant: {' '.join(look_alikes)}" if look_alikes else ""
        lines.append(f"{name[:1].upper()}{name[1:]}: {' '.join(hazards)}{harmless}")
    return "\n".join(lines)


def in_words(name: str, hazard: float, normal: float, look_alikes: Sequence[float]) -> str:
    """For people: what the score of a definition comes from; arguments as :func:`definition_score`."""
    harmless = f", a look-alike {max(look_alikes):.0%}" if look_alikes else ""
    return f"{name} {hazard:.0%}, an ordinary scene {normal:.0%}{harmless}"
