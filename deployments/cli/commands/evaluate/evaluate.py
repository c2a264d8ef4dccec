"""``lavad evaluate``: the metrics of a run or an import against a data set's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.dataset import LabelGroup
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.metrics import AnswerGroup, ProtocolGroup, SegmentGroup
from lavad.deployments.cli.terminal.text import escape, say, show, show_lines, show_table

if TYPE_CHECKING:
    from lavad_core.datasets.types import Dataset
    from lavad_core.evaluation.types import Evaluation, EvaluationProtocol, Metric, VideoRow


@guarded
@grouped
def evaluate(
    *,
    run: options.Run = None,
    labels: LabelGroup,
    protocol: ProtocolGroup,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            "--threshold",
            help="Events: a score of at least this is anomalous; may be repeated. 0.5 if not given.",
            metavar="SCORE",
        ),
    ] = None,
    threshold_from: Annotated[
        Path | None,
        typer.Option(
            "--threshold-from",
            help="Events: the threshold of a file that `lavad threshold` wrote; warns if it was fitted on these videos.",
            metavar="FILE",
            parser=options.place,
        ),
    ] = None,
    segments: SegmentGroup,
    worst: Annotated[
        int, typer.Option("--worst", help="Videos of each kind in the last tables.", metavar="N", min=0)
    ] = 5,
    answer: AnswerGroup,
    store: options.StoreFolder = None,
) -> None:
    """Print the protocol, then every metric: over all frames, of each class, of events; and the videos that cost most. Without
    labels here, those that the run's configuration names."""
    from lavad_core.evaluation.compute import evaluate as evaluated
    from lavad_core.evaluation.sealed_json import EVALUATION
    from lavad_core.evaluation.threshold import CHOSEN_THRESHOLD, threshold_warnings, with_warnings
    from lavad_core.results.open import open_results

    chosen = None if threshold_from is None else CHOSEN_THRESHOLD.read(threshold_from)
    rules = segments.rules(*(threshold or []), *([] if chosen is None else [chosen.threshold]))
    dataset = labels.dataset() if labels.any else None
    root = options.store_root(store)
    if dataset is None:
        dataset = _labels_of_run(root, run, labels) or labels.dataset()
    results = open_results(root, run)
    found = evaluated(dataset, results, protocol.options(*rules))
    if chosen is not None:
        warnings = threshold_warnings(chosen, dataset, results)
        found = with_warnings(found, warnings)
        for warning in warnings:
            say(f"WARNING: {escape(warning)}")
    if answer.wants_tables(EVALUATION.text(found)):
        show_header(found.header)
        _rows(found)
        _classes(found)
        _events(found)
        _kinds(found)
        partly = sorted(
            (one for one in found.videos if one.auc.value is not None), key=lambda one: one.auc.value or 0.0
        )
        _videos("lowest AUC", partly[:worst])
        normal = sorted((one for one in found.videos if not one.positive), key=lambda one: -one.mean_score)
        _videos("normal, highest mean score", normal[:worst])


def _labels_of_run(root: Path, given: str | None, labels: LabelGroup) -> Dataset | None:
    """The data set that the configuration of a run names, read as the options say; None if it names none, or what is evaluated
    is an import."""
    from lavad_core.config.load import load_recorded
    from lavad_core.datasets.configured import configured
    from lavad_core.runs.manifest import load_run

    run = load_run(root, given)
    if run.origin == "import":
        return None
    reading = {"first_frame": labels.first_frame, "frame_count_tolerance": labels.tolerance or None}
    said = {name: value for name, value in reading.items() if value is not None}
    return configured(load_recorded(run.config).evaluate.model_copy(update=said))


def show_header(header: EvaluationProtocol) -> None:
    """The protocol, a line for each of its parts."""
    from lavad_core.evaluation.protocol import protocol_lines

    show_lines([*protocol_lines(header), *(("warning", warning) for warning in header.warnings)], 12)


def _table(headers: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> None:
    """A table after an empty line, nothing if it has no rows; columns after the first ``left`` are numbers."""
    if rows:
        show("")
        show_table(headers, rows, right=range(left, len(headers)))


def _rows(evaluation: Evaluation) -> None:
    from lavad_core.evaluation.types import METRIC_TITLES

    own = [row for row in evaluation.rows if row.ours]
    n = own[0].metrics["auc_macro"].n
    titles = [f"{title}, n = {n}" if key == "auc_macro" else title for key, title in METRIC_TITLES.items()]
    every = [(row.label, *(row.metrics[key].number for key in METRIC_TITLES)) for row in evaluation.rows]
    _table(("scores", *titles), every)
    intervals = [(row.label, *(row.metrics[key].interval for key in METRIC_TITLES)) for row in own]
    if any(interval for _, *row in intervals for interval in row):
        _table(("95 % interval", *titles), intervals)
    elif evaluation.header.intervals != "none":
        show("no intervals: the metrics are undefined in too many resamples of so few videos")
    for key, title in METRIC_TITLES.items():
        if reason := own[0].metrics[key].reason:
            show(f"{title} is undefined: {escape(reason)}")


def _classes(evaluation: Evaluation) -> None:
    _table(
        ("class", "videos", "frames", "AUC within", "95 %", "AP within", "AUC + normal", "95 %", "AP + normal"),
        [
            (row.name, row.videos, row.positive, *_pair(row.within), *_pair(row.with_normal))
            for row in evaluation.classes
        ],
    )
    if evaluation.classes:
        show(f"+ normal: with all {evaluation.classes[0].normal_videos} normal videos")


def _kinds(evaluation: Evaluation) -> None:
    from lavad_core.evaluation.kinds import LEAST_IOU

    _table(
        ("kind", "threshold", "annotated", "found", "matched", "precision", "recall"),
        [
            (
                row.name,
                f"{row.threshold:g}",
                row.annotated,
                row.found,
                row.matched,
                row.precision.number,
                row.recall.number,
            )
            for row in evaluation.kinds
        ],
    )
    if evaluation.kinds:
        show(f"matched: intervals of videos of the class that a segment of the kind finds, with IoU {LEAST_IOU:g}")


def _pair(metrics: Mapping[str, Metric]) -> tuple[str, str, str]:
    return metrics["auc"].number, metrics["auc"].interval, metrics["average_precision"].number


def _events(evaluation: Evaluation) -> None:
    titles = (
        "threshold",
        "IoU",
        "annotated",
        "found",
        "matched",
        "precision",
        "recall",
        "F1",
        "95 %",
        "false alarms an hour",
    )
    rows = []
    for row in evaluation.events:
        shares = (row.precision.number, row.recall.number, row.f1.number, row.f1.interval)
        counts = (f"{row.threshold:g}", f"{row.iou:g}", row.annotated, row.found, row.matched)
        rows.append((*counts, *shares, row.false_alarms_per_hour.fixed(2)))
    _table(titles, rows, left=0)
    if rows and (reason := evaluation.events[0].false_alarms_per_hour.reason):
        show(f"false alarms an hour are undefined: {escape(reason)}")


def _videos(title: str, videos: Sequence[VideoRow]) -> None:
    _table(
        (title, "class", "frames", "anomalous", "AUC", "highest", "mean"),
        [
            (one.name, ", ".join(one.classes), one.frames, one.positive, one.auc.number, one.max_score, one.mean_score)
            for one in videos
        ],
        left=2,
    )
