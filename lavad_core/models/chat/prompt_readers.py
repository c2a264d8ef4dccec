"""How a chat model reads a prompt: what it makes of it, and how many tokens that is, without loading its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Protocol

from lavad_core.config.models import LocalChatConfig, VllmChatConfig
from lavad_core.errors import ModelError
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.http import JsonPool
from lavad_core.models.chat.optional import (
    TEMPLATE_FIELDS,
    EndpointMissing,
    as_objects,
    ask_optional,
    context_of,
    counted_tokens,
    estimated_tokens,
    listed_models,
)
from lavad_core.models.chat.own_counts import TOKENIZER, OwnCounts, tokenizer_in
from lavad_core.models.chat.template import ChatTemplate
from lavad_core.models.chat.template_files import template_in

_LOOKING_TIMEOUT_S = 20.0


class PromptReader(Protocol):
    """A chat model's reading of prompts; to be closed."""

    counts_later: ClassVar[bool]
    """Whether the model counts tokens when it is loaded, before anything is asked."""
    folds: bool
    """System messages are folded into the user's turn."""
    context_tokens: int | None
    """The model's context; None if it does not say."""

    def count(self, messages: Messages) -> tuple[int, bool]:
        """Tokens of a prompt, and whether the model's own tokenizer counted them; otherwise it is an estimate."""

    def render(self, messages: Messages) -> str | None:
        """The text that the model reads; None if only its server knows."""

    def close(self) -> None:
        """End its processes and connections."""


class LocalReader:
    """A model in process: its template, and its tokenizer where that is one file.

    Args:
        folder: with the model's small files.
        config: which model, and the variables of its template.

    Raises:
        ModelError: it has no chat template, or one that cannot be used.
    """

    counts_later: ClassVar[bool] = True

    def __init__(self, folder: Path, config: LocalChatConfig, *, folds: bool) -> None:
        found = template_in(folder, config.template_kwargs)
        if found is None:
            raise ModelError(f"chat model {config.model!r} has no chat template; give a chat model, not a base model")
        self._template, self.folds = ChatTemplate(*found, config.model), folds
        self.context_tokens = _context_in(folder / "config.json")
        self._tokenizer = tokenizer_in(folder / TOKENIZER)

    def count(self, messages: Messages) -> tuple[int, bool]:
        text = self.render(messages)
        if self._tokenizer is None:
            return estimated_tokens(messages), False
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids), True

    def render(self, messages: Messages) -> str:
        return self._template.render(messages)

    def close(self) -> None:
        self._template.close()


class ServedReader:
    """A served model: what its server counts and decodes.

    Raises:
        ModelError: the server refuses system messages that are to be sent.
        ServiceUnavailable: it is down.
    """

    counts_later: ClassVar[bool] = False

    def __init__(self, config: VllmChatConfig, *, folds: bool) -> None:
        from lavad_core.models.served.ask_server import refuses_system

        self._config, self.folds = config, folds
        self._pool = JsonPool.for_one_look(config, _LOOKING_TIMEOUT_S)
        try:
            if config.system_role in ("send", "refuse") and refuses_system(self._pool, config):
                raise ModelError(
                    f"the server of {config.model!r} refuses system messages, and takes the same text in the user's turn; set "
                    "chat.system_role=auto or fold"
                )
            longest = context_of(listed_models(self._pool), config.model)
        except EndpointMissing:
            longest = None
        except BaseException:
            self.close()
            raise
        self.context_tokens: int | None = min(config.context_tokens, longest or config.context_tokens)

    def count(self, messages: Messages) -> tuple[int, bool]:
        try:
            return counted_tokens(self._pool, self._config.model, messages, self._config.extra_body), True
        except EndpointMissing:
            return estimated_tokens(messages), False

    def render(self, messages: Messages) -> str | None:
        model = self._config.model
        asked = {
            "model": model,
            "messages": as_objects(messages),
            "add_generation_prompt": True,
            **{name: value for name, value in self._config.extra_body.items() if name in TEMPLATE_FIELDS},
        }
        try:
            tokens = ask_optional(self._pool, "POST", "tokenize", asked, at_root=True).get("tokens")
            decoded = {"model": model, "tokens": tokens}
            text = ask_optional(self._pool, "POST", "detokenize", decoded, at_root=True).get("prompt")
        except EndpointMissing:
            return None
        return text if isinstance(text, str) else None

    def close(self) -> None:
        self._pool.close()


class ServedFilesReader:
    """A served model, by the tokenizer and chat template on this machine alone: its server is not asked.

    Args:
        folder: with ``tokenizer.json`` and the files of the chat template.
        config: which model, and what else its requests hold.

    Raises:
        NoTokenizer: a file is missing or damaged.
    """

    counts_later: ClassVar[bool] = False

    def __init__(self, folder: Path, config: VllmChatConfig, *, folds: bool) -> None:
        self._own, self.folds = OwnCounts(folder, config.model, config.extra_body), folds
        self.context_tokens: int | None = config.context_tokens

    def count(self, messages: Messages) -> tuple[int, bool]:
        return self._own.count(messages), True

    def render(self, messages: Messages) -> str:
        return self._own.render(messages)

    def close(self) -> None:
        self._own.close()


def _context_in(path: Path) -> int | None:
    try:
        found = json.loads(path.read_bytes())
        inner = found.get("text_config", found)
        longest = inner.get("max_position_embeddings", found.get("max_position_embeddings"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return longest if type(longest) is int and longest > 0 else None
