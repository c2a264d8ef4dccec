"""What a run leaves in the orchestrator for people: a table of videos, a summary, a progress bar.

All text that users made is escaped (:mod:`lavad_core.escape`): the UI renders Markdown, in the cells of tables too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from lavad.tasks.channel import Channel
from lavad.tasks.found_artifacts import Found
from lavad.tasks.job import UNCACHED
from lavad_core.escape import escape_markdown, fixed
from lavad_core.runs.environment import machine_in_words
from lavad_core.runs.manifest import RunManifest, VideoOutcome
from lavad_core.runs.records import StageTotals
from lavad_core.store.maintenance import StoreFinding

VIDEOS_KEY = "lavad-videos"
SUMMARY_KEY = "lavad-summary"
FOUND_KEY = "lavad-found"
PROGRESS_KEY = "lavad-progress"
FINDINGS_KEY = "lavad-store-findings"

PROGRESS_CLOSE_S = 2.0
"""For the last position of the bar; the tables that follow say the same."""

MAX_FINDINGS = 1000
"""Rows of the table of findings: a store that is damaged all over is not read row by row."""


def video_rows(outcomes: Sequence[VideoOutcome], frames: Mapping[str, int | None]) -> list[dict[str, Any]]:
    """The table of videos; what failed comes first."""
    order = {"failed": 0, "rejected": 1, "not-run": 2, "ok_with_gaps": 3, "ok": 4}
    return [
        {
            "video": escape_markdown(outcome.name, 120),
            "status": outcome.word.replace("_", " "),
            "reason": escape_markdown(outcome.reason, 60),
            "message": escape_markdown(outcome.message),
            "seconds": round(outcome.seconds or 0.0, 1),
            "frames": frames.get(outcome.name),
        }
        for outcome in sorted(outcomes, key=lambda outcome: order[outcome.status])
    ]


def summary_text(run: RunManifest, ended: str, message: str, metrics: Mapping[str, Any] | None) -> str:
    """The summary, Markdown."""
    named = f" ({escape_markdown(run.name)})" if run.name else ""
    lines = [
        f"# {escape_markdown(ended)}: {escape_markdown(message)}",
        "",
        f"Run `{run.run_id}`{named}, {run.seconds:.1f} s, peak memory {run.peak_rss_bytes / 2**20:.0f} MiB, "
        f"on {escape_markdown(machine_in_words(run.host))}, "
        f"results in the store `{_code(str(run.config.get('store', '')))}`.",
        "",
    ]
    if metrics is not None:
        lines += ["| metric | value |", "|---|---|"]
        lines += [f"| {escape_markdown(name)} | {_number(value)} |" for name, value in metrics.items()]
        lines.append("")
    lines += [
        "| stage | done | cached | failed | seconds | model s | waited s | CPU s | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_stage_line(node, totals) for node, totals in run.stages.items()]
    lines += ["", "| work | count |", "|---|---|"]
    lines += [f"| {name} | {amount} |" for name, amount in sorted(run.work.items()) if amount]
    return "\n".join(lines) + "\n"


def _stage_line(node: str, totals: StageTotals) -> str:
    seconds = (totals.seconds, totals.device_seconds, totals.waited_seconds, totals.cpu_seconds)
    cells = [totals.done, totals.cached, totals.failed, *(f"{value:.1f}" for value in seconds)]
    return f"| {escape_markdown(node)} | {' | '.join(map(str, cells))} | {totals.peak_rss_bytes / 2**20:.0f} |"


def _code(text: str) -> str:
    return escape_markdown(text).replace("\\", "").replace("`", "'")


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else fixed(value, none="undefined")


@task(name="publish", description="Publish the table of videos and the summary.", **UNCACHED)
def publish_run(
    rows: list[dict[str, Any]],
    run: RunManifest,
    ended: str,
    message: str,
    metrics: Mapping[str, Any] | None,
    found: Found | None = None,
) -> bool:
    """Publish the artifacts of a run that has ended in any way, and return whether the server took them. The run's manifest
    says the same, but for what was ``found`` in new videos, which the store has."""
    text = summary_text(run, ended, message, metrics)
    with closing(Channel()) as shown:
        shown.artifact("table of videos", "table", VIDEOS_KEY, rows, escape_markdown(message))
        shown.artifact("summary", "markdown", SUMMARY_KEY, text, f"Run {run.run_id}")
        if found is not None:
            told = escape_markdown(found.message)
            shown.artifact("table of what was found", "table", FOUND_KEY, [dict(row) for row in found.rows], told)
    return shown.all_shown


@task(name="publish-findings", description="Publish what a check of the store found.", **UNCACHED)
def publish_findings(findings: Sequence[StoreFinding], note: str) -> None:
    """Publish the table of findings."""
    rows = [
        {"kind": finding.kind, "path": escape_markdown(finding.path, 300), "message": escape_markdown(finding.message)}
        for finding in findings[:MAX_FINDINGS]
    ]
    more = len(findings) - len(rows)
    left_out = f"; {more} more findings are left out" if more > 0 else ""
    with closing(Channel()) as shown:
        shown.artifact("table of findings", "table", FINDINGS_KEY, rows, note + left_out)


@dataclass
class _Bar:
    """A progress bar of the UI."""

    key: str
    """Key of its artifact."""
    what: str
    """What is counted, for people."""
    total: int
    """How many are expected."""
    step: int
    """Percent by which it moves at least: an update is a request to the server."""
    done: int = 0
    shown: int = -1
    artifact: UUID | None = None


class Progress:
    """Progress bars in the UI: one of the whole run, and one of each stage. Sent by a
    :class:`~lavad.tasks.channel.Channel`, which only keeps the latest.

    Args:
        total: how many task runs are expected.
    """

    def __init__(self, total: int) -> None:
        self._channel: Channel | None = None
        self._bars = [_Bar(PROGRESS_KEY, "stages of videos done", total, step=1)]

    def start(self) -> None:
        """Show an empty bar."""
        self._channel = Channel()
        self._show(self._bars[0], 0)

    def stage(self, node_id: str, videos: int) -> None:
        """From now on this stage is at work, on this many videos; its bar takes the place of the last one's in :meth:`add`."""
        key = f"{PROGRESS_KEY}-{re.sub('[^a-z0-9]+', '-', node_id.lower()).strip('-')}"
        self._bars[1:] = [_Bar(key, f"{escape_markdown(node_id)}: videos done", videos, step=10)]
        self._show(self._bars[1], 0 if videos else 100)

    def add(self, amount: int) -> None:
        """Count task runs that are done, or will not be done any more; one of them is of the stage at work."""
        for bar, count in zip(self._bars, (amount, 1), strict=False):
            bar.done += count
            percent = min(100, bar.done * 100 // max(bar.total, 1))
            if percent >= bar.shown + bar.step or (percent == 100 and bar.shown < 100):
                self._show(bar, percent)

    def stop(self) -> None:
        """Stop showing them."""
        if self._channel is not None:
            self._channel.close(PROGRESS_CLOSE_S)
            self._channel = None

    def _show(self, bar: _Bar, percent: int) -> None:
        if self._channel is not None:
            bar.shown = percent
            flow_run_id = self._channel.flow_run_id
            self._channel.put(f"progress bar {bar.key}", lambda client: self._send(client, bar, percent, flow_run_id))

    def _send(self, client: SyncPrefectClient, bar: _Bar, percent: int, flow_run_id: UUID | None) -> None:
        if bar.artifact is not None:
            client.update_artifact(bar.artifact, ArtifactUpdate(data=float(percent)))
            return
        made = ArtifactCreate(
            type="progress", key=bar.key, description=bar.what, data=float(percent), flow_run_id=flow_run_id
        )
        bar.artifact = client.create_artifact(made).id
