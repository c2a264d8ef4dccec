"""From a path to a video whose content is known, and from a configuration to models whose identity is known."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lavad_core.config.models import ModelConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError, ModelError
from lavad_core.imports.boundaries import boundaries_place, read_boundaries
from lavad_core.imports.for_stage import import_folders, read_for_stage
from lavad_core.imports.listed import listed_id
from lavad_core.imports.tags import read_tags, tags_file
from lavad_core.location import shown
from lavad_core.models.kinds import local_identity, model_identity
from lavad_core.pipeline.graph import build_graph, needed_roles
from lavad_core.remote_files import near
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.identity import IdentityCache, identify
from lavad_core.video.types import VideoSource


def import_digests(config: LavadConfig, name: str) -> dict[str, str]:
    """Node id to SHA-256 of the values that the configuration imports for a video.

    Raises:
        InputError: there are none under this name, or they are damaged.
    """
    digests = {
        node_id: read_for_stage(node_id, folder, name, config.imports.similarities)[1]
        for node_id, folder in sorted(import_folders(config).items())
    }
    if (boundaries := boundaries_place(config)) is not None:
        digests["find_events"] = read_boundaries(boundaries, name).sha256
    tags = tags_file(config)
    return digests if tags is None else digests | {"rescore": read_tags(tags, name)[1]}


def check_imports(config: LavadConfig) -> None:
    """Check once, and not again for each video, that the folders of imported values exist and that a run from a list needs no
    pictures.

    Raises:
        InputError: a folder or file does not exist or cannot be read, or pictures would be needed: names the stages and what
            makes each unnecessary.
    """
    if config.imports.list is not None:
        nodes = build_graph(config, dict.fromkeys(config.models, "?")).nodes
        if needs := [node for node in nodes if node.pictures]:
            ways = "; ".join(f"{stage}: {way}" for stage, way in {node.stage: node.pictures for node in needs}.items())
            raise InputError(
                f"imports.list: the videos themselves are not given, and {', '.join(node.id for node in needs)} would need "
                f"their pictures; give the videos, or leave that out: {ways}"
            )
    boundaries_place(config)
    folders = import_folders(config)
    if config.imports.similarities is not None:
        folders["similarities"] = config.imports.similarities
    absent = {node_id: folder for node_id, folder in folders.items() if not near(folder, "imported values").is_dir()}
    if absent:
        named = ", ".join(f"{node_id}: {shown(folder)!r}" for node_id, folder in absent.items())
        raise InputError(
            f"imported values: there is no such folder: {named}; `imports.*` name folders with a <video>.json for each video"
        )
    if (tags := tags_file(config)) is not None:
        read_tags(tags, "")


def prepare_video(source: VideoSource, config: LavadConfig, cache: IdentityCache) -> PreparedVideo:
    """Digest a video and the files imported for it.

    Raises:
        VideoRejected: missing, unreadable or empty.
        InputError: an imported file is missing for this video.
    """
    video_id = listed_id(source, config.imports) if source.kind == "listed" else identify(source, cache).video_id
    imports = import_digests(config, source.name)
    return PreparedVideo(source.name, str(source.path), source.kind, video_id, imports)


def model_identities(config: LavadConfig, cache: IdentityCache) -> dict[str, str]:
    """Role to model identity for the models that the configuration needs.

    Raises:
        ModelError: models are neither here nor can be resolved; names all of them.
    """
    found, missing = _identities(config, cache, model_identity)
    if missing:
        raise ModelError("; ".join(f"{role}: {error}" for role, error in missing.items()))
    return found


def known_identities(config: LavadConfig, cache: IdentityCache) -> tuple[dict[str, str], dict[str, str]]:
    """Role to model identity for the models that are on this machine; no network is asked.

    Returns:
        role to identity; and for the other roles why there is none.
    """
    return _identities(config, cache, local_identity)


def _identities(
    config: LavadConfig, cache: IdentityCache, identify: Callable[[ModelConfig, IdentityCache], str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Identities by role; and for those that cannot be found out what is wrong."""
    roles = needed_roles(config)
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    # Together, since a hub that cannot be reached is tried for half a minute by its own library, for each model.
    with ThreadPoolExecutor(max(1, len(roles))) as threads:
        futures = {role: threads.submit(partial(identify, config.models[role], cache)) for role in roles}
    for role, future in futures.items():
        try:
            found[role] = future.result()
        except ModelError as error:
            missing[role] = str(error)
    return found, missing
