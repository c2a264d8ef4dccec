"""What a stage reads, and the key of each of its results before anything runs. Pure.

A fingerprint is the digest of the stage's name and version, the settings that the stage reads, the identity of its model, the
digest of an imported file if there is one, and the fingerprints of its inputs. So changing one field gives new keys to exactly
the stages that it can affect and to those that follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import leaves
from lavad_core.digest import digest
from lavad_core.errors import InternalError
from lavad_core.store.types import Key

MAX_RECIPES = 64
"""Imports whose fingerprints are remembered: a stage asks several times for each of the videos that are in progress."""


@dataclass(frozen=True)
class Reads:
    """What one result of a stage is made from, beside the video's content and the stage's code."""

    inputs: tuple[str, ...] = ()
    """Ids of the nodes whose results it reads."""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What it reads of the configuration: dotted path to JSON value (:func:`settings_of`)."""
    role: str = ""
    """The model it uses: ``captioner:<name>``, ``encoder``, ``chat``, or empty."""
    variant: str = ""
    """The captioner's name where a stage has one node per captioner, otherwise empty."""
    imported: bool = False
    """Whether its values come from a file that the user gives."""
    pictures: str = ""
    """For a stage that decodes the video's pictures: what a user can set so that it need not; otherwise empty."""


@dataclass(frozen=True, kw_only=True)
class Node(Reads):
    """One stage of the graph; ``caption`` has one node per captioner."""

    stage: str
    """Name of the stage."""
    version: int
    """The stage's :data:`VERSION`."""

    @property
    def id(self) -> str:
        """``stage``, or ``stage:variant``."""
        return f"{self.stage}:{self.variant}" if self.variant else self.stage


@dataclass(frozen=True)
class PreparedVideo:
    """A video whose content is known; JSON-able, so that it can cross a process."""

    name: str
    """The user's name for it."""
    path: str
    """Where the video is."""
    kind: Literal["file", "frames", "listed"]
    """``file``, ``frames``, or ``listed``: known from a list alone."""
    video_id: str
    """Digest of the video's content."""
    imports: Mapping[str, str] = field(default_factory=dict)
    """Node id to SHA-256 of the file whose values replace that node's work."""


@dataclass(frozen=True)
class Graph:
    """The stages that a configuration needs, in an order that loads each model once."""

    nodes: tuple[Node, ...]
    """Inputs before those that read them; captioners one after the other, then the encoder, then the chat model."""
    identities: Mapping[str, str]
    """Role to identity of its model."""

    def node(self, node_id: str) -> Node:
        """The node of that id; InternalError if there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise InternalError(f"no node {node_id!r} among {[node.id for node in self.nodes]}")

    def has(self, node_id: str) -> bool:
        """Whether this run needs the node."""
        return any(node.id == node_id for node in self.nodes)

    @cached_property
    def _recipes(self) -> Callable[[tuple[tuple[str, str], ...]], dict[str, tuple[dict[str, Any], str]]]:
        """Imports to what each node's fingerprint is the digest of, and that fingerprint; the video's content is not in it."""
        return lru_cache(maxsize=MAX_RECIPES)(self._recipes_with)

    def _recipes_with(self, imports: tuple[tuple[str, str], ...]) -> dict[str, tuple[dict[str, Any], str]]:
        imported = dict(imports)
        found: dict[str, tuple[dict[str, Any], str]] = {}
        for node in self.nodes:
            made_of: dict[str, Any] = {
                "stage": node.stage,
                "version": node.version,
                "settings": dict(node.settings),
                "inputs": {name: found[name][1] for name in node.inputs},
            }
            if node.variant:
                made_of["variant"] = node.variant
            if node.role:
                made_of["model"] = self.identities[node.role]
            if node.imported:
                made_of["imported"] = imported[node.id]
            found[node.id] = (made_of, digest(made_of))
        return found

    def provenances(self, video: PreparedVideo) -> dict[str, dict[str, Any]]:
        """What each node's fingerprint is the digest of, by id."""
        recipes = self._recipes(tuple(sorted(video.imports.items())))
        return {node_id: made_of for node_id, (made_of, _) in recipes.items()}

    def keys(self, video: PreparedVideo) -> dict[str, Key]:
        """The key of every node's result for a video."""
        recipes = self._recipes(tuple(sorted(video.imports.items())))
        return {
            node_id: Key(made_of["stage"], video.video_id, fingerprint)
            for node_id, (made_of, fingerprint) in recipes.items()
        }

    def last_user(self, role: str) -> str:
        """Id of the last node that uses a model: when it is done for all videos the model can go."""
        return [node.id for node in self.nodes if node.role == role][-1]


Condition = Callable[[LavadConfig], bool]
"""Whether a stage reads a setting under a configuration. One that it does not read re-runs nothing when it changes."""


def never(config: LavadConfig) -> bool:
    """The condition of a setting that counts as a part of something else, such as the model's identity."""
    return False


_AS_BEFORE: dict[str, Any] = {
    "chat.extra_body": {},
    "captioner.extra_body": {},
    "chat.template_kwargs": {},
    "window.align": "centred",
}
"""Fields that came later, with the value at which a stage does what it did without them. Not counted then, so that results from
before are found."""


def settings_of(
    config: LavadConfig, stage: str, read_if: Mapping[str, Condition] | None = None, captioner: str = ""
) -> dict[str, Any]:
    """The settings that a stage reads: those whose ``affects`` names it, as JSON values.

    Args:
        read_if: dotted path to when that setting is read; the others always are.
        captioner: the name of one, whose settings count as ``captioner.*``. Otherwise no captioner's count.
    """
    conditions = read_if or {}
    own = leaves(config.captioners[captioner], ("captioner",)) if captioner else ()
    found: dict[str, Any] = {"captioner.name": captioner} if captioner else {}
    for parts, stages, value in (*leaves(config), *own):
        if stage not in stages or parts[0] in ("imports", "captioners"):
            continue
        path = ".".join(parts)
        if path in _AS_BEFORE and value == _AS_BEFORE[path]:
            continue
        if path not in conditions or conditions[path](config):
            found[path] = list(value) if isinstance(value, tuple) else value
    return found


def scores_node(config: LavadConfig) -> str:
    """Id of the node that raw scores come from: its rows have at least ``frame`` and ``score``, one for each grid frame."""
    method = config.score.method
    if method == "lavad" or config.imports.scores is not None:
        return "score"
    return f"score_{method.replace('-', '_')}"


def final_scores_node(config: LavadConfig) -> str:
    """Id of the node that the final scores come from, those that segments, metrics, pages and exports are of: its rows have at
    least ``frame``, ``time_s`` and ``score``, one for each grid frame."""
    return "refine" if config.smooth.kind == "none" else "smooth"


def rated_node(config: LavadConfig) -> str:
    """Id of the node whose scores are refined: of the raw ones, or of a second rating of the videos in doubt."""
    return "rescore" if config.rescore.enabled else scores_node(config)


def grid_settings(config: LavadConfig) -> dict[str, Any]:
    """The settings of a node with imported values: which frames it has a value for."""
    return {"video.frame_interval": config.video.frame_interval}
