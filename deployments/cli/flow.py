"""A flow in a terminal: under the configured or a private Prefect API, with progress, stopped by signals."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.exits import Debug, Exit, Interrupted
from deployments.cli.text import inert, say

if TYPE_CHECKING:
    from deployments.cli.signals import Stop
    from lavad_core.config.schema import LavadConfig
    from lavad_core.runs.manifest import RunManifest

SEND_TIMEOUT_S = 10.0
"""For logs and events that are on their way to the API when a flow ends: some hundreds, in batches."""

Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of progress bars, also on a terminal.")]

Start = Callable[[str], Any]
"""Given a run's id, runs a flow and returns its last state."""


@dataclass(frozen=True)
class Ended:
    """A run that is over.

    Attributes:
        manifest: of the run.
        completed: the flow says that all of it is done.
    """

    manifest: RunManifest
    completed: bool

    @property
    def exit_code(self) -> Exit:
        """For the outcomes of the videos, and for the flow's own."""
        from deployments.cli.report import exit_code

        return exit_code(self.manifest.videos) or (Exit.OK if self.completed else Exit.SOME_FAILED)


def scoring(inputs: Sequence[str], config: LavadConfig, *, refresh: bool = False) -> Start:
    """The flow that scores videos.

    Args:
        inputs: as the user named them.
        config: of the run.
        refresh: compute what is there again.
    """

    def start(run_id: str) -> Any:
        from flows.score_videos import score_videos
        from lavad_core.config.secrets import public_settings
        from lavad_core.runs.sources import encode_input

        return score_videos(
            inputs=[encode_input(item) for item in inputs],
            settings=public_settings(config),
            run_id=run_id,
            refresh=refresh,
            return_state=True,
        )

    return start


def warn_ahead(config: LavadConfig) -> None:
    """Say what will make the work worthless or stop it, before it begins."""
    from deployments.cli.report import random_models

    if random := random_models(config):
        say(f"THE SCORES WILL MEAN NOTHING: these models are random: {', '.join(random)}")
    _warn_absent_servers(config)


def _warn_absent_servers(config: LavadConfig) -> None:
    """Not an error: a server may be started while captions are made, or not be needed since all is in the store."""
    from deployments.cli.doctor import served_check
    from lavad_core.pipeline.graph import build_graph

    graph = build_graph(config, dict.fromkeys(config.models, "?"))
    for role in graph.identities:
        section = config.models[role]
        if section.kind == "openai" and (check := served_check(role, section)).verdict != "ok":
            stage = next(node.id for node in graph.nodes if node.role == role)
            say(f"not there yet, and needed for what stage {stage} has to make: {inert(check.found)}")


def run_flow(config: LavadConfig, videos: int, plain: bool, start: Start, stop: Stop) -> Ended:
    """Run a flow against the configured or a private API.

    Args:
        config: of the run.
        videos: how many.
        plain: no progress bars.
        start: the flow.
        stop: of the surrounding :func:`~deployments.cli.signals.interruptible`.

    Raises:
        Interrupted: a signal came.
        LavadError: what ended the flow itself, not what a video suffered.
    """
    from deployments.cli.progress import progress
    from lavad_core.config.secrets import export_secrets
    from lavad_core.runs.manifest import load_run, new_run_id

    export_secrets(config, os.environ)
    run_id = new_run_id()
    try:
        with progress(videos, plain) as (listener, announce):
            from prefect.logging.configuration import setup_logging

            from deployments.prefect_server import prefect_api
            from tasks.workbench import watching

            announce(f"run {run_id}")
            setup_logging()  # else Prefect makes its console handlers later, and they cannot be left out
            with prefect_api(announce, console_logs=Debug.on), watching(listener):
                try:
                    state = start(run_id)
                finally:
                    _send_what_waits()
    except BaseException:
        if stop.signal:  # whatever a library made of it on the way
            raise Interrupted(stop.signal) from None
        raise
    if stop.signal:
        raise Interrupted(stop.signal)
    if (error := _error_of(state)) is not None:
        raise error
    return Ended(load_run(config.store, run_id), state.is_completed())


def _send_what_waits() -> None:
    """Logs and events of the run go to the API while it is there; what is left when a private server has gone is tried again
    and again at the end of the process, in vain."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=SEND_TIMEOUT_S, at_exit=False)


def _error_of(state: Any) -> BaseException | None:
    """The exception that ended the flow itself, not that of a video."""
    from prefect.exceptions import CrashedRun, FailedRun

    if state.is_completed():
        return None
    result = state.result(raise_on_failure=False)
    return result if isinstance(result, BaseException) and not isinstance(result, CrashedRun | FailedRun) else None
