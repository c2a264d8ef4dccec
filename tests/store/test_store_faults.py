"""Damage, full disks, missing permissions, kills and races."""

from __future__ import annotations

import errno
import itertools
import os
import random
import resource
import shutil
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.store_work import (
    CONTEXT,
    KEYS,
    fill,
    finish,
    hold,
    is_used,
    race,
    replace_often,
    rows,
    save,
    start,
    tree,
    unprivileged,
)

from lavad_core.errors import DamagedResult, StoreUnavailable
from lavad_core.store.blobs import BlobInfo
from lavad_core.store.faults import store_errors
from lavad_core.store.files import FileStore
from lavad_core.store.local import LocalBlobs
from lavad_core.store.maintenance import verify
from lavad_core.store.types import Commit

KEY = KEYS[0]


class FailingBlobs(LocalBlobs):
    """Local blobs of which one operation fails once."""

    def __init__(self, root: Path, fails_at: int, code: int) -> None:
        super().__init__(root)
        self._left, self._code = fails_at, code

    def _maybe_fail(self, name: str) -> None:
        self._left -= 1
        if self._left == 0:
            with store_errors("write", self.path(name)):
                raise OSError(self._code, os.strerror(self._code), str(self.path(name)))

    def put(self, name: str, source: Path) -> None:
        self._maybe_fail(name)
        super().put(name, source)

    def put_if_absent(self, name: str, source: Path) -> bool:
        self._maybe_fail(name)
        return super().put_if_absent(name, source)

    def delete(self, name: str) -> None:
        self._maybe_fail(name)
        super().delete(name)

    def stat(self, name: str) -> BlobInfo | None:
        self._maybe_fail(name)
        return super().stat(name)


def refusal(store: FileStore, replace: bool) -> str:
    """The message with which the store refuses to write, empty if it does not."""
    try:
        save(store, KEY, rows(KEY, 20), replace=replace)
    except StoreUnavailable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_a_refusal_at_any_step_is_typed_and_repaired_by_running_again(
    fast_folder: Path, code: int, replace: bool
) -> None:
    undisturbed = FileStore(fast_folder / "undisturbed")
    if replace:
        save(undisturbed, KEY, rows(KEY, 20, "old"))
    save(undisturbed, KEY, rows(KEY, 20), replace=replace)
    failures = 0
    for step in range(1, 30):
        root = fast_folder / f"{step}"
        if replace:
            save(FileStore(root), KEY, rows(KEY, 20, "old"))
        message = refusal(FileStore(root, blobs=FailingBlobs(root, step, code)), replace)
        if message:
            failures += 1
            assert all(part in message for part in (os.strerror(code), str(root), "it needs"))
        store = FileStore(root)
        if replace:
            assert store.find(KEY) is not None, "the old result went before the new one was there"
        save(store, KEY, rows(KEY, 20), replace=replace)
        assert is_used(store)
        assert tree(root) == tree(undisturbed.root)
    assert failures >= 3


def _write_with_a_limit(root: Path, results: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        save(FileStore(root), KEY, rows(KEY, 9000))
    except StoreUnavailable as error:
        results.put(str(error))
    else:
        results.put("no error")


def test_a_file_that_the_system_cuts_while_rows_are_written(tmp_path: Path) -> None:
    results = CONTEXT.SimpleQueue()
    assert finish(_write_with_a_limit, tmp_path / "store", results) == 0
    message = results.get()
    assert "File too large" in message
    assert str(tmp_path) in message
    assert {name for name in tree(tmp_path / "store") if not name.endswith(".lock")} == {".tmp"}
    save(FileStore(tmp_path / "store"), KEY, rows(KEY, 9000))
    assert is_used(FileStore(tmp_path / "store"))


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A store with a result that an unprivileged process may only read."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are not for other users to enter
    folder.chmod(0o755)
    save(FileStore(folder), KEY, rows(KEY, 300))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def _read_rows(store: FileStore) -> int:
    commit = store.find(KEY)
    assert commit is not None
    return int(store.read(commit).num_rows) + len(list(verify(store))) + store.sweep()


def _save_other(store: FileStore) -> None:
    save(store, KEYS[1], rows(KEYS[1], 3))


def test_a_read_only_store_can_be_read_and_says_so_when_written(read_only: Path) -> None:
    results = CONTEXT.SimpleQueue()
    finish(unprivileged, read_only, results, _read_rows)
    assert results.get() == 300
    finish(unprivileged, read_only, results, _save_other)
    error = results.get()
    assert isinstance(error, StoreUnavailable)
    assert str(read_only) in str(error)
    assert "permission" in str(error)


def test_a_store_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="Not a directory"):
        save(FileStore(tmp_path / "file" / "store"), KEY, rows(KEY, 1))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes | None]]:
    trees = {}
    for salt in ("a", "b"):
        root = tmp_path_factory.mktemp("undisturbed") / "store"
        fill(root, salt, 0)
        trees[salt] = tree(root)
    return trees


def results_of(whole: dict[str, bytes | None]) -> dict[str, dict[str, bytes | None]]:
    """The tree cut by result: folder to its files; everything else under ""."""
    cut: dict[str, dict[str, bytes | None]] = {}
    for name, content in whole.items():
        parts = name.split("/")
        cut.setdefault("/".join(parts[:3]) if len(parts) == 4 else "", {})[name] = content
    return cut


