"""Damage of stored results: every flipped bit and lost byte is found, and the result is made again."""

from __future__ import annotations

import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.store_work import (
    KEYS,
    is_used,
    rows,
    save,
    tree,
)

from lavad_core.errors import DamagedResult
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit

KEY = KEYS[0]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[FileStore, Commit]:
    store = FileStore(tmp_path / "store")
    return store, save(store, KEY, rows(KEY, 300))


@pytest.mark.parametrize("which", ["part", "commit"])
def test_every_flipped_bit_is_found(saved: tuple[FileStore, Commit], which: str) -> None:
    store, commit = saved
    path = store.paths(commit)[0] if which == "part" else store.folder(KEY) / "commit.json"
    good = path.read_bytes()
    source = random.Random(1)
    flips = source.sample(range(8 * len(good)), 250)
    used = []
    for flip in flips:
        bad = bytearray(good)
        bad[flip // 8] ^= 1 << flip % 8
        path.write_bytes(bad)
        # a reader that saw it whole, and one that never saw it
        used += [flip for reader in (store, FileStore(store.root)) if is_used(reader)]
    assert used == []
    path.write_bytes(good)
    assert is_used(store)


@pytest.mark.parametrize("which", ["part", "commit"])
@pytest.mark.parametrize("length", ["empty", "half", "one byte less", "one byte more"])
def test_truncated_and_longer_files_are_not_found(saved: tuple[FileStore, Commit], which: str, length: str) -> None:
    store, commit = saved
    path = store.paths(commit)[0] if which == "part" else store.folder(KEY) / "commit.json"
    good = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "half": good[: len(good) // 2], "one byte less": good[:-1], "one byte more": good + b" "}[length]
    )
    assert store.find(KEY) is None


def test_a_missing_part_is_not_found(saved: tuple[FileStore, Commit]) -> None:
    store, commit = saved
    store.paths(commit)[0].unlink()
    assert store.find(KEY) is None


def test_swapped_results_are_not_used(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    one, two = save(store, KEYS[0], rows(KEY, 300, "a")), save(store, KEYS[1], rows(KEY, 300, "b"))
    folders = [store.folder(key) for key in KEYS[:2]]
    shutil.move(folders[0], tmp_path / "aside")
    shutil.move(folders[1], folders[0])
    shutil.move(tmp_path / "aside", folders[1])
    assert [FileStore(tmp_path).find(key) for key in KEYS[:2]] == [None, None]
    assert one.files != two.files


def test_a_part_in_the_place_of_another_is_not_used(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    one, two = save(store, KEYS[0], rows(KEY, 300, "a")), save(store, KEYS[1], rows(KEY, 300, "b"))
    path = store.paths(one)[0]
    content = store.paths(two)[0].read_bytes()
    path.write_bytes(content + b"\0" * (one.files[0].bytes - len(content)))
    os.truncate(path, one.files[0].bytes)
    commit = store.find(KEYS[0])
    assert commit is not None, "the size is right"
    with pytest.raises(DamagedResult, match="SHA-256"):
        store.read(commit)


def test_damage_is_said_once(saved: tuple[FileStore, Commit], caplog: pytest.LogCaptureFixture) -> None:
    store, commit = saved
    store.paths(commit)[0].write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert [store.find(KEY) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert "has 1 bytes" in caplog.text


@pytest.mark.parametrize("damage", ["commit cut", "part cut", "part flipped", "part missing"])
def test_a_damaged_result_is_made_again_to_the_same_tree(saved: tuple[FileStore, Commit], damage: str) -> None:
    store, commit = saved
    good = tree(store.root)
    path = store.folder(KEY) / "commit.json" if damage == "commit cut" else store.paths(commit)[0]
    content = bytearray(path.read_bytes())
    content[100] ^= 4
    if damage == "part missing":
        path.unlink()
    else:
        path.write_bytes(content if damage == "part flipped" else content[:50])
    assert not is_used(store)
    save(store, KEY, rows(KEY, 300), replace=damage == "part flipped")
    assert tree(store.root) == good
    assert is_used(store)


def test_a_part_is_digested_once_until_it_changes(saved: tuple[FileStore, Commit], monkeypatch: Any) -> None:
    store, commit = saved
    calls: list[Path] = []
    real = __import__("lavad_core.store.parquet", fromlist=["sha256_of"]).sha256_of
    monkeypatch.setattr(
        "lavad_core.store.files.sha256_of", lambda file, name: (calls.append(name), real(file, name))[1]
    )
    for _ in range(3):
        store.read(commit)
    assert len(calls) == 1
    os.utime(store.paths(commit)[0], ns=(1, 1))
    store.read(commit)
    assert len(calls) == 2
