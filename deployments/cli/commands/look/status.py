"""``lavad status``: what runs did."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.json_output import show_document, show_json
from lavad.deployments.cli.terminal.run_facts import counted, headline, metric_rows
from lavad.deployments.cli.terminal.text import escape, say, show, show_table, size
from lavad_core.plain_text import first_few

if TYPE_CHECKING:
    from lavad_core.runs.manifest import RunManifest

LISTED = 5
"""Earlier runs that are named below a run."""


@guarded
def status(
    run: options.RunId = None,
    all_: Annotated[bool, typer.Option("--all", help="List the runs of the store, one line for each.")] = False,
    stages: Annotated[bool, typer.Option("--stages", help="One row per stage instead of one per video.")] = False,
    json_: options.AsJson = False,
    store: options.StoreFolder = None,
) -> None:
    """Print how a run ended for each of its videos."""
    from lavad_core.runs.manifest import list_runs, load_run

    root = options.store_root(store)
    if all_:
        _list(root, json_)
        return
    manifest = load_run(root, run)
    if json_:
        show_document("run", asdict(manifest))
        return
    say(headline(manifest))
    for why in manifest.altered:
        say(f"WARNING: {escape(why)}")
    if not manifest.sealed:
        say("the records of this run have no digests (an earlier version wrote them): a change of them would not show")
    if manifest.message:
        say(escape(manifest.message))
    if stages:
        show_table(
            ("stage", "done", "cached", "failed", "seconds", "cpu_s", "peak memory", "work"),
            [
                (
                    node,
                    totals.done,
                    totals.cached,
                    totals.failed,
                    totals.seconds,
                    totals.cpu_seconds,
                    size(totals.peak_rss_bytes),
                    ", ".join(f"{name} {amount}" for name, amount in totals.work.items()),
                )
                for node, totals in manifest.stages.items()
            ],
            right=(1, 2, 3, 4, 5, 6),
        )
    else:
        show_table(
            ("video", "status", "reason", "seconds", "message"),
            [(v.name, v.status, v.reason, float(v.seconds or 0), v.message) for v in manifest.videos],
            right=(3,),
        )
    if manifest.metrics is not None:
        show("")
        show_table(("metric", "value"), metric_rows(manifest.metrics), right=(1,))
    _tell_of_unchecked(root, manifest)
    _tell_of_earlier(root, manifest.run_id)
    others = [other for other in reversed(list_runs(root)) if other != manifest.run_id]
    if others and run is None:
        say(f"other runs: {first_few(others, LISTED)} (lavad status RUN)")


def _tell_of_unchecked(root: Path, manifest: RunManifest) -> None:
    """How many videos may have been cut off without a sign."""
    from lavad_core.errors import StoreError
    from lavad_core.results.run import unchecked_ends

    if manifest.origin == "import":
        return
    try:
        unchecked = unchecked_ends(root, manifest)
    except StoreError as error:
        say(f"WARNING: {escape(error)}")
        return
    if unchecked:
        say(
            f"completeness: the end of {len(unchecked)} of {len(manifest.videos)} videos could not be checked: their "
            f"containers announce none (lavad show {escape(unchecked[0])})"
        )


def _tell_of_earlier(root: Path, run_id: str) -> None:
    """A retry is about a part of a set: say where the rest is."""
    from lavad_core.errors import DamagedResult, InputError
    from lavad_core.runs.video_list import load_sources

    try:
        earlier = load_sources(root, run_id).earlier
    except InputError:  # the run ended before it knew its videos
        return
    except DamagedResult as damage:
        say(f"WARNING: {escape(damage)}")
        return
    if earlier:
        runs = ", ".join(dict.fromkeys(earlier.values()))
        say(f"{len(earlier)} other videos of the set have scores from before: {runs}")


def _list(root: Path, as_json: bool) -> None:
    from lavad_core.errors import StoreError
    from lavad_core.results.recipe import in_short, recorded_recipe
    from lavad_core.runs.manifest import list_runs, load_run

    runs = []
    for run_id in list_runs(root):
        try:
            runs.append(load_run(root, run_id))
        except StoreError as error:  # of this one; the others are listed
            say(f"WARNING: {escape(error)}")
    for run in runs:
        for why in run.altered:
            say(f"WARNING: {run.run_id}: {escape(why)}")
    recipes = [recorded_recipe(run) for run in runs]
    lines = [(r.run_id, r.status, r.started, r.seconds, len(r.videos), counted(r)) for r in runs]
    headers = ("run", "status", "started", "seconds", "videos", "outcomes")
    named = any(run.name for run in runs)  # a column of nothing where nobody gives names
    if as_json:
        rows = zip(lines, runs, recipes, strict=True)
        show_json(
            [{**dict(zip(headers, line, strict=True)), "name": run.name, "recipe": r.lines} for line, run, r in rows]
        )
    else:
        rows_of_text = [
            (*line, in_short(recipe), *([run.name] if named else []))
            for line, run, recipe in zip(lines, runs, recipes, strict=True)
        ]
        show_table((*headers, "made with", *(["name"] if named else [])), rows_of_text, right=(3, 4))
