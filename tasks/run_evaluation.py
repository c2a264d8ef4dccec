"""The metrics of a run's videos against labels, as a task."""

from __future__ import annotations

from typing import Any

from prefect import task

from lavad.tasks.job import UNCACHED, RunRef, job_of
from lavad_core.run_metrics import evaluate_run, metrics_of
from lavad_core.stages.node import PreparedVideo


@task(name="evaluate", description="Frame-level metrics over all videos.", **UNCACHED)
def evaluate(run: RunRef, videos: list[PreparedVideo], unscored: list[str]) -> dict[str, Any] | None:
    """The metrics, None if the configuration names no labels.

    Videos without scores are named in the result; a metric over a part of a data set is not that data set's.
    """
    commit = evaluate_run(job_of(run).resources, videos, unscored)
    return None if commit is None else metrics_of(commit)
