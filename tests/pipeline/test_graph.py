"""The graph of stages: keys known before anything runs, and what a changed field re-runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from lavad_core.config.schema import LavadConfig
from lavad_core.pipeline.execute import REJECTED_BY_CONTENT
from lavad_core.pipeline.graph import build_graph, needed_roles
from lavad_core.stage_names import STAGE_NAMES, StageName
from lavad_core.stages.node import Graph, PreparedVideo
from lavad_core.stages.registry import STAGES
from lavad_core.video.types import REJECTIONS

TWO = {"a": {"kind": "blip2", "model": "x"}, "b": {"kind": "blip2", "model": "y"}}
IDENTITIES = {"captioner:a": "A", "captioner:b": "B", "encoder": "E", "chat": "L"}
VIDEO = PreparedVideo(
    "v", "/v.mp4", "file", "0" * 32, {"summarise": "1" * 64, "score": "2" * 64, "caption:a": "3" * 64}
)

LANGUAGE = {"summarise", "score", "embed_summaries", "refine", "detect"}


def graph(identities: dict[str, str] = IDENTITIES, **settings: Any) -> Graph:
    return build_graph(LavadConfig(**{"captioners": TWO, **settings}), identities)


def changed(before: Graph, after: Graph) -> set[str]:
    old, new = before.keys(VIDEO), after.keys(VIDEO)
    return {node_id for node_id in new if old.get(node_id) != new[node_id]}


def test_inputs_come_before_those_that_read_them_and_models_one_after_the_other() -> None:
    seen: list[str] = []
    for node in graph().nodes:
        assert set(node.inputs) <= set(seen)
        seen.append(node.id)
    captioners = [node.role for node in graph().nodes if node.role.startswith("captioner")]
    assert captioners == ["captioner:a", "captioner:b"]
    assert graph().last_user("encoder") == "embed_summaries"
    assert graph().last_user("chat") == "score"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"run": {"workers": 7}}, set()),
        ({"store": "elsewhere"}, set()),
        ({"detect": {"threshold": 0.3}}, {"detect"}),
        ({"refine": {"neighbours": 3}}, {"refine", "detect"}),
        ({"score": {"temperature": 0}}, {"score", "refine", "detect"}),
        ({"window": {"samples": 5}}, LANGUAGE | {"embed_windows"}),
        ({"window": {"clips": 2}}, {"embed_windows", "refine", "detect"}),
        ({"window": {"sampling": "any-frame"}}, LANGUAGE | {"embed_frames", "embed_windows", "clean"}),
        ({"window": {"constant_frame_rate": 25}}, set()),  # not read while frame_rate is native
        ({"chat": {"seed": 1}}, LANGUAGE),
        ({"score": {"expected": True}}, {"score", "refine", "detect"}),
    ],
)
def test_a_changed_field_re_runs_what_it_affects_and_no_more(settings: dict[str, Any], expected: set[str]) -> None:
    assert changed(graph(), graph(**settings)) == expected


def test_another_captioner_leaves_the_first_ones_captions() -> None:
    after = changed(graph(), graph(captioners={**TWO, "b": {**TWO["b"], "max_new_tokens": 5}}))
    assert after == LANGUAGE | {"caption:b", "embed_captions", "clean"}


def test_other_weights_re_run_what_they_affect() -> None:
    after = changed(graph(), graph({**IDENTITIES, "encoder": "other"}))
    assert after == LANGUAGE | {"embed_captions", "embed_frames", "embed_windows", "clean"}


def test_imports_replace_work_and_need_no_model() -> None:
    settings = {"imports": {"captions": {"a": "f"}, "summaries": "s", "scores": "t"}}
    imported = graph({"encoder": "E"}, **settings)
    assert set(imported.identities) == {"encoder"}
    assert imported.has("clean")  # wanted by name
    assert not graph({"encoder": "E"}, **settings, run={"targets": ["detect"]}).has("clean")
    other = PreparedVideo("v", "/v.mp4", "file", "0" * 32, {**VIDEO.imports, "score": "9" * 64})
    assert {k for k, key in imported.keys(other).items() if key != imported.keys(VIDEO)[k]} == {
        "score",
        "refine",
        "detect",
    }


@pytest.mark.parametrize(
    ("settings", "roles"),
    [
        ({}, {"captioner:a", "captioner:b", "encoder", "chat"}),
        ({"run": {"targets": ["probe"]}}, set()),
        ({"run": {"targets": ["caption"]}}, {"captioner:a", "captioner:b"}),
        ({"clean": {"enabled": False}, "refine": {"enabled": False}}, {"captioner:a", "chat"}),
        ({"summarise": {"enabled": False}}, {"captioner:a", "captioner:b", "encoder", "chat"}),
    ],
)
def test_only_the_models_that_are_needed(settings: dict[str, Any], roles: set[str]) -> None:
    assert set(needed_roles(LavadConfig(**{"captioners": TWO, **settings}))) == roles


def test_keys_are_the_same_in_another_process() -> None:
    program = (
        "from lavad_core.config.schema import LavadConfig as C\n"
        "from lavad_core.pipeline.graph import build_graph as g\n"
        "from lavad_core.stages.node import PreparedVideo as V\n"
        "ids = {'captioner:blip2-flan-t5-xxl': 'A', 'encoder': 'E', 'chat': 'L'}\n"
        "print(g(C(), ids).keys(V('v', '/v.mp4', 'file', '0'))['detect'].fingerprint)\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    assert len(seen.pop().strip()) == 32


@pytest.mark.parametrize(
    ("settings", "case"),
    [
        ({"run": {"targets": ["evaluate"]}, "evaluate": {"labels": "/labels.txt"}}, "metrics are the target"),
        ({"run": {"targets": ["score"]}, "evaluate": {"labels": "/labels.txt"}}, "labels are given"),
    ],
)
def test_metrics_need_refined_scores(settings: dict[str, Any], case: str) -> None:
    assert graph(**settings).has("refine"), case
    assert not graph(run={"targets": ["score"]}).has("refine")


def test_every_committed_rejection_is_a_known_one() -> None:
    assert set(REJECTIONS) >= REJECTED_BY_CONTENT


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_a_stage_says_all_of_itself_and_comes_after_its_inputs(name: StageName) -> None:
    stage, before = STAGES[name], STAGE_NAMES[: STAGE_NAMES.index(name)]
    assert stage.VERSION > 0
    assert stage.DESCRIPTION.endswith(".")
    assert stage.SCHEMA.names
    assert callable(stage.run)
    inputs = {node_id.partition(":")[0] for reads in stage.reads(LavadConfig()) for node_id in reads.inputs}
    assert inputs <= set(before)
    assert bool(inputs) == (name != "probe")
