"""The random Llama, loaded in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lavad_core.config.models import LocalChatConfig
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatModel


@pytest.fixture(scope="module")
def model(tiny_llama: Path) -> Iterator[LocalChat]:
    loaded = load_model(LocalChatConfig(model="random:llama", batch_size=4), random_folder=lambda name: tiny_llama)
    assert isinstance(loaded, LocalChat)
    assert isinstance(loaded, ChatModel)
    yield loaded
    loaded.close()
