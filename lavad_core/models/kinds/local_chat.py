"""``chat.kind: transformers``: a chat model in this process, with what becomes of system messages."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavad_core.config.models import LocalChatConfig
from lavad_core.errors import ModelError
from lavad_core.models.chat.roles import SystemHandling, decided
from lavad_core.models.chat.template_files import FILES, role_in
from lavad_core.models.kinds.hub import LOOK_UP_TIMEOUT_S, FromHub, cached_snapshot, hub_commit
from lavad_core.models.kinds.kind import FolderOf
from lavad_core.models.random_models import PREFIX, local_or_random, random_folder
from lavad_core.video.identity import IdentityCache

if TYPE_CHECKING:
    from lavad_core.models.chat.prompt_readers import LocalReader

FOLDED = ";system=fold"
"""Part of an identity where system messages are folded into the user's turn; absent otherwise, as it is in older stores."""


class LocalChatKind(FromHub[LocalChatConfig]):
    """A chat model through transformers."""

    section = LocalChatConfig

    def identity(self, section: LocalChatConfig, cache: IdentityCache | None) -> str:
        return super().identity(section, cache) + (FOLDED if local_system_role(section) == "fold" else "")

    def pinned(self, section: LocalChatConfig) -> LocalChatConfig:
        if section.model.startswith(PREFIX):
            return section
        return super().pinned(section.model_copy(update={"system_role": local_system_role(section)}))

    def offline(self, section: LocalChatConfig) -> LocalChatConfig:
        return section.model_copy(update={"system_role": local_system_role(section, download=False)})

    def reader(self, section: LocalChatConfig, store: Path) -> LocalReader:
        from lavad_core.models.chat.prompt_readers import LocalReader

        made = section.model.startswith(PREFIX)
        folder = random_folder(section.model.removeprefix(PREFIX)) if made else model_folder(section)
        return LocalReader(folder, section, folds=local_system_role(section) == "fold")

    def reader_here(self, section: LocalChatConfig, store: Path, *, folds: bool) -> LocalReader | None:
        from lavad_core.models.chat.prompt_readers import LocalReader

        made = section.model.startswith(PREFIX)
        folder = random_folder(section.model.removeprefix(PREFIX)) if made else _folder(section, download=False)
        return None if folder is None else LocalReader(folder, section, folds=folds)

    def load(self, section: LocalChatConfig, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.chat.in_process import LocalChat

        return LocalChat.load(section, local_or_random(section.model, folder_of))


def local_system_role(config: LocalChatConfig, *, download: bool = True) -> SystemHandling:
    """What becomes of system messages: as configured, or as the chat template of the model wants it. Read from files, without
    loading the model; a model that is not here, and may not be asked for, is taken for one that takes them.

    Raises:
        ModelError: the template cannot be used, or takes no system messages though they are not to be folded.
    """

    def wanted() -> SystemHandling | None:
        folder = None if config.model.startswith(PREFIX) else _folder(config, download=download)
        return None if folder is None else role_in(folder, config.template_kwargs, config.model)

    return decided(config.system_role, wanted, config.model)


def model_folder(config: LocalChatConfig) -> Path:
    """The folder with a chat model's small files: its own, that of a download, or of what is fetched of the hub now.

    Raises:
        ModelError: there is none.
    """
    folder = _folder(config, download=True)
    if folder is None:
        raise ModelError(LocalChatKind().find(config).where)
    return folder


def _folder(config: LocalChatConfig, *, download: bool) -> Path | None:
    folder = Path(config.model).expanduser()
    if folder.exists():
        return folder
    snapshot = cached_snapshot(config.model, config.revision or "main")
    return _template_from_hub(config) if snapshot is None and download else snapshot


def _template_from_hub(config: LocalChatConfig) -> Path | None:
    """The folder that the small files with the template were downloaded to; None if none was: then the model cannot be loaded
    either, which says more."""
    from huggingface_hub import hf_hub_download

    commit = hub_commit(config.model, config.revision)
    folder = None
    for name in FILES:
        with suppress(OSError, ValueError):  # no such file, or no hub
            folder = Path(hf_hub_download(config.model, name, revision=commit, etag_timeout=LOOK_UP_TIMEOUT_S)).parent
    return folder
