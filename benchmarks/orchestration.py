"""What it costs to run a data set beside the work itself: stages that only commit, under a real Prefect server.

    python benchmarks/orchestration.py [--quick] [--videos 100,800] [--simulated 100000] [--rounds 3] [--folder DIR]

For each number of videos two runs of the flow, of all stages with one captioner: one that makes every result, and one that
finds all of them; then the same stages without Prefect, and tasks of Prefect that do nothing. Prints milliseconds of wall time
for each stage and video, those of processor time in the flow's process and in the server's, and the growth of the flow
process's memory. Then a set of very many videos in shards, and one of a tenth of them: the plan, shards as flow runs, the
records of all shards as `lavad status` reads them, and what `lavad retry` finds left. Everything is measured several times,
the sizes in turn, because one measurement may differ from the next by more than the limits allow; at the end the medians, and
a line for each limit. No model, no video is decoded, no download.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from overhead.commit_only import DEVICES, make_files, numbered, resources_of, settings, without_work
from overhead.in_shards import SHARD, large_sets
from overhead.run_cost import COLUMNS, RunsCost, cost_of, in_turn, server, typical

from lavad_core.config.load import load_config
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.look import prepare_all, results_there
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.sharding import plan_shards
from lavad_core.planning.shards import shard_count
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.discover import discover

WARM_UP = 10
"""Videos of the run before all others, which pays for imports and the like and is not shown."""

RUN_MS, FOUND_MS, MEMORY_MB, FLAT = 15.0, 2.0, 50.0, 1.25
"""The limits: of a stage and video, of a stored result, of the growth of memory, and of the largest against the smallest."""

LINEAR = 2.0
"""The limit for a video's share of what is planned or read of a whole set, where the set is ten times as large. Sorting makes
that of a plan 1.25 times; from some size on Python's collector looks through all that the process holds, which takes time too.
Something that grows with the square of the set makes it 10 times."""


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
    """The medians, and a line for each limit."""
    print("medians, and the most that memory grew")
    for (videos, what), found in cost.items():
        found.show(videos, what)
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
    if sets:
        fewer, more = sets
        for what, ms in more.items():
            larger = _limited(ms / fewer[what], FLAT if what == SHARD else LINEAR, "times")
            print(f"a video's {what} in a set ten times as large: {larger}")


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
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: at least 1")
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
