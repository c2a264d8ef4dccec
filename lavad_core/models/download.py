"""The models of a configuration, fetched from the hub into the hub's own cache before a run needs them.

Only the files that the loaders read are fetched, of the configured revision. A complete file is not fetched again, and one
whose connection breaks goes on where it was: both are the hub's own library's doing. It keeps no part of a file from one
process to the next.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lavad_core.config.section import ModelSection
from lavad_core.digest import file_sha256
from lavad_core.errors import LavadError, ModelError, ServiceUnavailable
from lavad_core.masking import masked_text
from lavad_core.models.kinds import find_model, hub_repository, tokenizer_repository
from lavad_core.models.licences import Licence, licence_of
from lavad_core.quoting import first_line

BRANCH = "main"
"""What is fetched where no revision is configured."""

TOKENIZER_ROLE = " tokenizer"
"""Ends what ``chat.tokenizer`` is for: of its repository no weights are fetched."""

_SMALL = re.compile(r"[^/]+\.(json|model|jinja)|merges\.txt|vocab\.txt")
_SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_PART = ".incomplete"
"""Ends the name of a file that the hub's library is downloading; nothing else here opens such a file."""
_TIMEOUT_S = 30.0
"""Timeout of the request for a repository's list of files."""


@dataclass(frozen=True)
class HubFile:
    """A file of a model on the hub."""

    name: str
    """The name, in the repository."""
    size: int
    """Size of the file, bytes."""
    sha256: str | None
    """SHA-256 of its content, hexadecimal; None where the hub does not state it (small files)."""
    here: bool
    """Whether the file is in the hub's cache."""


@dataclass(frozen=True)
class HubModel:
    """A model on the hub, as far as the loaders need it."""

    model: str
    """Its id on the hub."""
    revision: str
    """The revision as configured, or the branch that is taken without one."""
    commit: str
    """The commit that the revision is now."""
    roles: tuple[str, ...]
    """Roles that it has in the configuration."""
    licence: Licence
    """Its terms, as far as this program knows them."""
    stated_licence: str
    """The licence that its card on the hub names; empty if it names none."""
    gated: bool
    """Whether a user has to log in to the hub and accept its terms there."""
    files: tuple[HubFile, ...]
    """The files that the loaders read."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes of those that are not here."""
        return sum(file.size for file in self.files if not file.here)


def wanted(sections: Mapping[str, ModelSection]) -> tuple[dict[tuple[str, str], list[str]], dict[str, str]]:
    """What the roles that a run needs want of the hub: (id, revision) to the roles that have it, also that of
    ``chat.tokenizer``; and of each other role where its model is, or why it is not there."""
    models: dict[tuple[str, str], list[str]] = {}
    elsewhere: dict[str, str] = {}
    for role, section in sections.items():
        if counts := tokenizer_repository(section):
            models.setdefault((counts[0], counts[1] or BRANCH), []).append(f"{role}{TOKENIZER_ROLE}")
        if repository := hub_repository(section):
            model, revision = repository
            models.setdefault((model, revision or BRANCH), []).append(role)
        else:
            elsewhere[role] = masked_text(find_model(section).where)
    return models, elsewhere


