"""The five captioners and ImageBind through a run's own stages, over videos that are made here."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from full_size.made import Captioners, Towers, caption_dtype
from full_size.measuring import Plan, Row, forget, gib, peak_gib
from PIL import Image

from lavad_core.config.models import Blip2Config, ImageBindConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.models.devices import limit_memory
from lavad_core.models.kinds import KINDS
from lavad_core.models.kinds.kind import ModelFinding, ModelKind, finding
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import RunManifest, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.scratch import default_scratch
from lavad_core.video.types import VideoSource

SIZE = (320, 240)
"""Width and height of the videos' pictures: those of UCF-Crime."""
GRID = 16
"""Every 16th frame is captioned."""
SHARE = 0.9
"""Of a GPU's memory that the run may take."""
TARGETS = ("caption", "embed_captions", "embed_frames", "embed_windows")


class MadeHere(ModelKind[Any]):
    """A kind of model whose weights are made on the device when it is loaded.

    Attributes:
        seconds: role to what loading took.
    """

    def __init__(self, plan: Plan, section: type[Any], seconds: dict[str, float]) -> None:
        self.plan, self.section, self.seconds = plan, section, seconds

    def identity(self, section: Any, cache: Any) -> str:
        return f"made:{section.model}"

    def where(self, section: Any) -> ModelFinding:
        return finding(section, True, "made when it is loaded")

    def load(self, section: Any, place: str, folder_of: Any) -> Any:
        start = time.perf_counter()
        if self.section is Blip2Config:
            role, model = f"captioner:{section.model}", Captioners(self.plan, section.model).of(section)
        else:
            role, model = "encoder", Towers(self.plan).in_batches(section.batch_size)
        self.seconds[role] = self.seconds.get(role, 0.0) + time.perf_counter() - start
        return model


class Watched(RunResources):
    """Notes for each stage what it took and what it left in memory.

    Attributes:
        stages: node to its row.
    """

    def __init__(self, config: LavadConfig, plan: Plan) -> None:
        super().__init__(config)
        self.plan = plan
        self.stages: dict[str, Row] = {}
        self._begun = time.perf_counter()

    def release_after(self, node_id: str) -> None:
        found: Row = {"wall s": time.perf_counter() - self._begun, "peak GiB": peak_gib(self.plan)}
        on_gpu = self.plan.device.type == "cuda"
        if on_gpu:
            whole = torch.cuda.get_device_properties(self.plan.device).total_memory
            found["peak share"] = round(torch.cuda.max_memory_reserved(self.plan.device) / whole, 4)
        super().release_after(node_id)
        forget(self.plan)
        if on_gpu:
            found["GiB left"] = gib(torch.cuda.memory_allocated(self.plan.device))
        self.stages[node_id] = found
        self._begun = time.perf_counter()


def make_video(path: Path, number: int, frames: int) -> VideoSource:
    """A pattern that moves; a folder of pictures where PyAV is missing."""
    width, height = SIZE
    texture = np.random.default_rng(number).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    wide = np.tile(texture.repeat(8, 0).repeat(8, 1), (1, 2, 1))
    pictures = (wide[:, 2 * index % width :][:, :width] for index in range(frames))
    try:
        import av
    except ImportError:
        path.mkdir()
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(path / f"{index:06d}.jpg", quality=80)
        return VideoSource(path.name, path, "frames")
    path = path.with_suffix(".mp4")
    with av.open(str(path), "w") as media:
        stream: Any = media.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "28"}
        for picture in pictures:
            media.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        media.mux(stream.encode())
    return VideoSource(path.stem, path)


def run(folder: Path, plan: Plan) -> tuple[RunManifest, dict[str, Row], dict[str, float]]:
    """A run, what was noted for each stage, and what loading took."""
    count, frames = plan.videos
    with ThreadPoolExecutor(8) as threads:
        sources = list(threads.map(lambda number: make_video(folder / f"v{number}", number, frames), range(count)))
    device = str(plan.device)
    config = LavadConfig(
        store=folder / "store",
        captioners={
            name: {"kind": "blip2", "model": name, "device": device, "max_new_tokens": plan.new_tokens}
            for name in plan.captioners
        },
        encoder={"kind": "imagebind", "device": device},
        run={"targets": list(TARGETS), "scratch": folder, "device_memory_share": SHARE},
    )
    loading: dict[str, float] = {}
    kinds: dict[Any, Any] = {section: MadeHere(plan, section, loading) for section in (Blip2Config, ImageBindConfig)}
    with (
        patch.dict(KINDS, kinds),
        RunRecorder(config.store, new_run_id(), config={}) as recorder,
        closing(Watched(config, plan)) as resources,
    ):
        failed = run_graph(resources, [resources.prepare(source) for source in sources], recorder)
        if failed:
            raise RuntimeError(f"the run failed: {failed}")
        return recorder.finish("completed"), resources.stages, loading


def pipeline_rows(plan: Plan, rates: dict[torch.dtype, float]) -> Iterator[Row]:
    """Each stage of the run, and all captioners together."""
    forget(plan)
    try:
        with tempfile.TemporaryDirectory(dir=default_scratch()) as name:
            manifest, stages, loading = run(Path(name), plan)
    finally:
        limit_memory(plan.device, 1.0)
    count, frames = plan.videos
    grid = count * len(range(0, frames, GRID))
    captioning: dict[str, float] = {"wall": 0.0, "device": 0.0, "waited": 0.0}
    for node, row in stages.items():
        totals = manifest.stages[node]
        captioner = node.removeprefix("caption:") if node.startswith("caption:") else None
        role = f"captioner:{captioner}" if captioner else "encoder"
        loaded = loading.pop(role, 0.0) if node != "probe" else 0.0
        wall = row["wall s"] - loaded
        found = {"stage": node, "loading s": round(loaded, 1), "s without": round(wall, 2)}
        found |= {"ms a grid frame": round(1000 * wall / grid, 2)}
        if captioner in plan.tflop:
            rate = rates[caption_dtype(plan, captioner)]
            found["ms at the matrix rate"] = round(1000 * plan.tflop[captioner] / rate, 2)
        found |= {"at work": round(totals.device_seconds / wall, 3), "waited": round(totals.waited_seconds / wall, 3)}
        yield found | {name: row[name] for name in ("peak GiB", "peak share", "GiB left") if name in row}
        if captioner:
            for what, amount in (("wall", wall), ("device", totals.device_seconds), ("waited", totals.waited_seconds)):
                captioning[what] += amount
    yield {
        "pipeline": f"{len(plan.captioners)} captioners",
        "videos": count,
        "grid frames": grid,
        "ms a grid frame": round(1000 * captioning["wall"] / grid, 2),
        "at work": round(captioning["device"] / captioning["wall"], 3),
        "waited": round(captioning["waited"] / captioning["wall"], 3),
        "decode passes a video": manifest.work["videos_decoded"] / count,
        "whole run s": manifest.seconds,
    }
