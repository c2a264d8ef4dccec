"""From what the user names to videos whose content is known."""

from __future__ import annotations

import logging
from pathlib import Path

from prefect import task

from lavad.tasks.job import UNCACHED, RunRef, job_of
from lavad_core.errors import InputError
from lavad_core.local_run import first_sources, sources_of
from lavad_core.pipeline.look import FoundResult, prepare_all, results_there
from lavad_core.planning.other_sets import incomplete_like
from lavad_core.planning.sharding import plan_shards, read_shard, take_shard
from lavad_core.planning.shards import ShardNumber
from lavad_core.runs.sets import ShardOfRun
from lavad_core.runs.video_list import Unfinished, decode_input, save_sources, unfinished_of
from lavad_core.stages.node import PreparedVideo
from lavad_core.store.types import Key
from lavad_core.video.types import VideoSource

log = logging.getLogger("lavad_core.tasks")


@task(name="discover", description="Find the videos that the inputs name.", **UNCACHED)
def discover_videos(run: RunRef, inputs: list[str], limit: int | None = None) -> list[VideoSource]:
    """The videos, or only the first ``limit`` of them, noted with the run so that a later one can do the failed ones again.

    Raises:
        InputError: an input names nothing.
    """
    job = job_of(run)
    found = sources_of(job.resources.config, [decode_input(text) for text in inputs])
    return first_sources(job.recorder, Path(run.store), found, limit)


@task(name="plan-shard", description="Probe the videos that the inputs name, and take one shard of them.", **UNCACHED)
def plan_shard(run: RunRef, inputs: list[str], shard: ShardNumber, limit: int | None = None) -> list[VideoSource]:
    """The videos of a shard; its plan is that of the store, or is made and kept there.

    Raises:
        InputError: an input names nothing.
    """
    job = job_of(run)
    config = job.resources.config
    found = sources_of(config, [decode_input(text) for text in inputs])
    job.recorder.limited(limit if limit is not None and limit < len(found) else None)
    plan = plan_shards(config, found[:limit], shard.of, run.run_id, first=(shard.number - 1) / shard.of)
    if plan.made_by == run.run_id and (sentence := incomplete_like(job.resources.store, plan, config)) is not None:
        log.warning("%s", sentence)  # later parts of the same new set need not say it again
    own = plan.shards[shard.number - 1]
    return take_shard(job.recorder, Path(run.store), own, ShardOfRun(plan.set_id, shard.number, shard.of))


@task(name="adopt-shard", description="Take the videos of a shard that is planned.", **UNCACHED)
def adopt_shard(run: RunRef, set_id: str, number: int, of: int, of_run: str) -> list[VideoSource]:
    """The videos of a shard, noted with this run.

    Raises:
        InputError: the store has no such plan, or the plan no such shard.
    """
    root = Path(run.store)
    own = read_shard(root, set_id, number)
    return take_shard(job_of(run).recorder, root, own, ShardOfRun(set_id, number, of, of_run))


@task(name="adopt", description="Take the videos that an earlier run left unfinished.", **UNCACHED)
def adopt_videos(run: RunRef, left: Unfinished) -> list[VideoSource]:
    """The unfinished videos, noted with this run; so are those of the same set that have scores."""
    job_of(run).recorder.limited(left.limit)
    save_sources(Path(run.store), run.run_id, left.unfinished, left.done)
    return left.unfinished


@task(name="unfinished", description="Which videos of an earlier run have no scores.", **UNCACHED)
def unfinished_videos(store: str, run_id: str | None) -> Unfinished:
    """What is left of a run, by its id or name; of the latest one if none is given."""
    return unfinished_of(Path(store), run_id)


@task(name="prepare", description="Digest the videos' content.", **UNCACHED)
def prepare_videos(run: RunRef, sources: list[VideoSource]) -> dict[str, PreparedVideo | InputError]:
    """Name to video with the identity of its content, or to why there is none."""
    return prepare_all(job_of(run).resources, sources)


@task(name="look", description="Which results are in the store: one pass over the commits.", **UNCACHED)
def look_for_results(run: RunRef, keys: dict[str, dict[str, Key]]) -> dict[str, dict[str, FoundResult]]:
    """Video to node id to the stored result."""
    return results_there(job_of(run).resources, keys)
