"""Memory of what could grow with a video's length: planning and following windows, and refinement.

For videos of 1 and 10 hours at 30 frames a second; times and vectors are made up, no video is decoded and no model run.
Windows: the encoder's pass itself, peak of what Python and numpy allocate (the timeline among it). Refinement: the stage
itself on a store, in a process of its own, peak of its resident memory beyond what it had at the start; one batch of
windows, since batches come one after the other.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import pyarrow as pa  # noqa: E402
from support import long_video  # noqa: E402

from lavad_core.config.schema import LavadConfig  # noqa: E402
from lavad_core.stages import refine  # noqa: E402
from lavad_core.stages.vectors import VECTOR, to_column, unit  # noqa: E402
from lavad_core.store.files import FileStore  # noqa: E402
from lavad_core.store.types import Key  # noqa: E402

HOURS = (1, 10)
DIMENSION = 1024
WINDOWS = 4096
"""Rows of a batch that the store gives."""

CASES: dict[str, dict[str, Any]] = {
    "paper": {"sampling": "grid", "vector": "spread"},
    "reference": {"sampling": "any-frame", "vector": "ends", "frame_rate": "constant"},
    "most frames": {"sampling": "any-frame", "vector": "spread", "clips": 9},
}


def window_bytes(hours: float, case: str) -> int:
    """Peak of the encoder's pass over a video, beyond the time stamps that it is given."""
    probe = long_video.probe_of(hours)
    tracemalloc.start()
    try:
        long_video.encode(probe, **CASES[case])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def key(node: str) -> Key:
    return Key(node, "0" * 32, "0" * 32)


def fill(store: FileStore, summaries: int) -> None:
    """Vectors of distinct summaries, and of one batch of windows."""
    random = np.random.default_rng(0)
    schema = pa.schema([pa.field("vector", VECTOR, nullable=False)])
    for node, rows in (("embed_summaries", summaries), ("embed_windows", min(WINDOWS, summaries))):
        with store.writer(key(node), video="v", schema=schema, provenance={}) as writer:
            for start in range(0, rows, WINDOWS):
                count = min(WINDOWS, rows - start)
                vectors = unit(random.normal(size=(count, DIMENSION)).astype(np.float32))
                writer.write(pa.table([to_column(vectors)], schema=schema))
            writer.commit()


def refine_bytes(root: str, hours: float, pool: str) -> int:
    """Peak growth of this process while the stage runs."""
    probe, store = long_video.probe_of(hours), FileStore(root)
    grid = np.arange(0, probe.frames, 16)
    tables = {
        "score": pa.table({"frame": grid, "score": np.random.default_rng(1).random(len(grid))}),
        "summarise": pa.table({"summary": [f"summary {at}" for at in range(len(grid))]}),
    }
    context: Any = SimpleNamespace(
        config=LavadConfig(refine={"pool": pool}),
        node=SimpleNamespace(imported=False),
        resources=SimpleNamespace(store=store),
        table=lambda node, columns: tables[node].select(columns) if node in tables else store.read(find(node), columns),
        input=lambda node: find(node),
        writer=lambda schema: nullcontext(long_video.Rows()),
    )

    def find(node: str) -> Any:
        return store.find(key(node))

    with patch.object(refine, "load_probe", lambda _: probe):
        before = psutil.Process().memory_info().rss
        refine.run(context)
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=HOURS)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, pyarrow {pa.__version__}")
    print(f"Python {platform.python_version()}; MB are 10^6 bytes\n")
    print("hours  windows  what                        peak MB")
    for case in CASES:
        window_bytes(0.02, case)  # imports and caches, which are there whatever the length
    for hours in arguments.hours:
        summaries = len(range(0, round(hours * 3600 * long_video.FRAME_RATE), 16))
        for case in CASES:
            peak = window_bytes(hours, case)
            print(f"{hours:5g}  {summaries:7d}  {'windows, ' + case:<26}  {peak / 1e6:7.1f}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            fill(FileStore(folder), summaries)
            for pool in ("unique", "all"):
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                    peak = process.submit(refine_bytes, folder, hours, pool).result()
                print(f"{hours:5g}  {summaries:7d}  {'refinement, ' + pool:<26}  {peak / 1e6:7.1f}", flush=True)


if __name__ == "__main__":
    main()
