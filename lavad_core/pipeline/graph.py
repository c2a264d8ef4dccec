"""The graph of stages of a configuration, and the key of every result before anything runs. Pure.

A fingerprint is the digest of the stage's name and version, the slice of the configuration that the stage reads, the
identity of its model, the digest of an imported file if there is one, and the fingerprints of its inputs. So changing one
field gives new keys to exactly the stages that it can affect and to those that follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lavad_core.config.schema import LavadConfig
from lavad_core.config.setting import leaves
from lavad_core.digest import digest
from lavad_core.errors import InternalError
from lavad_core.models.random_models import PREFIX
from lavad_core.store.types import Key

STAGE_VERSIONS: dict[str, int] = {
    "probe": 3,
    "caption": 1,
    "embed_captions": 1,
    "embed_frames": 1,
    "embed_windows": 1,
    "clean": 1,
    "summarise": 2,
    "score": 2,
    "embed_summaries": 1,
    "refine": 1,
    "detect": 2,
}
"""Raise a stage's number when its code gives other results for the same inputs: it and all that follows run again."""


PIXEL_STAGES = ("caption", "embed_frames", "embed_windows")
"""Stages that look at a video's pictures, unless their values are imported."""


@dataclass(frozen=True)
class Node:
    """One stage of the graph; ``caption`` has one node for each captioner.

    Attributes:
        stage: its name.
        variant: the captioner's name, else empty.
        inputs: ids of the nodes whose results it reads.
        role: the model it uses: ``captioner:<name>``, ``encoder``, ``chat``, or empty.
        imported: its values come from a file that the user gives.
        settings: the slice of the configuration that it reads, by dotted path.
    """

    stage: str
    variant: str = ""
    inputs: tuple[str, ...] = ()
    role: str = ""
    imported: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """``stage``, or ``stage:variant``."""
        return f"{self.stage}:{self.variant}" if self.variant else self.stage


@dataclass(frozen=True)
class PreparedVideo:
    """A video whose content is known; JSON-able, so that it can cross a process.

    Attributes:
        name: the user's name for it.
        path: where it is.
        kind: ``file``, ``frames``, or ``listed``: known from a list alone.
        video_id: digest of its content.
        imports: node id to SHA-256 of the file whose values replace that node's work.
    """

    name: str
    path: str
    kind: Literal["file", "frames", "listed"]
    video_id: str
    imports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """The stages that a configuration needs, in an order that loads each model once.

    Attributes:
        nodes: inputs before those that read them; captioners one after the other, then the encoder, then the chat model.
        identities: role to identity of its model.
    """

    nodes: tuple[Node, ...]
    identities: Mapping[str, str]

    def node(self, node_id: str) -> Node:
        """The node of that id; InternalError if there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise InternalError(f"no node {node_id!r} among {[node.id for node in self.nodes]}")

    def has(self, node_id: str) -> bool:
        """Whether this run needs the node."""
        return any(node.id == node_id for node in self.nodes)

    def provenance(self, node: Node, video: PreparedVideo, fingerprints: Mapping[str, str]) -> dict[str, Any]:
        """What the fingerprint of ``node`` is the digest of."""
        made_of: dict[str, Any] = {
            "stage": node.stage,
            "version": STAGE_VERSIONS[node.stage],
            "settings": dict(node.settings),
            "inputs": {name: fingerprints[name] for name in node.inputs},
        }
        if node.variant:
            made_of["variant"] = node.variant
        if node.role:
            made_of["model"] = self.identities[node.role]
        if node.imported:
            made_of["imported"] = video.imports[node.id]
        return made_of

    def provenances(self, video: PreparedVideo) -> dict[str, dict[str, Any]]:
        """Of every node."""
        fingerprints: dict[str, str] = {}
        found: dict[str, dict[str, Any]] = {}
        for node in self.nodes:
            found[node.id] = self.provenance(node, video, fingerprints)
            fingerprints[node.id] = digest(found[node.id])
        return found

    def keys(self, video: PreparedVideo) -> dict[str, Key]:
        """The key of every node's result for a video."""
        return {
            node_id: Key(self.node(node_id).stage, video.video_id, digest(made_of))
            for node_id, made_of in self.provenances(video).items()
        }

    def last_user(self, role: str) -> str:
        """Id of the last node that uses a model: when it is done for all videos the model can go."""
        return [node.id for node in self.nodes if node.role == role][-1]


