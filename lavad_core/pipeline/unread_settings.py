"""Settings that a user gave and that change nothing: no stage of the configuration's graph reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lavad_core.config.load import LoadedConfig
from lavad_core.config.recipes import context_prompt_of
from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import PathKey, leaves
from lavad_core.config.tree import ROOT, child, choices, rows
from lavad_core.errors import ConfigError, ServiceError
from lavad_core.pipeline.graph import build_graph
from lavad_core.stages.node import Graph

_MODELS = ("captioners", "encoder", "chat")
_METHOD = ("score", "method")
_TEXTS = ("bank.file", "definitions.file")


def without_effect(loaded: LoadedConfig) -> list[str]:
    """A line for each group of settings that a file or the command line gave, away from their defaults, and that no stage
    reads on the way to the segments: which they are, where they were given, and what would make them count. Fields that no
    result depends on are left out, and so are those of an evaluation; and what a file has for other methods than the one that
    was chosen over it."""
    config, graph = loaded.config, _graph(loaded.config)
    chosen_over = config.score.method != _default(config, _METHOD) and loaded.by_user.get(".".join(_METHOD)) != "file"
    groups: dict[str, list[str]] = defaultdict(list)
    for path, stages, value in leaves(config):
        dotted = ".".join(path)
        if dotted not in loaded.by_user or value == _default(config, path):
            continue
        counts = stages or dotted in _TEXTS or (path[0] == "captioners" and path[-1] == "model")
        if not counts or path[0] == "evaluate" or _has_effect(config, graph, path, stages):
            continue
        field, why = _what_it_needs(config, path, stages)
        if not (chosen_over and loaded.by_user[dotted] == "file" and field in (_METHOD, None)):
            groups[why].append(f"{dotted} ({loaded.origins[dotted]})")
    return [f"without effect: {', '.join(found)}: {why}" for why, found in groups.items()]


def captioners_of_both(loaded: LoadedConfig) -> str:
    """A sentence where a run has captioners of a file and others that the file does not name; otherwise empty."""
    config, own, others = loaded.config, list[str](), list[str]()
    used = _graph(config).identities
    for name in (name for name in config.captioners if f"captioner:{name}" in used):
        given = {path: origin for path, origin in loaded.origins.items() if path.startswith(f"captioners.{name}.")}
        theirs = [origin for path, origin in given.items() if path not in loaded.by_user and origin != "default"]
        if theirs:
            others.append(f"{name} ({theirs[0]})")
        elif "file" in {loaded.by_user.get(path) for path in given}:
            own.append(name)
    if not own or not others:
        return ""
    there = f"{', '.join(others)}, beside {', '.join(own)} of your file"
    return f"captioners of both: {there}; --set captioners.NAME=null takes one out"


def _graph(config: LavadConfig) -> Graph:
    """The graph up to the segments: a run of fewer stages may be followed by one of the others."""
    whole = config.run.model_copy(update={"targets": (*config.run.targets, "detect")})
    return build_graph(config.model_copy(update={"run": whole}), dict.fromkeys(config.models, "?"))


def _has_effect(config: LavadConfig, graph: Graph, path: PathKey, stages: tuple[str, ...]) -> bool:
    """Whether a setting counts in a configuration, whose :func:`_graph` is given."""
    dotted = ".".join(path)
    if dotted in _TEXTS:
        return _says_what_is_anomalous(config, graph, path[0])
    if path[0] in _MODELS:
        role = f"captioner:{path[1]}" if path[0] == "captioners" else path[0]
        return any(node.role == role and (node.stage in stages or not stages) for node in graph.nodes)
    if path[0] == "imports":  # whose values they are, each video says
        return any(node.imported or node.stage == "probe" for node in graph.nodes if node.stage in stages)
    return graph.nodes != _graph(_with(config, path, _default(config, path))).nodes


def _says_what_is_anomalous(config: LavadConfig, graph: Graph, section: str) -> bool:
    """Whether the texts of the section's file are used: stages read their digest, or the prompt that is made of them."""
    read = {path for node in graph.nodes for path in node.settings}
    if section == "bank":
        return "bank.digest" in read
    if not read.isdisjoint(("bank.digest", "definitions.digest")):
        return True
    try:
        return "score.context_prompt" in read and config.score.context_prompt == context_prompt_of(config.definitions)
    except (ConfigError, ServiceError):  # no prompt can be made of a file that cannot be read
        return False


def _what_it_needs(config: LavadConfig, path: PathKey, stages: tuple[str, ...]) -> tuple[PathKey | None, str]:
    """The one other setting that would make it count, of its own section before others, and the method last, and that in words;
    None where there is none."""
    found: dict[PathKey, list[str]] = {}
    tried: dict[PathKey, int] = defaultdict(int)
    for other, value in _alternatives(config):
        if other == path:
            continue
        changed = _with(config, other, value)
        tried[other] += 1
        if _has_effect(changed, _graph(changed), path, stages) and _is_valid(changed):
            found.setdefault(other, []).append("null" if value is None else str(value).lower())  # as --set takes them
    if not found:
        return None, "no stage of this configuration reads it"
    best = min(found, key=lambda other: (other == _METHOD, other[0] != path[0]))
    values = found[best]
    now = getattr(getattr(config, best[0]), best[1])
    if len(values) == tried[best] > 1:
        return best, f"needs {'.'.join(best)} other than {now}"
    return best, f"needs {'.'.join(best)} {' or '.join(values)}"


def _alternatives(config: LavadConfig) -> Iterator[tuple[PathKey, Any]]:
    """Other values of the fields that stages hang on: words, switches, and imports that need not be."""
    for row in rows():
        path = tuple(row.path.split("."))
        if path[0] in (*_MODELS, "semantics", "run", "evaluate") or len(path) != 2:
            continue
        now = getattr(getattr(config, path[0]), path[1])
        if isinstance(now, bool):
            yield path, not now
        elif words := choices(row.shape):
            yield from ((path, word) for word in words if word != now and isinstance(now, str))
        elif isinstance(now, Path) and path[0] == "imports":
            yield path, None


def _is_valid(config: LavadConfig) -> bool:
    try:
        LavadConfig.model_validate({name: getattr(config, name) for name in LavadConfig.model_fields})
    except (ValidationError, ConfigError):
        return False
    return True


def _default(config: LavadConfig, path: PathKey) -> Any:
    """The value where none is given; a captioner is given as a whole."""
    shape, here = ROOT, config
    for name in path:
        below = child(shape, name, getattr(here, "kind", None))
        assert below is not None
        shape, here = below, here[name] if isinstance(here, dict) else getattr(here, name)
    return None if shape.info is None else shape.info.default


def _with(section: Any, path: PathKey, value: Any) -> Any:
    """The configuration with another value at a path, not validated."""
    if not path:
        return value
    if isinstance(section, BaseModel):
        return section.model_copy(update={path[0]: _with(getattr(section, path[0]), path[1:], value)})
    return {**section, path[0]: _with(section[path[0]], path[1:], value)}
