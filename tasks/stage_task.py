"""The one way in which a stage for a video becomes a Prefect task.

No tags on these tasks: a tag costs a request to the server for each task run. Nothing is retried but failures of
services (:class:`lavad_core.errors.ServiceError`, told by class); a bad video is bad the next time too. ``run.retries`` counts
for an outage: a try that brought new answers, which are kept, begins the count again.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, cast

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Completed

from lavad.tasks.job import UNCACHED, Job, RunRef, job_of
from lavad_core.config.schema import RunConfig
from lavad_core.errors import ModelError, ServiceError, StoreUnavailable
from lavad_core.escape import MAX_NAME, escape
from lavad_core.pipeline.execute import run_stage
from lavad_core.pipeline.look import found_result
from lavad_core.runs.work import LLM_REQUESTS
from lavad_core.stages.node import PreparedVideo

JITTER = 0.3
"""Workers that lost the same service do not all come back at once."""

MAX_BACKOFF_S = 600.0
"""A service that needs longer than ten minutes between tries needs a person."""

MOST_TRIES = 1000
"""Tries of a task in all, whatever progress it made in between: a server that comes and goes needs a person too."""

_LAST_TRY = "lavad_last_try"
"""Attribute of a ServiceError: as many tries in a row as there may be have failed without a new answer."""

TRIES: ContextVar[tuple[int, int]] = ContextVar("tries", default=(1, 1))
"""Which try of an outage has failed last in this context, and how many there are."""

StageTask = Task[[RunRef, PreparedVideo, str], State[None] | None]


def is_retried(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed try is tried again: by the exception's class, never by its words."""
    return isinstance(state.data, ServiceError) and not getattr(state.data, _LAST_TRY, False)


def _run_name(parameters: dict[str, Any]) -> str:
    """``caption blip2-opt-6.7b · Arson001_x264``; in a study the names of the rows follow."""
    stage, _, variant = str(parameters["node_id"]).partition(":")
    video, rows = parameters["video"].name, parameters["run"].rows
    names = [f"{stage} {variant}".rstrip(), *(escape(name, limit=MAX_NAME) for name in (video, rows) if name)]
    return " · ".join(names)


def stage_task(stage: str, description: str) -> StageTask:
    """The task of a stage, whose result is in ``Job.results``; :func:`bind` gives it the retries of a run."""

    @task(
        name=stage,
        description=description,
        task_run_name=cast(Any, _run_name),
        retry_condition_fn=is_retried,
        retry_jitter_factor=JITTER,
        **UNCACHED,
    )
    def run(run: RunRef, video: PreparedVideo, node_id: str) -> State[None] | None:
        job = job_of(run)
        job.check(node_id)
        try:
            with job.recorder.stage(video.name, video.video_id, node_id) as record:
                try:
                    commit = run_stage(job.resources, video, node_id, record, refresh=_refresh(job, video, node_id))
                except ServiceError as error:
                    # Anything else that a try made is lost with it.
                    tries = job.failed_tries(node_id, video.name, progressed=record.work[LLM_REQUESTS] > 0)
                    most = job.resources.config.run.retries + 1
                    TRIES.set((tries, most))  # for the listeners of the record's end
                    setattr(error, _LAST_TRY, tries >= most or _is_last_of_all())
                    raise
        except StoreUnavailable as error:
            job.give_up(node_id, str(error))
            raise
        except ModelError as error:
            # One that cannot be loaded fails every video. Otherwise the error is about what the model was given: an input whose
            # vector has no direction must not stop the others.
            if job.resources.models.failed_to_load(job.resources.graph.node(node_id).role):
                job.give_up(node_id, str(error))
            raise
        except ServiceError as error:
            if getattr(error, _LAST_TRY, True):
                job.service_failed(node_id, str(error))
            raise
        job.service_answered(node_id)
        job.results[node_id, video.name] = found_result(commit)
        return Completed(name="Cached") if record.cached else None

    return run


def bind(stage: StageTask, settings: RunConfig) -> StageTask:
    """The task for one run."""
    delays = [min(settings.retry_backoff_s * 2**attempt, MAX_BACKOFF_S) for attempt in range(settings.retries)]
    return stage.with_options(
        retries=MOST_TRIES - 1 if settings.retries else 0,  # is_retried says when it is enough
        retry_delay_seconds=delays or 0,
    )


def _refresh(job: Job, video: PreparedVideo, node_id: str) -> bool:
    if job.refresh or not job.retry_rejected:
        return job.refresh
    found = job.resources.store.find(job.resources.graph.keys(video)[node_id])
    return found is not None and found.status == "rejected"


def _is_last_of_all() -> bool:
    context = TaskRunContext.get()
    return context is None or context.task_run.run_count > context.task.retries