def _only_any_frame(config: LavadConfig, stage: str) -> bool:
    # On the grid, which frames are embedded and cleaned does not depend on the window.
    return stage in ("embed_windows", "summarise") or config.window.sampling == "any-frame"


_CONDITIONS: dict[str, Callable[[LavadConfig, str], bool]] = {
    "window.duration_s": _only_any_frame,
    "window.samples": _only_any_frame,
    "window.frame_rate": _only_any_frame,
    "window.constant_frame_rate": lambda config, stage: (
        config.window.frame_rate == "constant" and _only_any_frame(config, stage)
    ),
    "window.clips": lambda config, stage: config.window.vector == "spread",
    "score.expected": lambda config, stage: config.score.answer == "choice",
    "score.match": lambda config, stage: config.score.answer == "free-text",
    "score.above_one": lambda config, stage: config.score.answer == "free-text" and config.score.match == "first",
    "chat.context_tokens": lambda config, stage: (
        config.chat.kind == "openai" and config.chat.context_tokens < getattr(config, stage).total_tokens
    ),
    # What these come to is part of the model's identity.
    "chat.system_role": lambda config, stage: False,
    "chat.on_change": lambda config, stage: False,
    "captioner.on_change": lambda config, stage: False,
    "refine.neighbours": lambda config, stage: config.refine.enabled,
    "refine.pool": lambda config, stage: config.refine.enabled,
}
"""Fields that a stage reads only under some value of others; a changed field that is not read re-runs nothing."""


_AS_BEFORE: dict[str, Any] = {"chat.extra_body": {}, "captioner.extra_body": {}}
"""Fields that came later, with the value at which a stage does what it did without them. Not counted then, so that results from
before are found."""


def _settings(config: LavadConfig, stage: str, prefix: str = "", skip: tuple[str, ...] = ()) -> dict[str, Any]:
    """The slice of the configuration that ``stage`` reads, as JSON values."""
    found: dict[str, Any] = {}
    for path, stages, value in leaves(config):
        if stage not in stages or path.startswith(("imports.", *skip)):
            continue
        if path.startswith("captioners."):
            if not prefix or not path.startswith(prefix):
                continue
            path = "captioner." + path.removeprefix(prefix)
        if path in _AS_BEFORE and value == _AS_BEFORE[path]:
            continue
        condition = _CONDITIONS.get(path)
        if condition is None or condition(config, stage):
            found[path] = list(value) if isinstance(value, tuple) else value
    return found


_READ_AS: dict[str, dict[str, Any]] = {"openai": {"captioner.reading": 2}}
"""Raised where captions of one kind alone are read from answers in another way: a new version of the stage would caption
anew with all kinds."""


def _caption_nodes(config: LavadConfig) -> list[Node]:
    interval = {"video.frame_interval": config.video.frame_interval}
    if config.imports.captions:
        return [Node("caption", name, ("probe",), imported=True, settings=interval) for name in config.imports.captions]
    return [
        Node(
            "caption",
            captioner.name,
            ("probe",),
            role=f"captioner:{captioner.name}",
            settings=_settings(config, "caption", f"captioners.{number}.") | _READ_AS.get(captioner.kind, {}),
        )
        for number, captioner in enumerate(config.captioners)
    ]


