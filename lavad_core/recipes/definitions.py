"""A user's own definitions of what is anomalous, as a context prompt. Prompts are in our own words."""

from __future__ import annotations

from collections.abc import Sequence

NORMAL = (
    "The scene is ordinary, and nothing dangerous, violent or criminal happens.",
    "People go about their day.",
    "The place is calm and almost empty.",
)
"""What is normal anywhere: sentences of a bank."""

CONTEXT = (
    "How would you rate the scene described on a scale from 0 to 1, with 0 representing a standard scene and 1 denoting a "
    "scene with one of the following?"
)
"""How a context prompt made of definitions begins."""


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
