"""Checking and tidying a store, as tasks."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from lavad.tasks.job import UNCACHED
from lavad_core.errors import StoreUnavailable
from lavad_core.location import shown
from lavad_core.plain_text import number_of
from lavad_core.runs.verify import check_records
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import StoreFinding, gc, verify
from lavad_core.store.presence import store_exists


def _open(store: str) -> FileStore:
    root = Path(store)
    if not store_exists(root):
        raise StoreUnavailable(f"there is no store at {shown(root)!r}")
    return FileStore(root)


@task(name="verify", description="Read every result and record, and compare them with their digests.", **UNCACHED)
def verify_store(store: str) -> list[StoreFinding]:
    """Everything in the store and in the records of its runs that is not as it should be.

    Raises:
        StoreUnavailable: there is no store, or something in it cannot be read.
    """
    opened = _open(store)
    return [*verify(opened), *(found for found in check_records(opened.root) if found.kind != "unprotected")]


@task(name="collect-garbage", description="What no reader can use.", **UNCACHED)
def collect_garbage(store: str, lease_s: float, dry_run: bool) -> str:
    """Remove what no reader can use, or count it with ``dry_run``, and return a sentence about it."""
    report = gc(_open(store), lease_s=lease_s, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    return (
        f"gc {verb} {number_of(report.parts, 'part')} and {report.writers} dead writers' folders, {report.bytes} bytes"
    )
