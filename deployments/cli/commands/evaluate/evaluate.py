"""``lavad evaluate``: the metrics of a run or an import against a data set's labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import dataset as dataset_options
from lavad.deployments.cli.options import evaluation as evaluation_options
from lavad.deployments.cli.terminal.text import escape, say, show, show_table

if TYPE_CHECKING:
    from lavad_core.evaluation.evaluation import Evaluation, Header, Metric, VideoRow


@guarded
def evaluate(
    run: Annotated[
        str | None,
        typer.Option("--run", help="Run or import; the latest if not given.", metavar="ID", show_default=False),
    ] = None,
    adapter: dataset_options.DatasetName = None,
    labels: dataset_options.Labels = None,
    list_: dataset_options.ListFile = None,
    first_frame: dataset_options.FirstFrame = None,
    tolerance: dataset_options.Tolerance = 0,
    videos: dataset_options.Videos = None,
    sigma: evaluation_options.Sigmas = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            "--threshold",
            help="Events: a score of at least this is anomalous; may be repeated. 0.5 if not given.",
            metavar="SCORE",
            show_default=False,
        ),
    ] = None,
    threshold_from: Annotated[
        Path | None,
        typer.Option(
            "--threshold-from",
            help="Events: the threshold of a file that `lavad threshold` wrote; warns if it was fitted on these videos.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    low_threshold: evaluation_options.LowThreshold = None,
    min_length: evaluation_options.MinLength = 1,
    max_gap: evaluation_options.MaxGap = 0,
    resamples: evaluation_options.Resamples = evaluation_options.RESAMPLES,
    seed: evaluation_options.Seed = 0,
    worst: Annotated[
        int, typer.Option("--worst", help="Videos of each kind in the last tables.", metavar="N", min=0)
    ] = 5,
    json_: options.AsJson = False,
    output: evaluation_options.Output = None,
    store: options.StoreFolder = None,
) -> None:
    """Print the protocol, then every metric: over all frames, of each class, of events; and the videos that cost most."""
    from lavad_core.evaluation.compute import evaluate as evaluated
    from lavad_core.evaluation.document import to_json
    from lavad_core.evaluation.evaluation import EvaluationOptions
    from lavad_core.evaluation.threshold import fitted_warnings, read_threshold, with_warnings
    from lavad_core.results.open import open_results

    chosen = None if threshold_from is None else read_threshold(threshold_from)
    thresholds = [*(threshold or []), *([] if chosen is None else [chosen.threshold])]
    dataset = dataset_options.labels_of(adapter, labels, list_, videos, dataset_options.reading(first_frame, tolerance))
    results = open_results(options.store_root(store), run)
    found = evaluated(
        dataset,
        results,
        EvaluationOptions(
            sigmas=evaluation_options.sigmas(sigma),
            thresholds=tuple(thresholds or (0.5,)),
            low_threshold=low_threshold,
            min_length=min_length,
            max_gap=max_gap,
            resamples=resamples,
            seed=seed,
        ),
    )
    if chosen is not None:
        warnings = fitted_warnings(chosen, dataset, results.names)
        found = with_warnings(found, warnings)
        for warning in warnings:
            say(f"WARNING: {escape(warning)}")
    if output is not None:
        evaluation_options.write_output(output, to_json(found))
    if json_:
        show(to_json(found).rstrip("\n"))
    else:
        show_evaluation(found, worst)


def show_evaluation(evaluation: Evaluation, worst: int) -> None:
    """The header, then the tables."""
    show_header(evaluation.header)
    _rows(evaluation)
    _classes(evaluation)
    _events(evaluation)
    _worst(evaluation, worst)


def show_header(header: Header) -> None:
    """The protocol, a line each."""
    from lavad_core.evaluation.protocol import protocol_lines

    lines = [*protocol_lines(header), *(("warning", warning) for warning in header.warnings)]
    width = max(12, *(len(name) + 2 for name, _ in lines))
    for name, text in lines:
        show(f"{escape(name) + ':':<{width}}{escape(text)}")


def number(metric: Metric) -> str:
    """The value; a dash where there is none."""
    return "–" if metric.value is None else f"{metric.value:.4f}"


def between(metric: Metric) -> str:
    """The interval; empty where there is none."""
    return "" if metric.low is None or metric.high is None else f"{metric.low:.3f}–{metric.high:.3f}"


def _rows(evaluation: Evaluation) -> None:
    from lavad_core.evaluation.compute import label
    from lavad_core.evaluation.evaluation import METRIC_TITLES

    own = [row for row in evaluation.rows if row.ours]
    n = own[0].metrics["auc_macro"].n
    titles = [f"{title}, n = {n}" if key == "auc_macro" else title for key, title in METRIC_TITLES.items()]
    right = range(1, len(titles) + 1)
    show("")
    show_table(
        ("scores", *titles),
        [(label(row), *(number(row.metrics[key]) for key in METRIC_TITLES)) for row in evaluation.rows],
        right=right,
    )
    if any(between(row.metrics[key]) for row in own for key in METRIC_TITLES):
        show("")
        show_table(
            ("95 % interval", *titles),
            [(label(row), *(between(row.metrics[key]) for key in METRIC_TITLES)) for row in own],
            right=right,
        )
    elif evaluation.header.intervals != "none":
        show("no intervals: the metrics are undefined in too many resamples of so few videos")
    for key, title in METRIC_TITLES.items():
        if reason := own[0].metrics[key].reason:
            show(f"{title} is undefined: {escape(reason)}")


def _classes(evaluation: Evaluation) -> None:
    if not evaluation.classes:
        return
    show("")
    show_table(
        ("class", "videos", "frames", "AUC within", "95 %", "AP within", "AUC + normal", "95 %", "AP + normal"),
        [
            (
                row.name,
                row.videos,
                row.positive,
                *(
                    cell
                    for metrics in (row.within, row.with_normal)
                    for cell in (
                        number(metrics["auc"]),
                        between(metrics["auc"]),
                        number(metrics["average_precision"]),
                    )
                ),
            )
            for row in evaluation.classes
        ],
        right=range(1, 9),
    )
    show(f"+ normal: with all {evaluation.classes[0].normal_videos} normal videos")


def _events(evaluation: Evaluation) -> None:
    if not evaluation.events:
        return
    show("")
    show_table(
        (
            *("threshold", "IoU", "annotated", "found", "matched", "precision", "recall", "F1", "95 %"),
            "false alarms an hour",
        ),
        [
            (
                f"{row.threshold:g}",
                f"{row.iou:g}",
                row.annotated,
                row.found,
                row.matched,
                number(row.precision),
                number(row.recall),
                number(row.f1),
                between(row.f1),
                "–" if row.false_alarms_per_hour.value is None else f"{row.false_alarms_per_hour.value:.2f}",
            )
            for row in evaluation.events
        ],
        right=range(10),
    )
    if reason := evaluation.events[0].false_alarms_per_hour.reason:
        show(f"false alarms an hour are undefined: {escape(reason)}")


def _worst(evaluation: Evaluation, count: int) -> None:
    partly = [video for video in evaluation.videos if video.auc.value is not None]
    partly.sort(key=lambda video: video.auc.value or 0.0)
    normal = [video for video in evaluation.videos if not video.positive]
    normal.sort(key=lambda video: -video.mean_score)
    _videos("lowest AUC", partly[:count])
    _videos("normal, highest mean score", normal[:count])


def _videos(title: str, videos: list[VideoRow]) -> None:
    if not videos:
        return
    show("")
    show_table(
        (title, "class", "frames", "anomalous", "AUC", "highest", "mean"),
        [
            (
                video.name,
                ", ".join(video.classes),
                video.frames,
                video.positive,
                number(video.auc),
                video.max_score,
                video.mean_score,
            )
            for video in videos
        ],
        right=range(2, 7),
    )
