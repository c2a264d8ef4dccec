"""The prompts that a configuration sends to the chat model, and whether they fit, without loading its weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavad_core.config.models import LocalChatConfig, VllmChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ConfigError, ModelError, ServiceUnavailable
from lavad_core.method.scoring import score_messages
from lavad_core.method.summarising import summary_messages
from lavad_core.models.chat.http import JsonPool
from lavad_core.models.chat.optional import (
    TEMPLATE_FIELDS,
    Absent,
    as_objects,
    ask_optional,
    context_of,
    counted_tokens,
    estimated_tokens,
    listed_models,
)
from lavad_core.models.chat.roles import Messages, folded
from lavad_core.models.chat.template import ChatTemplate
from lavad_core.models.chat.template_files import template_in
from lavad_core.models.kinds.local_chat import model_folder, system_role
from lavad_core.models.random_models import PREFIX, random_folder
from lavad_core.pipeline.graph import build_graph

SHORTEST = "a"
"""A caption or summary: if the prompt does not fit with it, it never does."""

_TOKENIZER = "tokenizer.json"
_LOOKING_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Prompt:
    """The prompt of a stage, with an example in place of captions or summary."""

    stage: str
    """``summarise`` or ``score``."""
    messages: tuple[tuple[str, str], ...]
    """(role, text) as they leave."""
    folds: bool
    """Whether system messages are folded into the user's turn."""
    rendered: str | None
    """What the model reads; None if only the server knows."""
    fixed_tokens: int
    """Tokens of the prompt with the shortest caption or summary."""
    counted: bool
    """Whether the model's own tokenizer counted; otherwise the number is an estimate."""
    total_tokens: int
    """Most tokens of prompt and answer together."""
    answer_tokens: int
    """How many of these are kept for the answer."""
    setting: str
    """The setting that allows more."""

    @property
    def fits(self) -> bool:
        """Whether anything can be asked at all."""
        return self.fixed_tokens + self.answer_tokens <= self.total_tokens

    @property
    def in_words(self) -> str:
        """How much there is room for."""
        about = "" if self.counted else "about "
        left = self.total_tokens - self.fixed_tokens - self.answer_tokens
        room = f"{left} are left for the text" if self.fits else f"that is {-left} too many"
        return (
            f"{about}{self.fixed_tokens} tokens of fixed text and {self.answer_tokens} for the answer, of {self.total_tokens}: "
            f"{room}"
        )


def chat_stages(config: LavadConfig) -> list[str]:
    """The stages of a configuration that ask the chat model."""
    graph = build_graph(config, dict.fromkeys(config.models, "?"))
    return [node.stage for node in graph.nodes if node.role == "chat"]


def prompts_of(config: LavadConfig) -> list[Prompt]:
    """The prompts of the stages that ask the chat model; none for a chat model of the user's own, which alone knows.

    Raises:
        ModelError: the model is not here, or its chat template cannot be used.
        RequestRejected: its template refuses the messages.
        ServiceUnavailable: its server is not there.
    """
    stages = chat_stages(config)
    if not stages:
        return []
    with _reader(config) as reader:
        return [] if reader is None else [_prompt(config, stage, reader) for stage in stages]


def check_prompts(config: LavadConfig) -> None:
    """Say that prompts do not fit before anything is computed or paid for. What cannot be known now is left to the run.

    Raises:
        ConfigError: they do not; names the setting.
        ModelError, RequestRejected: the chat template cannot be used.
    """
    try:
        prompts = prompts_of(config)
    except ServiceUnavailable:
        return
    for prompt in prompts:
        if not prompt.fits and (prompt.counted or isinstance(config.chat, VllmChatConfig)):
            raise ConfigError(
                f"the prompt of {prompt.stage} does not fit: {prompt.in_words}; allow more tokens ({prompt.setting}), reserve "
                "fewer for the answer, or shorten the prompt"
            )


