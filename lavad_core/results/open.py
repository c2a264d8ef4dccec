"""Opening the results of a run or an import by its id."""

from __future__ import annotations

import logging
from pathlib import Path

from lavad_core.errors import InputError
from lavad_core.location import shown
from lavad_core.results.imported import results_of_import
from lavad_core.results.run import results_of_run
from lavad_core.results.types import ResultSet
from lavad_core.runs.manifest import RunManifest, is_running, list_runs, load_run

log = logging.getLogger(__name__)


def open_results(store_root: str | Path, run: str | RunManifest | None = None) -> ResultSet:
    """The results of a run or of an import.

    Args:
        store_root: the store's folder.
        run: its id or name, as ``lavad status --all`` lists it, or its record; None for the latest that has ended.

    Raises:
        InputError: there is no such run.
        ConfigError: another version of the program recorded it, and this one does not know a setting of it.
        StoreError: its records or results cannot be read.
    """
    store_root = Path(store_root)
    record = run if isinstance(run, RunManifest) else chosen_run(store_root, run)
    return (results_of_import if record.origin == "import" else results_of_run)(store_root, record)


def chosen_run(store_root: Path, run_id: str | None) -> RunManifest:
    """A run or import whose results are wanted; the latest that has ended if no id is given.

    One that is still going has scores of some videos only. It is taken where it is named, and passed over where it is not; a
    warning says which.

    Raises:
        InputError: there is no such run, or none has ended.
        StoreUnavailable: its records cannot be read.
    """
    if run_id is not None:
        run = load_run(store_root, run_id)
        if run.status == "running":
            log.warning("run %s is still going: results are of the videos that are done", run_id)
        return run
    going: list[str] = []
    for candidate in reversed(list_runs(store_root)):
        if not is_running(store_root, candidate):
            if going:
                log.warning(
                    "run %s is still going; the latest that has ended is taken: %s (--run ID takes another)",
                    going[0],
                    candidate,
                )
            return load_run(store_root, candidate)
        going.append(candidate)
    if going:
        raise InputError(
            f"store {shown(store_root)!r} has no run that has ended: {going[0]} is still going; name it (--run {going[0]}) for "
            "the videos that are done"
        )
    return load_run(store_root)  # says that there is none
