"""Chat models: Φ_LLM of the paper. A new one is a new file here and a line in :func:`load_chat`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavad_core.config.models import ChatConfig, LocalChatConfig
from lavad_core.models.protocols import ChatModel
from lavad_core.models.random_models import PREFIX


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
        from lavad_core.models.chat.local import LocalChat

        if config.model.startswith(PREFIX):
            return LocalChat.load(config, str(random_folder(config.model.removeprefix(PREFIX))))
        return LocalChat.load(config, config.model)
    from lavad_core.models.chat.openai_server import ServedChat

    return ServedChat(config)
