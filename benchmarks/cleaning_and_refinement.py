"""Time of cleaning and refinement on the golden set, and how it grows with the number of videos.

The stages are the pipeline's own (docs/design/architecture.md), without an orchestrator; captions, summaries and scores are
imported. Imports of libraries and loading of the model are not timed. Needs ``../shared/golden`` beside the checkout.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

import pandas  # noqa: E402, F401  pyarrow would import it in the timed part
import torch  # noqa: E402
from support import golden_set  # noqa: E402

from lavad_core.config.schema import LavadConfig  # noqa: E402
from lavad_core.pipeline.execute import run_graph  # noqa: E402
from lavad_core.pipeline.resources import RunResources  # noqa: E402
from lavad_core.runs.manifest import new_run_id  # noqa: E402
from lavad_core.runs.recorder import RunRecorder  # noqa: E402
from lavad_core.video.discover import discover  # noqa: E402

BASELINE_S = 69.0
"""Wall seconds of the authors' program for the same stages of the same three clips on two idle cores, as stated with the
golden set: 29 s cleaning, 41 s refinement, batch 64, model loaded, two threads."""


def timed(shared: Path, inputs: list[str], folder: Path, **changes: Any) -> tuple[float, int]:
    """(seconds, grid frames) of cleaning and refinement for videos in a new store."""
    resources = RunResources(LavadConfig(**golden_set.settings(shared, folder / "store", **changes)))
    videos = [resources.prepare(source) for source in discover(inputs)]
    encoder, _ = resources.models.encoder()
    encoder.embed_texts(["loads the tokenizer"])
    gc.collect()
    gc.freeze()  # what imports and loading made is not walked again when the model is released
    recorder = RunRecorder(resources.store.root, new_run_id(), config={})
    start = time.perf_counter()
    failed = run_graph(resources, videos, recorder)
    seconds = time.perf_counter() - start
    if failed:
        raise SystemExit(f"failed: {failed}")
    grid = 0
    for video in videos:
        commit = resources.store.find(resources.graph.keys(video)["refine"])
        assert commit is not None
        grid += commit.files[0].rows
    return seconds, grid


def copies(shared: Path, folder: Path, count: int) -> tuple[str, dict[str, Any]]:
    """A folder of ``count`` videos with the frames of the longest clip but different bytes (an empty box with a number
    is appended), and the imports that give each the clip's captions, summaries and scores."""
    name = golden_set.NAMES[0]
    clip = (shared / f"golden/reference/videos/{name}.mp4").read_bytes()
    (folder / "videos").mkdir()
    for number in range(count):
        (folder / "videos" / f"{number:03d}.mp4").write_bytes(clip + struct.pack(">I4sI", 12, b"free", number))
    given = golden_set.settings(shared, folder)["imports"]

    def copied(source: Path, target: Path) -> Path:
        target.mkdir(parents=True)
        for number in range(count):
            shutil.copyfile(source / f"{name}.json", target / f"{number:03d}.json")
        return target

    return str(folder / "videos"), {
        "captions": {captioner: copied(source, folder / captioner) for captioner, source in given["captions"].items()},
        "summaries": copied(given["summaries"], folder / "summaries"),
        "scores": copied(given["scores"], folder / "scores"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--repeats", type=int, default=3)
    # On two cores the second one decodes the next video meanwhile; two torch threads would wait for it.
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if not (arguments.shared / "golden").exists():
        raise SystemExit(f"no golden set in {arguments.shared}: nothing was measured")
    torch.set_num_threads(arguments.threads)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} torch thread(s) beside the decoding process"
    )
    print(f"torch {torch.__version__}, Python {platform.python_version()}")
    print(f"baseline: the authors' program, {BASELINE_S:.0f} s (stated, not measured in this run)\n")
    print("semantics  input   median s  grid frames  times faster")
    with tempfile.TemporaryDirectory() as scratch:
        frames = [str(path) for path in golden_set.extract_frames(arguments.shared, Path(scratch))]
        videos = [str(arguments.shared / f"golden/reference/videos/{name}.mp4") for name in golden_set.NAMES]
        for semantics in ("reference", "paper"):
            for what, inputs in (("frames", frames), ("video", videos)):
                runs = []
                for _ in range(arguments.repeats):
                    with tempfile.TemporaryDirectory() as folder:
                        seconds, grid = timed(arguments.shared, inputs, Path(folder), semantics=semantics)
                        runs.append(seconds)
                median = sorted(runs)[len(runs) // 2]
                print(f"{semantics:<9}  {what:<6}  {median:8.2f}  {grid:11d}  {BASELINE_S / median:12.1f}")
        print("\nvideos  grid frames  ms a grid frame (reference, from video)")
        for count in (1, 10, 100):
            with tempfile.TemporaryDirectory() as folder:
                videos_folder, imports = copies(arguments.shared, Path(folder), count)
                seconds, grid = timed(arguments.shared, [videos_folder], Path(folder), imports=imports)
                print(f"{count:6d}  {grid:11d}  {1000 * seconds / grid:7.2f}")


if __name__ == "__main__":
    main()
