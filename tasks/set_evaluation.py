"""The results of a run or an import against a data set's labels, as tasks: metrics, baseline, report."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prefect import task

from lavad.tasks.job import UNCACHED
from lavad_core.datasets.configured import open_labels
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate as evaluate_results
from lavad_core.evaluation.compute import of_results
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.regression import Regression, against_evaluation, against_results
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.evaluation.threshold import CHOSEN_THRESHOLD, ChosenThreshold, threshold_warnings, with_warnings
from lavad_core.evaluation.types import Evaluation
from lavad_core.location import local_path
from lavad_core.method.detection import SegmentRule
from lavad_core.remote_files import written
from lavad_core.reports.plots import plot_rates
from lavad_core.reports.reported_set import ReportedSet
from lavad_core.reports.site import write_report
from lavad_core.results.open import chosen_run, open_results
from lavad_core.results.types import ResultSet
from lavad_core.runs.manifest import is_run_id, names_of_runs
from lavad_core.store.faults import store_errors
from lavad_core.video.discover import discover


@dataclass(frozen=True)
class SetRef:
    """What is evaluated: all that the tasks of a flow are given of it."""

    store: Path
    """The store's folder."""
    run_id: str
    """Id of the run or import."""
    dataset: str | None
    """Name of the data set's adapter; None takes ``labels`` as a temporal annotation alone."""
    labels: Path | None
    """File of the labels."""
    list_file: Path | None
    """List of the data set's videos."""
    videos: Path | None
    """Folder of the videos, for the report's pictures."""
    reading: LabelReading = field(default_factory=LabelReading)
    """How the files are to be taken."""

    def open(self) -> tuple[Dataset, ResultSet]:
        """Labels and scores.

        Raises:
            InputError: there is no such run, or the labels cannot be read.
        """
        if self.dataset is None and self.labels is None:
            raise InputError("whose labels? Give `dataset`, or `labels` with a temporal annotation, or evaluate.labels")
        dataset = open_labels(self.labels, self.dataset, self.list_file, self.videos, self.reading)
        return dataset, open_results(self.store, self.run_id)


@task(name="resolve", description="Which run or import is evaluated.", **UNCACHED)
def resolved_run(store: Path, run_id: str | None) -> str:
    """The id; of the latest one that has ended if none is given, so that all tasks speak of the same while new ones are made.

    Raises:
        InputError: there is no such run.
    """
    return chosen_run(store, run_id).run_id


def report_folder(store: Path, run_id: str) -> str:
    """Where the report of a run or import is, if no other folder is named."""
    return str(store / "cache" / "reports" / run_id)


def read_threshold(path: str | None) -> ChosenThreshold | None:
    """The threshold of a file that ``lavad threshold --output`` wrote, if one is named.

    Raises:
        InputError: it cannot be read, or was changed.
    """
    return None if path is None else CHOSEN_THRESHOLD.read(local_path(path))


@task(name="evaluate-set", description="All metrics of a set of results.", **UNCACHED)
def evaluate_set(
    ref: SetRef, options: EvaluationOptions, chosen: ChosenThreshold | None, made: Evaluation | None = None
) -> Evaluation:
    """The evaluation, with a warning where the threshold of a file was fitted on these videos. ``made`` is one of the same
    scores with the same options."""
    dataset, results = ref.open()
    found = evaluate_results(dataset, results, options) if made is None else of_results(made, dataset, results, options)
    return found if chosen is None else with_warnings(found, threshold_warnings(chosen, dataset, results))


@task(name="compare-with-baseline", description="Whether metrics fell by more than is tolerated.", **UNCACHED)
def check_baseline(
    ref: SetRef, evaluation: Evaluation, options: EvaluationOptions, baseline: str, tolerances: dict[str, float]
) -> Regression:
    """Beside a run or import of the store, by its id or name, paired; or beside a file that ``lavad evaluate --output`` wrote.

    Raises:
        InputError: there is no such baseline, or it is of other labels or videos.
    """
    if not is_run_id(baseline) and baseline not in names_of_runs(ref.store).values():
        return against_evaluation(evaluation, EVALUATION.read(local_path(baseline)), baseline, tolerances)
    dataset, results = ref.open()
    return against_results(dataset, results, open_results(ref.store, baseline), options, tolerances)


@task(name="write-report", description="Pages, curves and numbers, in a folder.", **UNCACHED)
def write_set_report(ref: SetRef, evaluation: Evaluation, folder: str) -> dict[str, str]:
    """A report as `lavad report` writes it, with ``evaluation.json`` and the curves beside it.

    Returns:
        kind of curve to its picture, a ``data:`` address; empty where the curve is undefined.
    """
    dataset, results = ref.open()
    videos = {} if ref.videos is None else {found.name: found for found in discover([ref.videos])}
    rule = SegmentRule(evaluation.events[0].threshold) if evaluation.events else None
    reported = ReportedSet(results, dataset, videos, ref.store, rule)
    with store_errors("write", Path(folder)), written(Path(folder), "report") as output:
        write_report(reported, evaluation, output)
        (output / "evaluation.json").write_text(EVALUATION.text(evaluation), encoding="utf-8")
        return _curves(evaluation, output)


def _curves(evaluation: Evaluation, output: Path) -> dict[str, str]:
    header = evaluation.header
    pictures: dict[str, str] = {}
    kinds: tuple[Literal["roc", "pr"], ...] = ("roc", "pr")
    for kind, curves in zip(kinds, (evaluation.roc, evaluation.precision_recall), strict=True):
        if not curves:
            continue
        path = output / f"{kind}.svg"
        plot_rates(curves, kind, path, header.positive / header.frames)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        pictures[kind] = f"data:image/svg+xml;base64,{data}"
    return pictures
