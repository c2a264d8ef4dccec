"""Score a data set in shards, each a flow run of its own."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from lavad.flows.run_steps import Preset, configuration, run_name
from lavad.tasks.evaluation_artifacts import publish_evaluation
from lavad.tasks.flow_run import RED, lasting_run_id
from lavad.tasks.set_evaluation import SetRef, evaluate_set, report_folder, write_set_report
from lavad.tasks.set_run import over_set, plan_set
from lavad_core.config.schema import LavadConfig
from lavad_core.datasets.types import LabelReading
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import Evaluation

SHARD_DEPLOYMENT = "score-shard/shard"


@flow(name="score-data-set", flow_run_name=run_name, persist_result=False, **RED)
def score_data_set(
    inputs: list[str],
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    run_id: str | None = None,
    shards: Annotated[int, Field(ge=1)] | None = None,
    devices: Annotated[int, Field(ge=1)] = 1,
    issues: Annotated[int, Field(ge=1)] = 3,
    refresh: bool = False,
    name: str | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    config: str | None = None,
    deployment: str = SHARD_DEPLOYMENT,
) -> State[Any]:
    """Anomaly scores for a data set, whose shards any number of workers take. This flow needs no GPU: it probes the videos,
    plans the shards, and waits for what the store says about them.

    Call it with ``return_state=True``: the state ``PartiallyFailed`` or ``Failed`` is raised otherwise.

    Args:
        inputs: files, folders, globs, list files (``@list``), folders of frames, ``s3://`` addresses; absolute paths, the same
            on all workers.
        preset: a preset's name.
        settings: nested values over preset and ``config``, without secrets.
        run_id: id of the run over the set; if not given, a new one, which is the same when the flow run is tried again. Its
            shards have runs of their own.
        shards: how many; about four a device if not given.
        devices: how many devices work on the set at once.
        issues: how often a shard is given to a worker, at most: it is again if its process dies or a service has
            failed it. Each retry of the flow run counts from 0, and also gives again the shards in which videos have failed.
        refresh: compute also what is in the store, and replace it.
        name: name of the run, for people; it can be given wherever a run's id can.
        limit: score only this many of the videos that the inputs name, the first ones.
        config: path of a YAML configuration on the machine that runs this, over the preset.
        deployment: the deployment of the flow ``score-shard``.

    Returns:
        ``Completed``; ``PartiallyFailed`` (red) if a video has no scores; ``Failed`` (red) if none has.
    """
    loaded = configuration(preset, settings, config)
    opened = over_set(
        loaded, run_id or lasting_run_id(), deployment=deployment, refresh=refresh, most_issues=issues, name=name
    )
    with opened as work:
        work.plan(plan_set(work.run, inputs, limit, shards, devices))
        work.issue()
        while work.waiting:
            work.look()
        work.evaluate()
        state = work.finish()
        if work.has_metrics:
            report_set(loaded, work.run.run_id, state, work.evaluation)
        return state


def report_set(config: LavadConfig, run_id: str, state: State[Any], made: Evaluation | None) -> None:
    """The evaluation of the whole set as the flow ``evaluate`` leaves it: a report, and metrics and curves as artifacts.
    ``made`` has its numbers, if it was made in this run."""
    own = config.evaluate
    reading = LabelReading(own.first_frame, own.frame_count_tolerance)
    ref = SetRef(config.store, run_id, own.dataset, own.labels, own.list, None, reading)
    found = evaluate_set(ref, EvaluationOptions(), None, made)
    folder = report_folder(config.store, run_id)
    curves = write_set_report(ref, found, folder)
    publish_evaluation(found, str(state.name), str(state.message), None, folder, curves)
