"""The roles of a dialogue. Pure."""

from __future__ import annotations

from lavad_core.method.summarising import Messages

JOINT = "\n\n"
"""Between a system text and the user's text that it is folded into: the blank line that Llama 2 and Gemma users put there."""


def folded(messages: Messages) -> Messages:
    """The dialogue without a system role: each system text goes to the beginning of the user's turn that follows it, with
    a blank line between. A system text that no user's turn follows becomes one."""
    waiting: list[str] = []
    found: list[tuple[str, str]] = []
    for role, text in messages:
        if role == "system":
            waiting.append(text)
            continue
        if waiting and role == "user":
            text = JOINT.join([*waiting, text])
            waiting = []
        found.append((role, text))
    if waiting:
        found.append(("user", JOINT.join(waiting)))
    return tuple(found)


def has_system(messages: Messages) -> bool:
    """Whether there is something to fold."""
    return any(role == "system" for role, _ in messages)
