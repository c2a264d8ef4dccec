"""The log of a run, compared with what the run's record says about it, and what that record says about the list of videos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from lavad_core.errors import DamagedResult
from lavad_core.location import shown
from lavad_core.runs.event_log import EventLog, read_log
from lavad_core.runs.manifest import run_path
from lavad_core.runs.records import StageRecord, records_of
from lavad_core.seal import seal_of
from lavad_core.store.faults import store_errors


def load_log(store_root: Path, run_id: str) -> EventLog:
    """The log of a run.

    Raises:
        DamagedResult: a line of it, or what it had when the run ended, is not as it was written.
        StoreUnavailable: it cannot be read.
    """
    path = run_path(store_root, run_id, ".jsonl")
    log = read_log(path, noted(store_root, run_id, "log"))
    if log.altered:
        raise DamagedResult(
            f"the log {shown(path)!r} was changed after it was written ({'; '.join(log.altered[:3])}): which results are the "
            "run's is no longer known from it; put the file back, or run again (finished results are found, not made again)"
        )
    return log


def noted(store_root: Path, run_id: str, what: Literal["log", "sources"]) -> Any:
    """What a run's record says about its log (length and digest at the end) or about its list of videos (the digest); None
    where no record that is as it was written says anything."""
    path = run_path(store_root, run_id, ".json")
    with store_errors("read", path):
        try:
            document = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return None
    return document.get(what) if isinstance(document, dict) and seal_of(document) == "whole" else None


def load_records(store_root: Path, run_id: str) -> Iterator[StageRecord]:
    """The stages of a run, in the order in which they ended. A line cut by a kill or a full disk is left out; errors as
    :func:`load_log`."""
    yield from records_of(load_log(store_root, run_id))
