"""What it costs to run a data set beside the work itself: stages that only commit, under a real Prefect server.

    python benchmarks/orchestration.py [--quick] [--videos 100,800] [--simulated 100000] [--rounds 3] [--folder DIR]

For each number of videos two runs of the flow, of all stages with one captioner: one that makes every result, and one that
finds all of them; then the same stages without Prefect, and tasks of Prefect that do nothing. Prints milliseconds of wall time
for each stage and video, those of processor time in the flow's process and in the server's, and the growth of the flow
process's memory. Then a set of very many videos in shards, and one of a tenth of them: the plan, shards as flow runs, and what
`lavad status` and `lavad retry` read of all. Everything is measured several times, the sizes in turn, because a single
measurement differs from the next by more than sizes may; at the end a line for each limit, of the medians. No model, no video
is decoded, no download.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.pipeline import resources as resources_module
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.look import prepare_all, results_there
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.sharding import ShardPlan, configuration_digest, kept_plan, plan_shards, take_shard
from lavad_core.planning.shards import SizedVideo, shard_count, shards_of
from lavad_core.runs.manifest import VideoOutcome, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun
from lavad_core.runs.video_list import runs_of_set, save_sources, unfinished_of
from lavad_core.stages.node import PreparedVideo
from lavad_core.stages.registry import STAGES
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

SCHEMA = pa.schema([pa.field("value", pa.int64(), nullable=False)])

WARM_UP = 10
"""Videos of the run before all others, which pays for imports and the like and is not shown."""

BUSY_PERCENT = 10.0
"""Of a core; a server without runs needs less."""

ROLES = ("captioner:a", "encoder", "chat")

DEVICES = 1
"""So few that the shards of a large set have as many videos as they may, however large it is."""

RUN_MS, FOUND_MS, MEMORY_MB, FLAT = 15.0, 2.0, 50.0, 1.25
"""The limits: of a stage and video, of a stored result, of the growth of memory, and of the largest against the smallest."""

COLUMNS = f"{'videos':>8}  {'run':16}{'ms':>9}{'own CPU ms':>12}{'server ms':>12}{'memory MB':>12}"


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


def resources_of(store: Path) -> RunResources:
    """Those of such a run."""
    return RunResources(load_config(settings=settings(store), environ={}))


def make_files(folder: Path, names: list[str]) -> Path:
    """Files of different content."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.mp4").write_text(name)
    return folder


def numbered(count: int) -> list[str]:
    """Names of videos."""
    return [f"{number:07d}" for number in range(count)]


@dataclass(frozen=True)
class RunsCost:
    """What something took, for each of its results."""

    ms: float
    """Wall time, milliseconds."""
    own_cpu_ms: float
    """Processor time of this process, milliseconds."""
    server_cpu_ms: float
    """That of the Prefect server, milliseconds."""
    memory_mb: float
    """By how much this process's resident memory grew in all, MB."""

    def show(self, videos: int, what: str) -> RunsCost:
        """Print it as a row."""
        numbers = f"{self.ms:9.2f}{self.own_cpu_ms:12.2f}{self.server_cpu_ms:12.2f}{self.memory_mb:12.0f}"
        print(f"{videos:8}  {what:16}{numbers}", flush=True)
        return self


def typical(costs: list[RunsCost]) -> RunsCost:
    """The medians of several measurements; of memory the most, since what has grown once is used again."""
    times = (median(getattr(cost, name) for cost in costs) for name in ("ms", "own_cpu_ms", "server_cpu_ms"))
    return RunsCost(*times, max(cost.memory_mb for cost in costs))


def settled() -> None:
    """Wait until the server has written down what it was told: it goes on after a run has ended."""
    servers = psutil.Process().children(recursive=True)
    while any(server.cpu_percent(interval=1.0) > BUSY_PERCENT for server in servers):
        pass


def cost_of(work: Callable[[], Any], results: int) -> RunsCost:
    """Do something, and say what it took for each of so many results."""
    own = psutil.Process()
    servers = own.children(recursive=True)

    def server_s() -> float:
        return sum(sum(server.cpu_times()[:2]) for server in servers if server.is_running())

    memory, start, cpu, of_server = own.memory_info().rss, time.perf_counter(), time.process_time(), server_s()
    work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    settled()
    grown = (own.memory_info().rss - memory) / 1e6
    return RunsCost(*(1000 * value / results for value in (seconds, cpu, server_s() - of_server)), grown)


@contextmanager
def server(home: Path) -> Iterator[None]:
    """A Prefect server, as a run of the command line has it."""
    from lavad.deployments.prefect_server import private_server
    from lavad.deployments.prefect_settings import using_api

    with private_server(lambda text: None, home=home) as url, using_api(url, private=True):
        yield


def bare_tasks(count: int) -> None:
    """A flow of tasks that do nothing, in two threads."""
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    from lavad.tasks.job import UNCACHED

    @task(**UNCACHED)
    def nothing(number: int) -> int:
        return number

    @flow(persist_result=False)
    def bare() -> None:
        with ThreadPoolTaskRunner(max_workers=2) as threads:
            for future in [threads.submit(nothing, {"number": number}) for number in range(count)]:
                future.wait()

    bare()


