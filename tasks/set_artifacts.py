"""What a run over a set leaves in the orchestrator for people: the table of its shards, and that of the videos in trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

from prefect import task

from lavad.tasks.artifacts import SUMMARY_KEY, VIDEOS_KEY, summary_text, video_rows
from lavad.tasks.channel import Channel
from lavad.tasks.job import UNCACHED
from lavad_core.escape import escape_markdown
from lavad_core.planning.shards import Shard
from lavad_core.runs.environment import machine_in_words
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome

SHARDS_KEY = "lavad-shards"


def shard_row(shard: Shard, run_ids: Sequence[str], flow_run_id: UUID, record: RunManifest | None) -> dict[str, Any]:
    """A line of the table of shards; the run is a link to its last flow run."""
    host = {} if record is None else record.host
    videos = () if record is None else record.videos
    stages = {} if record is None else record.stages
    return {
        "shard": shard.number,
        "worker": escape_markdown(machine_in_words(host), 200) if "process" in host else "",
        "videos": len(shard.videos),
        "grid frames": shard.grid_frames,
        "done": sum(video.status in SCORED for video in videos),
        "made": sum(totals.done for totals in stages.values()),
        "cached": sum(totals.cached for totals in stages.values()),
        "known bad": sum(video.known_bad for video in videos),
        "failed": len(shard.videos) - sum(video.settled for video in videos),
        "seconds": 0.0 if record is None else round(record.seconds, 1),
        "issued": len(run_ids),
        "run": f"[{run_ids[-1]}](/runs/flow-run/{flow_run_id})",
    }


@task(name="publish-set", description="Publish the tables of shards and of videos, and the summary.", **UNCACHED)
def publish_set(
    rows: list[dict[str, Any]],
    outcomes: Sequence[VideoOutcome],
    run: RunManifest,
    ended: str,
    message: str,
    metrics: Mapping[str, Any] | None,
) -> bool:
    """Publish the artifacts of a run over a set, and return whether the server took them."""
    trouble = video_rows([outcome for outcome in outcomes if outcome.status != "ok"], {})
    with closing(Channel()) as shown:
        shown.artifact("table of shards", "table", SHARDS_KEY, rows, escape_markdown(message))
        shown.artifact("table of videos", "table", VIDEOS_KEY, trouble, "videos that failed, or have gaps")
        shown.artifact(
            "summary", "markdown", SUMMARY_KEY, summary_text(run, ended, message, metrics), f"Run {run.run_id}"
        )
    return shown.all_shown
