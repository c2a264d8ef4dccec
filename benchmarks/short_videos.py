"""What batches over videos save where videos are short: batches of one shape, and the share of their rows that is padding.

    python benchmarks/short_videos.py [--videos 40] [--frames 20] [--batch 64] [--workers 8] [--ms 100]

Makes that many small videos and captions all of their frames twice, through the real pipeline, by a model that takes `--ms` for
a batch however many pictures are in it, as a GPU does with one shape: with batches of one video each, and with batches over
all videos in progress. Prints batches, padded rows, seconds and the ratio. No model, no GPU, no download.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch

from lavad_core.config.schema import LavadConfig
from lavad_core.models.batching import Batcher
from lavad_core.models.pool import ModelPool
from lavad_core.models.protocols import Image
from lavad_core.models.shared_batches import SharedBatches
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import RunManifest, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import Geometry, VideoSource

SIDE = 32


class OneShape:
    """A captioner whose batch always takes the same time."""

    geometry = Geometry("square", SIDE)

    def __init__(self, batch: int, seconds: float, shared: bool) -> None:
        self.batches = self.pictures = 0
        self._batcher, self._seconds = Batcher(batch, torch.device("cpu"), what="images", fixed=True), seconds
        self.shared_batches = SharedBatches(self.caption, lambda: batch) if shared else None

    def caption(self, images: Sequence[Image]) -> list[str]:
        return self._batcher.run(images, self._batch)

    def _batch(self, images: Sequence[Image]) -> list[str]:
        self.batches, self.pictures = self.batches + 1, self.pictures + len(images)
        time.sleep(self._seconds)
        return [f"grey level {image.mean():.0f}" for image in images]

    @property
    def padded(self) -> float:
        """Share of the rows that were computed for nobody."""
        return 1 - self.pictures / (self.batches * self._batcher.batch_size)

    def close(self) -> None:
        """Nothing to free."""


class OneModel(ModelPool):
    """The models of a run, of which there is one."""

    def __init__(self, config: LavadConfig, model: OneShape) -> None:
        super().__init__(config)
        self._one = model

    def _model(self, role: str, *_: Any) -> Any:
        return self._get(role, lambda: self._one), self.device_lock


def make_video(path: Path, frames: int, number: int) -> None:
    with av.open(str(path), "w") as media:
        stream = cast(av.VideoStream, media.add_stream("libx264", rate=10))
        stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
        for index in range(frames):
            picture = np.full((SIDE, 2 * SIDE, 3), (7 * number + 5 * index) % 256, np.uint8)
            media.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        media.mux(stream.encode())


def run(store: Path, videos: Sequence[Path], model: OneShape, batch: int, workers: int) -> RunManifest:
    """Captions of all frames."""
    config = LavadConfig(
        store=store,
        captioners={"m": {"kind": "blip2", "model": "random:m", "batch_size": batch}},
        video={"frame_interval": 1},
        run={"targets": ["caption"], "workers": workers},
    )
    with (
        RunRecorder(config.store, new_run_id(), config={}) as recorder,
        closing(RunResources(config, dict.fromkeys(config.models, "one shape"))) as resources,
    ):
        resources.models = OneModel(config, model)
        prepared = [resources.prepare(VideoSource(video.stem, video)) for video in videos]
        if failed := run_graph(resources, prepared, recorder):
            raise SystemExit(f"the run failed: {failed}")
        return recorder.finish("completed")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--videos", type=int, default=40, help="how many")
    parser.add_argument("--frames", type=int, default=20, help="of each, all of which are captioned")
    parser.add_argument("--batch", type=int, default=64, help="pictures of a batch")
    parser.add_argument("--workers", type=int, default=8, help="videos in progress at once")
    parser.add_argument("--ms", type=float, default=100.0, help="that a batch takes")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = [folder / f"{number}.mp4" for number in range(given.videos)]
        for number, video in enumerate(videos):
            make_video(video, given.frames, number)
        for word, shared in (("of one video each", False), ("over videos", True)):
            model = found[word] = OneShape(given.batch, given.ms / 1000, shared)
            manifest = run(folder / word.replace(" ", "-"), videos, model, given.batch, given.workers)
            stage = manifest.stages["caption:m"]
            share = stage.share_at_work
            print(
                f"batches {word:>17}: {model.batches:4} of {given.batch}, {model.padded:5.1%} of the rows padded, "
                f"{stage.device_seconds:5.1f} s at work, {'' if share is None else f'{share:.0%} of the time with its waits'}"
            )
    before, after = (found[word].batches for word in found)
    print(f"{given.videos} videos of {given.frames} frames: {before / after:.1f}x fewer batches")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {given.workers} videos in progress, {given.ms:g} ms a batch")


if __name__ == "__main__":
    main()
