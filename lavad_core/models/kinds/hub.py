"""Models of the hub, or of a folder in its form: which commit a branch is, and whether it is downloaded."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, TypeVar

from lavad_core.config.models import Blip2Config, ClipConfig
from lavad_core.config.section import HubSection
from lavad_core.errors import ModelError
from lavad_core.models.kinds.kind import FolderOf, MadeOrFound, ModelFinding, finding
from lavad_core.models.kinds.model_files import files_identity, model_files
from lavad_core.models.random_models import PREFIX, local_or_random
from lavad_core.quoting import first_line
from lavad_core.video.identity import IdentityCache

COMMIT = re.compile(r"[0-9a-f]{40}")
LOOK_UP_TIMEOUT_S = 10.0
"""Longest wait for the one small request that asks the hub for the commit of a branch, seconds."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


OnHub = TypeVar("OnHub", bound=HubSection)


class FromHub(MadeOrFound[OnHub]):
    """A kind whose model is a hub id or a local folder."""

    def weights(self, section: OnHub, cache: IdentityCache | None) -> str:
        """``local:<digest>`` of a folder's files, or ``hub:<id>@<commit>``."""
        folder = Path(section.model).expanduser()
        if folder.exists():
            return files_identity(model_files(folder), cache)
        return f"hub:{section.model}@{hub_commit(section.model, section.revision)}"

    def repository(self, section: OnHub) -> tuple[str, str | None] | None:
        if section.model.startswith(PREFIX) or Path(section.model).expanduser().exists():
            return None
        return section.model, section.revision

    def pinned(self, section: OnHub) -> OnHub:
        """With the hub's commit in place of a branch."""
        if section.model.startswith(PREFIX):
            return section
        folder = Path(section.model).expanduser()
        if folder.exists():
            return section.model_copy(update={"model": str(folder), "revision": None})
        return section.model_copy(update={"revision": hub_commit(section.model, section.revision)})

    def place(self, section: OnHub) -> ModelFinding:
        folder = Path(section.model).expanduser()
        if folder.exists():
            model_files(folder)
            return finding(section, True, str(folder))
        _check_hub_id(section.model)
        snapshot = cached_snapshot(section.model, section.revision or "main")
        if snapshot is not None:
            return finding(section, True, str(snapshot))
        from huggingface_hub import constants

        where = f"not downloaded; `lavad download`, or `{_download(section.model, section.revision)}`"
        return finding(section, False, where, downloadable=not constants.HF_HUB_OFFLINE)


class Blip2Kind(FromHub[Blip2Config]):
    """A BLIP-2 checkpoint through transformers."""

    section = Blip2Config

    def load(self, section: Blip2Config, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.captioners.blip2 import Blip2Captioner

        return Blip2Captioner.load(section, local_or_random(section.model, folder_of), place)


class ClipKind(FromHub[ClipConfig]):
    """CLIP, OpenCLIP or SigLIP through transformers."""

    section = ClipConfig

    def load(self, section: ClipConfig, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.encoders.clip_siglip import ClipEncoder

        return ClipEncoder.load(section.model_copy(update={"model": local_or_random(section.model, folder_of)}))


def hub_commit(model: str, revision: str | None) -> str:
    """The commit of a hub repository: ``revision`` if it is one, otherwise what a download of it here points to, otherwise
    what the hub says. One answer for the life of the process.

    Raises:
        ModelError: neither cache nor hub knows.
    """
    _check_hub_id(model)
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    return _resolve(model, revision or "main")


@functools.lru_cache(maxsize=256)
def _resolve(model: str, revision: str) -> str:
    snapshot = cached_snapshot(model, revision)
    if snapshot is not None:
        return snapshot.name
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        # The smallest file that every repository has. It is kept in the cache together with the commit of the branch.
        path = hf_hub_download(model, "config.json", revision=revision, etag_timeout=LOOK_UP_TIMEOUT_S)
    except (OSError, ValueError, EntryNotFoundError) as error:
        reason = first_line(error).rstrip(".")
        raise ModelError(
            f"model {model!r} is not a local path, and its commit on the hub (revision {revision!r}) cannot be found out: "
            f"{reason}. Download it (`lavad download` with the same settings, or `{_download(model, revision)}`), give its "
            "commit as `revision`, or give a local folder"
        ) from error
    return Path(path).parent.name


def cached_snapshot(model: str, revision: str) -> Path | None:
    """The folder of a downloaded revision, if the hub's cache has its configuration and some weights."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    commit = revision
    if not COMMIT.fullmatch(revision):
        try:
            commit = (repository / "refs" / revision).read_text().strip()
        except OSError:
            return None
    snapshot = repository / "snapshots" / commit
    weights = any(path.suffix in (".safetensors", ".bin") for path in snapshot.glob("*"))
    return snapshot if COMMIT.fullmatch(commit) and weights and (snapshot / "config.json").exists() else None


def _check_hub_id(model: str) -> None:
    if not _HUB_ID.fullmatch(model) or ".." in model:
        raise ModelError(f"model {model!r}: there is no such file or folder, and it is not the id of a hub repository")


def _download(model: str, revision: str | None) -> str:
    return f"hf download {model}" + (f" --revision {revision}" if revision not in (None, "main") else "")
