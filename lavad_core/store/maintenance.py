"""Looking through a store and tidying it: what ``lavad store ls``, ``verify`` and ``gc`` do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from lavad_core.errors import DamagedResult
from lavad_core.location import shown
from lavad_core.store.blobs import BlobInfo
from lavad_core.store.commits import COMMIT_NAME, UnknownFormat, is_part, key_of
from lavad_core.store.files import FileStore
from lavad_core.store.parquet import read_batches, sha256_of
from lavad_core.store.presence import store_exists
from lavad_core.store.staging import WriterFolder
from lavad_core.store.types import Commit, Key

FindingKind = Literal["damaged", "orphan", "unfinished", "unknown", "later-version", "altered", "unprotected"]


@dataclass(frozen=True)
class StageSummary:
    """What the store holds of one stage."""

    stage: str
    """Name of the stage."""
    videos: int
    """How many different videos have a result of it."""
    results: int
    """Commits; more than videos where several configurations were run."""
    rows: int
    """Rows of all results."""
    bytes: int
    """Bytes of parts and results."""
    statuses: dict[str, int]
    """Status to number of results; ``damaged`` for those that cannot be used."""


@dataclass(frozen=True)
class StoreFinding:
    """Something that is wrong in the store."""

    kind: FindingKind
    """``damaged``: a result whose bytes and commit differ; never used, made again by the next run. ``orphan``: a part
    that no commit names. ``unfinished``: what a dead writer left. Both harmless, removed by ``gc``. ``unknown``:
    a file that does not belong to the store. ``later-version``: a commit of a later program. ``altered``,
    ``unprotected``: a run's record, or a note, that is not as it was written, or has no digest (``runs.verify``)."""
    path: str
    """Path of what was found, relative to the store."""
    message: str
    """What was found, as a sentence."""
    key: Key | None = None
    """The result concerned, if any."""


@dataclass
class GcReport:
    """What ``gc`` removed, or would with ``dry_run``."""

    dry_run: bool
    """Whether nothing was changed."""
    writers: int = 0
    """Folders of dead writers, and what they left on an object storage."""
    parts: int = 0
    """Parts without a commit, and commits that cannot be used, older than the lease."""
    results: int = 0
    """Results that ``keep`` refused."""
    bytes: int = 0
    """Bytes of parts and results."""
    paths: list[str] = field(default_factory=list)
    """The paths of everything removed, relative to the store."""
    kept_young: int = 0
    """Things that would have been removed but are younger than the lease."""


def _folders(store: FileStore) -> Iterator[tuple[str, Key | None, list[BlobInfo]]]:
    """(folder, its key or None, its files), folder by folder."""
    for folder, infos in groupby(store.blobs.list(), key=lambda info: info.name.rpartition("/")[0]):
        yield folder, key_of(folder.split("/")), list(infos)


def iter_commits(store: FileStore, stage: str | None = None) -> Iterator[Commit]:
    """All usable commits, of one stage or of all, in the order of their keys."""
    for _, key, infos in _folders(store):
        if key is None or (stage is not None and key.stage != stage):
            continue
        if any(info.name.endswith(f"/{COMMIT_NAME}") for info in infos) and (commit := store.find(key)) is not None:
            yield commit


def results_of(store: FileStore, stage: str, video_id: str) -> list[Commit]:
    """All usable results of a stage for a video, whatever their settings."""
    names = (info.name.split("/") for info in store.blobs.list(f"{stage}/{video_id}"))
    keys = {Key(stage, video_id, parts[2]) for parts in names if len(parts) == 4 and parts[3] == COMMIT_NAME}
    return [commit for key in sorted(keys) if (commit := store.find(key)) is not None]


def list_results(store: FileStore) -> Iterator[StageSummary]:
    """What the store holds, stage by stage. Reads commits, not parts."""
    results = ((key, infos) for _, key, infos in _folders(store) if key is not None)
    for stage, members in groupby(results, key=lambda result: result[0].stage):
        videos: set[str] = set()
        statuses: Counter[str] = Counter()
        rows = total = 0
        for key, infos in members:
            committed = next((info for info in infos if info.name.endswith(f"/{COMMIT_NAME}")), None)
            if committed is None:
                continue
            commit = store.find(key)
            statuses[commit.status if commit else "damaged"] += 1
            videos.add(key.video_id)
            total += committed.bytes
            if commit is not None:
                rows += sum(part.rows for part in commit.files)
                total += sum(part.bytes for part in commit.files)
        if statuses:
            yield StageSummary(stage, len(videos), statuses.total(), rows, total, dict(sorted(statuses.items())))


def verify(store: FileStore) -> Iterator[StoreFinding]:
    """Read every byte of every result again and compare. Changes nothing; works on a store that cannot be written.

    Raises:
        StoreUnavailable: the system could not read something: that says nothing about whether it is damaged.
    """
    for path in store.staging.dead():
        yield StoreFinding(
            "unfinished", f"{path.parent.name}/{path.name}", "left by a writer that died; `gc` removes it"
        )
    for info in store.blobs.leftovers():
        if info.modified_s < time.time() - store.blobs.grace_s:
            yield StoreFinding("unfinished", info.name, "left by a process that died; `gc` removes it when it is old")
    for folder, key, infos in _folders(store):
        if key is None:
            yield from (StoreFinding("unknown", info.name, "not a file of a store") for info in infos)
            continue
        # Looked at again if a writer or a discard was at work in between: then the second look is right.
        findings = list(_look(store, key, folder, infos))
        if findings:
            again = list(store.blobs.list(folder))
            if [(i.name, i.version) for i in again] != [(i.name, i.version) for i in infos]:
                findings = list(_look(store, key, folder, again))
        yield from findings


