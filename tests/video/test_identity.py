"""Digests of content, and the cache that must never be wrong."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.hashed_files import note_hashed_files
from support.video_factory import make_frames

from lavad_core.errors import VideoRejected
from lavad_core.video import identity
from lavad_core.video.identity import IdentityCache, file_digest, files_digest, identify
from lavad_core.video.types import VideoSource


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were really read."""
    return note_hashed_files(monkeypatch)


@pytest.fixture
def cache(tmp_path: Path) -> IdentityCache:
    return IdentityCache(tmp_path / "cache" / "digests.sqlite")


def put(path: Path, content: bytes) -> VideoSource:
    path.write_bytes(content)
    return VideoSource(path.stem, path)


def test_a_file(tmp_path: Path, cache: IdentityCache) -> None:
    content = os.urandom(100_000)
    found = identify(put(tmp_path / "v.mp4", content), cache)
    assert found.sha256 == hashlib.sha256(content).hexdigest() == file_digest(tmp_path / "v.mp4", cache)
    assert (found.video_id, found.size_bytes) == (found.sha256[:32], 100_000)
    assert identify(put(tmp_path / "other name.avi", content), None) == found


def test_the_second_time_nothing_is_read(tmp_path: Path, cache: IdentityCache, hashed: list[str]) -> None:
    source = put(tmp_path / "v.mp4", b"content")
    assert identify(source, cache) == identify(source, cache) == identify(source, IdentityCache(cache.path))
    assert hashed == ["v.mp4"]


@pytest.mark.parametrize("change", ["content", "same size", "same size and mtime", "replaced by an older file"])
def test_a_change_is_seen(change: str, tmp_path: Path, cache: IdentityCache, hashed: list[str]) -> None:
    source = put(tmp_path / "v.mp4", b"content")
    before, status = identify(source, cache), source.path.stat()
    time.sleep(0.02)  # kernels count time in ticks of up to 10 ms
    if change == "content":
        source.path.write_bytes(b"other content")
    elif change == "replaced by an older file":
        put(tmp_path / "w.mp4", b"CONTENT")
        os.utime(tmp_path / "w.mp4", (1, 1))
        os.replace(tmp_path / "w.mp4", source.path)
    else:
        source.path.write_bytes(b"CONTENT")
        if change == "same size and mtime":
            os.utime(source.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert identify(source, cache).sha256 == hashlib.sha256(source.path.read_bytes()).hexdigest() != before.sha256


def test_a_young_file_is_not_remembered(
    tmp_path: Path, cache: IdentityCache, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "SETTLED_S", 60.0)
    source = put(tmp_path / "v.mp4", b"content")
    identify(source, cache)
    identify(source, cache)
    assert hashed == ["v.mp4", "v.mp4"]


def flip_stored_digest(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE digests SET sha256 = replace(sha256, substr(sha256, 1, 4), 'ffff')")
    database.close()


def other_layout(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE digests (path TEXT, sha256 TEXT)")
    database.close()


BROKEN = {
    "text": lambda path: path.write_text("this is not a database, it is longer than a header" * 100),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "spoilt": lambda path: path.write_bytes(path.read_bytes()[:100] + os.urandom(path.stat().st_size - 100)),
    "flipped digest": flip_stored_digest,
    "other layout": other_layout,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_cache_is_replaced_and_not_trusted(
    case: str, tmp_path: Path, cache: IdentityCache, hashed: list[str]
) -> None:
    source = put(tmp_path / "v.mp4", b"content")
    good = identify(source, cache)
    BROKEN[case](cache.path)
    assert identify(source, cache) == good
    assert identify(source, cache) == good
    assert hashed == ["v.mp4", "v.mp4"]  # read again once, then remembered again


def test_a_cache_that_cannot_be_had_costs_time_only(tmp_path: Path, hashed: list[str]) -> None:
    source = put(tmp_path / "v.mp4", b"content")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "digests.sqlite", tmp_path):
        assert identify(source, IdentityCache(path)).size_bytes == 7
    assert hashed == ["v.mp4", "v.mp4"]


def test_a_locked_cache_is_not_waited_for_for_ever(
    tmp_path: Path, cache: IdentityCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LOCK_TIMEOUT_S", 0.1)
    source = put(tmp_path / "v.mp4", b"content")
    identify(source, cache)
    holder = sqlite3.connect(cache.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert identify(source, cache).size_bytes == 7
    holder.execute("ROLLBACK")
    holder.close()
    assert cache.path.exists()


def test_threads_and_processes_share_it(tmp_path: Path, cache: IdentityCache) -> None:
    sources = [put(tmp_path / f"{n}.mp4", b"%d" % n) for n in range(20)]
    program = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from lavad_core.video import identity
identity.SETTLED_S = -1
for n in range(20):
    print(identity.file_digest(Path({os.fspath(tmp_path)!r}) / f"{{n}}.mp4", identity.IdentityCache({os.fspath(cache.path)!r})))
"""
    others = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        mine = list(pool.map(lambda s: identify(s, cache).sha256, sources))
    assert mine == [hashlib.sha256(b"%d" % n).hexdigest() for n in range(20)]
    for other in others:
        output, _ = other.communicate(timeout=60)
        assert output.split() == mine


def test_a_folder_of_frames(tmp_path: Path, cache: IdentityCache, hashed: list[str]) -> None:
    source = VideoSource("v", make_frames(tmp_path / "v", range(5)), "frames")
    first = identify(source, cache)
    assert len(first.video_id) == 32
    assert first.size_bytes == sum(p.stat().st_size for p in source.path.iterdir())
    (source.path / "notes.txt").write_text("not a frame")
    copy = VideoSource("w", make_frames(tmp_path / "w", range(5)), "frames")
    assert identify(source, cache) == first == identify(copy, None)
    assert len(hashed) == 10  # five of each, none twice
    (source.path / "000002.jpg").rename(source.path / "000007.jpg")
    assert identify(source, cache).sha256 != first.sha256


def rejected(source: VideoSource) -> str:
    with pytest.raises(VideoRejected) as caught:
        identify(source, None)
    assert str(caught.value).isprintable()
    return caught.value.reason


def test_rejections(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    assert rejected(VideoSource("\x1b", tmp_path / "absent.mp4")) == "missing"
    assert rejected(VideoSource("v", tmp_path)) == "missing"
    assert rejected(VideoSource("v", tmp_path / "pipe.mp4")) == "missing"
    assert rejected(put(tmp_path / "v.mp4", b"")) == "empty"
    assert rejected(VideoSource("v", tmp_path / "none", "frames")) == "empty"
    assert rejected(VideoSource("v", tmp_path / "absent", "frames")) == "missing"
    assert rejected(VideoSource("v", tmp_path / "v.mp4", "frames")) == "missing"


def test_a_file_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(tmp_path / "v.mp4", b"content")
    real = hashlib.file_digest

    def grow(file: object, name: str) -> object:
        source.path.write_bytes(b"more content")
        return real(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", grow)
    assert rejected(source) == "changed"


def test_digests_of_some_files_of_a_folder(tmp_path: Path, cache: IdentityCache) -> None:
    folder = tmp_path / "masks"
    files = [folder / name for name in ("1.npy", "2.npy", "sub/3.npy")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a b")
    everything, some = files_digest(folder, files), files_digest(folder, files[:2])
    assert files_digest(folder, reversed(files)) == everything
    files[2].write_bytes(b"a c")
    assert files_digest(folder, files) != everything
    assert files_digest(folder, files[:2]) == some
    with pytest.raises(FileNotFoundError):
        files_digest(folder, [folder / "4.npy"])
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "absent", cache)