def without_prefect(folder: Path, videos: Path) -> None:
    """All stages over a set, by the library alone."""
    found = resources_of(folder)
    prepared = [video for video in prepare_all(found, discover([videos])).values() if isinstance(video, PreparedVideo)]
    with RunRecorder(folder, new_run_id(), config={}) as recorder:
        run_graph(found, prepared, recorder)


def in_turn(sizes: list[int], rounds: int) -> Iterator[tuple[int, int]]:
    """The number of the round and a size, each size once a round, every other round backwards: what drifts meets all alike."""
    for number in range(rounds):
        for size in sizes if number % 2 == 0 else reversed(sizes):
            yield number, size


def runs(folder: Path, counts: list[int], rounds: int) -> dict[tuple[int, str], RunsCost]:
    """The flow over sets of several sizes, new and found, and beside it what is not of this program or not of Prefect."""
    from lavad.flows.score_videos import score_videos

    costs: dict[tuple[int, str], list[RunsCost]] = defaultdict(list)

    def measure(number: int | None, count: int) -> None:
        name = f"{count}-{number}"
        store, videos = folder / f"store-{name}", make_files(folder / f"videos-{name}", numbered(count))
        nodes = len(resources_of(store).graph.nodes)
        works: dict[str, Callable[[], Any]] = {
            "computed": lambda: score_videos([str(videos)], settings=settings(store)),
            "cached": lambda: score_videos([str(videos)], settings=settings(store)),
        }
        if number is None or count == counts[0]:
            works["without Prefect"] = lambda: without_prefect(folder / f"alone-{name}", videos)
            works["bare tasks"] = lambda: bare_tasks(count * nodes)
        for what, work in works.items():
            found = cost_of(work, count * nodes)
            if number is not None:
                costs[count, what].append(found.show(count, what))

    measure(None, WARM_UP)
    for number, count in in_turn(counts, rounds):
        measure(number, count)
    return {key: typical(found) for key, found in costs.items()}


class SimulatedSet:
    """A set of very many videos in shards, all of them recorded as done but those that are measured.

    Attributes:
        took: Milliseconds for each result or for each video of the set, all measurements of one thing together.
    """

    def __init__(self, folder: Path, count: int, rounds: int) -> None:
        self.folder, self.count = folder, count
        self.took: dict[str, list[float]] = defaultdict(list)
        videos = (
            self._videos()
        )  # not kept, and neither is the plan: a process that plans or reads a set has no other set
        plan = self._planned(folder, videos)
        self.set_id, self.made_by, self.shards = plan.set_id, plan.made_by, len(plan.shards)
        self.measured = {shard.number: len(shard.videos) for shard in plan.shards[:rounds]}
        make_files(folder / "videos", [video.source.name for shard in plan.shards[:rounds] for video in shard.videos])
        config = public_settings(resources_of(folder).config)
        with RunRecorder(folder, self.made_by, config=config) as over_all:
            over_all.part_of(ShardOfRun(self.set_id, 0, self.shards))
            save_sources(folder, self.made_by, [video.source for video in videos])
            for shard in plan.shards[rounds:]:
                with RunRecorder(folder, new_run_id(), config=config) as recorder:
                    part = ShardOfRun(self.set_id, shard.number, self.shards, self.made_by)
                    names = [source.name for source in take_shard(recorder, folder, shard, part)]
                    recorder.finish("completed", [VideoOutcome(name, "", "ok", "", "", 1.0) for name in names])
            over_all.finish("completed", [])

    def _videos(self) -> list[SizedVideo]:
        return [
            SizedVideo(VideoSource(name, self.folder / "videos" / f"{name}.mp4"), f"{n:032x}", n * 7919 % 5000)
            for n, name in enumerate(numbered(self.count))
        ]

    def _planned(self, store: Path, videos: list[SizedVideo]) -> ShardPlan:
        found = resources_of(store)
        shards = shards_of(videos, shard_count(self.count, devices=DEVICES))
        made = ShardPlan(f"{self.count:032x}", shards, configuration_digest(found.config), new_run_id())
        return kept_plan(found.store, made)

    def _time(self, what: str, work: Callable[[], Any]) -> None:
        gc.collect()  # or the garbage of what was measured before is paid for here
        start = time.perf_counter()
        work()
        self.took[what].append(1000 * (time.perf_counter() - start) / self.count)

    def measure_plan(self, number: int) -> None:
        """The plan of the set, kept in a store of its own."""
        videos = self._videos()
        self._time("plan", lambda: self._planned(self.folder / f"plan-{number}", videos))

    def measure_shard(self, number: int) -> None:
        """One of the shards that are not done, as a flow run."""
        from lavad.flows.score_shard import score_shard

        shard, videos = list(self.measured.items())[number]
        gc.collect()
        cost = cost_of(
            lambda: score_shard(
                self.set_id, shard, self.shards, self.made_by, settings=settings(self.folder), run_id=new_run_id()
            ),
            videos * len(resources_of(self.folder).graph.nodes),
        )
        self.took["stage and video"].append(cost.show(self.count, f"1 of {self.shards} shards").ms)

    def measure_reading(self) -> None:
        """What `lavad status` and `lavad retry` read of all shards."""
        run = load_run(self.folder, self.made_by)
        self._time("status of all", lambda: runs_of_set(self.folder, run))
        self._time("what is left of all", lambda: unfinished_of(self.folder, self.made_by))

    def medians(self) -> dict[str, float]:
        """Print what was measured, and return the median of each."""
        for what, values in self.took.items():
            each = ", ".join(f"{value:.3f}" for value in values)
            print(f"{self.count:8}  {what}: {median(values):.3f} ms (median of {each})", flush=True)
        return {what: median(values) for what, values in self.took.items()}


