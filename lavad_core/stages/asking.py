"""Asking the language model many things at once, each answer cached before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from lavad_core.models.protocols import ChatAnswer, ChatModel, ChatRequest
from lavad_core.stages.context import StageContext


def ask_all(
    context: StageContext, model: ChatModel, device: AbstractContextManager[Any], requests: Sequence[ChatRequest]
) -> list[ChatAnswer]:
    """The answers, in the order of the requests; what was asked before is not asked again."""
    raise NotImplementedError
