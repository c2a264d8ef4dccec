"""A flow in a terminal: under the configured or a private Prefect API, with progress, stopped by signals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import typer

from lavad.deployments.cli.exits import Debug, Exit, QuickExit, SignalReceived
from lavad.deployments.cli.terminal.text import escape, say

if TYPE_CHECKING:
    from lavad.deployments.cli.signals import Stop
    from lavad_core.config.schema import LavadConfig
    from lavad_core.runs.manifest import RunManifest, VideoOutcome

T = TypeVar("T")

SEND_TIMEOUT_S = 10.0
"""For logs and events that are on their way to the API when a flow ends: a few hundred, in batches."""

STOPPED_SEND_TIMEOUT_S = 2.0
"""What is waited for after a signal."""

REPORT_S = 2.0
"""For telling the API that a run ends because its process does."""

Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of progress bars, also on a terminal.")]

Start = Callable[[str], Any]
"""Given a run's id, runs a flow and returns its last state."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that is over."""

    manifest: RunManifest
    """Its record."""
    completed: bool
    """Whether the flow says that all of it is done."""
    videos: tuple[VideoOutcome, ...]
    """How it ended for each video; for a run over a set also for those that its shards have."""

    @property
    def exit_code(self) -> Exit:
        """For the outcomes of the videos, and for the flow's own."""
        from lavad.deployments.cli.terminal.run_end import exit_code

        if self.completed and not self.videos:  # a shard of a set of few videos
            return Exit.OK
        return exit_code(self.videos) or (Exit.OK if self.completed else Exit.SOME_FAILED)


def _finished(config: LavadConfig, manifest: RunManifest, completed: bool) -> FinishedRun:
    from lavad_core.runs.video_list import runs_of_set

    over_set = manifest.shard is not None and not manifest.shard.number
    runs = runs_of_set(config.store, manifest) if over_set else [manifest]
    return FinishedRun(manifest, completed, tuple(video for run in runs for video in run.videos))


def scoring_flow(
    inputs: Sequence[str],
    config: LavadConfig,
    *,
    refresh: bool = False,
    name: str | None = None,
    limit: int | None = None,
    shard: str | None = None,
) -> Start:
    """The flow that scores the first ``limit`` of the videos, or all, or a ``shard`` of them (``3/8``); ``refresh`` computes
    existing results again."""

    def flow() -> Callable[..., Any]:
        from lavad.flows.score_videos import score_videos

        return score_videos

    return _starting(flow, inputs, config, refresh=refresh, name=name, limit=limit, shard=shard)


def data_set_flow(
    inputs: Sequence[str], config: LavadConfig, shards: int, *, refresh: bool, name: str | None, limit: int | None
) -> Start:
    """The flow that has the videos scored in this many shards by the workers of the configured server."""

    def flow() -> Callable[..., Any]:
        from lavad.flows.score_data_set import score_data_set

        return score_data_set

    return _starting(flow, inputs, config, shards=shards, refresh=refresh, name=name, limit=limit)


def _starting(
    flow: Callable[[], Callable[..., Any]], inputs: Sequence[str], config: LavadConfig, **parameters: Any
) -> Start:
    """A flow with its parameters; ``flow`` imports it, which is left until it starts."""

    def start(run_id: str) -> Any:
        from lavad_core.config.secrets import public_settings
        from lavad_core.runs.video_list import encode_input

        return flow()(
            inputs=[encode_input(item) for item in inputs],
            settings=public_settings(config),
            run_id=run_id,
            **parameters,
            return_state=True,
        )

    return start


def warn_ahead(config: LavadConfig) -> None:
    """Name what will make the work worthless or stop it, before it begins."""
    from lavad.deployments.cli.checks import served_checks
    from lavad_core.pipeline.graph import build_graph, random_models

    if random := random_models(config):
        say(f"THE SCORES WILL MEAN NOTHING: these models are random: {', '.join(random)}")
    # No error: a server may be started while captions are made, or not be needed since all is in the store.
    graph = build_graph(config, dict.fromkeys(config.models, "?"))
    for role in graph.identities:
        section = config.models[role]
        for check in served_checks(role, section.served) if section.served is not None else ():
            if check.verdict == "fault":
                stage = next(node.id for node in graph.nodes if node.role == role)
                say(f"not there yet, and needed for what stage {stage} has to make: {escape(check.found)}")


def run_flow(
    config: LavadConfig, videos: int, plain: bool, start: Start, stop: Stop, *, workers: bool = False
) -> FinishedRun:
    """Run a flow for this many videos against the configured API, or a private one if it needs no ``workers``, within
    :func:`~lavad.deployments.cli.signals.interruptible`, which gives ``stop``.

    Raises:
        Interrupted: a signal came.
        LavadError: what ended the flow itself, not what a video suffered.
    """
    from lavad.deployments.cli.terminal.progress import flow_lines, progress
    from lavad_core.runs.manifest import FOLDER, load_run, new_run_id

    run_id = new_run_id()
    # Looked for on this disk alone: nothing may hold up a process that is stopped.
    stop.can_retry = (config.store / FOLDER / f"{run_id}.sources").exists

    @contextmanager
    def shown() -> Iterator[Callable[[str], None]]:
        from lavad.tasks.job import watching

        with progress(videos, plain) as (listener, announce), watching(listener):
            announce(f"run {run_id}")
            # The stages are at work in other processes: what this one knows is which shards are done.
            with flow_lines(announce) if workers and not Debug.on else nullcontext():
                yield announce

    end: Ending[RunManifest] = Ending(
        "run",
        lambda: _complete(config, run_id),
        lambda one: _finished(config, one, one.status == "completed").exit_code,
    )
    state = call_flow([config], partial(start, run_id), stop, shown, end, workers=workers)
    manifest = end.record()
    if manifest is None:
        manifest = load_run(config.store, run_id)
    return _finished(config, manifest, state.is_completed() if state is not None else manifest.status == "completed")


