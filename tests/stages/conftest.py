"""A store, fake models, and videos whose brightness is their meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_models import IDENTITIES, FakePool
from support.rooms import four_rooms
from support.video_factory import make_video

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import LavadError
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.types import VideoSource

CAPTIONERS = {name: {"kind": "blip2", "model": f"random:{name}"} for name in ("first", "second")}


def grey(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark, and bright from frame 48 to 95."""
    return np.full((size[1], size[0], 3), 205 if 48 <= index < 96 else 35, np.uint8)


class Bench(RunResources):
    """Resources with fake models."""

    def __init__(self, config: LavadConfig, pool: FakePool) -> None:
        super().__init__(config, IDENTITIES)
        self.models: Any = pool
        self.pool = pool
        self.recorder = RunRecorder(self.store.root, new_run_id(), config={})

    def run(self, *videos: PreparedVideo) -> dict[str, LavadError]:
        return run_graph(self, videos, self.recorder)

    def rows(self, video: PreparedVideo, node_id: str) -> list[dict[str, Any]]:
        commit = self.store.find(self.graph.keys(video)[node_id])
        assert commit is not None, node_id
        return self.store.read(commit).to_pylist()


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(pool: FakePool | None = None, **settings: Any) -> Bench:
        config = LavadConfig(**{"store": tmp_path / "store", "captioners": CAPTIONERS, **settings})
        return Bench(config, pool or FakePool())

    return make


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    """200 frames at 10 a second: the grid is 0, 16, … 192."""
    path = make_video(tmp_path_factory.mktemp("videos") / "street.mp4", frames=200, fps=10, draw=grey)
    return VideoSource("street", path)


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    path = make_video(tmp_path_factory.mktemp("videos") / "rooms.mp4", frames=200, fps=10, draw=four_rooms)
    return VideoSource("rooms", path)
