"""From what the user names to videos whose content is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from prefect import task

from lavad.tasks.job import UNCACHED, RunRef, job_of
from lavad_core.escape import MAX_NAME, escape
from lavad_core.local_run import first_sources, sources_of
from lavad_core.runs.video_list import Unfinished, decode_input, save_sources, unfinished_of
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.types import VideoSource


@task(name="discover", description="Find the videos that the inputs name.", **UNCACHED)
def discover_videos(run: RunRef, inputs: list[str], limit: int | None = None) -> list[VideoSource]:
    """The videos, or only the first ``limit`` of them, noted with the run so that a later one can do the failed ones again.

    Raises:
        InputError: an input names nothing.
    """
    job = job_of(run)
    found = sources_of(job.resources.config, [decode_input(text) for text in inputs])
    return first_sources(job.recorder, Path(run.store), found, limit)


@task(name="adopt", description="Take the videos that an earlier run left unfinished.", **UNCACHED)
def adopt_videos(run: RunRef, left: Unfinished) -> list[VideoSource]:
    """The unfinished videos, noted with this run; so are those of the same set that have scores."""
    job_of(run).recorder.limited(left.limit)
    save_sources(Path(run.store), run.run_id, left.unfinished, left.done)
    return left.unfinished


@task(name="unfinished", description="Which videos of an earlier run have no scores.", **UNCACHED)
def unfinished_videos(store: str, run_id: str | None) -> Unfinished:
    """What is left of a run, by its id or name; of the latest one if none is given."""
    return unfinished_of(Path(store), run_id)


def _run_name(parameters: dict[str, Any]) -> str:
    return f"prepare · {escape(parameters['source'].name, limit=MAX_NAME)}"


@task(name="prepare", description="Digest a video's content.", task_run_name=cast(Any, _run_name), **UNCACHED)
def prepare_video(run: RunRef, source: VideoSource) -> PreparedVideo:
    """The video with the identity of its content.

    Raises:
        VideoRejected: missing, unreadable or empty.
        InputError: an imported file is missing for this video.
    """
    job = job_of(run)
    job.resources.check_stop()
    return job.resources.prepare(source)
