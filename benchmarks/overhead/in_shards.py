"""Sets of very many videos in shards: simulated but for the shards that are measured."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from overhead.commit_only import DEVICES, make_files, numbered, resources_of, settings
from overhead.run_cost import cost_of, in_turn

from lavad_core.config.secrets import public_settings
from lavad_core.planning.set_state import set_state
from lavad_core.planning.sharding import ShardPlan, configuration_digest, kept_plan, take_shard
from lavad_core.planning.shards import SizedVideo, shard_count, shards_of
from lavad_core.runs.manifest import VideoOutcome, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun
from lavad_core.runs.video_list import save_sources, unfinished_of
from lavad_core.video.types import VideoSource

SHARD = "share of its shard's flow run"
"""What is measured of shards, each as a flow run; all else is of the set."""


class SimulatedSet:
    """A set of very many videos in shards, all of them recorded as done but those that are measured.

    Attributes:
        took: Milliseconds for each video, of a shard or of the set; all measurements of one thing together.
    """

    def __init__(self, folder: Path, count: int, rounds: int) -> None:
        self.folder, self.count = folder, count
        self.took: dict[str, list[float]] = defaultdict(list)
        # Neither videos nor plan are kept: a process that plans or reads a set has no other in its memory.
        videos = self._videos()
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
        self._time("share of the plan", lambda: self._planned(self.folder / f"plan-{number}", videos))

    def measure_shard(self, number: int) -> None:
        """One of the shards that are not done, as a flow run."""
        from lavad.flows.score_shard import score_shard

        shard, videos = list(self.measured.items())[number]
        gc.collect()
        nodes = len(resources_of(self.folder).graph.nodes)
        cost = cost_of(
            lambda: score_shard(
                self.set_id, shard, self.shards, self.made_by, settings=settings(self.folder), run_id=new_run_id()
            ),
            videos * nodes,
        )
        self.took[SHARD].append(nodes * cost.show(self.count, f"1 of {self.shards} shards").ms)

    def measure_reading(self) -> None:
        """How far the set is by the records of all shards, as `lavad status` asks, and what `lavad retry` finds left."""
        run = load_run(self.folder, self.made_by)
        self._time("share of all records", lambda: set_state(self.folder, run))
        self._time("share of what is left", lambda: unfinished_of(self.folder, self.made_by))

    def medians(self) -> dict[str, float]:
        """Print what was measured, and return the median of each."""
        for what, values in self.took.items():
            each = ", ".join(f"{value:.3f}" for value in values)
            print(f"{self.count:8}  {what}: {median(values):.3f} ms a video (median of {each})", flush=True)
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
