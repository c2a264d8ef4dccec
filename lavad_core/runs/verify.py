"""Whether the records of runs are as they were written: the part of ``lavad store verify`` that is not about results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lavad_core.errors import DamagedResult, InputError
from lavad_core.runs.manifest import FOLDER, list_runs, load_run, run_path
from lavad_core.runs.run_log import load_log
from lavad_core.runs.video_list import load_sources
from lavad_core.store.maintenance import StoreFinding


def check_records(store_root: Path) -> Iterator[StoreFinding]:
    """What of the records was changed (``altered``), and which runs have records without digests (``unprotected``): those of
    an earlier version of the program.

    Raises:
        StoreUnavailable: the system could not read something.
    """
    for run_id in list_runs(store_root):
        found: dict[str, None] = {}
        sealed = True
        try:
            run = load_run(store_root, run_id)
            found |= dict.fromkeys(run.altered)
            sealed = run.sealed
            if not found:
                load_log(store_root, run_id)
        except DamagedResult as damage:
            found[str(damage)] = None
        try:
            load_sources(store_root, run_id)
        except InputError as error:
            if run_path(store_root, run_id, ".sources").exists():
                found[str(error)] = None
        except DamagedResult as damage:
            found[str(damage)] = None
        path = f"{FOLDER}/{run_id}"
        yield from (StoreFinding("altered", path, why) for why in found)
        if not found and not sealed:
            yield StoreFinding(
                "unprotected", path, "an earlier version wrote its records, without digests: a change would not show"
            )
