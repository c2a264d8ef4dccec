"""Score a set of videos."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from lavad.flows.run_steps import Preset, configuration, run_name, score, score_part
from lavad.tasks.flow_run import RED
from lavad.tasks.scoring_run import scoring
from lavad.tasks.videos import discover_videos, plan_shard
from lavad_core.planning.shards import parse_shard
from lavad_core.runs.manifest import new_run_id


@flow(name="score-videos", flow_run_name=run_name, persist_result=False, **RED)
def score_videos(
    inputs: list[str],
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    run_id: str | None = None,
    refresh: bool = False,
    retry_rejected: bool = False,
    name: str | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    config: str | None = None,
    shard: str | None = None,
) -> State[Any]:
    """Anomaly scores for the frames of videos. What is in the store is not computed again.

    Call it with ``return_state=True``: the state ``PartiallyFailed`` or ``Failed`` is raised otherwise.

    Args:
        inputs: files, folders, globs, list files (``@list``); folders of frames. Relative paths count from the current
            folder of this process, which for a deployment is the folder that it was applied from: give absolute ones there.
            Names that are not valid UTF-8 as ``lavad_core.runs.video_list.encode_input`` writes them.
        preset: a preset's name.
        settings: nested values over preset and ``config``, without secrets: those come from the worker's environment
            (``LAVAD_…``).
        run_id: id of the run; a new one if not given.
        refresh: compute also what is in the store, and replace it.
        retry_rejected: compute again for videos that an earlier run rejected.
        name: name of the run, for people; it can be given wherever a run's id can.
        limit: score only this many of the videos that the inputs name, the first ones.
        config: path of a YAML configuration on the machine that runs this, over the preset.
        shard: score only one part of them, ``3/8`` the third of eight, without metrics: those are over the whole. Which videos
            are in it is planned once and kept in the store.

    Returns:
        ``Completed``; ``PartiallyFailed`` (red) if a video has no scores; ``Failed`` (red) if none has.
    """
    part = None if shard is None else parse_shard(shard)
    loaded = configuration(preset, settings, config)
    run_id, alone = run_id or new_run_id(), part is None
    opened = scoring(loaded, run_id, refresh=refresh, retry_rejected=retry_rejected, name=name, alone=alone)
    with opened as work:
        if part is not None:
            return score_part(work, plan_shard(work.run, inputs, part, limit))
        return score(work, discover_videos(work.run, inputs, limit))
