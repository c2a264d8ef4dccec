"""From a path to a video whose content is known, and from a configuration to models whose identity is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError, ModelError
from lavad_core.imports.values import read_frame_values
from lavad_core.models.identity import model_identity
from lavad_core.pipeline.graph import PreparedVideo, needed_roles
from lavad_core.video.identity import IdentityCache, identify
from lavad_core.video.types import VideoSource


def import_folders(config: LavadConfig) -> dict[str, Path]:
    """Node id to folder of imported values."""
    folders = {f"caption:{name}": folder for name, folder in config.imports.captions.items()}
    if config.imports.summaries is not None:
        folders["summarise"] = config.imports.summaries
    if config.imports.scores is not None:
        folders["score"] = config.imports.scores
    return folders


def check_imports(config: LavadConfig) -> None:
    """Say once that a folder of imported values is not there, and not again for each video.

    Raises:
        InputError: it is not.
    """
    absent = {node_id: folder for node_id, folder in import_folders(config).items() if not folder.is_dir()}
    if absent:
        named = ", ".join(f"{node_id}: {str(folder)!r}" for node_id, folder in absent.items())
        raise InputError(
            f"imported values: there is no such folder: {named}; `imports.*` name folders with a <video>.json for each video"
        )


def prepare_video(source: VideoSource, config: LavadConfig, cache: IdentityCache) -> PreparedVideo:
    """Digest a video and the files imported for it.

    Raises:
        VideoRejected: missing, unreadable or empty.
        InputError: an imported file is missing for this video.
    """
    identity = identify(source, cache)
    imports = {
        node_id: read_frame_values(folder, source.name)[1] for node_id, folder in sorted(import_folders(config).items())
    }
    return PreparedVideo(source.name, str(source.path), source.kind, identity.video_id, imports)


def model_identities(config: LavadConfig, cache: IdentityCache) -> dict[str, str]:
    """Role to model identity for the models that the configuration needs.

    Raises:
        ModelError: models are neither here nor can be resolved; names all of them.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    roles = needed_roles(config)
    # Together, since a hub that cannot be reached is tried for half a minute by its own library, for each model.
    with ThreadPoolExecutor(max(1, len(roles))) as threads:
        futures = {role: threads.submit(partial(model_identity, config.models[role], cache)) for role in roles}
    for role, future in futures.items():
        try:
            found[role] = future.result()
        except ModelError as error:
            missing.append(f"{role}: {error}")
    if missing:
        raise ModelError("; ".join(missing))
    return found
