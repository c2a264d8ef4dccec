"""Which weights a configured model is: what goes into the keys of results, and whether the model is here at all.

Nothing here imports torch: plans and ``lavad doctor`` must be quick.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from lavad_core.config.model_section import ModelSection
from lavad_core.config.models import (
    Blip2Config,
    ClipConfig,
    ImageBindConfig,
    LocalChatConfig,
    ModelConfig,
    OpenAICaptionerConfig,
    VllmChatConfig,
)
from lavad_core.config.python_models import PythonModel
from lavad_core.digest import digest
from lavad_core.errors import ModelError
from lavad_core.models.chat.template_files import FILES, folds_system
from lavad_core.models.encoders.imagebind.clip_bpe import PACKAGED, TOKENIZER_FILES, tokenizer_folder
from lavad_core.models.licences import licence_of
from lavad_core.models.python_model import find_source, python_identity
from lavad_core.models.quoting import first_line
from lavad_core.models.random_models import PREFIX, random_identity
from lavad_core.video.identity import IdentityCache, file_digest

FOLDED = ";system=fold"
"""Part of an identity: system messages are folded into the user's turn. A model that takes them has nothing in its place, as
before there was a choice."""

Configured = TypeVar("Configured", bound=ModelSection)

IMAGEBIND_FILES = ("imagebind.safetensors", "imagebind_huge.pth")
"""Looked for in this order in a folder given as ImageBind's model; the same as the loader's."""

_ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".json", ".model", ".jinja")
_NAMES = ("merges.txt", "vocab.txt")
"""Files of a model's folder that decide what it computes: weights, configuration, tokenizer. Cards and licences do not."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LOOK_UP_TIMEOUT_S = 10.0
"""Of the one small request that asks the hub for the commit of a branch."""


@dataclass(frozen=True)
class ModelFinding:
    """Whether a model is here.

    Attributes:
        found: False if a run would have to download it, or cannot; None if only its server knows.
        where: folder, file, address, or what to do about it.
        downloadable: it is not here, and a run that reaches the hub would download it.
        licence: a hint; the model's own card decides.
    """

    found: bool | None
    where: str
    licence: str
    downloadable: bool = False


def model_identity(config: ModelConfig, cache: IdentityCache | None) -> str:
    """What a model's results are recorded under. Equal weights have equal identities wherever they lie.

    Args:
        config: a model's section.
        cache: digests of files; 30 GB of weights take a minute to read.

    Returns:
        ``local:<digest>`` of the weights, configuration and tokenizer files; ``hub:<id>@<commit>``;
        ``served:<name>@<revision>`` as configured, ``unstated`` without one; ``random:<name>#<recipe>``;
        ``python:<function>@<revision>#<digest>`` of the function's file. :data:`FOLDED` behind it where system messages are
        folded into the user's turn.

    Raises:
        ModelError: the model is neither here nor can its commit be found out; or its chat template cannot be used.
    """
    weights = _weights_identity(config, cache)
    return weights + FOLDED if isinstance(config, LocalChatConfig) and system_role(config) == "fold" else weights


def system_role(config: LocalChatConfig, *, download: bool = True) -> Literal["send", "fold"]:
    """What becomes of system messages: as configured, or as the chat template of the model wants it. Read from files, without
    loading the model; a model that is not here, and may not be asked for, is taken for one that takes them.

    Raises:
        ModelError: the template cannot be used.
    """
    if config.system_role != "auto":
        return config.system_role
    if config.model.startswith(PREFIX):
        return "send"
    folder = _folder(config, download=download)
    return "fold" if folder is not None and folds_system(folder, config.model) else "send"


def model_folder(config: LocalChatConfig) -> Path:
    """The folder with a chat model's small files: its own, that of a download, or of what is fetched of the hub now.

    Raises:
        ModelError: there is none.
    """
    folder = _folder(config, download=True)
    if folder is None:
        raise ModelError(find_model(config).where)
    return folder


