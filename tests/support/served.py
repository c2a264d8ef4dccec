"""A chat model behind a scripted server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lavad_core.config.models import VllmChatConfig
from lavad_core.method.prompts import SCORE_CHOICES
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatModel, ChatRequest
from support.scripted_server import (
    ScriptedServer,
)

BOTH = tuple(spelling for choice in SCORE_CHOICES for spelling in (choice, " " + choice))


DIALOG = (("system", "Rate it."), ("user", "a dog."))


FREE = ChatRequest(DIALOG, max_tokens=50, temperature=0.6, top_p=0.9, seed=7)


SCORE = ChatRequest(DIALOG, max_tokens=8, temperature=0.0, top_p=1.0, seed=7, choices=BOTH)


def config_of(server: ScriptedServer, **settings: Any) -> VllmChatConfig:
    given = {"model": "tiny", "base_url": server.base_url, "retries": 4, "max_backoff_s": 0.01, "timeout_s": 5.0}
    return VllmChatConfig(**{**given, **settings})


@contextmanager
def served(server: ScriptedServer, **settings: Any) -> Iterator[ChatModel]:
    model = load_model(config_of(server, **settings), random_folder=lambda name: pytest.fail(name))
    try:
        yield model
    finally:
        model.close()


PIECES = {1: "[", 2: " [", 3: "0", 4: "1", 5: ".", 6: "]", **{10 + digit: str(digit) for digit in range(1, 10)}}