def look_up(model: str, revision: str, roles: Sequence[str], kind: str) -> HubModel:
    """Ask the hub for the files of a model at a revision (commit, branch or tag), in one small request.

    Raises:
        ModelError: there is no such model or revision, it is gated, or it has no weights that the loaders read.
        ServiceUnavailable: the hub cannot be reached.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    with _hub_errors(model, revision):
        info = HfApi().model_info(model, revision=revision, files_metadata=True, timeout=_TIMEOUT_S)
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    commit = info.sha or revision
    names = loaded_files(siblings)
    if all(role.endswith(TOKENIZER_ROLE) for role in roles):
        names = [name for name in names if _SMALL.fullmatch(name)]
        if "tokenizer.json" not in names:
            raise ModelError(f"{model!r} at {revision!r} on the hub (chat.tokenizer) has no tokenizer.json")
    elif "config.json" not in names or not any(name.endswith((".safetensors", ".bin")) for name in names):
        raise ModelError(
            f"model {model!r} at {revision!r} on the hub has no config.json and weights that can be loaded"
        )
    files = []
    for name in names:
        size, large = siblings[name].size or 0, siblings[name].lfs
        here = isinstance(try_to_load_from_cache(model, name, revision=commit), str)
        files.append(HubFile(name, size, None if large is None else large.sha256, here))
    stated = "" if info.card_data is None else info.card_data.get("license") or ""
    return HubModel(
        model, revision, commit, tuple(roles), licence_of(kind, model), str(stated), bool(info.gated), tuple(files)
    )


def loaded_files(names: Sequence[str] | Mapping[str, object]) -> list[str]:
    """The files of a repository that the loaders read: configuration, tokenizer, and weights; these as safetensors where
    there are any. Not what other programs need beside them (other frameworks' weights, folders)."""
    weights = [name for name in names if _SAFETENSORS.fullmatch(name)]
    index = "model.safetensors.index.json"
    if not weights:
        weights, index = [name for name in names if _PICKLED.fullmatch(name)], "pytorch_model.bin.index.json"
    small = [name for name in names if _SMALL.fullmatch(name) and (not name.endswith(".index.json") or name == index)]
    return sorted([*small, *weights])


def check_space(models: Sequence[HubModel]) -> None:
    """Raises ModelError if the file system of the hub's cache has too little space for what is missing."""
    place = cache_folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    need, free = sum(model.missing for model in models), shutil.disk_usage(place).free
    if need > free:
        raise ModelError(
            f"{need / 2**30:.2f} GiB are to be downloaded to {str(cache_folder())!r}, where {free / 2**30:.2f} GiB are free; "
            "make room, or give another folder (HF_HUB_CACHE)"
        )


def cache_folder() -> Path:
    """The hub's cache, as ``HF_HOME`` and ``HF_HUB_CACHE`` have it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def remove_own_parts() -> None:
    """Remove the parts of files that this process is downloading, for a process that is about to end: the next one begins
    such a file from 0. What is complete stays, and what another process is downloading into the same cache.

    Raises:
        OSError: a part cannot be removed.
    """
    own = psutil.Process()
    # Its other threads are still at work, and may begin another file between two looks.
    while parts := [Path(file.path) for file in own.open_files() if file.path.endswith(_PART)]:
        for part in parts:
            part.unlink(missing_ok=True)


def fetch(model: HubModel) -> Path:
    """Download what is missing of a model, and compare what came with the hub's digests.

    Returns:
        The folder of the revision in the hub's cache.

    Raises:
        ModelError: see :func:`look_up`; or the disk is full, or a file is not what the hub says.
        ServiceUnavailable: the hub cannot be reached; files that are complete are kept.
    """
    from huggingface_hub import snapshot_download

    names = [file.name for file in model.files]
    with _hub_errors(model.model, model.revision):
        # Under the branch's name, not its commit: the cache then knows what the branch is.
        folder = Path(snapshot_download(model.model, revision=model.revision, allow_patterns=names))
    if folder.name != model.commit:
        raise ModelError(
            f"model {model.model!r}: {model.revision!r} has moved on the hub meanwhile; give the command again"
        )
    for file in model.files:
        if not file.here and file.sha256 is not None:
            _check_digest(folder / file.name, file.sha256)
    return folder


def _check_digest(path: Path, sha256: str) -> None:
    try:
        found = file_sha256(path)
        if found == sha256:
            return
        path.resolve().unlink(missing_ok=True)  # the blob that the snapshot's link leads to
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be read after its download: {error}") from error
    raise ModelError(
        f"{str(path)!r} is not what the hub has ({found}, not {sha256}); it was removed: download it again"
    )


@contextmanager
def _hub_errors(model: str, revision: str) -> Iterator[None]:
    """What the hub's library raises, in the library's own errors."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except LavadError:
        raise
    except GatedRepoError as error:
        raise ModelError(
            f"model {model!r} is gated: accept its terms on {constants.ENDPOINT}/{model}, and log in here (`hf auth login`, or "
            "a token in HF_TOKEN)"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"model {model!r} has no revision {revision!r} on the hub; correct its `revision`") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model {model!r}, or it is private; log in if it is (`hf auth login`, or a token in HF_TOKEN)"
        ) from error
    except HFValidationError as error:
        raise ModelError(
            f"model {model!r}: there is no such file or folder, and it is not the id of a hub repository"
        ) from error
    except OfflineModeIsEnabled as error:
        raise ServiceUnavailable("downloads are switched off (HF_HUB_OFFLINE); unset it") from error
    except (
        Exception
    ) as error:  # of the HTTP client that the hub's library uses, which is another one from version to version
        if (
            isinstance(error, HfHubHTTPError)
            and error.response is not None
            and error.response.status_code in (401, 403)
        ):
            raise ModelError(f"the hub does not give out model {model!r}: {first_line(error)}") from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(
                f"the disk of {str(cache_folder())!r} is full; files that are complete are kept"
            ) from error
        raise ServiceUnavailable(
            f"model {model!r} cannot be fetched from {constants.ENDPOINT}: {first_line(error)}"
        ) from error
