"""What the sections of all models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from lavad_core.config.setting import Section, setting
from lavad_core.digest import canonical_json
from lavad_core.masking import masked
from lavad_core.stage_names import Affected

CAPTIONER_STAGES: tuple[Affected, ...] = ("caption",)
ENCODER_STAGES: tuple[Affected, ...] = ("embed_captions", "embed_frames", "embed_summaries", "embed_windows")
CHAT_STAGES: tuple[Affected, ...] = ("summarise", "score")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
"""What a captioner's name may be; it is part of file names in the store."""


class ModelSection(Section):
    """The section of a model. Its fields say which model; its properties, how it is called."""

    if TYPE_CHECKING:  # each kind declares its own, with the stages that it affects
        kind: str
        model: str

    @property
    def in_process(self) -> bool:
        """Whether it computes on this process's device: one call at a time, under the device lock. False: somewhere else,
        and several threads may call it at once."""
        return True


class HubSection(ModelSection):
    """The section of a model that may come from the hub."""

    if TYPE_CHECKING:
        revision: str | None


def check_recordable(values: Mapping[str, JsonValue], instead: str) -> None:
    """Values of the user's own are recorded with each result and travel as a flow's parameters, where secrets are masked: they
    would arrive changed.

    Args:
        values: what the user gave.
        instead: where secrets are to come from.

    Raises:
        ValueError: one looks like a secret, or JSON cannot say it.
    """
    hidden = [name for name, below in values.items() if masked(below, name) != below]
    if hidden:
        raise ValueError(
            f"{hidden[0]!r} is, or holds, what looks like a secret, and it would be recorded with the results; {instead}"
        )
    canonical_json(values).encode()  # half a surrogate pair is a ValueError here, not when the first key is made


def extra_body(stages: Iterable[Affected]) -> Any:
    """The field of what else each request to a server holds."""
    return setting(
        {},
        affects=stages,
        description="Fields added to each request, such as {chat_template_kwargs: {enable_thinking: false}}.",
    )


def check_extra_body(values: Mapping[str, JsonValue], ours: Mapping[str, str]) -> None:
    """Raises ValueError for a secret, and for a field that the program sets itself.

    Args:
        values: what the user gave.
        ours: such a field to what is to be set in its place.
    """
    for name in values:
        if name in ours:
            raise ValueError(f"{name!r} cannot be given here, the program sets it itself: {ours[name]}")
    check_recordable(values, "keys are sent with api_key, from the environment")
