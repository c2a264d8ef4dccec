"""Sections of ``kind: python``: a model that a function of the user's gives, without a change of this package."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import JsonValue, field_validator

from lavad_core.config.model_section import (
    CAPTIONER_STAGES,
    CHAT_STAGES,
    ENCODER_STAGES,
    ModelSection,
    check_recordable,
)
from lavad_core.config.setting import NOTHING, setting
from lavad_core.stage_names import Affected

_MODEL = re.compile(r"(.+\.py|[^\W\d]\w*(\.[^\W\d]\w*)*):[^\W\d]\w*")
"""``FILE.py:FUNCTION`` or ``package.module:FUNCTION``."""


class PythonModel(ModelSection):
    """What the three roles share. ``kind`` and ``options`` affect the stages of the role, so that each declares them."""

    kind: Literal["python"]
    model: str = setting(
        ...,
        affects=NOTHING,
        description="FILE.py:FUNCTION or package.module:FUNCTION. The file's content is part of its identity.",
    )
    revision: str | None = setting(
        None, affects=NOTHING, description="Which weights the function loads; for the record, and part of its identity."
    )
    options: dict[str, JsonValue]
    exclusive: bool = setting(
        True,
        affects=NOTHING,
        description="It computes on this process's device: one call at a time. False: it is served elsewhere, and several "
        "threads call it at once.",
    )

    @property
    def in_process(self) -> bool:
        return self.exclusive

    @property
    def source(self) -> str:
        """The file's path or the module's name."""
        return self.model.rpartition(":")[0]

    @property
    def function(self) -> str:
        """The name of the function in it."""
        return self.model.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        """Whether :attr:`source` is a path."""
        return self.source.endswith(".py")

    @field_validator("model")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if not _MODEL.fullmatch(value):
            raise ValueError("give FILE.py:FUNCTION or package.module:FUNCTION")
        return value

    @field_validator("options")
    @classmethod
    def _can_be_recorded(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_recordable(value, "let the function take secrets from its environment")
        return value


def _options(stages: tuple[Affected, ...]) -> Any:
    return setting({}, affects=stages, description="Keyword arguments of the function.")


class PythonCaptionerConfig(PythonModel):
    """A captioner of the user's own."""

    kind: Literal["python"] = setting("python", affects=CAPTIONER_STAGES, description="A function gives a Captioner.")
    options: dict[str, JsonValue] = _options(CAPTIONER_STAGES)
    batch_size: int = setting(32, affects=NOTHING, description="Images of a call, at most.", ge=1)


class PythonEncoderConfig(PythonModel):
    """An encoder of the user's own."""

    kind: Literal["python"] = setting("python", affects=ENCODER_STAGES, description="A function gives an Encoder.")
    options: dict[str, JsonValue] = _options(ENCODER_STAGES)
    encodes_clips: bool = setting(
        False,
        affects=("embed_windows",),
        description="A two-frame clip has a vector of its own. False: it is the mean of its frames' image vectors.",
    )
    batch_size: int = setting(64, affects=NOTHING, description="Images or clips of a call, at most.", ge=1)


class PythonChatConfig(PythonModel):
    """A chat model of the user's own. It is given all requests of a video at once, and divides them itself."""

    kind: Literal["python"] = setting("python", affects=CHAT_STAGES, description="A function gives a ChatModel.")
    options: dict[str, JsonValue] = _options(CHAT_STAGES)
    concurrency: int = setting(
        16,
        affects=NOTHING,
        description="Prompts whose tokens it counts at once, at most; one where it is exclusive.",
        ge=1,
        le=4096,
    )
    seed: int = setting(0, affects=CHAT_STAGES, description="Seed of the sampling.")
