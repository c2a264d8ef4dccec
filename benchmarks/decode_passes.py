"""What decoding once saves: passes a video and time of a run's pictures, with kept frames and without.

    python benchmarks/decode_passes.py [--seconds 20] [--size 1920x1080] [--models 5]

Makes an H.264 video with B-frames and moving content, then hands its grid frames to that many captioners that look at nothing,
of two sizes in turn, and to an encoder that wants them as decoded too: what is left is decoding, keeping, reading and resizing.
Prints the passes of the record, seconds and their ratio, and the machine. No model, no GPU, no download.
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

from lavad_core.config.schema import LavadConfig
from lavad_core.models.pool import ModelPool
from lavad_core.models.protocols import Image, Vectors
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import RunManifest, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.scratch import default_scratch
from lavad_core.video.types import NATIVE, Geometry, VideoSource

FRAMES_A_SECOND = 30
SIZES = (224, 364)
"""Pixels of BLIP-2's checkpoints."""


class Idle:
    """A captioner and an encoder that take pictures and do nothing with them."""

    dimension = 4
    views_per_clip = 3
    image_geometry = Geometry("short_side", 224)
    clip_geometry = NATIVE

    def __init__(self, side: int = 224) -> None:
        self.geometry = Geometry("square", side)

    def caption(self, images: Sequence[Image]) -> list[str]:
        return [f"picture {number}" for number in range(len(images))]

    def embed_images(self, images: Sequence[Any]) -> Vectors:
        return np.ones((len(images), self.dimension), np.float32)

    embed_clips = embed_images

    def close(self) -> None:
        """Nothing to free."""


class IdlePool(ModelPool):
    """The models of a resources, all idle."""

    def _model(self, role: str, *_: Any) -> Any:
        _, _, number = role.partition(":m")
        return self._get(role, lambda: Idle(SIZES[int(number or 0) % len(SIZES)])), self.device_lock


def make_video(path: Path, seconds: int, width: int, height: int) -> None:
    """Noise that moves, so that every frame costs what a camera's does."""
    texture = np.random.default_rng(0).integers(0, 256, (height + 64, width + 64), np.uint8)
    smooth = (texture[:-1, :-1] // 4 + texture[1:, 1:] // 4 + texture[1:, :-1] // 4 + texture[:-1, 1:] // 4)[:, :, None]
    with av.open(str(path), "w") as media:
        stream = cast(av.VideoStream, media.add_stream("libx264", rate=FRAMES_A_SECOND))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for index in range(seconds * FRAMES_A_SECOND):
            y, x = index % 48, (2 * index) % 60
            picture = np.repeat(smooth[y : y + height, x : x + width], 3, axis=2)
            media.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        media.mux(stream.encode())


def run(folder: Path, video: Path, models: int, kept: bool) -> RunManifest:
    """A run of all stages that look at pictures."""
    names = [f"m{number}" for number in range(models)]
    config = LavadConfig(
        store=folder / ("kept" if kept else "each"),
        captioners={name: {"kind": "blip2", "model": f"random:{name}"} for name in names},
        run={"targets": ["caption", "embed_frames", "embed_windows"], **({} if kept else {"frame_cache_bytes": 0})},
    )
    identities = dict.fromkeys(config.models, "idle")
    with (
        RunRecorder(config.store, new_run_id(), config={}) as recorder,
        closing(RunResources(config, identities)) as resources,
    ):
        resources.models = IdlePool(config)
        prepared = resources.prepare(VideoSource(video.stem, video))
        failed = run_graph(resources, [prepared], recorder)
        if failed:
            raise SystemExit(f"the run failed: {failed}")
        return recorder.finish("completed")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=20, help="length of the video")
    parser.add_argument("--size", default="1920x1080", help="of its pictures")
    parser.add_argument("--models", type=int, default=5, help="captioners")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    scratch = default_scratch()
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        make_video(folder / "v.mp4", given.seconds, width, height)
        wall, processor = {}, {}
        for kept in (False, True):
            start = time.monotonic()
            manifest = run(folder, folder / "v.mp4", given.models, kept)
            wall[kept] = time.monotonic() - start
            processor[kept] = sum(totals.cpu_seconds for totals in manifest.stages.values())
            pictures = sum(totals.seconds for node, totals in manifest.stages.items() if node != "probe")
            waited = sum(totals.waited_seconds for totals in manifest.stages.values())
            word = "kept for later models" if kept else "decoded for each model"
            print(
                f"{word:>23}: {manifest.work['videos_decoded']} passes, {wall[kept]:6.1f} s with the probe, {pictures:6.1f} s "
                f"without, {processor[kept]:6.1f} s of processor, "
                f"{waited:6.1f} s of waiting for frames"
            )
    print(
        f"{given.models} captioners and an encoder, {given.seconds} s of {given.size} H.264: "
        f"{wall[False] / wall[True]:.1f}x the time, {processor[False] / processor[True]:.1f}x the processor time"
    )
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, PyAV {av.__version__}, {scratch}"
    )


if __name__ == "__main__":
    main()
