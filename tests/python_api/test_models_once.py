"""Over many videos each model is loaded once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.video_factory import make_video

from lavad_core.config.load import load_config
from lavad_core.local_run import score_videos
from lavad_core.models.pool import ModelPool

VIDEOS = 30


@pytest.mark.slow
def test_each_model_is_loaded_once_for_thirty_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    results = score_videos(config, [folder])
    assert len(results.names) == VIDEOS
    loads = sum((pool.loads for pool in pools), Counter())
    assert set(loads) == {"captioner:random-blip2-opt", "captioner:random-blip2-t5", "encoder", "chat"}
    assert set(loads.values()) == {1}
