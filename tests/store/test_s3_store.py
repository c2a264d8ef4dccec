"""Results at an ``s3://`` address: what a folder promises, against a server that speaks S3."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.s3_server import PAGE, SECRET, S3Server
from support.store_work import CONTEXT, KEYS, finish, is_used, rows, save, start

from lavad_core.errors import DamagedResult, InputError, StoreUnavailable
from lavad_core.location import s3_home
from lavad_core.object_storage import Bucket
from lavad_core.store import s3 as module
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import gc, iter_commits, list_results, verify
from lavad_core.store.notes import put_note, read_note
from lavad_core.store.presence import store_exists
from lavad_core.store.s3 import S3Blobs
from lavad_core.store.types import Key

KEY = KEYS[0]


@pytest.fixture
def address(s3: S3Server, request: pytest.FixtureRequest) -> str:
    return f"s3://bucket/{abs(hash(request.node.name)):x}/store"


@pytest.fixture
def store(address: str) -> FileStore:
    return FileStore(s3_home(address))


def object_of(s3: S3Server, address: str, ending: str) -> str:
    """The key of the one object with an ending."""
    (name,) = [name for name in s3.names(address) if name.endswith(ending)]
    return f"{address.removeprefix('s3://bucket/')}/{name}"


def test_a_result_is_what_it_would_be_in_a_folder(store: FileStore, s3: S3Server, address: str, tmp_path: Path) -> None:
    assert not store_exists(store.root)
    local = FileStore(tmp_path / "local")
    for key in KEYS:
        assert save(store, key, rows(key, 20)) == save(local, key, rows(key, 20))
    there = {path.relative_to(local.root).as_posix(): path.read_bytes() for path in local.root.rglob("*/*/*/*.*")}
    assert s3.names(address) == {name: content for name, content in there.items() if not name.startswith(".")}
    assert store_exists(store.root)
    other = FileStore(store.root)
    commit = other.find(KEY)
    assert commit is not None
    assert other.read(commit).drop_columns(["video"]).equals(rows(KEY, 20))
    assert list(list_results(other)) == list(list_results(local))
    assert list(verify(other)) == []
    other.discard(commit)
    assert other.find(KEY) is None


def test_listings_have_many_pages(store: FileStore) -> None:
    keys = [Key("score", f"{number:032x}", "f" * 32) for number in range(PAGE)]
    for key in keys:
        save(store, key, rows(key, 1))
    assert [commit.key for commit in iter_commits(store)] == keys


def test_whether_a_result_is_whole_is_known_without_reading_it(store: FileStore, s3: S3Server) -> None:
    commit = save(store, KEY, rows(KEY, 5))
    before = len(s3.asked("GET"))
    assert FileStore(store.root).is_whole(commit)
    assert len(s3.asked("GET")) == before


def test_a_part_is_fetched_once(
    store: FileStore, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = save(store, KEY, rows(KEY, 5))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    elsewhere = s3_home("s3://" + store.root.as_posix().partition("/s3:/")[2])
    assert elsewhere != store.root
    for _ in range(3):
        assert FileStore(elsewhere).read(commit).num_rows == 5
    assert len([line for line in s3.asked("GET") if commit.files[0].name in line]) == 1


def write(environment: dict[str, str], root: str, salt: str, gate: threading.Event) -> None:
    os.environ.update(environment)  # the fork server has the one of its own beginning
    gate.wait()
    save(FileStore(Path(root)), KEY, rows(KEY, 50, salt))


@pytest.mark.parametrize("salts", [("one", "two"), ("same", "same")], ids=["other bytes", "the same bytes"])
def test_of_two_writers_at_once_one_wins_and_both_have_its_result(
    salts: tuple[str, str], store: FileStore, s3: S3Server, address: str
) -> None:
    gate = CONTEXT.Event()
    writers = [start(write, s3.environment, str(store.root), salt, gate) for salt in salts]
    gate.set()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    commit = store.find(KEY)
    assert commit is not None
    read = store.read(commit).drop_columns(["video"])
    assert any(read.equals(rows(KEY, 50, salt)) for salt in salts)
    assert not [finding for finding in verify(store) if finding.kind != "orphan"]
    gc(store, lease_s=0)
    assert len(s3.names(address)) == 2


def test_the_loser_of_a_race_takes_the_winners_result(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, put = rows(KEY, 3, "ours"), S3Blobs.put_if_absent

    def late(self: S3Blobs, name: str, source: Path) -> bool:
        monkeypatch.setattr(S3Blobs, "put_if_absent", put)
        save(FileStore(store.root), KEY, rows(KEY, 4, "theirs"))
        return put(self, name, source)

    monkeypatch.setattr(S3Blobs, "put_if_absent", late)
    assert save(store, KEY, ours).files[0].rows == 4
    assert [finding.kind for finding in verify(store)] == ["orphan"]  # young: somebody else may be about to name it


def killed_before_its_commit(environment: dict[str, str], root: str) -> None:
    os.environ.update(environment)
    S3Blobs.put_if_absent = lambda *_: os.kill(os.getpid(), 9)  # type: ignore[assignment, return-value]
    save(FileStore(Path(root)), KEY, rows(KEY, 50, "killed"))


def test_a_writer_that_is_killed_leaves_nothing_to_mend(store: FileStore, s3: S3Server, address: str) -> None:
    assert finish(killed_before_its_commit, s3.environment, str(store.root)) == -9
    assert [name.rpartition(".")[2] for name in s3.names(address)] == ["parquet"]
    assert [finding.kind for finding in verify(store)] == ["unfinished", "orphan"]
    commit = save(store, KEY, rows(KEY, 50))
    assert is_used(FileStore(store.root))
    assert [finding.kind for finding in verify(store)] == ["orphan"]
    assert gc(store, lease_s=3600).kept_young == 1
    assert gc(store, lease_s=0).parts == 1
    assert sorted(s3.names(address)) == sorted(
        f"{KEY.stage}/{KEY.video_id}/{KEY.fingerprint}/{name}" for name in ("commit.json", commit.files[0].name)
    )


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        pytest.param(".parquet", lambda old: old[:-1] + b"x", id="part of other bytes"),
        pytest.param(".parquet", lambda old: old[:-1], id="part cut off"),
        pytest.param(".parquet", None, id="part gone"),
        pytest.param("commit.json", lambda old: old[:-9], id="commit cut off"),
        pytest.param("commit.json", lambda old: b"x" * len(old), id="commit of other bytes"),
    ],
)
def test_damage_is_found_and_the_result_made_again(
    ending: str, content: Callable[[bytes], bytes] | None, store: FileStore, s3: S3Server, address: str
) -> None:
    save(store, KEY, rows(KEY, 5))
    key = object_of(s3, address, ending)
    if content is None:
        s3.client.delete_object(Bucket="bucket", Key=key)
    else:
        old = s3.client.get_object(Bucket="bucket", Key=key)["Body"].read()
        s3.client.put_object(Bucket="bucket", Key=key, Body=content(old))
    other = FileStore(store.root)
    assert not is_used(other)
    (finding,) = verify(other)
    assert finding.kind == "damaged"
    assert str(store.root) not in finding.message, "it names the address"
    commit = other.find(KEY)
    if commit is not None:
        assert not other.is_whole(commit)
        other.discard(commit)
    save(other, KEY, rows(KEY, 5))
    assert is_used(other)
    assert list(verify(other)) == []


def test_a_copy_that_this_machine_has_damaged_is_fetched_again(store: FileStore) -> None:
    commit = save(store, KEY, rows(KEY, 5))
    (copy,) = (store.root / "parts").iterdir()
    copy.unlink()
    copy.write_bytes(b"x" * commit.files[0].bytes)
    assert FileStore(store.root).read(commit).num_rows == 5


def test_copies_are_bounded(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED_BYTES", 30_000)
    for key in (Key("score", f"{number:032x}", "f" * 32) for number in range(6)):
        commit = save(store, key, rows(key, 200))
        assert store.read(commit).num_rows == 200
    sizes = [path.stat().st_size for path in (store.root / "parts").iterdir()]
    assert sizes
    assert sum(sizes) <= 30_000 + max(sizes)


def test_a_short_outage_costs_time_and_nothing_else(store: FileStore, s3: S3Server) -> None:
    s3.outage.touch()
    end = threading.Timer(1.5, s3.outage.unlink)
    end.start()
    try:
        save(store, KEY, rows(KEY, 5))
    finally:
        end.join()
    assert is_used(store)


def test_many_that_wait_for_the_storage_do_not_use_up_the_tries_of_one_another(store: FileStore, s3: S3Server) -> None:
    commit = save(store, KEY, rows(KEY, 5))
    s3.outage.write_text("drop")
    end = threading.Timer(4.0, s3.outage.unlink)
    end.start()
    try:
        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(store.find, [KEY] * 24))
    finally:
        end.join()
    assert found == [commit] * 24


def test_a_long_one_is_an_error_that_names_the_store(
    store: FileStore, s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = save(store, KEY, rows(KEY, 5))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3.outage.touch()
    try:
        for use in (store.find, lambda key: save(store, key, rows(key, 5)), lambda _: list(verify(store))):
            with pytest.raises(StoreUnavailable, match=rf"'{address}.*it needs the storage to answer"):
                use(KEYS[1])
    finally:
        s3.outage.unlink()
    assert store.find(KEY) == commit
    assert save(store, KEYS[1], rows(KEYS[1], 5)).key == KEYS[1]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "it needs credentials of the AWS SDK", id="no key"
        ),
        pytest.param({"AWS_PROFILE": "nobody"}, "it needs credentials of the AWS SDK", id="no profile"),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}, "AWS_ENDPOINT_URL", id="nobody there"
        ),
    ],
)
def test_what_is_missing_is_said(
    variables: dict[str, str], says: str, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(StoreUnavailable) as caught:
        store.find(KEY)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_bucket_that_is_not_there(s3: S3Server) -> None:
    with pytest.raises(StoreUnavailable, match=r"NoSuchBucket.*it needs a bucket of that name"):
        list(list_results(FileStore(s3_home("s3://nobucket/x"))))


def test_without_the_sdk_the_extra_is_named(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(InputError, match=r"pip install 'lavad\[s3\]'"):
        store.find(KEY)


def test_a_storage_that_does_not_look_at_conditions_is_refused(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda self, name, content, if_absent=False: put(self, name, content))
    with pytest.raises(StoreUnavailable, match="needs a storage that knows conditional writes"):
        save(store, KEY, rows(KEY, 5))
    assert store.find(KEY) is None


def test_a_lost_answer_is_no_reason_to_refuse_a_storage(store: FileStore, s3: S3Server, address: str) -> None:
    with s3.failing(f"{address.removeprefix('s3://bucket/')}/.tmp/*", "lost", "PUT"):
        save(store, KEY, rows(KEY, 5))
    assert is_used(store)
    tried = {
        line.partition("/.tmp/")[2] for line in s3.asked("PUT") if f"/{address.removeprefix('s3://')}/.tmp/" in line
    }
    assert len(tried) == 2, "the first name said nothing, since its answer was lost"


def test_a_storage_that_refuses_every_new_object_is_told_so(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Bucket.put
    monkeypatch.setattr(
        Bucket, "put", lambda self, name, content, if_absent=False: None if if_absent else put(self, name, content)
    )
    with pytest.raises(StoreUnavailable, match="has refused 5 new objects as if they existed"):
        save(store, KEY, rows(KEY, 5))


def killed_in_its_trial(environment: dict[str, str], root: str) -> None:
    os.environ.update(environment)
    Bucket.delete = lambda *_: os.kill(os.getpid(), 9)  # type: ignore[assignment, method-assign, return-value]
    save(FileStore(Path(root)), KEY, rows(KEY, 5))


def test_what_a_trial_leaves_is_named_and_removed_when_it_is_old(
    store: FileStore, s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finish(killed_in_its_trial, s3.environment, str(store.root)) == -9
    (left,) = [name for name in s3.names(address) if name.startswith(".tmp/")]
    assert left not in [finding.path for finding in verify(store)], "somebody may just be trying"
    assert left not in gc(store, lease_s=0).paths
    monkeypatch.setattr(S3Blobs, "grace_s", -1.0)
    assert ("unfinished", left) in [(finding.kind, finding.path) for finding in verify(store)]
    assert left in gc(store, lease_s=0, dry_run=True).paths
    assert left in s3.names(address)
    assert left in gc(store, lease_s=0).paths
    assert left not in s3.names(address)


def test_a_note_may_be_longer_than_a_commit(
    store: FileStore, s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_COMMIT_BYTES", 100)
    assert put_note(store, "sets/a/shards.json", {"videos": ["name"] * 1000})
    assert read_note(store, "sets/a/shards.json") == {"videos": ["name"] * 1000}
    s3.client.put_object(Bucket="bucket", Key=object_of(s3, address, "shards.json"), Body=b"{}")
    with pytest.raises(DamagedResult, match=f"'{address}/sets/a/shards.json' was changed after it was written"):
        read_note(store, "sets/a/shards.json")


@pytest.fixture(autouse=True)
def no_secret_anywhere(s3: S3Server, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert SECRET not in caplog.text
    kept = [path for path in s3.requests.parent.rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
