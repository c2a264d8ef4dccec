"""Digests of models' files are the user's: a new store reads no weights again, and no change is missed."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hashed_files import note_hashed_files

from lavad_core.config.models import Blip2Config
from lavad_core.config.schema import LavadConfig
from lavad_core.models.kinds import model_identity
from lavad_core.models.kinds.model_files import weights_cache
from lavad_core.pipeline.resources import RunResources
from lavad_core.video import identity
from lavad_core.video.identity import IdentityCache

COUNTED = ("config.json", "model.safetensors")
"""Files of the folder that decide what the model computes."""


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The files that were really read, by a user whose cache is empty."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "user" / name))
    return note_hashed_files(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, as far as files go."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in COUNTED:
        (folder / name).write_text(f"content of {name}")
    return folder


def asked_in_a_store(store: Path, folder: Path) -> str:
    """The identity of the model in the graph of a store."""
    settings = {"captioners": {"a": {"kind": "blip2", "model": str(folder)}}, "run": {"targets": ["caption"]}}
    return RunResources(LavadConfig(store=store, **settings)).graph.identities["captioner:a"]


def test_a_new_store_reads_no_weights_again(folder: Path, hashed: list[str], tmp_path: Path) -> None:
    identities = {asked_in_a_store(tmp_path / store, folder) for store in ("one", "two", "one", "three")}
    assert identities == {model_identity(Blip2Config(model=str(folder)), None)}
    assert sorted(hashed[: len(COUNTED)]) == sorted(COUNTED)
    assert len(hashed) == 2 * len(COUNTED)  # once for the stores, and once without a cache just now


def rewrite(file: Path) -> None:
    file.write_text("CONTENT OF model.safetensors")


def rewrite_and_restore_the_time(file: Path) -> None:
    status = file.stat()
    rewrite(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def put_another_file_in_its_place(file: Path) -> None:
    status = file.stat()
    other = file.with_name("other")
    rewrite(other)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, file)


@pytest.mark.parametrize("change", [rewrite, rewrite_and_restore_the_time, put_another_file_in_its_place])
def test_a_change_of_the_same_size_is_seen(
    change: Callable[[Path], None], folder: Path, hashed: list[str], tmp_path: Path
) -> None:
    before = asked_in_a_store(tmp_path / "one", folder)
    time.sleep(0.02)  # kernels count time in ticks of up to 10 ms
    change(folder / "model.safetensors")
    after = asked_in_a_store(tmp_path / "two", folder)
    assert before != after == model_identity(Blip2Config(model=str(folder)), None)


def timeless(status: os.stat_result) -> identity._State:
    """As a file system that keeps no time of change shows a file."""
    return identity._State(status.st_size, 1, 1, status.st_ino)


@pytest.mark.parametrize(
    ("by_inode", "reads"), [pytest.param(True, 2, id="weights"), pytest.param(False, 1, id="videos")]
)
def test_another_file_with_the_times_of_the_first(
    by_inode: bool, reads: int, hashed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inode alone differs, and for weights it counts."""
    monkeypatch.setattr(identity, "_state", timeless)
    cache, file = IdentityCache(tmp_path / "digests.sqlite", by_inode=by_inode), tmp_path / "model.safetensors"
    file.write_text("content of model.safetensors")
    identity.file_digest(file, cache)
    put_another_file_in_its_place(file)
    identity.file_digest(file, cache)
    assert len(hashed) == reads


def test_the_users_digests_count_inodes(hashed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_state", timeless)
    file = tmp_path / "model.safetensors"
    file.write_text("content of model.safetensors")
    identity.file_digest(file, weights_cache())
    put_another_file_in_its_place(file)
    identity.file_digest(file, weights_cache())
    assert len(hashed) == 2


@pytest.mark.parametrize("damage", ["text", "cut", "a folder in its place"])
def test_a_damaged_cache_is_computed_again(damage: str, folder: Path, hashed: list[str], tmp_path: Path) -> None:
    good = asked_in_a_store(tmp_path / "one", folder)
    path = weights_cache().path
    if damage == "text":
        path.write_text("no database, and longer than the header of one" * 100)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.unlink()
        path.mkdir()
    assert asked_in_a_store(tmp_path / "two", folder) == good
    assert len(hashed) == 2 * len(COUNTED)


def test_a_file_of_the_hubs_cache_is_named_by_its_digest(folder: Path, hashed: list[str], tmp_path: Path) -> None:
    """Large files are blobs called by their SHA-256; small ones have Git's name and are read."""
    plain = model_identity(Blip2Config(model=str(folder)), None)
    del hashed[:]
    repository = tmp_path / "hub" / "models--some--model"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for name, digest in (("config.json", "sha1"), ("model.safetensors", "sha256")):
        blob = repository / "blobs" / hashlib.new(digest, (folder / name).read_bytes()).hexdigest()
        shutil.copy(folder / name, blob)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    assert model_identity(Blip2Config(model=str(snapshot)), None) == plain
    assert hashed == ["config.json"]
