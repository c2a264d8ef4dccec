"""Score the failed videos of a run again."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from lavad.flows.run_steps import Preset, configuration, run_name, score
from lavad.tasks.flow_run import RED, name_flow_run
from lavad.tasks.scoring_run import scoring
from lavad.tasks.videos import adopt_videos, unfinished_videos
from lavad_core.config.load import load_config
from lavad_core.runs.manifest import new_run_id


@flow(name="retry-failed", flow_run_name=run_name, persist_result=False, **RED)
def retry_failed(
    run_id: str | None = None,
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    new_id: str | None = None,
    name: str | None = None,
    config: str | None = None,
) -> State[Any]:
    """Score the videos of an earlier run that failed, were rejected or were not reached, with that run's settings. Those that
    are known to be bad are left out.

    Args:
        run_id: id or name of the run; the latest of the store if not given.
        preset: name of a preset; it, ``config`` and ``settings`` say where the store is. Nothing else of them is used: the run
            has its own.
        settings: nested values over preset and ``config``.
        new_id: id of the new run.
        name: name of the new run; that of the earlier one if not given, so that the name then stands for the newer run.
        config: path of a YAML configuration on the machine that runs this.

    Returns:
        The states of ``score_videos``, for the videos that were tried again; ``Completed`` if there were none.
    """
    here = configuration(preset, settings, config)
    left = unfinished_videos(str(here.store), run_id)
    name_flow_run(f"of {left.run_id}")
    if not left.unfinished:
        return Completed(message=f"run {left.run_id} has nothing left to do{left.ending}")
    own = load_config(settings={**left.settings, "store": str(here.store)})
    name = left.name or None if name is None else name
    with scoring(own, new_id or new_run_id(), retry_rejected=True, name=name) as work:
        return score(work, adopt_videos(work.run, left), left.scored, sorted(left.known_bad))