def large_sets(folder: Path, sizes: list[int], rounds: int) -> list[dict[str, float]]:
    """Sets of several sizes, each thing measured in turn."""
    sets = {size: SimulatedSet(folder / f"set-{size}", size, rounds) for size in sizes}
    for number, size in in_turn(sizes, rounds):
        sets[size].measure_plan(number)
    for number, size in in_turn(sizes, rounds):
        sets[size].measure_shard(number)
    for _, size in in_turn(sizes, rounds):
        sets[size].measure_reading()
    return [sets[size].medians() for size in sizes]


def look(folder: Path, count: int) -> None:
    """Plans and one pass over the commits of files, most of them absent, without Prefect."""
    for some in (count // 4, count):
        store, videos = folder / f"plan-{some}", make_files(folder / f"many-{some}", numbered(some))
        sources = discover([videos])
        config = load_config(settings=settings(store), environ={})
        number = shard_count(some, devices=DEVICES)
        for what in ("probed and planned", "planned before"):
            found = cost_of(lambda: plan_shards(config, sources, number, new_run_id()), some)  # noqa: B023
            print(f"  {some} files {what}: {found.ms:.2f} ms a video")
        resources = RunResources(config)
        keys = {
            name: resources.graph.keys(video)
            for name, video in prepare_all(resources, sources).items()
            if isinstance(video, PreparedVideo)
        }
        found = cost_of(lambda: results_there(resources, keys), some)  # noqa: B023
        print(f"  {some} files, one pass over {len(resources.graph.nodes)} keys: {found.ms:.2f} ms a video")


def verdict(cost: dict[tuple[int, str], RunsCost], counts: list[int], sets: list[dict[str, float]]) -> None:
    """A line for each limit."""
    few, many = cost[counts[0], "computed"], cost[counts[-1], "computed"]
    bare, cached = cost[counts[0], "bare tasks"], cost[counts[-1], "cached"]
    busy = (many.own_cpu_ms + many.server_cpu_ms) / 2
    print(f"\na stage and video at {counts[-1]} videos: {_limited(many.ms, RUN_MS, 'ms')}")
    print(
        f"  the processor time alone, on two cores: {busy:.2f} ms; {many.ms / bare.ms:.2f} times a bare task's wall time"
    )
    print(f"its cost at {counts[-1]} against {counts[0]} videos: {_limited(many.ms / few.ms, FLAT, 'times')}")
    print(f"a stored result at {counts[-1]} videos: {_limited(cached.ms, FOUND_MS, 'ms')}")
    print(
        f"memory at {counts[-1]} against {counts[0]}: {_limited(many.memory_mb - few.memory_mb, MEMORY_MB, 'MB more')}"
    )
    for what in sets[0] if sets else ():
        print(f"a set ten times as large, {what}: {_limited(sets[1][what] / sets[0][what], FLAT, 'times')}")


def _limited(value: float, limit: float, unit: str) -> str:
    return f"{value:.2f} {unit}, limit {limit:g}: {'kept' if value < limit else 'NOT KEPT'}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="50 and 200 videos, and sets of 2,000 and 20,000")
    parser.add_argument("--videos", help="numbers of videos, with commas (100,800)")
    parser.add_argument("--simulated", type=int, help="videos of the set in shards (100000); 0 for none")
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing is measured (3)")
    parser.add_argument("--looked-at", type=int, default=200, help="files that are planned and looked for; 0 for none")
    parser.add_argument("--folder", type=Path, help="where stores are made; a temporary folder if not given")
    given = parser.parse_args()
    counts = [int(text) for text in (given.videos or ("50,200" if given.quick else "100,800")).split(",")]
    simulated = given.simulated if given.simulated is not None else 20_000 if given.quick else 100_000
    if simulated and (shards := shard_count(simulated // 10, devices=DEVICES)) < given.rounds:
        parser.error(
            f"--simulated {simulated}: a set of a tenth has {shards} shards, and {given.rounds} rounds need as many"
        )
    without_work()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n{COLUMNS}")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        with server(folder / "home"):
            cost = runs(folder, counts, given.rounds)
            sets = large_sets(folder, [simulated // 10, simulated] if simulated else [], given.rounds)
        if given.looked_at:
            print("without Prefect")
            look(folder, given.looked_at)
        verdict(cost, counts, sets)


if __name__ == "__main__":
    main()
