"""A part that was meant for a set that the store has, and differs from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fake_stages import FakeStages, make_videos, settings

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.planning.other_sets import incomplete_like
from lavad_core.planning.sharding import ShardPlan, plan_shards, take_shard
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun
from lavad_core.store.files import FileStore
from lavad_core.video.discover import discover

VIDEOS = [f"v{number}.mp4" for number in range(6)]


class Sets:
    """Plans sets of the same videos in one store, and records runs of their shards."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        make_videos(folder / "videos", *VIDEOS)

    def planned(self, count: int = 3, videos: str = "videos", **more: Any) -> tuple[ShardPlan, LavadConfig]:
        config = load_config(settings={**settings(self.store), **more}, environ={})
        return plan_shards(config, discover([self.folder / videos]), count, new_run_id()), config

    def run(self, plan: ShardPlan, config: LavadConfig, number: int) -> str:
        with RunRecorder(self.store, new_run_id(), config=public_settings(config)) as recorder:
            part = ShardOfRun(plan.set_id, number, len(plan.shards))
            take_shard(recorder, self.store, plan.shards[number - 1], part)
            recorder.finish("completed")
        return recorder.run_id

    def said(self, *given: Any, **more: Any) -> str | None:
        return incomplete_like(FileStore(self.store), *self.planned(*given, **more))


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sets:
    FakeStages(monkeypatch)
    return Sets(tmp_path)


@pytest.mark.parametrize(
    ("count", "more", "differs"),
    [
        pytest.param(4, {}, "it is in 3 shards, this in 4", id="number"),
        pytest.param(3, {"window": {"samples": 5}}, "window.samples is 10 there, 5 here", id="setting"),
        pytest.param(3, {"videos": "copies"}, "its videos are in ", id="folder"),
        pytest.param(3, {"videos": "more"}, "1 video only here", id="one-more"),
        pytest.param(
            2,
            {"window": {"samples": 5}},
            "it is in 3 shards, this in 2; window.samples is 10 there, 5 here",
            id="both",
        ),
    ],
)
def test_an_incomplete_set_that_a_part_differs_from_is_named(
    count: int, more: dict[str, Any], differs: str, sets: Sets
) -> None:
    make_videos(sets.folder / "copies", *VIDEOS)
    make_videos(sets.folder / "more", *VIDEOS, "v9.mp4")
    first = sets.planned()
    sets.run(*first, 1)
    last = sets.run(*first, 3)
    (sets.store / "sets" / ".DS_Store").touch()
    said = sets.said(count, **more)
    assert said is not None
    assert f"6 videos of which shard 2 of 3 has no run yet (`lavad status {last} --store {sets.store}`)" in said
    assert differs in said


def test_other_sets_are_nothing_to_speak_of(sets: Sets) -> None:
    """A whole one, one that nobody has started, the same, and one of other videos."""
    first = sets.planned()
    assert sets.said(4) is None, "planned and not started"
    sets.run(*first, 1)
    assert sets.said() is None, "the same"
    make_videos(sets.folder / "others", "a.mp4", "b.mp4", "v0.mp4")
    assert sets.said(videos="others") is None
    for number in (2, 3):
        sets.run(*first, number)
    assert sets.said(4) is None, "whole"
