"""What the commit cache takes from Prefect's inside. If one of these fails after an update of Prefect, caching is broken
silently: Prefect takes any exception of the storage for a miss."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pyarrow as pa
import pytest
from prefect import task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultRecordMetadata, ResultStore
from prefect.task_runners import ThreadPoolTaskRunner

from lavad.tasks.commit_cache import CommitKeyStorage, commit_policy, record_path, reference, value_folder
from lavad_core.store.files import FileStore
from lavad_core.store.types import Key

pytestmark = pytest.mark.usefixtures("prefect_server")  # resolving a storage asks the API

KEY = Key("probe", "ab" * 16, "cd" * 16)
SCHEMA = pa.schema([pa.field("value", pa.int64(), nullable=False)])


def committed(root: Path, status: str = "ok") -> FileStore:
    store = FileStore(root)
    with store.writer(KEY, video="v", schema=SCHEMA, provenance={}) as writer:
        if status == "rejected":
            writer.commit("rejected", reason="format", message="no")
        else:
            writer.write(pa.table([pa.array([1])], schema=SCHEMA))
            writer.commit(counts={"rows": 1}, facts={"frames": 5})
    return store


def result_store(root: Path) -> ResultStore:
    """As the task engine makes it for a task with this policy."""

    @task(persist_result=True, result_storage=value_folder(root), cache_policy=commit_policy(root))
    def stage() -> None: ...

    return ResultStore().update_for_task(stage, _sync=True)


def test_a_commit_is_a_hit_and_its_value_is_the_reference(tmp_path: Path) -> None:
    store = committed(tmp_path)
    results = result_store(tmp_path)
    assert results.exists(record_path(KEY))
    commit = store.find(KEY)
    assert commit is not None
    value = results.read(record_path(KEY)).result
    assert value == reference(commit)
    assert value == json.loads(json.dumps(value))
    assert value["frames"] == 5


@pytest.mark.parametrize("state", ["absent", "rejected", "damaged", "part gone"])
def test_anything_else_is_a_miss(tmp_path: Path, state: str) -> None:
    if state != "absent":
        store = committed(tmp_path, "rejected" if state == "rejected" else "ok")
        if state == "damaged":
            (store.folder(KEY) / "commit.json").write_bytes(b"{}")
        if state == "part gone":
            next(store.folder(KEY).glob("part-*")).unlink()
    assert not result_store(tmp_path).exists(record_path(KEY))


def test_a_value_that_was_lost_or_cut_is_made_again_from_the_commit(tmp_path: Path) -> None:
    committed(tmp_path)
    results = result_store(tmp_path)
    value = value_folder(tmp_path) / record_path(KEY)
    assert results.exists(record_path(KEY))
    for damage in (b"", b"{"):
        value.write_bytes(damage)
        assert results.read(record_path(KEY)).result["status"] == "ok"


def test_writing_a_record_changes_nothing(tmp_path: Path) -> None:
    storage = CommitKeyStorage(root=str(tmp_path))
    assert storage.write_path("a/b/c.json", content=b"x", _sync=True) == "a/b/c.json"
    assert list(tmp_path.iterdir()) == []


def test_the_engine_reads_key_storage_through_read_path_with_sync(tmp_path: Path) -> None:
    asked: list[tuple[str, bool]] = []

    class Spy(CommitKeyStorage):
        _block_type_slug = "lavad-commits-spy"

        def read_path(self, path: str, _sync: bool = False) -> bytes:
            asked.append((path, _sync))
            return super().read_path(path, _sync=_sync)

    committed(tmp_path)
    policy = CacheKeyFnPolicy(cache_key_fn=lambda context, inputs: record_path(KEY)).configure(
        key_storage=Spy(root=str(tmp_path))
    )

    @task(persist_result=True, result_storage=value_folder(tmp_path), cache_policy=policy)
    def stage() -> None: ...

    assert ResultStore().update_for_task(stage, _sync=True).exists(record_path(KEY))
    assert asked == [(record_path(KEY), True)]


def test_the_names_that_are_used_are_there() -> None:
    assert {"storage_key", "serializer", "expiration"} <= set(ResultRecordMetadata.model_fields)
    assert "_sync" in str(inspect.signature(LocalFileSystem(basepath="/").read_path)) or hasattr(
        LocalFileSystem, "aread_path"
    )
    assert {"task", "task_run"} <= set(TaskRunContext.model_fields)
    runner = ThreadPoolTaskRunner(max_workers=1)
    assert {"_executor", "_cancel_events"} <= set(vars(runner)), "lavad.tasks.scoring_run.Workers"
    with runner:
        assert hasattr(runner._executor, "_threads")