def _prompt(config: LavadConfig, stage: str, reader: _Local | _Served) -> Prompt:
    if stage == "summarise":
        settings = config.summarise
        examples = [f"(caption {number})" for number in range(1, config.window.samples + 1)]
        example = summary_messages(examples, settings.prompt, settings.separator)
        shortest = summary_messages([SHORTEST], settings.prompt, settings.separator)
        total, answer = settings.total_tokens, settings.min_answer_tokens
    else:
        of_score = config.score
        example = score_messages("(the summary)", of_score.context_prompt, of_score.format_prompt)
        shortest = score_messages(SHORTEST, of_score.context_prompt, of_score.format_prompt)
        total, answer = of_score.total_tokens, of_score.max_answer_tokens
    setting = f"{stage}.total_tokens"
    if reader.context_tokens is not None and reader.context_tokens < total:
        total, setting = reader.context_tokens, "a model with a longer context"
    fixed, counted = reader.count(_leaving(shortest, reader.folds))
    messages = _leaving(example, reader.folds)
    return Prompt(stage, messages, reader.folds, reader.render(messages), fixed, counted, total, answer, setting)


def _leaving(messages: Messages, folds: bool) -> tuple[tuple[str, str], ...]:
    return folded(messages) if folds else tuple(messages)


@contextmanager
def _reader(config: LavadConfig) -> Iterator[_Local | _Served | None]:
    """How the chat model reads."""
    chat = config.chat
    if isinstance(chat, LocalChatConfig):
        local = _Local(chat)
        with closing(local.template):
            yield local
    elif isinstance(chat, VllmChatConfig):
        served = _Served(chat, config.store)
        with closing(served.pool):
            yield served
    else:
        yield None


class _Local:
    """A model in process: its template, and its tokenizer where that is one file."""

    def __init__(self, config: LocalChatConfig) -> None:
        folder = (
            random_folder(config.model.removeprefix(PREFIX))
            if config.model.startswith(PREFIX)
            else model_folder(config)
        )
        found = template_in(folder)
        if found is None:
            raise ModelError(f"chat model {config.model!r} has no chat template; give a chat model, not a base model")
        self.template = ChatTemplate(*found, config.model)
        self.folds = system_role(config) == "fold"
        self.context_tokens = _context_in(folder / "config.json")
        self._tokenizer = _tokenizer_in(folder / _TOKENIZER)

    def count(self, messages: Messages) -> tuple[int, bool]:
        text = self.template.render(messages)
        if self._tokenizer is None:
            return estimated_tokens(messages), False
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids), True

    def render(self, messages: Messages) -> str:
        return self.template.render(messages)


class _Served:
    """A served model: what its server counts and decodes."""

    def __init__(self, config: VllmChatConfig, store: Path) -> None:
        from lavad_core.models.served.meeting import refuses_system
        from lavad_core.models.served.register import ServedModels

        self._config = config
        ready = ServedModels(store / "cache" / "servers.json").ready(config, None)
        self.folds = ready.system_role == "fold"
        self.pool = JsonPool.for_one_look(config, _LOOKING_TIMEOUT_S)
        try:
            if config.system_role == "send" and refuses_system(self.pool, config):
                raise ModelError(
                    f"the server of {config.model!r} refuses system messages, and takes the same text in the user's turn; set "
                    "chat.system_role=auto or fold"
                )
            longest = context_of(listed_models(self.pool), config.model)
        except Absent:
            longest = None
        except BaseException:
            self.pool.close()
            raise
        self.context_tokens: int | None = min(config.context_tokens, longest or config.context_tokens)

    def count(self, messages: Messages) -> tuple[int, bool]:
        try:
            return counted_tokens(self.pool, self._config.model, messages, self._config.extra_body), True
        except Absent:
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
            tokens = ask_optional(self.pool, "POST", "tokenize", asked, at_root=True).get("tokens")
            decoded = {"model": model, "tokens": tokens}
            text = ask_optional(self.pool, "POST", "detokenize", decoded, at_root=True).get("prompt")
        except Absent:
            return None
        return text if isinstance(text, str) else None


def _tokenizer_in(path: Path) -> Any:
    """The tokenizer in a file of its own, or None; one that is damaged is found when the model is loaded."""
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        if type(error) is not Exception:  # the library has no class of its own for a file that is no tokenizer
            raise
        return None


def _context_in(path: Path) -> int | None:
    try:
        found = json.loads(path.read_bytes())
        inner = found.get("text_config", found)
        longest = inner.get("max_position_embeddings", found.get("max_position_embeddings"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return longest if type(longest) is int and longest > 0 else None
