"""Each preset that follows a method, from end to end on small models: it runs, is planned, is computed again exactly where a
setting of it changed, says why its scores are what they are, and everything that reads results reads its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from support.command import lavad
from support.seeing_chat import HERE
from support.video_factory import make_video

from lavad_core.config.load import load_config, presets
from lavad_core.config.reading import read_yaml
from lavad_core.config.schema import LavadConfig
from lavad_core.local_run import score_videos
from lavad_core.pipeline.graph import build_graph
from lavad_core.pipeline.pending import survey
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.rates import packaged_rates
from lavad_core.planning.survey import cost_of_videos
from lavad_core.runs.run_log import load_records
from lavad_core.stage_names import ScoreMethod
from lavad_core.stages.node import Graph, PreparedVideo
from lavad_core.video.discover import discover

RECIPES = [name for name in presets() if load_config(preset=name, environ={}).about.origin]

MODELS = ("captioners", "encoder", "chat")

CHANGED: Mapping[str, tuple[str, str]] = {
    "bank": ("bank.temperature=0.5", "score_bank"),
    "causal": ("smooth.alpha=0.5", "smooth"),
    "definitions": ("definitions.rubric=Look closely.", "score_definitions"),
    "flashback": ("bank.neighbours=3", "score_bank"),
    "llava": ("direct.image_side=64", "score_direct"),
    "nova": ("bank.alpha=0.5", "score_bank"),
    "ordinal": ("score.thresholds=3", "score"),
    "probe-vad": ("clips.stride=2", "score_clips"),
    "ucf-crime": ("refine.neighbours=2", "refine"),
    "urf": ("rescore.band=0.5", "rescore"),
    "vadtree": ("events.peak_threshold=0.6", "find_events"),
    "xd-violence": ("score.context_prompt=both", "score"),
    "zero-shot-clip": ("zero_shot.temperature=1", "score_zero_shot"),
    "zero-shot-imagebind": ("zero_shot.normal=a street", "score_zero_shot"),
    "zero-shot-imagebind-video": ("zero_shot.anomalous=a fire", "score_zero_shot"),
}
"""Preset to a setting of its own, and the stage that reads it first."""

VIDEOS = {"one": 64, "two": 48}

pytestmark = pytest.mark.usefixtures("one_thread")


def picture(seed: int, index: int, size: tuple[int, int]) -> np.ndarray:
    """Another picture every 16 frames."""
    return np.random.default_rng([seed, index // 16]).integers(0, 255, (size[1], size[0], 3), np.uint8)


@dataclass
class Place:
    """Videos, and a store that all recipes share: a recipe must find its own results in it."""

    videos: Path
    store: Path

    def config(self, preset: str, *overrides: str) -> LavadConfig:
        """A preset with small models in the place of its own."""
        tree: dict[str, Any] = read_yaml(presets()[preset], preset).value
        own = {name: section for name, section in tree.items() if name not in MODELS}
        chat = {"kind": "python", "model": HERE}
        settings = {**own, "store": str(self.store), "chat": chat, "captioners": {"random-blip2-t5": None}}
        return load_config(preset="tiny", settings=settings, overrides=overrides, environ={})

    def lavad(self, *arguments: str) -> str:
        done = lavad(*arguments, "--store", str(self.store))
        assert done.exit_code == 0, (arguments, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("recipes")
    (root / "videos").mkdir()
    for seed, (name, frames) in enumerate(VIDEOS.items()):
        make_video(root / "videos" / f"{name}.mp4", frames, fps=16, draw=partial(picture, seed))
    return Place(root / "videos", root / "store")


def downstream(graph: Graph, stage: str) -> set[str]:
    reached = {stage}
    for node in graph.nodes:
        if reached & set(node.inputs):
            reached.add(node.id)
    return reached


def test_each_recipe_is_here() -> None:
    assert sorted(CHANGED) == sorted(RECIPES), "another preset with an origin: give it a line of CHANGED"
    methods = {load_config(preset=name, environ={}).score.method for name in RECIPES}
    assert methods == {*get_args(ScoreMethod)}, "a method without a preset that shows it"


@pytest.mark.parametrize("preset", CHANGED)
def test_a_recipe_is_at_home_in_everything(preset: str, place: Place, tmp_path: Path) -> None:
    config = place.config(preset)
    sources = discover([place.videos])

    # It runs, and a plan knows what that takes.
    before = cost_of_videos(config, sources, packaged_rates())
    assert before.everything.part.videos == len(VIDEOS)
    graph = RunResources(config).graph
    assert {stage.node for stage in before.stages} == {node.id for node in graph.nodes}
    results = score_videos(config, [place.videos])
    assert (list(results.names), dict(results.unscored)) == (list(VIDEOS), {})
    run_id = results.set_id
    assert results.recipe.lines["origin"] == config.about.origin
    for name, frames in VIDEOS.items():
        scores = results.scores(name).scores
        assert len(scores) == -(-frames // 16)
        assert np.isfinite(scores).all()
    after = cost_of_videos(config, sources, packaged_rates())
    assert (after.left.part.videos, after.left.part.work) == (0, {})

    # Each score has a reason: a text that it was made from, or one of its own.
    video = results["one"]
    reasons = video.reasons or video.summaries
    assert sorted(reasons) == results.scores("one").grid.tolist()
    assert all(reasons.values())

    # Another value of a setting of its own: that stage and what follows, and why.
    override, stage = CHANGED[preset]
    other = place.config(preset, override)
    work = survey(RunResources(other), sources).work
    planned = {(item.video, item.node_id): item.why for item in work if item.state == "run"}
    wanted = downstream(graph, stage)
    assert set(planned) == {(name, node) for name in VIDEOS for node in wanted}
    setting = override.partition("=")[0]
    assert all(why.startswith(f"{setting}: ") for (_, node), why in planned.items() if node == stage)
    again = score_videos(other, [place.videos])
    assert dict(again.unscored) == {}
    done = {record.node for record in load_records(place.store, again.set_id) if not record.cached}
    assert done == wanted

    # And everything that reads results.
    assert "one" in place.lavad("status", run_id)
    for view in ("--segments", "--extremes", "--frames"):
        place.lavad("show", "one", "--run", run_id, view)
    shown = json.loads(place.lavad("show", "one", "--run", run_id, "--json"))
    assert [row["score"] for row in shown["grid"]] == results.scores("one").scores.tolist()
    for format_ in ("csv", "json", "parquet", "intervals", "authors"):
        place.lavad("export", format_, str(tmp_path / format_), "--run", run_id)
    place.lavad("report", "--run", run_id, "--output", str(tmp_path / "report"))
    pages = "".join(page.read_text() for page in (tmp_path / "report").rglob("*.html"))
    assert "Why these scores" in pages
    assert config.about.origin.split(",")[0] in pages


@pytest.mark.parametrize("preset", CHANGED)
def test_another_grid_is_another_result_of_every_stage_but_the_probe(preset: str, place: Place) -> None:
    """Otherwise a stage would find the rows of other frames than those that it is asked for."""
    video = PreparedVideo("v", "/v.mp4", "file", "0" * 32)
    one, other = (
        build_graph(config, dict.fromkeys(config.models, "?")).keys(video)
        for config in (place.config(preset, f"video.frame_interval={interval}") for interval in (16, 8))
    )
    assert {node for node, key in one.items() if key == other[node]} == {"probe"}


def test_the_store_that_they_shared_is_whole(place: Place) -> None:
    if not place.store.exists():
        pytest.skip("no recipe ran before this: there is nothing to verify")
    place.lavad("store", "verify")
