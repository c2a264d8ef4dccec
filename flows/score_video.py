"""Score one video."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from lavad.flows.run_steps import Preset, configuration, run_name, score
from lavad.tasks.flow_run import RED
from lavad.tasks.scoring_run import scoring
from lavad.tasks.videos import discover_videos
from lavad_core.errors import InputError
from lavad_core.runs.manifest import new_run_id


@flow(name="score-video", flow_run_name=run_name, persist_result=False, **RED)
def score_video(
    video: str,
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    run_id: str | None = None,
    refresh: bool = False,
    name: str | None = None,
    config: str | None = None,
) -> State[Any]:
    """Anomaly scores for the frames of one video: a file, or a folder of frames. The other parameters are those of
    ``score_videos``."""
    loaded = configuration(preset, settings, config)
    with scoring(loaded, run_id or new_run_id(), refresh=refresh, name=name) as work:
        sources = discover_videos(work.run, [video])
        if len(sources) != 1:
            raise InputError(f"{video!r} names {len(sources)} videos; the flow score-videos takes several")
        return score(work, sources)
