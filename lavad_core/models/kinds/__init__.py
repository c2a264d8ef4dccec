"""The kinds of models. A section of the configuration says which model and how; its kind says which weights that is, whether
they are here, and loads them (docs/design/models.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavad_core.config.section import ModelSection
from lavad_core.errors import ModelError
from lavad_core.models.kinds.hub import COMMIT, Blip2Kind, ClipKind
from lavad_core.models.kinds.imagebind_kind import ImageBindKind
from lavad_core.models.kinds.kind import Configured, FolderOf, ModelFinding, ModelKind
from lavad_core.models.kinds.local_chat import LocalChatKind
from lavad_core.models.kinds.python import PYTHON_CAPTIONER, PYTHON_CHAT, PYTHON_ENCODER
from lavad_core.models.kinds.server import ServedCaptionerKind, ServedChatKind
from lavad_core.models.random_models import random_folder
from lavad_core.video.identity import IdentityCache

if TYPE_CHECKING:
    from lavad_core.config.models import VllmChatConfig
    from lavad_core.models.chat.prompt_readers import PromptReader

__all__ = [
    "Configured",
    "ModelFinding",
    "find_model",
    "hub_repository",
    "load_model",
    "local_identity",
    "managed",
    "model_identity",
    "pinned",
    "prompt_reader",
    "prompt_reader_here",
    "tokenizer_repository",
]

KINDS: Mapping[type[ModelSection], ModelKind[Any]] = {
    kind.section: kind
    for kind in (
        Blip2Kind(),
        ServedCaptionerKind(),
        PYTHON_CAPTIONER,
        ImageBindKind(),
        ClipKind(),
        PYTHON_ENCODER,
        ServedChatKind(),
        LocalChatKind(),
        PYTHON_CHAT,
    )
}
"""Class of a section to its kind."""


def model_identity(section: ModelSection, cache: IdentityCache | None) -> str:
    """What a model's results are recorded under. Equal weights have equal identities wherever they lie.

    Args:
        cache: digests of files; 30 GB of weights take a minute to read.

    Returns:
        ``local:<digest>`` of the weights, configuration and tokenizer files; ``hub:<id>@<commit>``;
        ``served:<name>@<revision>`` as configured, ``unstated`` without one; ``random:<name>#<recipe>``;
        ``python:<function>@<revision>#<digest>`` of the function's file. ``;system=fold`` after it where system messages are
        folded into the user's turn.

    Raises:
        ModelError: the model is neither here nor can its commit be found out; or its chat template cannot be used.
    """
    return KINDS[type(section)].identity(section, cache)


def local_identity(section: ModelSection, cache: IdentityCache | None) -> str:
    """:func:`model_identity` without the network: of a model that is here, or whose commit is configured.

    Raises:
        ModelError: only the hub could tell, or nothing could.
    """
    found = find_model(section)
    if found.found is False and not COMMIT.fullmatch(getattr(section, "revision", None) or ""):
        raise ModelError(found.where)
    return model_identity(KINDS[type(section)].offline(section), cache)


def hub_repository(section: ModelSection) -> tuple[str, str | None] | None:
    """Id and revision of the repository on the hub that a model is of; None if it is of none."""
    return KINDS[type(section)].repository(section)


def tokenizer_repository(section: ModelSection) -> tuple[str, str | None] | None:
    """Id and revision of the repository on the hub with the tokenizer of a served model; None if none is named."""
    return KINDS[type(section)].tokenizer_repository(section)


def managed(section: ModelSection) -> VllmChatConfig | None:
    """The section, if it is of a server that the run starts itself; otherwise None."""
    return KINDS[type(section)].managed(section)


def prompt_reader(section: ModelSection, store: Path) -> PromptReader | None:
    """How a chat model reads a prompt; arguments and errors as :meth:`~lavad_core.models.kinds.kind.ModelKind.reader`."""
    return KINDS[type(section)].reader(section, store)


def prompt_reader_here(section: ModelSection, store: Path, *, folds: bool) -> PromptReader | None:
    """:func:`prompt_reader` by the files on this machine alone; arguments and errors as
    :meth:`~lavad_core.models.kinds.kind.ModelKind.reader_here`."""
    return KINDS[type(section)].reader_here(section, store, folds=folds)


def find_model(section: ModelSection) -> ModelFinding:
    """Whether a model is here, without the network and without reading its weights."""
    return KINDS[type(section)].find(section)


def pinned(section: Configured) -> Configured:
    """The same model, with the hub's commit in place of a branch, so that what is loaded is what its identity says. A model
    that does not come from the hub is returned as it is.

    Raises:
        ModelError: as :func:`model_identity`.
    """
    found: Configured = KINDS[type(section)].pinned(section)
    return found


def load_model(section: ModelSection, place: str = "", *, random_folder: FolderOf = random_folder) -> Any:
    """The model that a section describes, ready to use: a ``Captioner``, ``Encoder`` or ``ChatModel``.

    Args:
        place: where the configuration has it, for messages: ``captioners.opt``, ``encoder``, ``chat``.
        random_folder: gives the folder of ``random:NAME`` for NAME.

    Raises:
        ModelError: it cannot be found or loaded, or its server does not serve it.
        DeviceOutOfMemory: it does not fit the device.
        ServiceError: its server cannot be reached.
        RequestRejected: its server refuses the key.
    """
    return KINDS[type(section)].load(section, place, random_folder)
