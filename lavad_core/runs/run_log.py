"""The log of a run, compared with what the run's record says of it, and what that record says of the list of videos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lavad_core.runs.event_log import EventLog, read_log, trusted
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
    return trusted(path, read_log(path, _end_of_log(store_root, run_id)))


def _end_of_log(store_root: Path, run_id: str) -> Mapping[str, Any] | None:
    """Length and digest of the log when the run ended, as its record has them."""
    document = _whole_record(store_root, run_id)
    return None if document is None else document.get("log")


def _whole_record(store_root: Path, run_id: str) -> Mapping[str, Any] | None:
    """A record that is as it was written; None if there is none."""
    path = run_path(store_root, run_id, ".json")
    with store_errors("read", path):
        try:
            document = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return None
    return document if isinstance(document, dict) and seal_of(document) == "whole" else None


def load_records(store_root: Path, run_id: str) -> Iterator[StageRecord]:
    """The stages of a run, in the order in which they ended. A line cut by a kill or a full disk is left out; errors as
    :func:`load_log`."""
    yield from records_of(load_log(store_root, run_id))


def noted_sources(store_root: Path, run_id: str) -> str | None:
    """Digest of the list of videos when the run ended, as its record has it; None if nothing is noted."""
    document = _whole_record(store_root, run_id)
    return None if document is None else document.get("sources")