def _look(store: FileStore, key: Key, folder: str, infos: list[BlobInfo]) -> Iterator[StoreFinding]:
    names = [info.name.rpartition("/")[2] for info in infos]
    named: set[str] = set()
    try:
        commit = store.load(key)
        if commit is not None:
            named = {part.name for part in commit.files}
            _read_whole(store, commit)
    except UnknownFormat as later:
        yield StoreFinding("later-version", f"{folder}/{COMMIT_NAME}", str(later), key)
        return
    except DamagedResult as damage:
        yield StoreFinding("damaged", f"{folder}/{COMMIT_NAME}", str(damage), key)
        if not named:
            return  # nothing says whose the parts are
    for name in names:
        if is_part(name) and name not in named:
            yield StoreFinding("orphan", f"{folder}/{name}", "no commit names it; `gc` removes it", key)
        elif not is_part(name) and name != COMMIT_NAME:
            yield StoreFinding("unknown", f"{folder}/{name}", "not a file of a store", key)


def _read_whole(store: FileStore, commit: Commit) -> None:
    """Digest and pages of every part, without the memory of what was verified before."""
    for part in commit.files:
        path = store.folder(commit.key) / part.name
        file = store.blobs.open(path.relative_to(store.root).as_posix(), again=True)
        if file is None:
            raise DamagedResult(f"{shown(path)!r} is missing")
        with file:
            found = sha256_of(file, path)
            if found != part.sha256:
                raise DamagedResult(f"{shown(path)!r} has SHA-256 {found[:16]}…, its commit says {part.sha256[:16]}…")
            for _ in read_batches(file, part, path, None, 4096):
                pass


def gc(
    store: FileStore, *, lease_s: float, keep: Callable[[Key], bool] | None = None, dry_run: bool = False
) -> GcReport:
    """Remove what no reader can use, and with ``keep`` what nobody wants any more.

    Dead writers' folders go at once (their locks are free). Parts without a commit and unusable commits go when they are
    older than the lease. A result goes commit first, so a reader never meets a commit without its parts; and only when
    older than the lease, so that what a run has just made is not taken from it. Unknown files and commits of a later
    version are never touched.

    Args:
        lease_s: seconds since a file was made.
        keep: whether a result is still wanted; None keeps all.
        dry_run: report only.

    Raises:
        StoreUnavailable: something cannot be read or removed.
    """
    report = GcReport(dry_run)
    dead = [f"{path.parent.name}/{path.name}" for path in store.staging.dead()]
    report.writers = len(dead)
    report.paths += dead
    _collect_leftovers(store, lease_s, report)
    if dry_run:
        for folder, key, _ in _folders(store):
            if key is not None:
                _collect(store, key, folder, lease_s, keep, report, None)
        return report
    if not store_exists(store.root):
        return report
    store.sweep()
    with store.staging.workfolder() as workfolder:
        for folder, key, infos in _folders(store):
            # Most results are kept: they are looked at again, under the lock, only if there is something to do.
            if key is None:
                continue
            unwanted, stray, _ = _sort(store, key, folder, infos, keep)
            if unwanted or stray:
                with store.blobs.exclusive(folder):
                    _collect(store, key, folder, lease_s, keep, report, workfolder)
    return report


def _collect_leftovers(store: FileStore, lease_s: float, report: GcReport) -> None:
    # A young one may be what a living process is just trying the storage with, whatever the lease.
    expired = time.time() - max(lease_s, store.blobs.grace_s)
    for info in store.blobs.leftovers():
        if info.modified_s > expired:
            report.kept_young += 1
            continue
        if not report.dry_run:
            store.blobs.delete(info.name)
        report.writers += 1
        report.bytes += info.bytes
        report.paths.append(info.name)


def _sort(
    store: FileStore, key: Key, folder: str, infos: list[BlobInfo], keep: Callable[[Key], bool] | None
) -> tuple[bool, list[BlobInfo], list[BlobInfo]]:
    """Whether the result itself is unwanted; files that belong to no usable result; files of the result."""
    ours = [i for i in infos if i.name == f"{folder}/{COMMIT_NAME}" or is_part(i.name.rpartition("/")[2])]
    try:
        commit = store.load(key)
    except UnknownFormat:
        return False, [], ours
    except DamagedResult:
        return False, ours, []
    named = {f"{folder}/{part.name}" for part in commit.files} | {f"{folder}/{COMMIT_NAME}"} if commit else set()
    stray = [info for info in ours if info.name not in named]
    held = [info for info in ours if info.name in named]
    return commit is not None and keep is not None and not keep(key), stray, held


def _collect(
    store: FileStore,
    key: Key,
    folder: str,
    lease_s: float,
    keep: Callable[[Key], bool] | None,
    report: GcReport,
    workfolder: WriterFolder | None,
) -> None:
    infos = list(store.blobs.list(folder))
    unwanted, stray, held = _sort(store, key, folder, infos, keep)
    expired = time.time() - lease_s
    if unwanted and max((info.modified_s for info in held), default=0.0) > expired:
        report.kept_young += 1
    elif unwanted:
        if workfolder is not None:
            names = (info.name.rpartition("/")[2] for info in held)
            store.remove(workfolder, key, [name for name in names if is_part(name)])
        report.results += 1
        report.bytes += sum(info.bytes for info in held)
        report.paths.append(folder)
    # A commit that cannot be used goes before its parts, as one that can would.
    for info in sorted(stray, key=lambda info: is_part(info.name.rpartition("/")[2])):
        if info.modified_s > expired:
            report.kept_young += 1
            continue
        if workfolder is not None:
            store.blobs.delete(info.name)
        report.parts += 1
        report.bytes += info.bytes
        report.paths.append(info.name)