def test_a_kill_before_any_single_change_leaves_a_tree_that_a_rerun_completes(
    fast_folder: Path, undisturbed: dict[str, dict[str, bytes | None]]
) -> None:
    """Every step of a run; the re-run computes other bytes, as a model with a temperature would, so that each result must
    be wholly the first run's or wholly the second's, and nothing else may be there."""
    a, b = results_of(undisturbed["a"]), results_of(undisturbed["b"])
    whose: Counter[str] = Counter()
    for step in itertools.count(1):
        root = fast_folder / str(step)
        code = finish(fill, root, "a", step)
        if code == 0:
            break
        assert code == -9
        fill(root, "b", 0)
        found = results_of(tree(root))
        assert found.keys() == a.keys()
        for folder, files in found.items():
            assert files in (a[folder], b[folder]), f"step {step}: {folder or 'the rest'} is neither run's"
            whose["a" if files == a[folder] else "b"] += 1
        assert list(verify(FileStore(root))) == []
    assert step > 40
    assert min(whose["a"], whose["b"]) > 30, "the kills did not fall on both sides of commits"


def test_kills_at_random_moments_again_during_recovery(
    fast_folder: Path, undisturbed: dict[str, dict[str, bytes | None]]
) -> None:
    """By the clock; the same bytes every time."""
    source = random.Random(5)
    killed = 0
    began = time.monotonic()
    assert finish(fill, fast_folder / "timed", "a", 0) == 0
    span = time.monotonic() - began
    for number in range(200):  # how many end by themselves first depends on the machine
        root = fast_folder / str(number)
        for _ in range(2):
            process = start(fill, root, "a", 0)
            time.sleep(source.uniform(0, span))
            process.kill()
            process.join(30)
            killed += process.exitcode == -9
        fill(root, "a", 0)
        assert tree(root) == undisturbed["a"]
        if killed >= 16:
            return
    pytest.fail(f"only {killed} kills of 400 met a living process")


def test_a_kill_at_any_step_of_a_replacement_leaves_a_result(
    fast_folder: Path, undisturbed: dict[str, dict[str, bytes | None]]
) -> None:
    a, b = results_of(undisturbed["a"]), results_of(undisturbed["b"])
    fill(fast_folder / "old", "a", 0)
    for step in itertools.count(1):
        root = fast_folder / str(step)
        shutil.copytree(fast_folder / "old", root)
        code = finish(fill, root, "b", step, True)
        if code == 0:
            break
        assert code == -9
        store = FileStore(root)
        assert all(store.find(key) is not None for key in KEYS), f"step {step}: a result was gone for a moment"
        store.sweep()
        found = results_of(tree(root))
        assert found.keys() == a.keys()
        for folder in a:
            assert found[folder] in (a[folder], b[folder]), f"step {step}: {folder}"
    assert step > 40


def test_a_living_writer_is_left_alone_and_a_dead_one_swept(tmp_path: Path) -> None:
    ours, theirs = CONTEXT.Pipe()
    process = start(hold, tmp_path, theirs)
    assert ours.recv() == "writing"
    store = FileStore(tmp_path)
    assert store.sweep() == 0
    assert list(verify(store)) == []
    process.kill()
    process.join(30)
    assert [finding.kind for finding in verify(store)] == ["unfinished"]
    assert store.sweep() == 1
    assert {name for name in tree(tmp_path) if not name.endswith(".lock")} == {".tmp"}


def test_eight_writers_of_the_same_keys_agree_on_one_commit(fast_folder: Path) -> None:
    barrier, results = CONTEXT.Barrier(8), CONTEXT.Queue()
    processes = [start(race, fast_folder, number, barrier, results) for number in range(8)]
    commits: dict[Any, list[Commit]] = {}
    for _ in range(8 * len(KEYS)):
        key, commit = results.get(timeout=60)
        commits.setdefault(key, []).append(commit)
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    store = FileStore(fast_folder)
    for key, agreed in commits.items():
        assert all(commit == agreed[0] for commit in agreed)
        assert store.find(key) == agreed[0]
        assert sorted(path.name for path in store.folder(key).iterdir()) == ["commit.json", agreed[0].files[0].name]
    assert list(verify(store)) == []
    assert not list((fast_folder / ".tmp").glob("writer-*"))


class UnlockedBlobs(LocalBlobs):
    """As an object store: no lock, so that only the conditional put decides."""

    def __init__(self, root: Path, between: Any) -> None:
        super().__init__(root)
        self._between = between

    def exclusive(self, name: str) -> Any:
        return __import__("contextlib").nullcontext()

    def put_if_absent(self, name: str, source: Path) -> bool:
        self._between()
        return super().put_if_absent(name, source)


def test_without_locks_the_conditional_put_decides_and_the_loser_takes_its_parts_away(tmp_path: Path) -> None:
    winner: list[Commit] = []
    blobs = UnlockedBlobs(tmp_path, lambda: winner.append(save(FileStore(tmp_path), KEY, rows(KEY, 20, "winner"))))
    loser = FileStore(tmp_path, blobs=blobs)
    assert save(loser, KEY, rows(KEY, 20, "loser")) == winner[0]
    names = [path.name for path in loser.folder(KEY).iterdir()]
    assert sorted(names) == ["commit.json", winner[0].files[0].name]
    assert is_used(loser)


def test_readers_of_a_result_that_is_being_replaced_see_one_or_none_never_a_mixture(fast_folder: Path) -> None:
    save(FileStore(fast_folder), KEY, rows(KEY, 50, "first"), video="first")
    expected = {str(number): rows(KEY, 50, str(number)) for number in range(60)}
    expected["first"] = rows(KEY, 50, "first")
    process = start(replace_often, fast_folder, 60)
    store = FileStore(fast_folder)
    seen = set()
    while process.is_alive():
        commit = store.find(KEY)
        if commit is None:
            continue  # between reading the commit and looking at its files
        try:
            table = store.read(commit)
        except DamagedResult:
            continue  # replaced meanwhile
        assert table.drop_columns(["video"]).equals(expected[commit.video])
        seen.add(commit.video)
    assert process.exitcode == 0
    assert len(seen) > 1
