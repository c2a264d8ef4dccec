"""Other runs that are at work on the same store."""

from __future__ import annotations

import logging
from pathlib import Path

from lavad_core.errors import InputError, StoreError
from lavad_core.runs.manifest import Origin, RunManifest, is_running, list_runs, load_run, run_path
from lavad_core.runs.sets import ShardOfRun

log = logging.getLogger("lavad_core.runs")

MAX_LOOKED_AT = 200
"""How many of the latest runs are looked at; one that is still going is not older than this many others."""


def runs_beside(store_root: Path, own_id: str) -> list[RunManifest]:
    """Runs of other processes of this machine that are still running, oldest first. A killed run is not: the kernel has let
    go of its records."""
    found = []
    for run_id in list_runs(store_root)[-MAX_LOOKED_AT:]:
        if run_id == own_id or run_path(store_root, run_id, ".json").exists():
            continue
        try:
            if is_running(store_root, run_id):
                found.append(load_run(store_root, run_id))
        except (InputError, StoreError):  # it ended while it was looked at, or cannot be read: nothing to say about it
            continue
    return found


def warn_of_runs_beside(store_root: Path, own_id: str, origin: Origin = "run", shard: ShardOfRun | None = None) -> None:
    """Say which others of the same origin are at work: what both want is made by both. An import takes no work from a run.

    Args:
        store_root: the store's folder.
        own_id: id of the run that looks.
        origin: its origin.
        shard: what it is of, if that is known: the runs of other shards take nothing from it, nor do runs of which nobody can
            tell yet.
    """
    others = [run for run in runs_beside(store_root, own_id) if run.origin == origin]
    if shard is not None:
        mine = (shard.set_id, shard.number)
        others = [run for run in others if run.shard is not None and (run.shard.set_id, run.shard.number) == mine]
    if others:
        which = ", ".join(run_in_words(run) for run in others)
        log.warning(
            "%s is at work on this store too. Results are safe, but what both want is computed by both, and the first result "
            "stays: wait for it%s",
            which if origin == "run" else f"import {which.removeprefix('run ')}",
            ", or give each run videos of its own" if origin == "run" else "",
        )


def run_in_words(run: RunManifest) -> str:
    """Which run it is: ``run <id> (process 17 on gpu-box, since 2026-01-01T00:00:00+00:00)``."""
    process, name = run.host.get("process", "?"), run.host.get("name", "?")
    return f"run {run.run_id} (process {process} on {name}, since {run.started})"
