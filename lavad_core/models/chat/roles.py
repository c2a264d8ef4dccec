"""The roles of a dialogue. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from lavad_core.config.section import SystemRole
from lavad_core.errors import ModelError
from lavad_core.method.summarising import Messages

SystemHandling = Literal["send", "fold"]

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


def decided(setting: SystemRole, wanted: Callable[[], SystemHandling | None], model: str) -> SystemHandling:
    """What becomes of system messages: as configured, or as the model takes them.

    Args:
        setting: ``chat.system_role``.
        wanted: what the model's template or server asks for, None if that is not known; called only if ``setting`` leaves it
            open.
        model: its name, for messages.

    Raises:
        ModelError: ``refuse``, and the model takes no system messages.
    """
    if setting in ("fold", "send"):
        return "fold" if setting == "fold" else "send"
    found = wanted() or "send"
    if setting == "refuse" and found == "fold":
        raise ModelError(
            f"{model!r} takes no system message: its chat template refuses it or leaves it out. Set chat.system_role=auto or "
            "fold, and the system text begins the user's turn; or give another model"
        )
    return found
