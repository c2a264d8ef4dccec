"""``lavad status``: what runs did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
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
    all_: Annotated[
        bool, typer.Option("--all", help="List the runs of the store, or those of a name, one line for each.")
    ] = False,
    stages: Annotated[bool, typer.Option("--stages", help="One row per stage instead of one per video.")] = False,
    json_: options.AsJson = False,
    store: options.StoreFolder = None,
) -> None:
    """Print how a run ended for each of its videos; of a retry, for each video of the set that it is of."""
    from lavad_core.runs.manifest import SCORED, list_runs, load_run
    from lavad_core.runs.video_list import shards_without_run

    root = options.store_root(store)
    if all_:
        _list(root, run, json_)
        return
    manifest = load_run(root, run)
    earlier = _earlier(root, manifest)
    if json_:
        before = [{**asdict(video), "run": other.run_id} for other in earlier for video in other.videos]
        show_document("run", {**asdict(manifest), **({"earlier": before} if before else {})})
        return
    whole = manifest
    if manifest.shard is not None and not manifest.shard.number:
        whole = replace(manifest, videos=tuple(video for run in (manifest, *earlier) for video in run.videos))
    say(headline(whole))
    if manifest.shard is not None:
        missing = shards_without_run(root, manifest)
        without = f"; without a run: {first_few(missing, LISTED)}" if missing else ""
        say(f"{manifest.shard} of set {manifest.shard.set_id}{without}")
    for why in manifest.altered:
        say(f"WARNING: {escape(why)}")
    if not manifest.sealed:
        say("the records of this run have no digests (an earlier version wrote them): a change of them would not show")
    if manifest.message:
        say(escape(manifest.message))
    if stages:
        show_table(
            ("stage", "done", "cached", "failed", "seconds", "model_s", "waited_s", "cpu_s", "peak memory", "work"),
            [
                (
                    node,
                    totals.done,
                    totals.cached,
                    totals.failed,
                    totals.seconds,
                    totals.device_seconds,
                    totals.waited_seconds,
                    totals.cpu_seconds,
                    size(totals.peak_rss_bytes),
                    ", ".join(f"{name} {amount}" for name, amount in totals.work.items()),
                )
                for node, totals in manifest.stages.items()
            ],
            right=(1, 2, 3, 4, 5, 6, 7, 8),
            omit_empty=True,
        )
    else:
        show_table(
            ("video", "status", "reason", "seconds", *(["run"] if earlier else []), "message"),
            [
                (v.name, v.word, v.reason, float(v.seconds or 0), *([run.run_id] if earlier else []), v.message)
                for run in (manifest, *earlier)
                for v in run.videos
            ],
            right=(3,),
            omit_empty=True,
        )
    if manifest.metrics is not None:
        show("")
        show_table(("metric", "value"), metric_rows(manifest.metrics), right=(1,))
    _tell_of_unchecked(root, [manifest, *earlier])
    if earlier:
        count, runs = sum(len(other.videos) for other in earlier), ", ".join(other.run_id for other in earlier)
        scored = all(video.status in SCORED for other in earlier for video in other.videos)
        what = "have scores from before" if manifest.shard is None and scored else "are in other runs"
        say(f"{count} other videos of the set {what}: {runs}")
    others = [other for other in reversed(list_runs(root)) if other != manifest.run_id]
    if others and run is None:
        say(f"other runs: {first_few(others, LISTED)} (lavad status RUN)")


def _tell_of_unchecked(root: Path, runs: Sequence[RunManifest]) -> None:
    """How many videos may have been cut off without a sign."""
    from lavad_core.errors import StoreError
    from lavad_core.results.run import unchecked_ends

    if runs[0].origin == "import":
        return
    try:
        unchecked = [name for run in runs for name in unchecked_ends(root, run)]
    except StoreError as error:
        say(f"WARNING: {escape(error)}")
        return
    if unchecked:
        say(
            f"completeness: the end of {len(unchecked)} of {sum(len(run.videos) for run in runs)} videos could not be "
            f"checked: their containers announce none (lavad show {escape(unchecked[0])})"
        )


def _earlier(root: Path, run: RunManifest) -> Sequence[RunManifest]:
    """A retry is about a part of a set: the runs that have the rest."""
    from lavad_core.errors import InputError, StoreError
    from lavad_core.runs.video_list import runs_of_set

    try:
        return runs_of_set(root, run)[1:]
    except (InputError, StoreError) as error:  # this run's own videos are known all the same
        say(f"WARNING: {escape(error)}")
        return []


def _list(root: Path, given: str | None, as_json: bool) -> None:
    """The runs and imports of the store; of a name, if one is given."""
    from lavad_core.errors import StoreError
    from lavad_core.results.recipe import in_short, recorded_recipe
    from lavad_core.runs.manifest import find_run, list_runs, load_run, names_of_runs

    wanted = list_runs(root)
    if given is not None:
        named = [run_id for run_id, name in names_of_runs(root).items() if name == given]
        wanted = named or [find_run(root, given)]  # an id, or the error that says what may be meant
    runs = []
    for run_id in wanted:
        try:
            runs.append(load_run(root, run_id))
        except StoreError as error:  # of this one; the others are listed
            say(f"WARNING: {escape(error)}")
    for run in runs:
        for why in run.altered:
            say(f"WARNING: {run.run_id}: {escape(why)}")
    recipes = [recorded_recipe(run) for run in runs]
    lines = [(r.run_id, r.name, r.status, r.started, r.seconds, len(r.videos), counted(r)) for r in runs]
    headers = ("run", "name", "status", "started", "seconds", "videos", "outcomes")
    rows = list(zip(lines, recipes, strict=True))
    if as_json:
        show_json([{**dict(zip(headers, line, strict=True)), "recipe": recipe.lines} for line, recipe in rows])
        return
    kept = [at for at, header in enumerate(headers) if header != "name" or any(run.name for run in runs)]
    show_table(
        (*(headers[at] for at in kept), "made with"),
        [(*(line[at] for at in kept), in_short(recipe)) for line, recipe in rows],
        right=(len(kept) - 3, len(kept) - 2),
    )
