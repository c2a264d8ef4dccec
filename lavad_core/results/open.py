"""From an id that ``lavad status`` lists to its results."""

from __future__ import annotations

from pathlib import Path

from lavad_core.results.imported import ImportResults
from lavad_core.results.run import RunResults
from lavad_core.results.types import ResultSet
from lavad_core.runs.manifest import load_run


def open_results(store_root: Path, run_id: str | None = None) -> ResultSet:
    """The results of a run or of an import.

    Args:
        store_root: the store's folder.
        run_id: as ``lavad status --all`` lists it; None for the latest.

    Raises:
        InputError: there is no such run.
        StoreUnavailable: its records cannot be read.
    """
    run = load_run(store_root, run_id)
    return ImportResults(store_root, run) if run.origin == "import" else RunResults(store_root, run)
