"""``lavad store``: look through the results, check them, tidy up."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.json_output import show_document, show_json
from lavad.deployments.cli.terminal.text import escape, say, show, show_table, size
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.runs.known_bad import KnownBad
    from lavad_core.store.files import FileStore
    from lavad_core.store.types import Key

app = typer.Typer(no_args_is_help=True, help="List, verify and tidy the stored results.")

LEASE_H = 24.0
"""Files younger than this are never removed: a run may be at work on them."""


@app.command("ls")
@guarded
def list_(store: options.StoreFolder = None, json_: options.AsJson = False) -> None:
    """What the store holds, stage by stage."""
    from lavad_core.store.files import FileStore
    from lavad_core.store.maintenance import list_results

    found = list(list_results(FileStore(options.store_root(store))))
    if json_:
        show_json([dataclasses.asdict(stage) for stage in found])
        return
    show_table(
        ("stage", "videos", "results", "rows", "size", "status"),
        [
            (
                stage.stage,
                stage.videos,
                stage.results,
                stage.rows,
                size(stage.bytes),
                ", ".join(f"{count} {status}" for status, count in stage.statuses.items()),
            )
            for stage in found
        ],
        right=(1, 2, 3, 4),
    )


@app.command("verify")
@guarded
def verify(store: options.StoreFolder = None, json_: options.AsJson = False) -> None:
    """Read every byte again and compare with the digests. Exit code 4 if a result is damaged or a run's record was altered,
    1 for lesser findings."""
    from lavad_core.runs.verify import check_records
    from lavad_core.store.files import FileStore
    from lavad_core.store.maintenance import verify as verify_store

    root = options.store_root(store)
    findings = []
    for finding in chain(verify_store(FileStore(root)), check_records(root)):
        findings.append(finding)
        if not json_:
            show(f"{finding.kind}: {escape(finding.path)}: {escape(finding.message)}")
    if json_:
        show_json([dataclasses.asdict(finding) for finding in findings])
    counts = Counter(finding.kind for finding in findings)
    damaged, altered = counts.pop("damaged", 0), counts.pop("altered", 0)
    bare = counts.pop("unprotected", 0)  # of an earlier version, and no fault
    say(f"{number_of(damaged, 'damaged result')}, {number_of(counts.total(), 'other finding')}")
    if bare:
        say(
            f"{number_of(bare, 'run', 'have')} records without digests: a change of these would not show; "
            "their results are protected"
        )
    if damaged:
        say("damaged results are never used; the next `lavad run` makes them again")
    if altered:
        say(f"{number_of(altered, 'record', 'were')} altered and count for nothing; put the files back, or run again")
    if damaged or altered:
        raise typer.Exit(Exit.STORE)
    if counts:
        raise typer.Exit(Exit.SOME_FAILED)


@app.command("gc", short_help="Remove leftovers, or results that are no longer wanted.")
@guarded
@grouped
def gc(
    given: options.ConfigurationGroup,
    unreachable: Annotated[
        bool,
        typer.Option(
            help="Also remove results that the configuration given by --preset, --config and --set would not use."
        ),
    ] = False,
    older_than_h: Annotated[
        float, typer.Option("--older-than-h", min=0, help="Leave what is younger, hours.")
    ] = LEASE_H,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for --dry-run before results are removed.")] = False,
    json_: options.AsJson = False,
) -> None:
    """Remove what dead writers left; with --unreachable also results that are no longer wanted."""
    from lavad_core.store.files import FileStore
    from lavad_core.store.maintenance import gc as collect

    if unreachable and not (dry_run or yes):
        raise typer.BadParameter("look with --dry-run first, then give --yes", param_hint="--unreachable")
    if not unreachable and given != options.ConfigurationGroup(store=given.store):
        raise typer.BadParameter("a configuration is only looked at with --unreachable", param_hint="--unreachable")
    results = FileStore(options.store_root(given.store))
    keep = _reached(results, dataclasses.replace(given, store=results.root).load().config) if unreachable else None
    report = collect(results, lease_s=older_than_h * 3600, keep=keep, dry_run=dry_run)
    if json_:
        show_document("gc", dataclasses.asdict(report))
    else:
        for path in report.paths:
            show(escape(path))
    say(
        f"{'would remove' if dry_run else 'removed'}: {number_of(report.results, 'result')}, "
        f"{number_of(report.parts, 'part')} without a commit, "
        f"{report.writers} folders of dead writers, {size(report.bytes)}; "
        f"left because younger than {older_than_h:g} h: {report.kept_young}"
    )


def _reached(store: FileStore, config: LavadConfig) -> Callable[[Key], bool]:
    """Whether a configuration reaches a result, for the videos that the store knows.

    Metrics of sets of videos are kept: which set was meant is not known, and they are small. So are imports: no configuration
    makes them.
    """
    from lavad_core.errors import InputError
    from lavad_core.pipeline.prepare import import_digests
    from lavad_core.pipeline.resources import RunResources
    from lavad_core.stages.node import PreparedVideo
    from lavad_core.store.maintenance import iter_commits

    graph = RunResources(config).graph
    names: defaultdict[str, set[str]] = defaultdict(set)  # a copy has the content, and so the id, of its original
    for commit in iter_commits(store):
        names[commit.key.video_id].add(commit.video)
    wanted: set[Key] = set()
    for video_id, name in [(known, name) for known in sorted(names) for name in sorted(names[known])]:
        try:
            imports = import_digests(config, name)
        except InputError:
            continue  # nothing is imported under this name: the configuration does not reach it
        wanted.update(graph.keys(PreparedVideo(name, "", "file", video_id, imports)).values())
    return lambda key: key.stage in ("evaluate", "import") or key in wanted


@app.command("known-bad", short_help="Say that videos are bad and will stay so, or list them.")
@guarded
def known_bad(
    videos: Annotated[
        list[str] | None, typer.Argument(metavar="[VIDEO]...", help="Videos of the run that are bad for good.")
    ] = None,
    run: options.Run = None,
    all_: Annotated[bool, typer.Option("--all", help="All that the run rejected for good.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Take it back.")] = False,
    store: options.StoreFolder = None,
    json_: options.AsJson = False,
) -> None:
    """Say that videos are bad and will stay so: runs then show and count them, and are not red for them. By content, so that a
    mended or another bad file counts again. Without VIDEO and --all: list them."""
    from lavad_core.runs import known_bad as notes

    root = options.store_root(store)
    if videos or all_:
        for video in _chosen(root, run, videos or []):
            if forget:
                notes.forget(root, video)
            else:
                notes.acknowledge(root, video)
    elif forget:
        raise typer.BadParameter("--forget needs to know which: name VIDEOs, or give --all")
    found = list(notes.known_bad(root))
    if json_:
        show_document("known-bad", {"videos": [dataclasses.asdict(video) for video in found]})
        return
    show_table(("video", "reason", "content", "message"), [(v.name, v.reason, v.video_id, v.message) for v in found])


def _chosen(root: Path, given: str | None, names: list[str]) -> list[KnownBad]:
    """The videos of these names, or all, that a run rejected for good."""
    from lavad_core.errors import InputError
    from lavad_core.pipeline.execute import REJECTED_BY_CONTENT
    from lavad_core.runs.known_bad import KnownBad
    from lavad_core.runs.manifest import load_run
    from lavad_core.runs.video_list import runs_of_set

    run = load_run(root, given, "run")
    outcomes = {video.name: video for one in runs_of_set(root, run) for video in one.videos}
    for_good = {
        name: KnownBad(video.video_id, video.reason, name, video.message)
        for name, video in outcomes.items()
        if video.status == "rejected" and video.reason in REJECTED_BY_CONTENT and video.video_id
    }
    for name in names:
        if name not in outcomes:
            raise InputError(f"run {run.run_id} has no video {name!r}; `lavad status {run.run_id}` lists them")
        if name not in for_good:
            raise InputError(
                f"{name!r} ended {outcomes[name].status} ({outcomes[name].reason or 'no reason'}) in run {run.run_id}: only "
                "what is rejected for its content can be known to be bad; the rest may pass the next time"
            )
    return [for_good[name] for name in names or for_good]