def _language_nodes(config: LavadConfig) -> list[Node]:
    interval = {"video.frame_interval": config.video.frame_interval}
    if config.imports.summaries is not None:
        summarise = Node("summarise", inputs=("probe",), imported=True, settings=interval)
    elif not config.summarise.enabled:
        off = {**interval, "summarise.enabled": False}
        summarise = Node("summarise", inputs=("probe", "clean"), settings=off)
    else:
        summarise = Node("summarise", inputs=("probe", "clean"), role="chat", settings=_settings(config, "summarise"))
    if config.imports.scores is not None:
        score = Node("score", inputs=("probe",), imported=True, settings=interval)
    else:
        score = Node("score", inputs=("summarise",), role="chat", settings=_settings(config, "score"))
    return [summarise, score]


def _clean_node(config: LavadConfig, captions: Sequence[Node]) -> Node:
    settings = _settings(config, "clean")
    if config.imports.cleaned is not None:  # which frames: all that the captions are needed of
        which = {path: value for path, value in settings.items() if path.startswith(("video.", "window."))}
        return Node("clean", inputs=("probe",), imported=True, settings=which)
    if config.clean.enabled:
        inputs = (*(node.id for node in captions), "embed_captions", "probe", "embed_frames")
    else:
        inputs = ("probe", captions[0].id)
    return Node("clean", inputs=inputs, settings=settings)


def _refine_node(config: LavadConfig) -> Node:
    if config.imports.refined is not None:
        raw = () if config.imports.scores is None else ("score",)
        interval = {"video.frame_interval": config.video.frame_interval}
        return Node("refine", inputs=("probe", *raw), imported=True, settings=interval)
    inputs: tuple[str, ...] = ("probe", "score")
    if config.refine.enabled:
        inputs = (*inputs, "summarise", "embed_summaries", "embed_windows")
    return Node("refine", inputs=inputs, settings=_settings(config, "refine"))


def _detect_inputs(config: LavadConfig) -> tuple[str, ...]:
    """The texts at a segment's peak are not worth making for it alone: imported summaries need no captions, and imported
    refined scores no texts at all."""
    given = config.imports
    made = given.summaries is None and given.refined is None
    captions = ("clean",) if made or given.cleaned is not None else ()
    summaries = ("summarise",) if made or given.summaries is not None else ()
    return ("probe", *captions, *summaries, "refine")


def build_graph(config: LavadConfig, identities: Mapping[str, str]) -> Graph:
    """The nodes that ``config.run.targets`` need; where there are labels, also those that metrics need.

    Args:
        config: the configuration.
        identities: role to model identity, for every role that occurs (``models.identity``).
    """
    captions = _caption_nodes(config)

    def encoder(stage: str, *inputs: str) -> Node:
        return Node(stage, inputs=inputs, role="encoder", settings=_settings(config, stage))

    nodes = [
        Node("probe", settings=_settings(config, "probe")),
        *captions,
        encoder("embed_captions", *(node.id for node in captions)),
        encoder("embed_frames", "probe"),
        encoder("embed_windows", "probe")
        if config.encoder.encodes_clips
        else encoder("embed_windows", "probe", "embed_frames"),
        _clean_node(config, captions),
        *_language_nodes(config),
        encoder("embed_summaries", "summarise"),
        _refine_node(config),
        Node("detect", inputs=_detect_inputs(config), settings=_settings(config, "detect")),
    ]
    targets = set(config.run.targets)
    if "evaluate" in targets or config.evaluate.labels is not None:
        targets.add("refine")  # the metrics of a set are no node of a video; these scores are what they need of each
    wanted: set[str] = set()
    for node in reversed(nodes):
        if node.stage in targets or node.id in wanted:
            wanted |= {node.id, *node.inputs}
    kept = tuple(node for node in nodes if node.id in wanted)
    return Graph(kept, {role: identities[role] for role in sorted({node.role for node in kept if node.role})})


def needed_roles(config: LavadConfig) -> tuple[str, ...]:
    """Roles of the models that a configuration needs, without knowing which models they are."""
    return tuple(build_graph(config, dict.fromkeys(config.models, "?")).identities)


def random_models(config: LavadConfig) -> list[str]:
    """Names of the models that a configuration needs and that are random: scores mean nothing then."""
    models = [config.models[role].model for role in needed_roles(config)]
    return [model for model in models if model.startswith(PREFIX)]
