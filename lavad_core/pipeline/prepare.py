"""From a path to a video whose content is known, and from a configuration to models whose identity is known."""

from __future__ import annotations

from pathlib import Path

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ModelError
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
    for role in needed_roles(config):
        try:
            found[role] = model_identity(config.models[role], cache)
        except ModelError as error:
            missing.append(f"{role}: {error}")
    if missing:
        raise ModelError("; ".join(missing))
    return found
