"""What the flows share: their settings, their names, and the order of a run's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State

from lavad.tasks.logs import send_library_logs
from lavad.tasks.scoring_run import Scoring
from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.escape import escape
from lavad_core.video.types import VideoSource


def configuration(preset: str | None, settings: Mapping[str, Any] | None) -> LavadConfig:
    """The configuration of a flow run: preset, then this process's ``LAVAD_`` variables, then ``settings``.

    Raises:
        ConfigError: a key is unknown or a value not allowed.
    """
    send_library_logs()
    return load_config(preset=preset, settings=settings)


def run_name() -> str:
    """The name that the user gave the run; otherwise ``ucf-crime · videos (+2)``: the preset, if one is named, and the first
    input."""
    given = runtime.flow_run.parameters
    if given.get("name"):
        return escape(str(given["name"]), limit=80)
    inputs = [str(item) for item in given.get("inputs") or [given.get("video") or given.get("run_id") or "latest run"]]
    more = f" (+{len(inputs) - 1})" if len(inputs) > 1 else ""
    first = inputs[0].rstrip("/").rpartition("/")[2] or inputs[0]
    preset = given.get("preset")
    return (f"{escape(preset, limit=30)} · " if preset else "") + f"{escape(first, limit=60)}{more}"


def score(work: Scoring, sources: Sequence[VideoSource], others: Sequence[VideoSource] = ()) -> State[Any]:
    """The steps of a run: all keys first, then stage by stage over all videos, so that each model is loaded once.

    Args:
        work: the run.
        sources: its videos.
        others: videos that an earlier run has scored and that belong to the same evaluation.
    """
    work.take(sources)
    for node in work.nodes:
        work.stage(node)
    work.evaluate(others)
    return work.finish()