def _folder(config: LocalChatConfig, *, download: bool) -> Path | None:
    folder = Path(config.model).expanduser()
    if folder.exists():
        return folder
    snapshot = _cached_snapshot(config.model, config.revision or "main")
    return _template_from_hub(config) if snapshot is None and download else snapshot


def _template_from_hub(config: LocalChatConfig) -> Path | None:
    """The folder that the small files with the template were downloaded to; None if none was: then the model cannot be loaded
    either, which says more."""
    from huggingface_hub import hf_hub_download

    commit = hub_commit(config.model, config.revision)
    folder = None
    for name in FILES:
        with suppress(OSError, ValueError):  # no such file, or no hub
            folder = Path(hf_hub_download(config.model, name, revision=commit, etag_timeout=_LOOK_UP_TIMEOUT_S)).parent
    return folder


def _weights_identity(config: ModelConfig, cache: IdentityCache | None) -> str:
    if isinstance(config, PythonModel):
        return python_identity(config, cache)
    if isinstance(config, OpenAICaptionerConfig | VllmChatConfig):
        return f"served:{config.model}@{config.revision or 'unstated'}"
    if config.model.startswith(PREFIX):
        return random_identity(config.model.removeprefix(PREFIX))
    if isinstance(config, ImageBindConfig):
        return _local(_imagebind_files(config), cache)
    folder = Path(config.model).expanduser()
    if folder.exists():
        return _local(_model_files(folder), cache)
    return f"hub:{config.model}@{hub_commit(config.model, config.revision)}"


def pinned(config: Configured) -> Configured:
    """The same model, with the hub's commit in place of a branch, so that what is loaded is what its identity says. A model
    that does not come from the hub is returned as it is.

    Raises:
        ModelError: as :func:`model_identity`.
    """
    return config.model_copy(update=_pins(config))


def _pins(config: ModelSection) -> dict[str, str | None]:
    if not isinstance(config, Blip2Config | ClipConfig | LocalChatConfig) or config.model.startswith(PREFIX):
        return {}
    roles = {"system_role": system_role(config)} if isinstance(config, LocalChatConfig) else {}
    folder = Path(config.model).expanduser()
    if folder.exists():
        return {"model": str(folder), "revision": None, **roles}
    return {"revision": hub_commit(config.model, config.revision), **roles}


def find_model(config: ModelConfig) -> ModelFinding:
    """Whether a model is here, without the network and without reading its weights."""
    licence = str(licence_of(config.kind, config.model))
    if isinstance(config, OpenAICaptionerConfig | VllmChatConfig):
        return ModelFinding(None, config.base_url, licence)
    try:
        if isinstance(config, PythonModel):
            return ModelFinding(True, f"{find_source(config)} (looked at, not imported)", licence)
        if config.model.startswith(PREFIX):
            identity = random_identity(config.model.removeprefix(PREFIX))
            return ModelFinding(True, f"made on the spot ({identity})", licence)
        if isinstance(config, ImageBindConfig):
            return ModelFinding(True, str(_imagebind_files(config)[0]), licence)
        folder = Path(config.model).expanduser()
        if folder.exists():
            _model_files(folder)
            return ModelFinding(True, str(folder), licence)
        _check_hub_id(config.model)
    except ModelError as error:
        return ModelFinding(False, str(error), licence)
    snapshot = _cached_snapshot(config.model, config.revision or "main")
    if snapshot is not None:
        return ModelFinding(True, str(snapshot), licence)
    where = f"not downloaded; `{_download(config.model, config.revision)}`"
    return ModelFinding(False, where, licence, downloadable=not _is_offline())


