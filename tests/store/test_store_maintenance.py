"""Listing, verifying and collecting garbage."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support.store_work import CONTEXT, KEYS, SCHEMA, hold, rows, save, start, tree

from lavad_core.errors import StoreUnavailable
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import gc, iter_commits, list_results, verify
from lavad_core.store.types import Key

PROBE, SCORE_1, SCORE_2 = KEYS


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path / "store")
    for key in KEYS:
        save(store, key, rows(key, 10))
    return store


def age(store: FileStore, seconds: float) -> None:
    """Make everything older."""
    then = time.time() - seconds
    for path in store.root.rglob("*"):
        os.utime(path, (then, then))


def orphan(store: FileStore, key: Key) -> Path:
    """A part that no commit names, as a crash of the machine can leave one."""
    path = store.folder(key) / f"part-{'0' * 16}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"unfinished")
    return path


def test_list_counts_results_rows_bytes_and_statuses(store: FileStore) -> None:
    other = Key("score", SCORE_1.video_id, "ee" * 16)
    with store.writer(other, video="v", schema=SCHEMA, provenance={}) as writer:
        writer.commit("rejected", reason="no-frames")
    store.paths(next(iter_commits(store, "probe")))[0].unlink()
    probe, score = list_results(store)
    assert (probe.stage, probe.results, probe.rows, probe.statuses) == ("probe", 1, 0, {"damaged": 1})
    assert (score.videos, score.results, score.rows) == (2, 3, 20)
    assert score.statuses == {"ok": 2, "rejected": 1}
    assert score.bytes == sum(path.stat().st_size for path in (store.root / "score").rglob("*") if path.is_file())
    assert [commit.key for commit in iter_commits(store, "score")] == sorted([SCORE_1, SCORE_2, other])


def test_an_absent_store_is_empty(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "none")
    assert list(list_results(store)) == list(verify(store)) == []
    assert gc(store, lease_s=0).paths == []
    assert not store.root.exists()


def test_a_sound_store_has_no_findings_and_other_folders_are_none_of_its_business(store: FileStore) -> None:
    for folder in ("runs", "cache"):
        (store.root / folder).mkdir()
        (store.root / folder / "anything").write_text("x")
    assert list(verify(store)) == []


def test_verify_tells_damage_orphans_and_unknown_files_apart(store: FileStore) -> None:
    store.read(next(iter_commits(store, "probe")))  # verified once; verify looks again all the same
    part = store.paths(next(iter_commits(store, "probe")))[0]
    times = part.stat()
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    lost = orphan(store, SCORE_1)
    (store.folder(SCORE_2) / "commit.json").write_text("{}")
    (store.root / "score" / "notes\x1b.txt").write_text("x")
    (store.folder(SCORE_1) / "more.txt").write_text("x")
    os.symlink("/etc/passwd", store.folder(SCORE_1) / f"part-{'1' * 16}.parquet")
    found = {(finding.kind, finding.path) for finding in verify(store)}
    assert found == {
        ("damaged", f"{PROBE.stage}/{PROBE.video_id}/{PROBE.fingerprint}/commit.json"),
        ("damaged", f"{SCORE_2.stage}/{SCORE_2.video_id}/{SCORE_2.fingerprint}/commit.json"),
        ("orphan", lost.relative_to(store.root).as_posix()),
        ("orphan", (lost.parent / f"part-{'1' * 16}.parquet").relative_to(store.root).as_posix()),
        ("unknown", (lost.parent / "more.txt").relative_to(store.root).as_posix()),
        ("unknown", "score/notes\x1b.txt"),
    }


def test_gc_leaves_what_is_younger_than_the_lease(store: FileStore) -> None:
    orphan(store, SCORE_1)
    before = tree(store.root)
    report = gc(store, lease_s=3600)
    assert (report.parts, report.kept_young) == (0, 1)
    assert tree(store.root) == before


def test_gc_removes_old_orphans_and_unusable_commits_and_nothing_else(store: FileStore) -> None:
    good = tree(store.root)
    orphan(store, SCORE_1)
    orphan(store, Key("score", "bb" * 16, "cc" * 16))
    unknown = store.root / "score" / "notes.txt"
    unknown.write_text("x")
    age(store, 7200)
    planned = gc(store, lease_s=3600, dry_run=True)
    assert planned.parts == 2
    assert planned.bytes == 20
    done = gc(store, lease_s=3600)
    assert done.paths == planned.paths
    assert {name: data for name, data in tree(store.root).items() if not name.endswith(".lock")} == {
        **{name: data for name, data in good.items() if not name.endswith(".lock")},
        "score/notes.txt": b"x",
    }

    (store.folder(PROBE) / "commit.json").write_bytes(b"\0" * 500)
    age(store, 7200)
    assert gc(store, lease_s=3600).parts == 2
    assert not (store.root / "probe").exists()


def test_gc_with_keep_removes_results_that_nobody_wants(store: FileStore) -> None:
    assert gc(store, lease_s=3600, keep=lambda key: False).kept_young == 3
    age(store, 7200)
    planned = gc(store, lease_s=3600, keep=lambda key: key.stage == "probe", dry_run=True)
    assert planned.results == 2
    assert store.find(SCORE_1) is not None
    report = gc(store, lease_s=3600, keep=lambda key: key.stage == "probe")
    assert (report.results, report.parts, report.paths) == (2, 0, planned.paths)
    assert [commit.key for commit in iter_commits(store)] == [PROBE]
    assert not (store.root / "score").exists()


def test_gc_removes_dead_writers_at_once_and_never_living_ones(store: FileStore) -> None:
    ours, theirs = CONTEXT.Pipe()
    process = start(hold, store.root, theirs)
    assert ours.recv() == "writing"
    assert gc(store, lease_s=0).writers == 0
    process.kill()
    process.join(30)
    assert gc(store, lease_s=1e9, dry_run=True).writers == 1
    report = gc(store, lease_s=1e9)
    assert report.writers == 1
    assert not list((store.root / ".tmp").glob("writer-*"))


def test_a_commit_of_a_later_version_is_not_used_and_not_removed(store: FileStore) -> None:
    path = store.folder(PROBE) / "commit.json"
    later = json.loads(path.read_text())
    path.write_text(json.dumps({**later, "format": 2}))
    age(store, 7200)
    with pytest.raises(StoreUnavailable, match=r"format 2.*use that version, or another store"):
        store.find(PROBE)
    with pytest.raises(StoreUnavailable, match="use that version"):
        save(store, PROBE, rows(PROBE, 3), replace=True)  # nor put over
    assert [finding.kind for finding in verify(store)] == ["later-version"]
    assert gc(store, lease_s=0, keep=lambda key: False).results == 2
    assert path.exists()
    assert len(list(path.parent.iterdir())) == 2
    assert json.loads(path.read_text())["format"] == 2
