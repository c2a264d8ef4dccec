"""``lavad run`` and ``lavad retry``: the flows, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavad.deployments.cli.exits import GO_ON, SHARDS_GO_ON, guarded
from lavad.deployments.cli.flow import Plain, Start, data_set_flow, run_flow, scoring_flow, warn_ahead
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say
from lavad_core.location import shown
from lavad_core.plain_text import number_of, numbered

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.runs.video_list import Unfinished
    from lavad_core.video.types import VideoSource


@guarded
@grouped
def run(
    given: options.ConfigurationGroup,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUTS",
            help="Video files, folders, globs, list files (*.txt, @list), folders of numbered frames, s3://BUCKET/PREFIX.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Temporal annotation to evaluate against.", metavar="FILE", parser=options.place),
    ] = None,
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="In place of INPUTS: names and frame counts, for imported values that need no pictures. With --frame-rate.",
            metavar="FILE",
            parser=options.place,
        ),
    ] = None,
    frame_rate: Annotated[float | None, typer.Option(help="Frames per second of the videos of --list.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run and why.")] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Compute existing results again and replace them; the language model's answers are kept."
        ),
    ] = False,
    limit: options.Limit = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Only the Ith of N parts of about the same length, for runs on several GPUs or machines with one store.",
            metavar="I/N",
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1, help="In N such parts, each given to a worker of the configured Prefect server.", metavar="N"
        ),
    ] = None,
    name: options.RunName = None,
    plain: Plain = False,
    json_: options.AsJson = False,
) -> None:
    """Score videos. What is in the store already is not computed again."""
    from lavad_core.datasets.configured import check_labelled, configured
    from lavad_core.planning.prompt_check import check_prompts
    from lavad_core.planning.shards import parse_shard, shard_count
    from lavad_core.runs.manifest import checked_name

    if name is not None:
        checked_name(name)
    if shard is not None:
        parse_shard(shard)
        if shards is not None:
            raise typer.BadParameter(
                "--shard I/N scores one part here, --shards N has workers score all of them: give one of the two"
            )
        if dry_run:
            raise typer.BadParameter(
                "--dry-run is about all videos, and --shard I/N is one part of them: give one of the two"
            )
    resolved = given.load(*_of_list(list_, frame_rate), labels=labels).config
    dataset = configured(resolved.evaluate)  # labels that cannot be read are reported before hours of work, not after
    sources = options.limited(_sources(inputs or [], resolved), limit)
    names = [source.name for source in sources]
    if dataset is not None:
        if not dry_run:
            check_labelled(resolved.evaluate, names)
        _warn_unlabelled(resolved, {*dataset.videos, *dataset.unreadable}, names)
    check_prompts(resolved)
    if dry_run:
        from lavad.deployments.cli.terminal.dry_run import show_plan

        show_plan(resolved, sources, refresh=refresh, as_json=json_)
        return
    warn_ahead(resolved)
    if shard is not None and (without := parse_shard(shard).of - len(sources)) > 0:
        there = f"there {'is' if len(sources) == 1 else 'are'} only {number_of(len(sources), 'video')}"
        say(f"--shard {shard}: {there}, so at least {without} of the shards have none")
    if shards is not None:
        shard_count(len(sources), 1, shards)
        start = data_set_flow(inputs or [], resolved, shards, refresh=refresh, name=name, limit=limit)
    else:
        start = scoring_flow(inputs or [], resolved, refresh=refresh, name=name, limit=limit, shard=shard)
    _run_and_report(resolved, len(sources), start, plain=plain, as_json=json_, workers=shards is not None)


@guarded
def retry(
    run: options.RunId = None,
    store: options.StoreFolder = None,
    name: options.RunName = None,
    plain: Plain = False,
    json_: options.AsJson = False,
) -> None:
    """Try the failed, rejected and unreached videos of a run again, with the run's own configuration and its name. Secrets come
    from the environment."""
    from lavad.deployments.cli.terminal.run_end import rejected_for_good
    from lavad.deployments.cli.terminal.set_lines import again, state_of_set, ways_on
    from lavad_core.config.load import load_config
    from lavad_core.runs.known_bad import as_known_now, known_contents
    from lavad_core.runs.manifest import checked_name, load_run
    from lavad_core.runs.video_list import unfinished_of

    root = options.store_root(store)
    left = unfinished_of(root, run)
    if (name := left.name or None if name is None else name) is not None:
        checked_name(name)
    before, known = load_run(root, left.run_id), known_contents(root)
    state = state_of_set(root, before, known)
    missing = [] if state is None or state.whole else list(ways_on(state, before))
    if not left.unfinished:
        where = " in the shards that have a run" if missing else ""
        say(f"run {left.run_id} has nothing left to do{where}: {_all_done(left)}")
        for line in missing:
            say(line)
        if json_:
            show_document("run", asdict(before))
        return
    resolved = load_config(settings={**left.settings, "store": str(root)})
    warn_ahead(resolved)
    say(f"trying {number_of(len(left.unfinished), 'video')} of run {left.run_id} again{left.ending}")
    if state is not None and state.without_run and state.shard.number and not state.shard.run:
        shards, how = numbered("shard", state.without_run), again(state.without_run, state.shard.of)
        say(f"{shards} of {state.shard.of} cannot be tried again, without a run: {how}")
    for line in rejected_for_good(replace(before, videos=as_known_now(before.videos, known))):
        say(line)

    def start(run_id: str) -> Any:
        from lavad.flows.retry_failed import retry_failed

        settings = {"store": str(root)}
        return retry_failed(run_id=left.run_id, settings=settings, new_id=run_id, name=name, return_state=True)

    _run_and_report(resolved, len(left.unfinished), start, plain=plain, as_json=json_)


def _all_done(left: Unfinished) -> str:
    if left.known_bad:
        return f"{len(left.scored)} of {number_of(len(left.done), 'video', 'have')} scores{left.ending}"
    return "its video has scores" if len(left.done) == 1 else f"all {len(left.done)} videos have scores"


def _of_list(path: Path | None, frame_rate: float | None) -> list[str]:
    """The settings that the two options stand for."""
    given = [] if path is None else [f"imports.list={json.dumps(shown(path.absolute()))}"]
    return given if frame_rate is None else [*given, f"imports.frame_rate={frame_rate}"]


def _sources(inputs: list[str], config: LavadConfig) -> Sequence[VideoSource]:
    from lavad_core.errors import InputError
    from lavad_core.imports.listed import listed_sources
    from lavad_core.pipeline.prepare import check_imports
    from lavad_core.video.discover import discover

    if config.imports.list is None:
        if not inputs:
            raise InputError(
                "no videos are given: name files or folders (INPUTS), or a list with --list (see `lavad run --help`)"
            )
        return discover(inputs)
    if inputs:
        raise InputError("--list names the videos: give no other inputs beside it, or no list")
    check_imports(config)
    return listed_sources(config.imports)


def _warn_unlabelled(config: LavadConfig, labelled: set[str], names: Sequence[str]) -> None:
    """What a run would refuse, and which labels it does not need."""
    from lavad_core.datasets.names import match_key

    keys = {match_key(name) for name in labelled}
    unknown = [name for name in names if match_key(name) not in keys]
    if unknown:
        say(
            f"labels {escape(str(config.evaluate.labels))} have no line for {len(unknown)} of {len(names)} videos: "
            f"{_some(unknown)}; "
            "a run with these labels does not start (names must agree, without the file ending)"
        )
    given = {match_key(name) for name in names}
    if others := [name for name in labelled if match_key(name) not in given]:
        say(
            f"labels {escape(str(config.evaluate.labels))} name {number_of(len(others), 'video')} not given: "
            f"{_some(sorted(others))}; metrics will be over {len(labelled) - len(others)} of {len(labelled)}"
        )


def _some(names: Sequence[str]) -> str:
    from lavad_core.plain_text import first_few

    return first_few(names, show=lambda name: escape(repr(name)))


def _run_and_report(
    config: LavadConfig, videos: int, start: Start, *, plain: bool, as_json: bool, workers: bool = False
) -> None:
    """Run a flow for this many videos, and say how it ended. After a retry the metrics are over the whole set."""
    from lavad.deployments.cli.signals import interruptible
    from lavad.deployments.cli.terminal.run_end import end_of_set, metrics, print_run_end
    from lavad.deployments.cli.terminal.set_lines import state_of_set
    from lavad_core.pipeline.resources import RunResources
    from lavad_core.runs.video_list import runs_of_set

    with interruptible(go_on=SHARDS_GO_ON if workers else GO_ON) as stop:
        stop.can_retry = lambda: False  # until the run has a list of videos
        ended = run_flow(config, videos, plain, start, stop, workers=workers)
        resources = RunResources(config)
        if as_json:
            show_document("run", asdict(ended.manifest))
        print_run_end(replace(ended.manifest, videos=ended.videos), resources, tables=not as_json)
        state = state_of_set(resources.store.root, ended.manifest)
        if state is not None and state.shard.number:
            end_of_set(ended.manifest, resources, state, tables=not as_json)
        else:
            runs = runs_of_set(resources.store.root, ended.manifest)
            metrics(resources, [video for run in runs for video in run.videos], tables=not as_json)
        if code := ended.exit_code:
            raise typer.Exit(code)
