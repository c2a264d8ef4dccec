"""What every kind of model answers about a section of it: which weights, whether they are here, and the model itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lavad_core.config.section import ModelSection
from lavad_core.errors import ModelError
from lavad_core.models.licences import licence_of
from lavad_core.models.random_models import PREFIX, random_identity
from lavad_core.video.identity import IdentityCache

if TYPE_CHECKING:
    from lavad_core.config.models import VllmChatConfig
    from lavad_core.models.chat.prompt_readers import PromptReader

Configured = TypeVar("Configured", bound=ModelSection)

FolderOf = Callable[[str], Path]
"""Gives the folder of ``random:NAME`` for NAME (:func:`lavad_core.models.random_models.random_folder`)."""


@dataclass(frozen=True)
class ModelFinding:
    """Whether a model is here."""

    found: bool | None
    """False if a run would have to download it, or cannot; None if only its server knows."""
    where: str
    """Folder, file, address, or what to do about it."""
    licence: str
    """A hint; the model's own card decides."""
    downloadable: bool = False
    """Whether it is not here and a run that reaches the hub would download it."""


class ModelKind(ABC, Generic[Configured]):
    """One kind of model. Nothing but :meth:`load` imports a heavy library: plans and ``lavad doctor`` must be quick."""

    section: type[Configured]
    """The class of its sections."""

    @abstractmethod
    def identity(self, section: Configured, cache: IdentityCache | None) -> str:
        """What results are recorded under (:func:`lavad_core.models.kinds.model_identity`).

        Raises:
            ModelError: the model is neither here nor can its commit be found out.
        """

    @abstractmethod
    def where(self, section: Configured) -> ModelFinding:
        """Where it is, without the network and without reading its weights.

        Raises:
            ModelError: it is not here, and cannot be downloaded; with what to do about it.
        """

    @abstractmethod
    def load(self, section: Configured, place: str, folder_of: FolderOf) -> Any:
        """The model, ready to use: of the Protocol of its role in :mod:`lavad_core.models.protocols`.

        Args:
            place: where the configuration has the section, for messages: ``captioners.opt``, ``encoder``, ``chat``.
            folder_of: gives the folder of ``random:NAME`` for NAME.
        """

    def pinned(self, section: Configured) -> Configured:
        """The section with which exactly the weights of :meth:`identity` are loaded."""
        return section

    def offline(self, section: Configured) -> Configured:
        """The section of which :meth:`identity` can be told without the network, if the model is here."""
        return section

    def repository(self, section: Configured) -> tuple[str, str | None] | None:
        """Id and revision of the repository on the hub that it is of; None if it is of none."""
        return None

    def tokenizer_repository(self, section: Configured) -> tuple[str, str | None] | None:
        """Id and revision of the repository on the hub with the tokenizer of a served model; None if none is named."""
        return None

    def managed(self, section: Configured) -> VllmChatConfig | None:
        """The section, if it is of a server that the run starts itself; otherwise None."""
        return None

    def reader(self, section: Configured, store: Path) -> PromptReader | None:
        """How a chat model reads a prompt, found out without loading it; None if only the model knows.

        Args:
            store: the folder of results, which says what is known about servers.

        Raises:
            ModelError: the model is not here, or its chat template cannot be used.
            ServiceUnavailable: its server is down.
        """
        return None

    def reader_here(self, section: Configured, store: Path, *, folds: bool) -> PromptReader | None:
        """How a chat model reads a prompt, by the files on this machine alone; None if they are not here, or only the model
        knows.

        Args:
            store: the folder of results, which says what is known about servers.
            folds: whether system messages are folded into the user's turn.

        Raises:
            ModelError: its files are here and cannot be used.
        """
        return None

    def find(self, section: Configured) -> ModelFinding:
        """:meth:`where`, with an error as its answer."""
        try:
            return self.where(section)
        except ModelError as error:
            return finding(section, False, str(error))


def finding(section: ModelSection, found: bool | None, where: str, *, downloadable: bool = False) -> ModelFinding:
    """A :class:`ModelFinding` with what is known about the licence."""
    return ModelFinding(found, where, str(licence_of(section.kind, section.model)), downloadable)


class MadeOrFound(ModelKind[Configured]):
    """A kind whose model may be given as ``random:NAME``."""

    def identity(self, section: Configured, cache: IdentityCache | None) -> str:
        if section.model.startswith(PREFIX):
            return random_identity(section.model.removeprefix(PREFIX))
        return self.weights(section, cache)

    def where(self, section: Configured) -> ModelFinding:
        if section.model.startswith(PREFIX):
            made = random_identity(section.model.removeprefix(PREFIX))
            return finding(section, True, f"made on the spot ({made})")
        return self.place(section)

    @abstractmethod
    def weights(self, section: Configured, cache: IdentityCache | None) -> str:
        """:meth:`identity` of a model that is not random."""

    @abstractmethod
    def place(self, section: Configured) -> ModelFinding:
        """:meth:`where` of a model that is not random."""
