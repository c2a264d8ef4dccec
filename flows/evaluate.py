"""Evaluate the results of a data set, and compare them with a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from lavad.flows.run_steps import Preset, configuration, run_name
from lavad.tasks.evaluation_artifacts import publish_evaluation
from lavad.tasks.flow_run import RED, name_flow_run
from lavad.tasks.set_evaluation import (
    SetRef,
    check_baseline,
    evaluate_set,
    read_threshold,
    report_folder,
    resolved_run,
    write_set_report,
)
from lavad_core.datasets.types import LabelReading
from lavad_core.escape import fixed
from lavad_core.evaluation.options import EvaluationOptions, event_rules
from lavad_core.evaluation.regression import Regression, checked_tolerances
from lavad_core.evaluation.smoothing import parse_sigma
from lavad_core.evaluation.types import METRIC_TITLES, Evaluation


@flow(name="evaluate", flow_run_name=run_name, persist_result=False, **RED)
def evaluate(
    labels: Path | None = None,
    dataset: str | None = None,
    list_file: Path | None = None,
    run_id: str | None = None,
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    videos: Path | None = None,
    first_frame: int | None = None,
    frame_count_tolerance: int | None = None,
    sigmas: list[float | str] | None = None,
    thresholds: list[float] | None = None,
    threshold_file: str | None = None,
    low_threshold: float | None = None,
    min_length: int = 1,
    max_gap: int = 0,
    resamples: int = 1000,
    seed: int = 0,
    baseline: str | None = None,
    tolerances: dict[str, float] | None = None,
    report: str | None = None,
    config: str | None = None,
    smooth_again: bool = False,
) -> State[Any]:
    """All metrics of a run or an import against a data set's labels, with its report; red if they fell.

    Call it with ``return_state=True``: the states ``Regressed`` and ``PartiallyFailed`` are raised otherwise.

    Args:
        labels: the data set's file or folder of labels. If neither ``labels`` nor ``dataset`` is given, both are those of the
            settings, ``evaluate.labels`` and ``evaluate.dataset``.
        dataset: name of its adapter (``lavad dataset list``).
        list_file: its list of videos; ``evaluate.list`` of the settings likewise.
        run_id: id or name of a run or an import; the latest if not given.
        preset: with ``config`` and ``settings`` says where the store is, as for ``score-videos``.
        settings: as ``preset``.
        videos: folder of the videos, for the pictures of the report.
        first_frame: what a file of intervals calls the first frame, 0 or 1; that of the settings if not given.
        frame_count_tolerance: frames by which the list may count too many; that of the settings if not given.
        sigmas: widths of Gaussians whose rows stand beside the unsmoothed ones: grid steps (a number), frames (``160f``) or
            seconds (``5.3s``).
        thresholds: scores from which on a segment is an event; 0.5 if neither they nor ``threshold_file`` are given.
        threshold_file: a file that ``lavad threshold --output`` wrote; its threshold is one more.
        low_threshold: a segment goes on while scores stay at or above this.
        min_length: shorter segments are left out, frames.
        max_gap: gaps up to this are closed, frames.
        resamples: how many times the bootstrap draws the videos; 0 for no intervals.
        seed: seed of the bootstrap.
        baseline: id or name of a run or import of the store, or a file that ``lavad evaluate --output`` wrote.
        tolerances: metric to how much it may fall; AUC and AP by 0.005 if not given.
        report: folder of the report; ``cache/reports/<id>`` of the store if not given. An existing report is replaced.
        config: as ``preset``.
        smooth_again: whether ``sigmas`` may smooth scores that their run has smoothed already.

    Returns:
        ``Completed``; ``Regressed`` (red) if a metric fell by more than its tolerance, with the difference in its message;
        ``PartiallyFailed`` (red) if videos of the data set have no scores, and are not known to be bad: a metric over a part of
        it is not its own.
    """
    loaded = configuration(preset, settings, config)
    own = loaded.evaluate
    if labels is None and dataset is None:
        labels, dataset, list_file = own.labels, own.dataset, list_file or own.list
    limits = checked_tolerances(tolerances)
    chosen = read_threshold(threshold_file)
    options = EvaluationOptions(
        sigmas=tuple(parse_sigma(str(sigma)) for sigma in sigmas or ()),
        events=event_rules(
            [*(thresholds or ()), *([] if chosen is None else [chosen.threshold])], low_threshold, min_length, max_gap
        ),
        resamples=resamples,
        seed=seed,
        smooth_again=smooth_again,
    )
    reading = LabelReading(
        own.first_frame if first_frame is None else first_frame,
        own.frame_count_tolerance if frame_count_tolerance is None else frame_count_tolerance,
    )
    ref = SetRef(loaded.store, resolved_run(loaded.store, run_id), dataset, labels, list_file, videos, reading)
    name_flow_run(f"of {ref.run_id}")
    found = evaluate_set(ref, options, chosen)
    regression = None if baseline is None else check_baseline(ref, found, options, baseline, limits)
    folder = report or report_folder(loaded.store, found.header.results["id"])
    curves = write_set_report(ref, found, folder)
    name, message = final_state(found, regression)
    publish_evaluation(found, name, message, regression, folder, curves)
    return Completed(message=message) if name == "Completed" else Failed(name=name, message=message)


def final_state(evaluation: Evaluation, regression: Regression | None) -> tuple[str, str]:
    """The name of the flow run's last state, and its message."""
    header, metrics = evaluation.header, evaluation.rows[0].metrics
    numbers = ", ".join(
        f"{METRIC_TITLES[key]} {fixed(metrics[key].value, none='undefined')}" for key in ("auc", "average_precision")
    )
    parts = [numbers] if regression is None else [numbers, regression.message]
    name = "Completed"
    known = f"{len(header.known_bad)} known to be bad"
    if header.missing:
        name = "PartiallyFailed"
        ending = f", {known}" if header.known_bad else ""
        parts.append(f"{header.missing} of {header.listed} videos of {header.dataset} have no scores{ending}")
    elif header.known_bad:
        parts.append(f"over {header.scored} of {header.listed} videos of {header.dataset}, {known}")
    if regression is not None and regression.falls:
        name = "Regressed"
    return name, "; ".join(parts)
