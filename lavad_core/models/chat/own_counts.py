"""Tokens of a served model's prompts, counted on this side: with the model's own tokenizer and chat template, and only if its
server counts the same.

Two kinds of small files are read, never weights, and no program that comes with a model is run: the template is rendered in a
process of its own, under limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ModelError
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.optional import TEMPLATE_FIELDS
from lavad_core.models.chat.template import ChatTemplate
from lavad_core.models.chat.template_files import FILES, template_in
from lavad_core.quoting import first_line

TOKENIZER = "tokenizer.json"
AUTO = "auto"
"""The value of ``chat.tokenizer`` that stands for what the server says it serves, if its files are on this machine."""

LOOK_UP_TIMEOUT_S = 10.0
"""Longest wait for the hub's answer to what a revision is, seconds; without one the files that are here are used."""


class NoTokenizer(Exception):
    """There is no tokenizer that can be used here; the words say why."""


class OwnCounts:
    """A tokenizer and a chat template, from the files in a folder. Safe to use from several threads."""

    def __init__(self, folder: Path, model: str, extra: Mapping[str, Any]) -> None:
        """
        Args:
            folder: with ``tokenizer.json`` and the files of the chat template.
            model: name of the model, for messages.
            extra: fields of each request; those of the template count.

        Raises:
            NoTokenizer: a file is missing or damaged.
        """
        self.folder, tokenizer = folder, tokenizer_in(folder / TOKENIZER)
        if tokenizer is None:
            raise NoTokenizer(f"{str(folder)!r} has no {TOKENIZER} that can be read")
        self._tokenizer = tokenizer
        try:
            found = template_in(folder)
        except ModelError as error:
            raise NoTokenizer(str(error)) from error
        own, kwargs = (extra.get(name) for name in TEMPLATE_FIELDS)
        if found is None and not isinstance(own, str):
            raise NoTokenizer(f"{str(folder)!r} has no chat template ({', '.join(FILES[:2])})")
        source, tokens = found or ("", {})
        variables = {**tokens, **(kwargs if isinstance(kwargs, dict) else {})}
        self._template = ChatTemplate(own if isinstance(own, str) else source, variables, model)

    def count(self, messages: Messages) -> int:
        """Tokens of a prompt.

        Raises:
            RequestRejected: the template refuses the messages.
            ModelError: the template cannot be used.
            ServiceUnavailable: the process that renders it was ended from outside.
        """
        return len(self._tokenizer.encode(self.render(messages), add_special_tokens=False).ids)

    def render(self, messages: Messages) -> str:
        """The prompt that the model is given; errors as :meth:`count`."""
        return self._template.render(messages)

    def close(self) -> None:
        """End the process that renders."""
        self._template.close()


def tokenizer_in(path: Path) -> Any:
    """The tokenizer in a file, which takes texts of any length; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        if type(error) is not Exception:  # the library has no class of its own for a file that is no tokenizer
            raise
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_folder(config: VllmChatConfig, root: object, *, download: bool) -> Path | None:
    """The folder with the files of ``chat.tokenizer``; None if none is wanted, or ``auto`` finds none.

    Args:
        root: what the server says it serves: a folder, or a hub id.
        download: whether files may be downloaded; for ``auto`` none are.

    Raises:
        NoTokenizer: there is no such folder, and no such tokenizer on the hub or in its cache.
    """
    name = config.tokenizer
    if name is None:
        return None
    if name == AUTO:
        return _already_here(root) if isinstance(root, str) else None
    if hub_tokenizer(config) is None:
        return Path(name).expanduser()
    return _from_hub(name, config.tokenizer_revision, download=download)


def hub_tokenizer(config: VllmChatConfig) -> str | None:
    """The hub id in ``chat.tokenizer``; None where it is a folder, ``auto`` or nothing."""
    name = config.tokenizer
    return None if name is None or name == AUTO or Path(name).expanduser().is_dir() else name


def _already_here(root: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folder = Path(root)
    if folder.is_absolute():
        return folder if (folder / TOKENIZER).is_file() else None
    with suppress(HFValidationError):
        found = try_to_load_from_cache(root, TOKENIZER)
        return Path(found).parent if isinstance(found, str) else None
    return None


def _from_hub(name: str, revision: str | None, *, download: bool) -> Path:
    """The folder of a hub repository's small files, all of one commit."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    def fetch(file: str, commit: str | None) -> Path:
        return Path(
            hf_hub_download(name, file, revision=commit, etag_timeout=LOOK_UP_TIMEOUT_S, local_files_only=not download)
        )

    try:
        folder = fetch(TOKENIZER, revision).parent
    except (OSError, ValueError, EntryNotFoundError) as error:
        why = f"cannot be downloaded from the hub: {first_line(error)}" if download else "is not downloaded yet"
        raise NoTokenizer(f"{name!r} is not a folder, and its {TOKENIZER} {why}") from error
    for file in FILES:
        with suppress(OSError, ValueError, EntryNotFoundError):  # not every model has each of them
            fetch(file, folder.name)
    return folder
