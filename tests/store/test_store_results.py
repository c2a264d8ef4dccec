"""Writing results, reading them, and what the store refuses."""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.store_work import KEYS, MEMORY, SCHEMA, rows, save, tree

from lavad_core.digest import ascii_json
from lavad_core.errors import DamagedResult, InternalError
from lavad_core.store.files import FileStore
from lavad_core.store.rechunk import ROWS_PER_GROUP
from lavad_core.store.types import Key

KEY = KEYS[0]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def test_a_result_comes_back_with_the_video_in_front(store: FileStore) -> None:
    table = rows(KEY, 3 * ROWS_PER_GROUP + 17)
    commit = save(store, KEY, table, video="street")
    found = FileStore(store.root).find(KEY)
    assert found == commit
    back = store.read(commit)
    assert back.column_names == ["video", *table.column_names]
    assert back.drop_columns(["video"]).equals(table)
    assert set(back["video"].to_pylist()) == {"street"}
    assert [part.rows for part in commit.files] == [table.num_rows]
    assert sum(path.stat().st_size for path in store.paths(commit)) == commit.files[0].bytes


def test_batches_are_bounded_and_in_order(store: FileStore) -> None:
    commit = save(store, KEY, rows(KEY, 10_000))
    batches = list(store.batches(commit, ["score", "frame"], rows=1000))
    assert max(batch.num_rows for batch in batches) <= 1000
    assert all(batch.schema.names == ["score", "frame"] for batch in batches)
    assert [frame for batch in batches for frame in batch["frame"].to_pylist()] == list(range(10_000))


def test_a_result_without_rows_keeps_its_schema(store: FileStore) -> None:
    commit = save(store, KEY, SCHEMA.empty_table())
    assert store.read(commit).schema.names == ["video", *SCHEMA.names]
    assert store.read(commit, ["score"]).schema.types == [pa.float32()]
    assert commit.files[0].rows == 0


def test_a_rejected_result_has_no_files_even_if_rows_were_written(store: FileStore) -> None:
    with store.writer(KEY, video="v", schema=SCHEMA, provenance={}) as writer:
        writer.write(rows(KEY, 5000))
        commit = writer.commit("rejected", reason="decoder-crashed", message="signal 11")
    assert commit.files == ()
    assert store.find(KEY) == commit
    assert store.read(commit).num_rows == 0
    assert [path.name for path in store.folder(KEY).iterdir()] == ["commit.json"]


def test_facts_counts_and_provenance_come_back_as_json_has_them(store: FileStore) -> None:
    with store.writer(KEY, video="v", schema=SCHEMA, provenance={"models": ("a", "b")}) as writer:
        commit = writer.commit("ok_with_gaps", counts={"gaps": 3}, facts={"size": (640, 480), "auc": 0.1 + 0.2})
    assert commit.facts == {"size": [640, 480], "auc": 0.1 + 0.2}
    assert commit.provenance == {"models": ["a", "b"]}
    assert store.find(KEY) == commit


def test_nothing_is_on_disk_before_the_first_writer_and_nothing_visible_before_the_commit(store: FileStore) -> None:
    assert store.find(KEY) is None
    assert store.sweep() == 0
    assert not store.root.exists()
    with store.writer(KEY, video="v", schema=SCHEMA, provenance={}) as writer:
        writer.write(rows(KEY, 5000))
        assert not (store.root / KEY.stage).exists()
        assert store.find(KEY) is None
    assert {name for name in tree(store.root) if not name.endswith(".lock")} == {".tmp"}


