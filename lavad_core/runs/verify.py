"""Whether records of runs and notes are as they were written: the part of ``lavad store verify`` that is not about results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lavad_core.errors import DamagedResult, InputError
from lavad_core.runs import known_bad, sets
from lavad_core.runs.manifest import FOLDER, list_runs, load_run, run_path
from lavad_core.runs.run_log import load_log
from lavad_core.runs.video_list import load_sources
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import StoreFinding
from lavad_core.store.notes import read_note


def check_records(store_root: Path) -> Iterator[StoreFinding]:
    """What of the records, and of the notes about sets and bad videos, was changed (``altered``), and which runs have records
    without digests (``unprotected``): those of an earlier version of the program.

    Raises:
        StoreUnavailable: the system could not read something.
    """
    yield from _check_notes(FileStore(store_root))
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


def _check_notes(store: FileStore) -> Iterator[StoreFinding]:
    for blob in (blob for folder in (sets.FOLDER, known_bad.FOLDER) for blob in store.blobs.list(folder)):
        own = blob.name.rpartition("/")[2]
        if own.startswith(".") or not own.endswith(".json"):  # of another system: .DS_Store, ._format.json
            continue
        try:
            read_note(store, blob.name)
        except DamagedResult as damage:
            yield StoreFinding("altered", blob.name, str(damage))
