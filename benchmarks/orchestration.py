"""What it costs to run a data set beside the work itself: stages that only commit, under a real Prefect server.

    python benchmarks/orchestration.py [--videos 100,800] [--simulated 100000] [--folder DIR]

For each number of videos two runs of the flow, of all stages with one captioner: one that makes every result, and one that
finds all of them. Prints milliseconds of wall time for each stage and video, those of processor time in the flow's process and
in the server's, and the growth of the flow process's memory. Then, without Prefect, a plan in shards of very many videos and
one pass over the commits of some of them, for a video. No model, no video is decoded, no download.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa

from lavad_core.config.load import load_config
from lavad_core.pipeline import resources as resources_module
from lavad_core.pipeline.look import prepare_all, results_there
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.sharding import plan_shards
from lavad_core.planning.shards import SizedVideo, shard_count, shards_of
from lavad_core.runs.manifest import new_run_id
from lavad_core.stages.registry import STAGES
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

SCHEMA = pa.schema([pa.field("value", pa.int64(), nullable=False)])

BUSY_PERCENT = 10.0
"""Of a core; a server without runs needs less."""

ROLES = ("captioner:a", "encoder", "chat")


def commit_alone(context: Any) -> Any:
    """A stage: one row, committed."""
    with context.writer(SCHEMA) as writer:
        writer.write(pa.table([pa.array([1])], schema=SCHEMA))
        return writer.commit(facts={"frames": 1600})


def without_work() -> None:
    """Every stage of this process only commits, and no model is looked for."""
    for name, stage in STAGES.items():
        STAGES[name] = SimpleNamespace(  # type: ignore[assignment]
            VERSION=stage.VERSION, DESCRIPTION=name, SCHEMA=SCHEMA, reads=stage.reads, run=commit_alone
        )
    resources_module.model_identities = lambda config, cache: dict.fromkeys(ROLES, "none")  # type: ignore[assignment]


def settings(store: Path) -> dict[str, Any]:
    """Of a run over files that are no videos."""
    captioners = {"a": {"kind": "blip2", "model": "none"}}
    return {"store": str(store), "captioners": captioners, "run": {"workers": 2}}


def make_files(folder: Path, count: int) -> Path:
    """Files of different content."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06d}.mp4").write_text(str(number))
    return folder


@dataclass(frozen=True)
class RunsCost:
    """What something took."""

    seconds: float
    """Wall time, seconds."""
    own_cpu_s: float
    """Processor time of this process, seconds."""
    server_cpu_s: float
    """That of the Prefect server, seconds."""
    memory_bytes: int
    """By how much this process's resident memory grew, bytes."""

    def row(self, results: int) -> str:
        """For one result, with the memory of all."""
        ms = [1000 * value / results for value in (self.seconds, self.own_cpu_s, self.server_cpu_s)]
        return f"{ms[0]:9.2f}{ms[1]:12.2f}{ms[2]:12.2f}{self.memory_bytes / 1e6:12.0f}"


def settled() -> None:
    """Wait until the server has written down what it was told: it goes on after a run has ended."""
    servers = psutil.Process().children(recursive=True)
    while any(server.cpu_percent(interval=1.0) > BUSY_PERCENT for server in servers):
        pass


def cost_of(work: Callable[[], Any]) -> RunsCost:
    """Do something, and say what it took."""
    own = psutil.Process()
    servers = own.children(recursive=True)

    def server_s() -> float:
        return sum(sum(server.cpu_times()[:2]) for server in servers if server.is_running())

    memory, start, cpu, of_server = own.memory_info().rss, time.perf_counter(), time.process_time(), server_s()
    work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    settled()
    return RunsCost(seconds, cpu, server_s() - of_server, own.memory_info().rss - memory)


@contextmanager
def server(home: Path) -> Iterator[None]:
    """A Prefect server, as a run of the command line has it."""
    from lavad.deployments.prefect_server import private_server
    from lavad.deployments.prefect_settings import using_api

    with private_server(lambda text: None, home=home) as url, using_api(url, private=True):
        yield


def runs(folder: Path, counts: list[int]) -> None:
    """The flow over sets of several sizes, twice each."""
    from lavad.flows.score_videos import score_videos

    print(f"{'videos':>8}  {'run':8}{'ms':>9}{'own CPU ms':>12}{'server ms':>12}{'memory MB':>12}")
    with server(folder / "home"):
        for count in (10, *counts):  # the first is imports and the like
            store, videos = folder / f"store-{count}", make_files(folder / f"videos-{count}", count)
            nodes = len(RunResources(load_config(settings=settings(store), environ={})).graph.nodes)
            for what in ("computed", "cached"):
                found = cost_of(lambda: score_videos([str(videos)], settings=settings(store)))  # noqa: B023
                if count != 10:
                    print(f"{count:8}  {what:8}{found.row(count * nodes)}", flush=True)


def simulation(folder: Path, count: int, looked_at: int) -> None:
    """The plan of very many videos, and one pass over the commits of some."""
    print("\nwithout Prefect; ms a video")
    videos = [
        SizedVideo(VideoSource(f"{n:07d}", Path(f"{n:07d}.mp4")), f"{n:032x}", n * 7919 % 5000) for n in range(count)
    ]
    for some in (videos[: count // 10], videos):
        shards = shard_count(len(some), devices=64)
        start = time.perf_counter()
        shards_of(some, shards)
        print(f"  {len(some)} videos into {shards} shards: {1000 * (time.perf_counter() - start) / len(some):.4f}")
    for some_files in (looked_at // 4, looked_at):
        store = folder / f"plan-{some_files}"
        sources = discover([make_files(folder / f"many-{some_files}", some_files)])
        config = load_config(settings=settings(store), environ={})
        number = shard_count(some_files, devices=64)
        for what in ("probed and planned", "planned before"):
            found = cost_of(lambda: plan_shards(config, sources, number, new_run_id()))  # noqa: B023
            print(f"  {some_files} files {what}: {1000 * found.seconds / some_files:.2f}")
        resources = RunResources(config)
        prepared = prepare_all(resources, sources)
        keys = {name: resources.graph.keys(video) for name, video in prepared.items()}  # type: ignore[arg-type]
        found = cost_of(lambda: results_there(resources, keys))  # noqa: B023
        print(
            f"  {some_files} files, one pass over {len(resources.graph.nodes)} keys: {1000 * found.seconds / some_files:.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--videos", default="100,800", help="numbers of videos, with commas; empty for none")
    parser.add_argument("--simulated", type=int, default=100_000, help="videos of the plan without Prefect")
    parser.add_argument("--looked-at", type=int, default=2000, help="files that are planned and looked for in a store")
    parser.add_argument("--folder", type=Path, help="where stores are made; a temporary folder if not given")
    given = parser.parse_args()
    without_work()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        if counts := [int(text) for text in given.videos.split(",") if text]:
            runs(Path(folder), counts)
        simulation(Path(folder), given.simulated, given.looked_at)


if __name__ == "__main__":
    main()
