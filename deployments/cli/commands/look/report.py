"""``lavad report``: a folder of pages about a run or an import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import dataset as dataset_options
from lavad.deployments.cli.options import evaluation as evaluation_options
from lavad.deployments.cli.options import shown
from lavad.deployments.cli.terminal.text import escape, say, show


@guarded
def report(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder of the report; one that is there is replaced.", parser=options.folder
        ),
    ],
    run: shown.Run = None,
    dataset: dataset_options.DatasetName = None,
    labels: dataset_options.Labels = None,
    list_: dataset_options.ListFile = None,
    first_frame: dataset_options.FirstFrame = None,
    tolerance: dataset_options.Tolerance = 0,
    videos: dataset_options.Videos = None,
    sigma: evaluation_options.Sigmas = None,
    threshold: shown.Threshold = shown.THRESHOLD,
    resamples: evaluation_options.Resamples = evaluation_options.RESAMPLES,
    seed: evaluation_options.Seed = 0,
    store: options.StoreFolder = None,
) -> None:
    """Write pages about a run or an import: metrics, curves, and for each video why its scores are what they are.

    Without labels there are no metrics; a run's own labels are taken if none are given. Without videos there are no pictures;
    a run's are looked for where it found them.
    """
    from lavad_core.evaluation.compute import evaluate
    from lavad_core.evaluation.options import EvaluationOptions, event_rules
    from lavad_core.pipeline.graph import random_models
    from lavad_core.reports.site import write_report

    reported = shown.open_shown(
        store, run, dataset, labels, list_, videos, threshold, dataset_options.reading(first_frame, tolerance)
    )
    evaluation = None
    if reported.dataset is not None:
        protocol = EvaluationOptions(
            evaluation_options.sigmas(sigma), event_rules((reported.rule.threshold,)), resamples, seed
        )
        evaluation = evaluate(reported.dataset, reported.results, protocol)
    else:
        say("there are no labels: the report has no metrics; give --dataset and --labels for them")
    random = [] if reported.results.config is None else random_models(reported.results.config)
    warnings = [f"THE SCORES MEAN NOTHING: these models are random: {', '.join(random)}."] if random else []
    with shown.writing(), shown.counted(len(reported.names), "pages") as done:
        page = write_report(reported, evaluation, output, warnings, done)
    if page.trouble:
        say(f"{len(page.trouble)} videos have no scores; the page lists them")
    show(f"page: {escape(str(output / 'index.html'))}")
    if len(page.rows) < len(reported.names):
        raise typer.Exit(Exit.SOME_FAILED)