@dataclass(frozen=True)
class Ending(Generic[T]):
    """How it is known whether the work of a flow is complete, whatever Prefect says."""

    what: str
    """What is complete, for people."""
    record: Callable[[], T | None]
    """What the work leaves in the store when it has come to its end; None before."""
    exit_code: Callable[[T], int]
    """The exit code for that."""


def call_flow(
    configs: Sequence[LavadConfig],
    start: Callable[[], Any],
    stop: Stop,
    shown: Callable[[], AbstractContextManager[Callable[[str], None]]],
    end: Ending[Any],
    *,
    workers: bool = False,
) -> Any:
    """Call a flow in this process against the configured API, or a private one if it needs no ``workers``.

    Args:
        configs: the configurations whose secrets the flow takes from the environment.
        start: calls it, and returns its last state.
        stop: what :func:`~lavad.deployments.cli.signals.interruptible` gives.
        shown: within it progress is shown; gives a way to say something beside it.
        end: whether the work is complete.

    Returns:
        the flow's last state; None if Prefect lost it and the work is complete.

    Raises:
        Interrupted: a signal came.
        LavadError: what ended the flow itself.
    """
    from lavad.deployments.prefect_settings import import_prefect
    from lavad_core.config.secrets import export_secrets

    for config in configs:
        export_secrets(config, os.environ)
    state: Any = None
    with stop.held():
        import_prefect()
        from lavad.deployments.prefect_server import prefect_api
        from lavad.tasks import ending
        from lavad.tasks.client import ClientError
        from lavad.tasks.job import stop_jobs
    stop.at_signal += [stop_jobs, ending.hurry_all]
    stop.at_force.append(lambda: ending.report_now("the process was ended while the run was going", REPORT_S))

    def code_at_force(number: int) -> int:
        record = end.record()
        return 128 + number if record is None else int(end.exit_code(record))

    stop.exit_code = code_at_force
    try:
        with (
            shown() as announce,
            prefect_api(announce, console_logs=Debug.on, workers=workers),
            ending.own_settings(),
        ):
            try:
                state = start()
            finally:
                if not stop.signal:
                    ending.reported()
                _send_what_waits(STOPPED_SEND_TIMEOUT_S if stop.signal else SEND_TIMEOUT_S)
    except BaseException as error:
        if stop.signal:  # whatever a library made of it on the way; below it is seen whether the run was complete
            pass
        elif isinstance(error, ClientError):  # of Prefect's client: the library's own requests raise errors of its own
            _prefect_failed(end, error)
        else:
            raise
    record = end.record()
    if stop.signal:
        if record is None:
            raise SignalReceived(stop.signal, stop.go_on)
        say(f"lavad: the {end.what} was complete before it could stop")
    if state is not None and (failure := _error_of(state)) is not None:
        if isinstance(failure, ClientError):
            _prefect_failed(end, failure)
        else:
            raise failure
    return state


def _complete(config: LavadConfig, run_id: str) -> RunManifest | None:
    """The run's manifest, if the run has come to its end, well or not."""
    from lavad_core.errors import InputError, StoreError
    from lavad_core.runs.manifest import load_run

    try:
        manifest = load_run(config.store, run_id)
    except (InputError, StoreError):  # it had not begun to be recorded, or its record cannot be read
        return None
    return manifest if manifest.ended and manifest.status != "interrupted" else None


def _prefect_failed(end: Ending[Any], error: Exception) -> None:
    """Prefect's API went away. That is only a word for a run that is complete.

    Raises:
        ServiceUnavailable: the run is not complete.
    """
    from lavad_core.errors import ServiceUnavailable
    from lavad_core.masking import masked_text
    from lavad_core.quoting import first_line

    why = escape(masked_text(f"{type(error).__name__}: {first_line(error)}"))
    if end.record() is None:
        raise ServiceUnavailable(
            f"Prefect's API does not do its part ({why}). What is finished is in the store: when the server is back, or "
            "without PREFECT_API_URL, give the same command again"
        ) from error
    say(
        f"lavad: Prefect's API did not hear how the {end.what} ended ({why}); the {end.what} is complete, and its record has it"
    )


def _send_what_waits(timeout_s: float) -> None:
    """Logs and events of the run go to the API while it is there. What is left then would be tried again and again at the end
    of the process, each piece for seconds and in vain: the process is to end without that."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        _, left = worker.drain_all(timeout=timeout_s, at_exit=False)  # type: ignore[misc]
        if left:
            QuickExit.at_once = True


def _error_of(state: Any) -> BaseException | None:
    """The exception that ended the flow itself, not that of a video."""
    from prefect.exceptions import CrashedRun, FailedRun

    if state.is_completed():
        return None
    result = state.result(raise_on_failure=False)
    return result if isinstance(result, BaseException) and not isinstance(result, CrashedRun | FailedRun) else None