def test_an_exception_leaves_nothing(store: FileStore) -> None:
    def fail() -> None:
        with store.writer(KEY, video="v", schema=SCHEMA, provenance={}) as writer:
            writer.write(rows(KEY, 5000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert {name for name in tree(store.root) if not name.endswith(".lock")} == {".tmp"}


def test_the_second_writer_gets_the_first_ones_commit(store: FileStore) -> None:
    first = save(store, KEY, rows(KEY, 10, "a"))
    before = tree(store.root)
    assert save(store, KEY, rows(KEY, 10, "b")) == first
    assert tree(store.root) == before


def test_replace_puts_the_new_result_in_place_and_removes_the_old(store: FileStore) -> None:
    save(store, KEY, rows(KEY, 10, "a"))
    new = save(store, KEY, rows(KEY, 10, "b"), replace=True)
    assert store.find(KEY) == new
    fresh = FileStore(store.root.with_name("fresh"))
    save(fresh, KEY, rows(KEY, 10, "b"))
    assert tree(store.root) == tree(fresh.root)


def test_discard_removes_that_result_and_no_newer_one(store: FileStore) -> None:
    old = save(store, KEY, rows(KEY, 10, "a"))
    new = save(store, KEY, rows(KEY, 10, "b"), replace=True)
    with pytest.raises(DamagedResult, match="missing"):
        store.read(old)
    store.discard(old)
    assert store.find(KEY) == new
    store.discard(new)
    assert store.find(KEY) is None
    assert not (store.root / KEY.stage).exists()


def test_the_commit_is_canonical_ascii_without_clock_host_or_path(store: FileStore) -> None:
    save(store, KEY, rows(KEY, 10), video="\x1b[31mmöwe\u202e")
    data = (store.folder(KEY) / "commit.json").read_bytes()
    assert data.endswith(b"}\n")
    assert data[:-1].isascii()
    assert all(byte >= 0x20 for byte in data[:-1])
    assert data == (ascii_json(json.loads(data)) + "\n").encode()
    assert str(store.root).encode() not in data


NAMES = {
    "up and out": "../../../etc/passwd",
    "absolute": "/etc/passwd",
    "new line": "a\nb\r\nc",
    "escape": "\x1b]0;title\x07\x1b[2J",
    "right to left": "invoice\u202efdp.mp4",
    "leading dash": "-rf",
    "255 bytes": "x" * 255,
    "invalid UTF-8": b"caf\xe9".decode("utf-8", "surrogateescape"),
    "NUL": "a\0b",
    "quotes and markup": "\"'<script>alert(1)</script>,=1+1",
    "empty": "",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_any_name_of_a_video_is_data_and_never_a_path(store: FileStore, name: str) -> None:
    plain = FileStore(store.root.with_name("plain"))
    save(plain, KEY, rows(KEY, 3), video="plain")
    commit = save(store, KEY, rows(KEY, 3), video=name)
    found = store.find(KEY)
    assert found == commit
    expected = name.encode("utf-8", "backslashreplace").decode()
    assert found is not None
    assert found.video == expected
    assert set(store.read(found)["video"].to_pylist()) == {expected}
    strip = {path.replace(commit.files[0].name, "part") for path in tree(store.root)}
    (part,) = [path.rsplit("/", 1)[1] for path in tree(plain.root) if "part-" in path]
    assert strip == {path.replace(part, "part") for path in tree(plain.root)}


BAD_KEYS = {
    "stage goes up": Key("..", "ab", "cd"),
    "stage with slash": Key("a/b", "ab", "cd"),
    "empty stage": Key("", "ab", "cd"),
    "reserved stage": Key("runs", "ab", "cd"),
    "video id is a name": Key("probe", "my video", "cd"),
    "video id goes up": Key("probe", "..", "cd"),
    "capital digits": Key("probe", "AB", "cd"),
    "trailing new line": Key("probe", "ab", "cd\n"),
    "too long": Key("probe", "ab", "c" * 65),
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_key_that_is_no_digest_is_refused(store: FileStore, key: Key) -> None:
    with pytest.raises(InternalError):
        store.find(key)
    with pytest.raises(InternalError):
        save(store, key, rows(KEY, 1))
    assert not store.root.exists()


def _one(kind: pa.DataType, values: list[Any]) -> pa.Table:
    return pa.table({"x": pa.array(values, kind)})


NOT_FINITE = {
    "NaN": _one(pa.float64(), [1.0, math.nan]),
    "infinity": _one(pa.float32(), [math.inf]),
    "half": _one(pa.float16(), [-math.inf]),
    "in a list": _one(pa.list_(pa.float32()), [[1.0], [], None, [math.nan]]),
    "in a vector": _one(pa.list_(pa.float32(), 2), [[1.0, math.inf], None]),
    "in a struct": _one(pa.struct([("y", pa.float32())]), [{"y": math.nan}]),
    "in lists of lists": _one(pa.list_(pa.list_(pa.float64())), [[[0.0], [math.nan]]]),
}


@pytest.mark.parametrize("table", NOT_FINITE.values(), ids=NOT_FINITE.keys())
def test_no_nan_gets_into_the_store(store: FileStore, table: pa.Table) -> None:
    with pytest.raises(InternalError, match="1 NaN or infinite"):
        save(store, KEY, table)
    assert store.find(KEY) is None


def test_what_lies_under_a_null_is_no_nan(store: FileStore) -> None:
    hidden = pa.array([1.0, math.nan], pa.float32(), mask=None)
    column = pa.Array.from_buffers(pa.float32(), 2, [pa.py_buffer(b"\x01"), hidden.buffers()[1]])
    assert column.null_count == 1
    commit = save(store, KEY, pa.table({"x": column}))
    assert store.read(commit)["x"].to_pylist() == [1.0, None]


REFUSED = {
    "column called video": (pa.schema([("video", pa.string())]), None),
    "a column twice": (pa.schema([("a", pa.int8()), ("a", pa.int8())]), None),
    "dictionary": (pa.schema([("a", pa.dictionary(pa.int8(), pa.string()))]), None),
    "other type": (pa.schema([("a", pa.int32())]), pa.table({"a": pa.array([1], pa.int64())})),
    "other name": (pa.schema([("a", pa.int64())]), pa.table({"b": [1]})),
    "other order": (pa.schema([("a", pa.int64()), ("b", pa.int64())]), pa.table({"b": [1], "a": [1]})),
    "null where none may be": (pa.schema([pa.field("a", pa.int64(), nullable=False)]), pa.table({"a": [1, None]})),
}


@pytest.mark.parametrize(("schema", "table"), REFUSED.values(), ids=REFUSED.keys())
def test_rows_that_do_not_fit_are_refused(store: FileStore, schema: pa.Schema, table: pa.Table | None) -> None:
    with (
        pytest.raises(InternalError),
        store.writer(KEY, video="v", schema=schema, provenance={}) as writer,
    ):
        writer.write(table)
    assert store.find(KEY) is None


COMMITS = {
    "NaN in facts": {"facts": {"x": math.nan}},
    "object in facts": {"facts": {"x": Path("a")}},
    "count is a float": {"counts": {"x": 1.5}},
    "rejected without a reason": {"status": "rejected"},
}


@pytest.mark.parametrize("arguments", COMMITS.values(), ids=COMMITS.keys())
def test_a_commit_that_json_cannot_hold_is_refused(store: FileStore, arguments: dict[str, Any]) -> None:
    with (
        pytest.raises(InternalError),
        store.writer(KEY, video="v", schema=SCHEMA, provenance={}) as writer,
    ):
        writer.commit(**arguments)
    assert store.find(KEY) is None


def test_a_writer_commits_once(store: FileStore) -> None:
    with store.writer(KEY, video="v", schema=SCHEMA, provenance={}) as writer:
        writer.commit()
        with pytest.raises(InternalError, match="done"):
            writer.commit()
    with pytest.raises(InternalError, match="done"):
        writer.write(rows(KEY, 1))


def test_an_unknown_column_is_named(store: FileStore) -> None:
    commit = save(store, KEY, rows(KEY, 3))
    with pytest.raises(InternalError, match="'colour'"):
        store.read(commit, ["colour"])


# -- the same rows give the same bytes -----------------------------------------------------------------------------------

_numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
_KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "float": (pa.float32(), _numbers),
    "text": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "bytes": (pa.binary(), st.binary(max_size=8)),
    "list": (pa.list_(pa.float32()), st.lists(_numbers, max_size=3)),
    "vector": (pa.list_(pa.float32(), 2), st.lists(_numbers, min_size=2, max_size=2)),
    "struct": (pa.struct([("n", pa.int32())]), st.fixed_dictionaries({"n": st.integers(-5, 5)})),
}


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    kinds = draw(st.lists(st.sampled_from(sorted(_KINDS)), min_size=1, max_size=3))
    length = draw(st.integers(0, 40))
    columns = {}
    for number, name in enumerate(kinds):
        kind, values = _KINDS[name]
        column = draw(st.lists(st.none() | values, min_size=length, max_size=length))
        columns[f"{name}{number}"] = pa.array(column, kind)
    return pa.table(columns)


@settings(max_examples=40, deadline=None)
@given(table=_tables(), cuts=st.lists(st.integers(0, 40), max_size=4), group=st.integers(1, 50))
def test_bytes_depend_on_rows_and_not_on_how_they_are_cut(table: pa.Table, cuts: list[int], group: int) -> None:
    edges = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        patch.setattr("lavad_core.store.rechunk.ROWS_PER_GROUP", group)
        whole, pieces = FileStore(Path(folder) / "whole"), FileStore(Path(folder) / "pieces")
        commit = save(whole, KEY, table)
        metadata = table.schema.with_metadata({"pandas": "at /home/somebody"})
        with pieces.writer(KEY, video="a video", schema=metadata, provenance={"version": 1}) as writer:
            for start, stop in itertools.pairwise(edges):
                for batch in table.slice(start, stop - start).to_batches(max_chunksize=7):
                    writer.write(batch)
            writer.commit(counts={"rows": table.num_rows})
        assert tree(whole.root) == tree(pieces.root)
        assert whole.read(commit).drop_columns(["video"]).to_pylist() == table.to_pylist()


def test_a_large_table_in_odd_pieces_gives_the_same_bytes(tmp_path: Path) -> None:
    table = rows(KEY, 2 * ROWS_PER_GROUP + 100)
    whole, pieces = FileStore(tmp_path / "whole"), FileStore(tmp_path / "pieces")
    save(whole, KEY, table)
    with pieces.writer(KEY, video="a video", schema=table.schema, provenance={"version": 1}) as writer:
        for start in range(0, table.num_rows, 997):
            writer.write(table.slice(start, 997))
        writer.commit(counts={"rows": table.num_rows})
    assert tree(whole.root) == tree(pieces.root)


def test_other_programs_read_the_tree_as_it_is(store: FileStore) -> None:
    for key in KEYS:
        save(store, key, rows(key, 20))
    found = pandas.concat([pandas.read_parquet(path) for path in (store.root / "score").glob("**/*.parquet")])
    assert len(found) == 40
    assert list(found.columns) == ["video", *SCHEMA.names]
