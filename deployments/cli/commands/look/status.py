"""``lavad status``: what runs did."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.json_output import show_document, show_json
from lavad.deployments.cli.terminal.missing_files import missing_files
from lavad.deployments.cli.terminal.run_facts import counted, headline, metric_rows
from lavad.deployments.cli.terminal.set_lines import set_line, state_of_set, store_option, ways_on
from lavad.deployments.cli.terminal.text import escape, say, show, show_table, size
from lavad_core.plain_text import first_few, number_of

if TYPE_CHECKING:
    from lavad_core.planning.set_state import SetState
    from lavad_core.runs.manifest import RunManifest

LISTED = 5
"""Earlier runs that are named below a run."""

SET_DIGITS = 12
"""Digits of a set's id in a table of runs: enough to tell sets apart."""


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
    from lavad.deployments.cli.terminal.run_end import worth_a_retry
    from lavad_core.runs.known_bad import known_contents
    from lavad_core.runs.manifest import SCORED, list_runs, load_run

    root = options.store_root(store)
    if all_:
        _list(root, run, json_)
        return
    known_bad = known_contents(root)
    manifest = _as_known(load_run(root, run), known_bad)
    state = state_of_set(root, manifest, known_bad)
    earlier = [] if state is not None else [_as_known(one, known_bad) for one in _earlier(root, manifest)]
    rows = [(video, one.run_id) for one in (manifest, *earlier) for video in one.videos]
    if state is not None:
        rows = [(video.outcome, video.run_id) for video in state.videos]
    of_set = None if state is None else _metrics_of_set(root, manifest, state)
    if json_:
        before = [{**asdict(video), "run": run_id} for video, run_id in rows if run_id != manifest.run_id]
        whole = {} if state is None else {"set": {**_set_facts(state), "metrics": of_set}}
        show_document("run", {**asdict(manifest), **({"earlier": before} if before else {}), **whole})
        return
    if state is not None:
        say(set_line(state))
        for line in ways_on(state, manifest):
            say(line)
        if state.whole and (offer := worth_a_retry(replace(manifest, videos=tuple(video for video, _ in rows)))):
            say(offer)
    part = f", {manifest.shard}" if manifest.shard is not None and manifest.shard.number else ""
    over_set = manifest.shard is not None and not manifest.shard.number
    say(headline(replace(manifest, videos=tuple(video for video, _ in rows)) if over_set else manifest, part))
    for why in manifest.altered:
        say(f"WARNING: {escape(why)}")
    if not manifest.sealed:
        say("the records of this run have no digests (an earlier version wrote them): a change of them would not show")
    if not manifest.started:
        say("nothing of this run was written down, so it never began (a full disk, for one): give `lavad run` again")
    if manifest.message:
        say(escape(manifest.message))
    if absent := missing_files(manifest):
        say(absent)
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
        several = bool(earlier) or state is not None
        show_table(
            ("video", "status", "reason", "seconds", *(["run"] if several else []), "message"),
            [
                (v.name, v.word, v.reason, float(v.seconds or 0), *([run_id] if several else []), v.message)
                for v, run_id in rows
            ],
            right=(3,),
            omit_empty=True,
        )
    if (metrics := manifest.metrics if of_set is None else of_set) is not None:
        show("")
        show_table(("metric", "value"), metric_rows(metrics), right=(1,))
    _tell_of_unchecked(root, [manifest, *earlier] if state is None else state.runs)
    if earlier:
        count, runs = sum(len(other.videos) for other in earlier), ", ".join(other.run_id for other in earlier)
        what = "has scores from before" if count == 1 else "have scores from before"
        if not all(video.status in SCORED for other in earlier for video in other.videos):
            what = "is in another run" if count == 1 else "are in other runs"
        say(f"{number_of(count, 'other video')} of the set {what}: {runs}")
    told = {manifest.run_id, *(run_id for _, run_id in rows)}
    others = [other for other in reversed(list_runs(root)) if other not in told]
    if others and run is None:
        say(f"other runs: {first_few(others, LISTED)} (lavad status RUN)")


def _as_known(run: RunManifest, known_bad: Container[tuple[str, str]]) -> RunManifest:
    """A run, with what is known by now to be bad."""
    from lavad_core.runs.known_bad import as_known_now

    return replace(run, videos=as_known_now(run.videos, known_bad))


def _set_facts(state: SetState) -> dict[str, Any]:
    """A set for JSON."""
    return {
        "set_id": state.shard.set_id,
        "shards": state.shard.of,
        "videos": len(state.videos),
        "scored": state.scored,
        "outcomes": state.others,
        "without_run": state.without_run,
        "going": state.going,
        "cut_off": state.cut_off,
    }


def _metrics_of_set(root: Path, run: RunManifest, state: SetState) -> Mapping[str, Any] | None:
    """The metrics of a whole set, where they were made: by the shard that ended last, or by the run over the set."""
    from lavad_core.errors import InputError, StoreError
    from lavad_core.run_metrics import kept_metrics
    from lavad_core.runs.manifest import SCORED

    if run.metrics is not None or not state.whole or not run.config.get("evaluate", {}).get("labels"):
        return run.metrics
    unscored = [video.outcome.name for video in state.videos if video.outcome.status not in SCORED]
    try:
        found = kept_metrics(root, state.runs, unscored)
    except (InputError, StoreError) as error:
        say(f"the metrics of the set are not shown: {escape(error)}")
        return None
    if found is None:
        say(f"no metrics of the set are kept: `lavad evaluate --run {run.run_id}{store_option(run)}` makes them")
    return found


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
    from lavad_core.runs.known_bad import known_contents
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
    known_bad = known_contents(root)
    runs = [_with_videos_of_set(root, run, known_bad) for run in runs]
    lines = [(r.run_id, r.name, _part(r), r.status, r.started, r.seconds, len(r.videos), counted(r)) for r in runs]
    headers = ("run", "name", "part", "status", "started", "seconds", "videos", "outcomes")
    rows = list(zip(lines, recipes, strict=True))
    if as_json:
        show_json([{**dict(zip(headers, line, strict=True)), "recipe": recipe.lines} for line, recipe in rows])
        return
    kept = [
        at for at, header in enumerate(headers) if header not in ("name", "part") or any(line[at] for line in lines)
    ]
    show_table(
        (*(headers[at] for at in kept), "made with"),
        [(*(line[at] for at in kept), in_short(recipe)) for line, recipe in rows],
        right=(len(kept) - 3, len(kept) - 2),
    )


def _part(run: RunManifest) -> str:
    """Which part of which set a run is of."""
    return "" if run.shard is None else f"{run.shard} of set {run.shard.set_id[:SET_DIGITS]}"


def _with_videos_of_set(root: Path, run: RunManifest, known_bad: Container[tuple[str, str]]) -> RunManifest:
    """A run with what is known by now of its videos; the run over a set with those that its shards have."""
    state = state_of_set(root, run, known_bad) if run.shard is not None and not run.shard.number else None
    if state is None:
        return _as_known(run, known_bad)
    return replace(run, videos=tuple(video.outcome for video in state.videos))
