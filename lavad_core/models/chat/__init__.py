"""Chat models: Φ_LLM of the paper. One of the user's own needs nothing here: ``kind: python`` (docs/design/captioners.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavad_core.config.models import ChatConfig, LocalChatConfig
from lavad_core.config.python_models import PythonModel
from lavad_core.models.protocols import ChatModel
from lavad_core.models.python_model import load_python
from lavad_core.models.random_models import local_or_random


def load_chat(config: ChatConfig, *, random_folder: Callable[[str], Path]) -> ChatModel:
    """The chat model that ``config`` describes, ready to use.

    Args:
        random_folder: where the random model of a name is (:func:`lavad_core.models.random_models.random_folder`), for
            models given as ``random:NAME``.

    Raises:
        ModelError: it cannot be found or loaded, or the server does not serve it.
        ServiceError: the server cannot be reached.
        RequestRejected: the server refuses the key.
        DeviceOutOfMemory: it does not fit the device.
    """
    if isinstance(config, LocalChatConfig):
        from lavad_core.models.chat.in_process import LocalChat

        return LocalChat.load(config, local_or_random(config.model, random_folder))
    if isinstance(config, PythonModel):
        from lavad_core.models.python_results import TheirChat  # which reads answers with a module of this package

        return TheirChat(config, load_python(config, ChatModel))
    from lavad_core.models.chat.openai_server import ServedChat

    return ServedChat(config)
