"""What an evaluation leaves in the orchestrator for people: metrics, protocol, curves, and where the report is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from prefect import task

from lavad.tasks import ending_events
from lavad.tasks.channel import Channel
from lavad.tasks.job import UNCACHED
from lavad_core.escape import escape_markdown
from lavad_core.evaluation.protocol import protocol_lines
from lavad_core.evaluation.regression import Regression
from lavad_core.evaluation.types import METRIC_TITLES, Evaluation, Metric
from lavad_core.location import s3_address, shown

METRICS_KEY = "lavad-metrics"
EVALUATION_KEY = "lavad-evaluation"
CURVE_KEYS = {"roc": "lavad-roc", "pr": "lavad-precision-recall"}

MAX_NAMED = 20
"""Unscored videos that are named."""


def metric_table(evaluation: Evaluation) -> list[dict[str, str]]:
    """The table of metrics: the results' own rows, then those without a model."""
    return [
        {
            "scores": escape_markdown(row.label),
            **{title: _cell(row.metrics[key]) for key, title in METRIC_TITLES.items()},
        }
        for row in evaluation.rows
    ]


def _cell(metric: Metric) -> str:
    return f"undefined: {escape_markdown(metric.reason, 80)}" if metric.value is None else str(metric)


def evaluation_text(
    evaluation: Evaluation, ended: str, message: str, regression: Regression | None, report: str
) -> str:
    """The protocol, the baseline, and where the report is; Markdown."""
    header = evaluation.header
    lines = [f"# {escape_markdown(ended)}: {escape_markdown(message)}", ""]
    lines += [f"* **warning**: {escape_markdown(warning)}" for warning in header.warnings]
    lines += ["", "| protocol | |", "|---|---|"]
    lines += [f"| {escape_markdown(name)} | {escape_markdown(value)} |" for name, value in protocol_lines(header)]
    lines += ["", f"Report: {_where(report)}; open `index.html` there.", ""]
    if regression is not None:
        lines += _baseline(regression)
    if header.unscored:
        lines += [f"## {len(header.unscored)} of {header.listed} videos have no scores", ""]
        named = list(header.unscored.items())[:MAX_NAMED]
        lines += [f"* {escape_markdown(name, 120)}: {escape_markdown(why)}" for name, why in named]
        if len(header.unscored) > MAX_NAMED:
            lines.append(f"* … {len(header.unscored) - MAX_NAMED} more")
    return "\n".join(lines) + "\n"


def _where(report: str) -> str:
    near = "" if s3_address(report) else " on the machine that ran this"
    return f"{escape_markdown(shown(report))}{near}"


def _baseline(regression: Regression) -> list[str]:
    lines = [f"## Baseline {escape_markdown(regression.baseline, 120)}", ""]
    lines += [f"{escape_markdown(note)}  " for note in regression.notes]
    lines += ["", "| | metric |", "|---|---|"]
    lines += [f"| {'fell' if change.fell else 'ok'} | {escape_markdown(change)} |" for change in regression.changes]
    return [*lines, ""]


@task(name="publish-evaluation", description="Publish metrics, protocol and curves.", **UNCACHED)
def publish_evaluation(
    evaluation: Evaluation,
    ended: str,
    message: str,
    regression: Regression | None,
    report: str,
    curves: Mapping[str, str],
) -> None:
    """The artifacts of an evaluation, and its events. What they say is in its report too.

    Args:
        ended, message: name of the flow run's last state, and its message.
        regression: beside a baseline, if one was named.
        report: folder of it.
        curves: kind to picture, as ``data:`` address.
    """
    text = evaluation_text(evaluation, ended, message, regression, report)
    results = escape_markdown(evaluation.header.results["id"])
    with closing(Channel()) as shown:
        shown.artifact("table of metrics", "table", METRICS_KEY, metric_table(evaluation), escape_markdown(message))
        shown.artifact("protocol", "markdown", EVALUATION_KEY, text, results)
        for kind, picture in curves.items():
            title = f"{kind.upper()}, all frames together"
            shown.artifact(f"{kind} curve", "image", CURVE_KEYS[kind], picture, title)
    metrics = {name: metric.value for name, metric in evaluation.rows[0].metrics.items()}
    ending_events.tell_evaluated(str(evaluation.header.results["id"]), ended, message, metrics)
    if regression is not None:
        ending_events.tell_dropped(str(evaluation.header.results["id"]), regression)
