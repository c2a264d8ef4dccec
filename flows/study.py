"""Run a study: all rows of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from lavad.flows.run_steps import Preset, run_name
from lavad.tasks.flow_run import RED
from lavad.tasks.logs import send_library_logs
from lavad.tasks.study_work import find_videos, study_at_work
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.runs.manifest import new_run_id
from lavad_core.studies.study_file import find_study
from lavad_core.studies.study_runs import StudyBase, planned_rows


@flow(name="study", flow_run_name=run_name, persist_result=False, **RED)
def run_study(
    study: str,
    inputs: list[str],
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    run_id: str | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    config: str | list[str] | None = None,
    whole_config: bool = False,
    stand_ins: dict[str, str] | None = None,
    resamples: Annotated[int, Field(ge=0)] = 1000,
) -> State[Any]:
    """A table: each row's metrics beside the paper's. What is in the store is not computed again, what rows share is computed
    once, and each model is loaded once over all rows.

    Call it with ``return_state=True``: the state ``PartiallyFailed`` is raised otherwise.

    Args:
        study: name of a study that comes with the program, or the path of a file on the machine that runs this.
        inputs: as those of ``score_videos``.
        preset: a preset's name, in the place of the study's own.
        settings: nested values over preset and ``config``, without secrets; ``evaluate.labels`` among them. A row's own win
            over these.
        run_id: id of the flow's table; a new one if not given.
        limit: take only this many of the videos that the inputs name, the first ones.
        config: path of a YAML configuration on the machine that runs this, over the preset; or several: the later wins.
        whole_config: whether ``config`` says everything: the study's preset, and models of rows, are then left out.
        stand_ins: captioner that the study names to the one of the configuration that stands for it; language model that it
            names to the address of its server, without a password, or to a YAML file.
        resamples: how many times the bootstrap of the intervals draws the videos; 0 for no intervals.

    Returns:
        ``Completed``; ``PartiallyFailed`` (red) if a row lacks videos.
    """
    send_library_logs()
    files = [Path(one) for one in ([config] if isinstance(config, str) else config or [])]
    base = StudyBase(
        preset,
        files,
        own_preset=not whole_config,
        own_encoders=not whole_config,
        stand_ins=stand_ins or {},
        settings=settings or {},
    )
    name, table = find_study(study)
    rows = planned_rows(name, table, base)
    opened = study_at_work(name, table, rows, run_id or new_run_id(), EvaluationOptions(resamples=resamples))
    with opened as work:
        work.take(find_videos(inputs), limit)
        for step in work.steps:
            work.stage(step)
        return work.finish()
