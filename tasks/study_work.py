"""A study, step by step; the flow says in which order the steps are taken."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from lavad.tasks import videos
from lavad.tasks.artifacts import Progress
from lavad.tasks.channel import Channel
from lavad.tasks.ending import LAST_TRIES_AGAIN, begun, decided, hurry
from lavad.tasks.flow_run import name_flow_run
from lavad.tasks.job import UNCACHED, Job, RunRef, known, listeners
from lavad.tasks.scoring_run import Workers, found_record, quoted, returned
from lavad.tasks.stage_task import StageTask, bind
from lavad.tasks.stages import STAGE_TASKS
from lavad_core.errors import GivenUp, InternalError, LavadError, VideoRejected
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.pipeline.look import FoundResult
from lavad_core.pipeline.pace import workers_of
from lavad_core.pipeline.side_by_side import SharedResult, SharedStep
from lavad_core.plain_text import first_few, number_of
from lavad_core.runs.video_list import decode_input
from lavad_core.store.types import Key
from lavad_core.studies import study_text
from lavad_core.studies.study_file import Study
from lavad_core.studies.study_run import OnStep, StudyRun, open_study
from lavad_core.studies.study_runs import PlannedRow
from lavad_core.studies.study_table import StudyTable
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

log = logging.getLogger("lavad_core.flow")

TABLE_KEY = "lavad-study"

ROWS_IN_NAME = 3
"""Rows of a study that the name of a task run has; a result may be of all."""

_watching: list[OnStep] = []


@contextmanager
def watching_steps(on_step: OnStep) -> Iterator[None]:
    """Studies within it tell ``on_step`` about each step, and how many results it looks for or makes."""
    _watching.append(on_step)
    try:
        yield
    finally:
        _watching.remove(on_step)


@task(name="discover", description="Find the videos that the inputs name.", **UNCACHED)
def find_videos(inputs: list[str]) -> list[VideoSource]:
    """The videos.

    Raises:
        InputError: an input names nothing.
    """
    return discover([decode_input(text) for text in inputs])


@task(name="prepare", description="Digest the videos' content, for all rows.", **UNCACHED)
def prepare_study(study: StudyRun, sources: list[VideoSource], limit: int | None) -> None:
    """Learn the keys of all results of all rows; errors as of :meth:`lavad_core.studies.study_run.StudyRun.take`."""
    study.take(sources, limit)


@task(name="measure", description="The metrics of each row, beside the paper's.", **UNCACHED)
def measure_study(study: StudyRun) -> StudyTable:
    """The table, which the store then has too."""
    return study.table()


@task(name="publish", description="Publish the table of a study.", **UNCACHED)
def publish_table(table: StudyTable) -> bool:
    """Publish the table, and return whether the server took it. The store has it too."""
    with closing(Channel()) as shown:
        shown.artifact(
            "table of the study", "markdown", TABLE_KEY, study_text.as_markdown(table), f"Study {table.study}"
        )
    return shown.all_shown


class StudyWork:
    """One study. Steps: :meth:`take`, :meth:`stage` for each of :attr:`steps`, :meth:`finish`."""

    def __init__(self, study: StudyRun, jobs: Sequence[tuple[RunRef, Job]], workers: Workers) -> None:
        self._study, self._jobs, self._workers = study, jobs, workers
        self._there: dict[Key, FoundResult] = {}
        self._progress = Progress(0)

    @property
    def steps(self) -> Iterator[SharedStep]:
        """The work of all rows, so ordered that each model is loaded once."""
        return self._study.beside.steps()

    def take(self, sources: list[VideoSource], limit: int | None) -> None:
        """Learn the content of the first ``limit`` videos, and what of all rows is in the store, before anything is made."""
        prepare_study(self._study, quoted(sources), limit)
        seen: set[Key] = set()
        for (ref, _), part in zip(self._jobs, self._study.beside.parts, strict=True):
            new = {
                name: {node_id: key for node_id, key in keys.items() if key not in seen}
                for name, keys in part.keys.items()
            }
            seen.update(key for keys in new.values() for key in keys.values())
            for name, there in videos.look_for_results(ref, quoted(new)).items():
                self._there |= {new[name][node_id]: found for node_id, found in there.items()}
        self._progress = Progress(len(seen))
        self._progress.start()

    def stage(self, step: SharedStep) -> None:
        """The results of a step, for all rows that want them: one task run for each that is not in the store."""
        results = self._study.beside.wanted(step)
        node_id = step.nodes[0][1]
        self._progress.stage(node_id, len(results))
        for on_step in _watching:
            on_step(step, len(results))
        self._found([result for result in results if result.key in self._there])
        sent: dict[PrefectFuture[Any], SharedResult] = {
            self._workers.submit(self._task(step, result), self._parameters(result)): result
            for result in results
            if result.key not in self._there
        }
        errors: list[tuple[SharedResult, BaseException | None]] = []
        for future in self._workers.ended(sent):
            self._collect(sent[future], future, errors)
        # What was not tried, since another result could not be made, is not what ends the study.
        for result, error in sorted(errors, key=lambda one: isinstance(one[1], GivenUp)):
            if not isinstance(error, LavadError):
                raise error or InternalError(f"{result.node_id} of {result.video.name!r} ended without a result")
            self._study.beside.failed(result, error)

    def _task(self, step: SharedStep, result: SharedResult) -> StageTask:
        return bind(STAGE_TASKS[step.stage], result.resources.config.run)

    def _parameters(self, result: SharedResult) -> dict[str, Any]:
        rows = first_few(self._study.rows_of(result.wanted_by), ROWS_IN_NAME)
        ref = replace(self._jobs[result.wanted_by[0]][0], rows=rows)
        return {"run": quoted(ref), "video": quoted(result.video), "node_id": result.node_id}

    def _found(self, results: Sequence[SharedResult]) -> None:
        there = [(one, self._there[one.key]) for one in results]
        if there:
            self._study.recorder.found([found_record(one.video, one.node_id, found) for one, found in there])
        for one, found in there:
            if found.status == "rejected":
                self._study.beside.failed(one, VideoRejected(found.reason, found.message))
            self._progress.add(1)

    def _collect(
        self,
        result: SharedResult,
        future: PrefectFuture[Any],
        errors: list[tuple[SharedResult, BaseException | None]],
    ) -> None:
        future.wait()
        if self._jobs[result.wanted_by[0]][1].results.pop((result.node_id, result.video.name), None) is None:
            errors.append((result, returned(future)[1]))
        self._progress.add(1)

    def finish(self) -> State[Any]:
        """Measure, publish the table, and say how the study ended."""
        self._progress.stop()
        table = measure_study(self._study)
        rows = [row for row in table.rows if not row.quoted]
        partial = [row.name for row in rows if row.partial] if table.partial else []
        message = f"{number_of(len(rows), 'row')} measured"
        if partial:
            message += f"; partial: {first_few(partial)}"
        state: State[Any] = Failed(name="PartiallyFailed", message=message) if partial else Completed(message=message)
        decided(state)
        if not publish_table(table):
            hurry(LAST_TRIES_AGAIN)
        return state

    def close(self) -> None:
        """Stop showing progress."""
        self._progress.stop()


@contextmanager
def study_at_work(
    name: str, study: Study, rows: Sequence[PlannedRow], run_id: str, options: EvaluationOptions
) -> Iterator[StudyWork]:
    """A study with its worker threads; its rows are made known to the tasks of this process."""
    with open_study(name, study, rows, run_id=run_id, options=options, listeners=listeners()) as run:
        first = run.beside.parts[0].resources
        store = str(first.store.root.absolute())
        jobs = {
            RunRef(f"{run_id} {at}", store): Job(part.resources, run.recorder)
            for at, part in enumerate(run.beside.parts)
        }
        begun()
        name_flow_run(run_id)
        workers = Workers(max_workers=workers_of(first.config))
        with known(jobs), closing(StudyWork(run, list(jobs.items()), workers)) as work, workers:
            try:
                yield work
            except BaseException:
                run.beside.stop()
                raise
