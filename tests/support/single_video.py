"""A run of a whole configuration on one video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lavad_core.config.load import load_config
from lavad_core.errors import LavadError
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.video_length import VideoLength
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.video_frames import read_probe
from lavad_core.video.types import VideoSource


class SingleVideo:
    """What a run made of a video.

    Attributes:
        failed: the video's name to its error.
    """

    def __init__(self, store: Path, video: VideoSource, *overrides: str, preset: str = "tiny") -> None:
        config = load_config(preset=preset, overrides=(f"store={store}", *overrides), environ={})
        self.resources = RunResources(config)
        self.video = self.resources.prepare(video)
        self.recorder = RunRecorder(store, new_run_id(), config={})
        self.failed: dict[str, LavadError] = run_graph(self.resources, [self.video], self.recorder)

    def rows(self, node: str) -> list[dict[str, Any]]:
        """Of a node's result."""
        found: list[dict[str, Any]] = self.resources.store.read(self.commit(node)).to_pylist()
        return found

    def commit(self, node: str) -> Any:
        """Of a node; None without one."""
        return self.resources.store.find(self.resources.graph.keys(self.video)[node])

    @property
    def times(self) -> VideoLength:
        """The video as a plan knows it."""
        probe = read_probe(self.resources.store, self.commit("probe"))
        return VideoLength(self.video.name, probe.frames, np.asarray(probe.times_s), 0.0, "probe")
