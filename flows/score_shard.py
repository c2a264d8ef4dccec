"""Score one shard of a data set."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from lavad.flows.run_steps import configuration, run_name, score_part
from lavad.tasks.flow_run import RED
from lavad.tasks.scoring_run import scoring
from lavad.tasks.videos import adopt_shard


@flow(name="score-shard", flow_run_name=run_name, persist_result=False, **RED)
def score_shard(
    set_id: str,
    number: int,
    of: int,
    of_run: str,
    settings: dict[str, Any],
    run_id: str,
    refresh: bool = False,
) -> State[Any]:
    """Anomaly scores for the videos of a shard that ``score-data-set`` has planned; that flow starts it.

    Args:
        set_id: the set, whose plan is in the store.
        number: number of the shard, from 1.
        of: how many shards the set has.
        of_run: id of the run over the set.
        settings: the configuration, without secrets.
        run_id: id of this run.
        refresh: compute also what is in the store, and replace it.

    Returns:
        The states of ``score_videos``, for the videos of the shard.
    """
    with scoring(configuration(None, settings), run_id, refresh=refresh, alone=False) as work:
        return score_part(work, adopt_shard(work.run, set_id, number, of, of_run))