def local_identity(config: ModelConfig, cache: IdentityCache | None) -> str:
    """:func:`model_identity` without the network: of a model that is here, or whose commit is configured.

    Raises:
        ModelError: only the hub could tell, or nobody.
    """
    finding = find_model(config)
    if finding.found is False and not _COMMIT.fullmatch(getattr(config, "revision", None) or ""):
        raise ModelError(finding.where)
    if isinstance(config, LocalChatConfig):
        config = config.model_copy(update={"system_role": system_role(config, download=False)})
    return model_identity(config, cache)


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_commit(model: str, revision: str | None) -> str:
    """The commit of a hub repository: ``revision`` if it is one, else what a download of it here points to, else what the
    hub says. One answer for the life of the process.

    Raises:
        ModelError: neither cache nor hub knows.
    """
    _check_hub_id(model)
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    return _resolve(model, revision or "main")


@functools.lru_cache(maxsize=256)
def _resolve(model: str, revision: str) -> str:
    snapshot = _cached_snapshot(model, revision)
    if snapshot is not None:
        return snapshot.name
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        # The smallest file that every repository has. It is kept in the cache together with the commit of the branch.
        path = hf_hub_download(model, "config.json", revision=revision, etag_timeout=_LOOK_UP_TIMEOUT_S)
    except (OSError, ValueError, EntryNotFoundError) as error:
        reason = first_line(error).rstrip(".")
        raise ModelError(
            f"model {model!r} is no local path, and its commit on the hub (revision {revision!r}) cannot be found out: "
            f"{reason}. Download it (`{_download(model, revision)}`), give its commit as `revision`, or give a local folder"
        ) from error
    return Path(path).parent.name


def _cached_snapshot(model: str, revision: str) -> Path | None:
    """The folder of a downloaded revision, if the hub's cache has its configuration and some weights."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    commit = revision
    if not _COMMIT.fullmatch(revision):
        try:
            commit = (repository / "refs" / revision).read_text().strip()
        except OSError:
            return None
    snapshot = repository / "snapshots" / commit
    weights = any(path.suffix in (".safetensors", ".bin") for path in snapshot.glob("*"))
    return snapshot if _COMMIT.fullmatch(commit) and weights and (snapshot / "config.json").exists() else None


def _check_hub_id(model: str) -> None:
    if not _HUB_ID.fullmatch(model) or ".." in model:
        raise ModelError(f"model {model!r}: there is no such file or folder, and it is not the id of a hub repository")


def _download(model: str, revision: str | None) -> str:
    return f"hf download {model}" + (f" --revision {revision}" if revision not in (None, "main") else "")


def _imagebind_files(config: ImageBindConfig) -> list[Path]:
    """The checkpoint and the tokenizer's files."""
    given = Path(config.model).expanduser()
    candidates = [given / name for name in IMAGEBIND_FILES] if given.is_dir() else [given]
    checkpoint = next((path for path in candidates if path.is_file()), None)
    if checkpoint is None:
        raise ModelError(
            f"ImageBind's checkpoint {config.model!r} is not there; give the path of imagebind_huge.pth as `encoder.model` "
            "(its weights are CC BY-NC-SA 4.0, non-commercial), or choose another encoder (`encoder.kind: clip`)"
        )
    folder = tokenizer_folder(config.tokenizer, checkpoint)
    if folder is None:
        return [checkpoint, PACKAGED]
    missing = [name for name in TOKENIZER_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"ImageBind's tokenizer folder {str(folder)!r} has no {' and no '.join(missing)} (CLIP's); "
            "give one that has, or no `encoder.tokenizer`: the packaged one is used then"
        )
    return [checkpoint, *(folder / name for name in TOKENIZER_FILES)]


def _model_files(folder: Path) -> list[Path]:
    """Files of a model's folder that count."""
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise ModelError(f"{str(folder)!r} is not a model's folder: it has no config.json")
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and (path.suffix in _ENDINGS or path.name in _NAMES)
    ]


def _local(files: Iterable[Path], cache: IdentityCache | None) -> str:
    try:
        return f"local:{digest(sorted((path.name, file_digest(path, cache)) for path in files))}"
    except OSError as error:
        raise ModelError(f"a file of the model cannot be read, or is still being written: {error}") from error
