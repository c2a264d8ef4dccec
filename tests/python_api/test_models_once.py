"""Over many videos each model is loaded once in a process: in a library run, and in a shard's flow run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.video_factory import make_video

from lavad.flows.score_shard import score_shard
from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.local_run import score_videos
from lavad_core.models.pool import ModelPool
from lavad_core.planning.sharding import plan_shards
from lavad_core.runs.manifest import load_run, new_run_id
from lavad_core.video.discover import discover

VIDEOS = 30


def in_python(config: LavadConfig, folder: Path) -> int:
    return len(score_videos(config, [folder]).names)


def as_a_shard(config: LavadConfig, folder: Path) -> int:
    run_id = new_run_id()
    plan = plan_shards(config, discover([folder]), 1, new_run_id())
    state = score_shard(plan.set_id, 1, 1, new_run_id(), public_settings(config), run_id, return_state=True)
    assert state.is_completed(), state.message
    return sum(video.status == "ok" for video in load_run(config.store, run_id).videos)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("run", [in_python, as_a_shard])
def test_each_model_is_loaded_once_for_thirty_videos(
    run: Callable[[LavadConfig, Path], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[ModelPool] = []
    made = ModelPool.__init__

    def noted(self: ModelPool, *arguments: Any) -> None:
        pools.append(self)
        made(self, *arguments)

    monkeypatch.setattr(ModelPool, "__init__", noted)
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(VIDEOS):
        make_video(folder / f"{number:02d}.mp4", frames=16 + number % 5, fps=10)
    config = load_config(preset="tiny", settings={"store": str(tmp_path / "store")}, environ={})
    assert run(config, folder) == VIDEOS
    loads = sum((pool.loads for pool in pools), Counter())
    assert set(loads) == {"captioner:random-blip2-opt", "captioner:random-blip2-t5", "encoder", "chat"}
    assert set(loads.values()) == {1}
