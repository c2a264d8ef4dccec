"""``lavad run`` and ``lavad retry``: the flows, from a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import options
from deployments.cli.exits import Debug, Exit, Interrupted, guarded
from deployments.cli.text import inert, say

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.runs.manifest import VideoOutcome

SEND_TIMEOUT_S = 10.0
"""For logs and events that are on their way to the API when a flow ends: some hundreds, in batches."""

Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of progress bars, also on a terminal.")]


@guarded
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Video files, folders, globs, list files (*.txt, @list), folders of numbered frames.",
        ),
    ],
    preset: options.Preset = None,
    config: options.Files = None,
    set_: options.Overrides = None,
    store: options.StoreFolder = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Temporal annotation to evaluate against.", metavar="FILE", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run and why.")] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Compute what is there again and replace it; the language model's answers are kept."
        ),
    ] = False,
    plain: Plain = False,
) -> None:
    """Score videos. What is in the store already is not computed again."""
    from lavad_core.config.secrets import public_settings
    from lavad_core.video.discover import discover

    resolved = options.loaded(preset, config, set_, store, labels).config
    labelled = _labelled(resolved)
    sources = discover(inputs)
    if labelled is not None:
        _warn_unlabelled(resolved, labelled, [source.name for source in sources])
    if dry_run:
        from deployments.cli.plan import show_plan

        show_plan(resolved, sources, refresh=refresh)
        return
    _warn_random(resolved)
    _warn_absent_servers(resolved)

    def start(run_id: str) -> Any:
        from flows.score_videos import score_videos
        from tasks.sources import encode_input

        return score_videos(
            inputs=[encode_input(item) for item in inputs],
            settings=public_settings(resolved),
            run_id=run_id,
            refresh=refresh,
            return_state=True,
        )

    _under_prefect(resolved, len(sources), plain, start)


@guarded
def retry(run: options.RunId = None, store: options.StoreFolder = None, plain: Plain = False) -> None:
    """Try the failed, rejected and unreached videos of a run again, with the run's own configuration. Secrets come from
    the environment."""
    from lavad_core.config.load import load_config
    from tasks.sources import left_of, scored_before

    root = options.store_root(store)
    left = left_of(root, run)
    if not left.unfinished:
        say(f"run {left.run_id} has nothing left to do: all {len(left.done)} videos have scores")
        return
    resolved = load_config(settings={**left.settings, "store": str(root)})
    _warn_random(resolved)
    _warn_absent_servers(resolved)
    say(f"trying {len(left.unfinished)} videos of run {left.run_id} again")
    before = scored_before(root, left.done)

    def start(run_id: str) -> Any:
        from flows.retry_failed import retry_failed

        return retry_failed(run_id=left.run_id, settings={"store": str(root)}, new_id=run_id, return_state=True)

    _under_prefect(resolved, len(left.unfinished), plain, start, before)


def _labelled(config: LavadConfig) -> set[str] | None:
    """Names of the videos that have labels. Labels that cannot be read are said before hours of work, not after."""
    if config.evaluate.labels is None:
        return None
    from lavad_core.imports.annotations import read_annotations

    return set(read_annotations(config.evaluate.labels))


def _warn_unlabelled(config: LavadConfig, labelled: set[str], names: Sequence[str]) -> None:
    """Not an error yet: a video that is rejected needs no label."""
    unknown = [name for name in names if name not in labelled]
    if unknown:
        say(
            f"labels {inert(str(config.evaluate.labels))} have no line for {len(unknown)} of {len(names)} videos: "
            f"{_some(unknown)}; "
            "there will be no metrics if one of them gets scores (names must agree, without the file ending)"
        )
    if others := labelled - set(names):
        say(
            f"labels {inert(str(config.evaluate.labels))} name {len(others)} videos that are not given: "
            f"{_some(sorted(others))}; metrics will be over {len(labelled) - len(others)} of {len(labelled)}"
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(inert(repr(name)) for name in names[:most]) + (" …" if len(names) > most else "")


def _warn_random(config: LavadConfig) -> None:
    from deployments.cli.report import random_models

    if random := random_models(config):
        say(f"THE SCORES WILL MEAN NOTHING: these models are random: {', '.join(random)}")


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


def _under_prefect(
    config: LavadConfig,
    videos: int,
    plain: bool,
    start: Callable[[str], Any],
    before: Sequence[VideoOutcome] = (),
) -> None:
    """Run a flow against the configured or a private API, and report.

    Args:
        config: of the run.
        videos: how many.
        plain: no progress bars.
        start: given the run's id, runs the flow and returns its last state.
        before: videos that are done and belong to the same evaluation.
    """
    from deployments.cli.progress import progress
    from deployments.cli.report import exit_code, metrics, report
    from deployments.cli.signals import interruptible
    from lavad_core.config.secrets import export_secrets
    from lavad_core.pipeline.workbench import Workbench
    from lavad_core.runs.manifest import load_run, new_run_id

    export_secrets(config, os.environ)
    run_id = new_run_id()
    with interruptible() as stop:
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
        manifest = load_run(config.store, run_id)
        bench = Workbench(config)
        report(manifest, bench)
        metrics(bench, [*manifest.videos, *before])
        if code := exit_code(manifest.videos) or (Exit.OK if state.is_completed() else Exit.SOME_FAILED):
            raise typer.Exit(code)


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
