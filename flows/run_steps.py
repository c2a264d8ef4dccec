"""What the flows share: their settings, their names, and the order of a run's steps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from prefect import runtime
from prefect.client.schemas.objects import State
from pydantic import WithJsonSchema

from lavad.tasks.logs import send_library_logs
from lavad.tasks.scoring_run import Scoring
from lavad_core.config.load import load_config, presets
from lavad_core.config.schema import LavadConfig
from lavad_core.escape import escape
from lavad_core.runs.environment import host, machine_in_words
from lavad_core.video.types import VideoSource

log = logging.getLogger("lavad_core.flow")

Preset = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(presets())})]
"""Name of a preset; the form of a deployment offers those that there are."""


def configuration(preset: str | None, settings: Mapping[str, Any] | None, config: str | None = None) -> LavadConfig:
    """The configuration of a flow run, whose log begins with the machine: preset, then the file ``config``, then this process's
    ``LAVAD_`` variables, then ``settings``.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or a value not allowed.
    """
    send_library_logs()
    log.info("on %s", machine_in_words(host()))
    return load_config(preset=preset, files=[] if config is None else [config], settings=settings)


def run_name() -> str:
    """What a flow run is called until it knows its run: the name that the user gave; otherwise ``ucf-crime · videos (+2)``, the
    preset or configuration, if one is named, and the first input. A shard's has its number."""
    given = runtime.flow_run.parameters
    if given.get("of_run"):
        return f"shard {given['number']}/{given['of']} of {given['of_run']}"
    if given.get("name"):
        return escape(str(given["name"]), limit=80)
    inputs = [str(item) for item in given.get("inputs") or [given.get("video") or runtime.flow_run.flow_name]]
    more = f" (+{len(inputs) - 1})" if len(inputs) > 1 else ""
    recipe = [_last(given[key], 30) for key in ("study", "preset", "config") if isinstance(given.get(key), str)]
    part = [f"shard {given['shard']}"] if given.get("shard") else []
    return " · ".join([*recipe, f"{_last(inputs[0], 60)}{more}", *part])


def _last(path: str, limit: int) -> str:
    """The last part of a path, for people."""
    return escape(path.rstrip("/").rpartition("/")[2] or path, limit=limit)


def score(
    work: Scoring, sources: Sequence[VideoSource], others: Sequence[VideoSource] = (), known_bad: Sequence[str] = ()
) -> State[Any]:
    """The steps of a run: all keys first, then stage by stage over all videos, so that each model is loaded once.

    Args:
        work: the run.
        sources: its videos.
        others: videos that an earlier run has scored and that belong to the same evaluation.
        known_bad: names of videos that belong to it too, and are known to be bad.
    """
    _stages(work, sources)
    work.evaluate(others, known_bad)
    return work.finish()


def score_part(work: Scoring, sources: Sequence[VideoSource]) -> State[Any]:
    """The steps of a run over a shard: those of :func:`score` without metrics, which are over the whole set."""
    _stages(work, sources)
    return work.finish()


def _stages(work: Scoring, sources: Sequence[VideoSource]) -> None:
    work.take(sources)
    for node in work.nodes:
        work.stage(node)
