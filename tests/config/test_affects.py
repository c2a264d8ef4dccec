"""Every field declares the stages it affects, and that is what changing it does: no more, no less."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import Field, SecretStr

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import named_captioners, public_settings
from lavad_core.config.section import Section, affects_of, setting
from lavad_core.config.tree import SettingRow, Shape, rows
from lavad_core.pipeline.graph import build_graph
from lavad_core.stage_names import Affected
from lavad_core.stages.node import Condition, Graph, PreparedVideo
from lavad_core.stages.registry import STAGES

VIDEO = PreparedVideo("v", "/v.mp4", "file", "0" * 32, {"rescore": "1"})

BASES: dict[str, dict[str, Any]] = {
    "paper, local models": {
        "captioners": {"a": {"kind": "blip2", "model": "a"}, "b": {"kind": "openai", "model": "b"}},
        "encoder": {"kind": "imagebind"},
        "chat": {"kind": "transformers", "model": "m"},
        "detect": {"threshold": 0.5, "low_threshold": 0.25},
    },
    "reference, served models": {
        "semantics": "reference",
        "captioners": {"b": {"kind": "openai", "model": "b"}, "a": {"kind": "blip2", "model": "a"}},
        "chat": {"kind": "openai", "context_tokens": 400},  # below total_tokens, so that it counts
    },
    "another encoder, free text, nothing refined": {
        "encoder": {"kind": "clip"},
        "window": {"vector": "ends"},
        "score": {"answer": "free-text"},
        "refine": {"enabled": False},
    },
    "zero-shot": {"score": {"method": "zero-shot"}},
    "zero-shot, windows": {
        "score": {"method": "zero-shot"},
        "encoder": {"kind": "clip"},
        "zero_shot": {"vector": "window"},
    },
    "bank, margin": {"score": {"method": "bank"}, "bank": {"normal_anchor": "first-frames"}},
    "bank, neighbours of windows": {"score": {"method": "bank"}, "bank": {"vector": "window", "rule": "neighbours"}},
    "events, yes/no questions": {"score": {"method": "events", "answer": "ordinal"}},
    "events": {"score": {"method": "events"}, "chat": {"kind": "openai", "context_tokens": 400}},
    "definitions": {"score": {"method": "definitions"}},
    "direct, free text": {"score": {"method": "direct", "answer": "free-text"}, "chat": {"kind": "openai"}},
    "ordinal": {"score": {"answer": "ordinal"}, "chat": {"kind": "transformers", "model": "m"}},
    "clips": {"score": {"method": "clips"}, "chat": {"kind": "openai"}},
    "clips of a frame, a number": {
        "score": {"method": "clips", "answer": "choice"},
        "chat": {"kind": "openai"},
        "clips": {"most_frames": 1},
    },
    "smoothed, in seconds": {"smooth": {"kind": "gaussian"}},
    "smoothed, in grid steps": {"smooth": {"kind": "kernel", "sigma_steps": 10.0}},
    "smoothed, the past alone": {"smooth": {"kind": "ema"}},
    "a second rating": {"rescore": {"enabled": True, "band": 0.25}, "chat": {"kind": "openai", "context_tokens": 1200}},
    "a second rating, imported tags, free text": {
        "rescore": {"enabled": True, "tags": "import"},
        "imports": {"tags": "/tags.json"},
        "score": {"answer": "free-text", "match": "first"},
    },
    "models of the user's own": {
        "captioners": {"a": {"kind": "python", "model": "/a.py:load"}},
        "encoder": {"kind": "python", "model": "package.module:load", "encodes_clips": True},
        "chat": {"kind": "python", "model": "/a.py:load", "options": {"a": [1]}},
    },
}
"""Configurations that read different fields; together they hold every kind of section."""

STRUCTURAL = {
    "run.targets",
    "imports.list",
    "imports.frame_rate",
    "imports.captions",
    "imports.summaries",
    "imports.scores",
    "imports.cleaned",
    "imports.refined",
    "imports.similarities",
    "imports.tags",
    "imports.boundaries",
    "events.boundaries",
    "clean.enabled",
    "refine.enabled",
    "rescore.enabled",
    "rescore.tags",
    "score.method",
    "zero_shot.vector",
    "bank.vector",
}
"""Fields that change which stages there are or what they read from; tested on their own below."""


def test_every_field_declares_existing_stages() -> None:
    found = list(rows())
    assert len(found) > 80  # the walk sees the tree, unions and lists included
    assert {row.path.split(".")[0] for row in found} == set(LavadConfig.model_fields)
    for row in found:
        assert row.shape.info is not None
        assert set(affects_of(row.path, row.shape.info)) <= set(get_args(Affected)), row.path


def test_a_field_without_a_declaration_is_found() -> None:
    class Forgetful(Section):
        told: int = setting(1, affects=("probe",), description="Told.")
        forgotten: int = Field(2)

    shape = Shape("section", {"": Forgetful})
    told, forgotten = rows(shape)
    assert told.shape.info is not None
    assert forgotten.shape.info is not None
    assert affects_of("told", told.shape.info) == ("probe",)
    with pytest.raises(TypeError, match=r"forgotten.*does not declare"):
        affects_of("forgotten", forgotten.shape.info)


def conditions(stage: str) -> dict[str, Condition]:
    found: dict[str, Condition] = getattr(STAGES[stage], "READ_IF", {})
    return found


def test_conditions_are_of_fields_that_the_stage_reads() -> None:
    declared = {row.path.replace("captioners.NAME.", "captioner."): row.shape.info for row in rows()}
    for stage in STAGES:
        for path in conditions(stage):
            info = declared[path]
            assert info is not None
            assert stage in affects_of(path, info)


def graph_of(settings: dict[str, Any]) -> tuple[LavadConfig, Graph]:
    config = load_config(settings=settings, environ={})
    names = [f"captioner:{name}" for name in config.captioners]
    return config, build_graph(config, {role: f"model of {role}" for role in (*names, "encoder", "chat")})


def another_value(row: SettingRow, value: Any) -> Any:
    """A valid value that differs from ``value``."""
    literals = [choice for kind in row.shape.types if get_origin(kind) is Literal for choice in get_args(kind)]
    if others := [choice for choice in literals if choice != value]:
        return others[0]
    if row.path == "detect.threshold":
        return value + 0.125  # above the low threshold
    if row.shape.kind == "mapping":
        return {**value, "other": {"a": 1}}
    if row.name == "model" and row.kinds == ("python",):
        return "/other.py:load"
    types = row.shape.types
    if bool in types:
        return not value
    if int in types:
        return value + 1 if isinstance(value, int) else 17
    if float in types:
        return 0.125 if value is None or isinstance(value, str) else value - 0.125 if value >= 0.25 else value + 0.125
    if Path in types:
        return "/some/other/place"
    if SecretStr in types:
        return "secret"
    if row.name == "base_url":
        return "http://other:8000/v1"
    if row.path == "score.question":
        return f"{value} Now?"
    if str in types:
        return "other" if row.path.startswith("captioners.") or value is None else f"{value}-other"
    assert all(get_origin(kind) is tuple for kind in types), row.path
    return [*value, "other"]


def changed(settings: dict[str, Any], path: str, row: SettingRow) -> dict[str, Any]:
    copy: dict[str, Any] = public_settings(load_config(settings=settings, environ={}))
    copy["captioners"] = named_captioners(copy)
    here: Any = copy
    *parents, last = path.split(".")
    for name in parents:
        here = here[name]
    here[last] = another_value(row, here.get(last))
    return copy


def downstream(graph: Graph, changed_nodes: set[str]) -> set[str]:
    reached = set(changed_nodes)
    for node in graph.nodes:  # inputs come before those that read them
        if reached & set(node.inputs):
            reached.add(node.id)
    return reached


def cases() -> list[Any]:
    found = []
    for base, settings in BASES.items():
        config = load_config(settings=settings, environ={})
        kinds = {"encoder": config.encoder.kind, "chat": config.chat.kind}
        for row in rows():
            if row.path in STRUCTURAL or row.name == "kind":
                continue
            if row.path == "score.expected" and config.score.answer != "choice":
                continue  # refused together
            looked_at = {"zero-shot": config.zero_shot.vector, "bank": config.bank.vector, "events": "frame"}
            own = looked_at.get(config.score.method)
            if row.path == "window.sampling" and own == "frame":
                continue  # refused together
            if row.path == "bank.rule" and config.bank.normal_anchor != "none":
                continue  # refused together
            if row.path == "bank.normal_anchor" and config.bank.rule == "neighbours":
                continue  # refused together
            section = row.path.split(".")[0]
            if section == "captioners":
                paths = [
                    row.path.replace(".NAME.", f".{name}.")
                    for name, captioner in config.captioners.items()
                    if captioner.kind in row.kinds
                ]
            else:
                paths = [row.path] if not row.kinds or kinds[section] in row.kinds else []
            found += [pytest.param(settings, path, row, id=f"{base}: {path}") for path in paths]
    return found


@pytest.mark.parametrize(("settings", "path", "row"), cases())
def test_changing_a_field_changes_the_keys_it_declares(settings: dict[str, Any], path: str, row: SettingRow) -> None:
    before_config, before = graph_of(settings)
    after_settings = changed(settings, path, row)
    after_config, after = graph_of(after_settings)
    assert before_config != after_config
    assert row.shape.info is not None
    declared = set(affects_of(path, row.shape.info))

    captioner = path.split(".")[1] if path.startswith("captioners.") else None

    def touched(node_id: str) -> bool:
        node = before.node(node_id)
        if node.stage not in declared:
            return False
        if captioner is not None and node.variant != captioner:
            return False
        condition = conditions(node.stage).get("captioner." + path.split(".")[2] if captioner is not None else path)
        return condition is None or any(condition(each) for each in (before_config, after_config))

    wanted = downstream(before, {node.id for node in before.nodes if touched(node.id)})
    old, new = before.keys(VIDEO), after.keys(VIDEO)
    assert {node_id for node_id in old if old[node_id] != new[node_id]} == wanted


def test_another_name_of_a_captioner_is_another_captioner() -> None:
    settings = BASES["paper, local models"]
    one, other = settings["captioners"].values()
    _, before = graph_of(settings)
    _, after = graph_of({**settings, "captioners": {"other": one, "b": other}})
    stay = {node.id for node in before.nodes} - downstream(before, {"caption:a"})
    assert {node: before.keys(VIDEO)[node] for node in stay} == {node: after.keys(VIDEO)[node] for node in stay}
    old = before.keys(VIDEO)["caption:a"].fingerprint
    assert old not in {key.fingerprint for key in after.keys(VIDEO).values()}


def test_the_bases_hold_every_kind_of_section() -> None:
    covered = {(row.path, row.kinds) for case in cases() for row in [case.values[2]]}
    expected = {(r.path, r.kinds) for r in rows() if r.path not in STRUCTURAL and r.name != "kind"}
    assert covered == expected


@pytest.mark.parametrize(
    ("case", "change", "stages"),
    [
        (
            "another encoder",
            {"encoder": {"kind": "clip"}},
            {"embed_captions", "embed_frames", "embed_windows", "clean"},
        ),
        ("another chat model", {"chat": {"kind": "openai", "model": "x"}}, {"summarise", "score", "refine", "detect"}),
        ("no refinement", {"refine": {"enabled": False}}, {"refine", "detect"}),
        ("no cleaning", {"clean": {"enabled": False}}, {"clean", "summarise", "score", "refine", "detect"}),
    ],
)
def test_structural_fields(case: str, change: dict[str, Any], stages: set[str]) -> None:
    settings = BASES["paper, local models"]
    _, before = graph_of(settings)
    _, after = graph_of({**settings, **change})
    old, new = before.keys(VIDEO), after.keys(VIDEO)
    differing = {old[node].stage for node in old if old[node] != new.get(node, old[node])}
    assert stages <= differing, case
    assert "probe" not in differing
    assert "caption" not in differing
