"""``kind: openai``: a captioner or a chat model behind an OpenAI-compatible server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lavad_core.config.models import OpenAICaptionerConfig, VllmChatConfig
from lavad_core.config.section import ServedSection
from lavad_core.models.kinds.kind import FolderOf, ModelFinding, ModelKind, finding
from lavad_core.video.identity import IdentityCache

if TYPE_CHECKING:
    from lavad_core.models.chat.prompt_readers import ServedFilesReader, ServedReader

Asked = TypeVar("Asked", bound=ServedSection)


class _Served(ModelKind[Asked]):
    def identity(self, section: Asked, cache: IdentityCache | None) -> str:
        """``served:<name>@<revision>`` as configured, ``unstated`` without one."""
        return f"served:{section.model}@{section.revision or 'unstated'}"

    def where(self, section: Asked) -> ModelFinding:
        if section.managed:
            return finding(section, None, "started by the run")
        return finding(section, None, ", ".join(section.addresses))


class ServedCaptionerKind(_Served[OpenAICaptionerConfig]):
    """A vision-language model."""

    section = OpenAICaptionerConfig

    def load(self, section: OpenAICaptionerConfig, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.captioners.served import ServedCaptioner

        return ServedCaptioner(section, place)


class ServedChatKind(_Served[VllmChatConfig]):
    """A language model."""

    section = VllmChatConfig

    def tokenizer_repository(self, section: VllmChatConfig) -> tuple[str, str | None] | None:
        from lavad_core.models.chat.own_counts import hub_tokenizer

        name = hub_tokenizer(section)
        return None if name is None else (name, section.tokenizer_revision)

    def managed(self, section: VllmChatConfig) -> VllmChatConfig | None:
        return section if section.managed else None

    def reader(self, section: VllmChatConfig, store: Path) -> ServedReader | None:
        if section.managed:
            return None
        from lavad_core.models.chat.prompt_readers import ServedReader
        from lavad_core.models.served.known_models import ServedModels

        ready = ServedModels(store / "cache" / "servers.json").ready(section, None)
        return ServedReader(section, folds=ready.system_role == "fold")

    def reader_here(self, section: VllmChatConfig, store: Path, *, folds: bool) -> ServedFilesReader | None:
        from lavad_core.models.chat.own_counts import NoTokenizer, tokenizer_folder
        from lavad_core.models.chat.prompt_readers import ServedFilesReader
        from lavad_core.models.served.known_models import ServedModels

        root = ServedModels(store / "cache" / "servers.json").last_root(section)
        try:
            folder = tokenizer_folder(section, root, download=False)
            return None if folder is None else ServedFilesReader(folder, section, folds=folds)
        except NoTokenizer:
            return None

    def load(self, section: VllmChatConfig, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.chat.openai_server import ServedChat

        return ServedChat(section)
