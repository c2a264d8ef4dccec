"""The cache of language-model answers."""

from __future__ import annotations

import logging
import math
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.store_work import CONTEXT, start

from lavad_core.config.load import load_config
from lavad_core.errors import InternalError, StoreUnavailable
from lavad_core.pipeline.resources import RunResources
from lavad_core.store.answers import MAX_ANSWER_BYTES, AnswerCache


@pytest.fixture
def cache(fast_folder: Path) -> Iterator[AnswerCache]:
    cache = AnswerCache(fast_folder / "cache" / "answers.sqlite")
    yield cache
    cache.close()


def reopened(cache: AnswerCache) -> AnswerCache:
    cache.close()
    return AnswerCache(cache.path)


def test_answers_come_back_from_another_process_of_the_file(cache: AnswerCache) -> None:
    assert cache.get("a") is None
    cache.put("a", {"text": "a man \ud83d walks\n", "tokens": 3, "logprobs": [-0.1, None]})
    cache.put_many({"b": {}, "c": {"x": 1}})
    assert reopened(cache).get_many(["c", "a", "b", "d"]) == {
        "a": {"text": "a man \ud83d walks\n", "tokens": 3, "logprobs": [-0.1, None]},
        "b": {},
        "c": {"x": 1},
    }


def test_many_keys_at_once(cache: AnswerCache) -> None:
    cache.put_many({f"k{number}": {"n": number} for number in range(3000)})
    found = cache.get_many(f"k{number}" for number in range(0, 6000, 2))
    assert found == {f"k{number}": {"n": number} for number in range(0, 3000, 2)}


def test_the_first_answer_stays(cache: AnswerCache) -> None:
    cache.put("a", {"x": 1})
    cache.put("a", {"x": 2})
    assert cache.get("a") == {"x": 1}


@pytest.mark.parametrize("value", [{"x": math.nan}, {"x": object()}, {"x": "y" * MAX_ANSWER_BYTES}])
def test_what_is_no_small_json_is_refused(cache: AnswerCache, value: dict[str, Any]) -> None:
    with pytest.raises(InternalError):
        cache.put("a", value)


def test_answers_that_arrive_together_share_a_transaction(cache: AnswerCache) -> None:
    cache.put("warm", {})
    transactions: list[str] = []
    assert cache._connection is not None
    cache._connection.set_trace_callback(lambda sql: transactions.append(sql) if sql == "COMMIT" else None)
    first, gate = threading.Event(), threading.Event()

    def slow_disk(sql: str) -> None:
        transactions.append(sql) if sql == "COMMIT" else None
        if sql == "COMMIT" and not first.is_set():
            first.set()
            gate.wait(10)

    cache._connection.set_trace_callback(slow_disk)
    threads = [threading.Thread(target=cache.put, args=("leader", {}))]
    threads[0].start()
    assert first.wait(10)
    threads += [threading.Thread(target=cache.put, args=(f"k{number}", {"n": number})) for number in range(20)]
    for thread in threads[1:]:
        thread.start()
    while len(cache._waiting) < 20:
        pass
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(transactions) == 2
    assert len(cache.get_many(f"k{number}" for number in range(20))) == 20


def write_many(path: Path, name: str, connection: Any) -> None:
    """Put answers, telling of each when it is durable, until killed."""
    cache = AnswerCache(path)
    for number in range(100_000):
        cache.put(f"{name}-{number}", {"n": number})
        connection.send(number)


def test_answers_that_were_put_survive_kills_and_eight_processes_at_once(cache: AnswerCache) -> None:
    writers = []
    for number in range(8):
        ours, theirs = CONTEXT.Pipe(duplex=False)
        writers.append((f"w{number}", ours, start(write_many, cache.path, f"w{number}", theirs)))
        theirs.close()
    told = dict.fromkeys((name for name, _, _ in writers), -1)
    for name, ours, process in writers:
        while told[name] < 10:
            assert ours.poll(60), "a writer waits for ever"
            told[name] = ours.recv()
        process.kill()
    for name, ours, process in writers:
        process.join(30)
        try:
            while True:
                told[name] = ours.recv()
        except EOFError:
            pass
    for name, last in told.items():
        assert last >= 10
        found = cache.get_many(f"{name}-{number}" for number in range(last + 1))
        assert found == {f"{name}-{number}": {"n": number} for number in range(last + 1)}
    cache.put("after", {"x": 1})
    assert cache.get("after") == {"x": 1}


DAMAGE = {
    "text": lambda data: b"not a database" * 100,
    "header": lambda data: b"X" + data[1:],
    "schema page": lambda data: data[:100] + b"\xff" * 3996 + data[4096:],
    "cut in a page": lambda data: data[:6000],
    "second page": lambda data: data[:4096] + b"\xff" * 4096 + data[8192:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_moved_aside(cache: AnswerCache, damage: Any, caplog: pytest.LogCaptureFixture) -> None:
    cache.put_many({f"k{number}": {"text": "x" * 100} for number in range(200)})
    cache.close()
    cache.path.write_bytes(damage(cache.path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        found = cache.get_many(f"k{number}" for number in range(200))
        assert all(value == {"text": "x" * 100} for value in found.values())
        cache.put("k0", {"text": "new"})
    assert "moved to 'answers.sqlite.damaged-1'" in caplog.text
    assert cache.path.with_name("answers.sqlite.damaged-1").exists()
    assert reopened(cache).get("k0") == {"text": "new"}


def test_a_damaged_answer_is_not_used_and_can_be_put_again(
    cache: AnswerCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put("a", {"text": "the needle"})
    cache.put("b", {"text": "whole"})
    cache.close()
    data = cache.path.read_bytes()
    assert data.count(b"the needle") == 1
    cache.path.write_bytes(data.replace(b"the needle", b"the noodle"))
    with caplog.at_level(logging.WARNING):
        assert cache.get_many(["a", "b"]) == {"b": {"text": "whole"}}
    assert "1 damaged answers" in caplog.text
    cache.put("a", {"text": "asked again"})
    assert cache.get("a") == {"text": "asked again"}


def test_one_process_moves_it_aside_and_another_that_had_it_open_goes_on(cache: AnswerCache) -> None:
    other = AnswerCache(cache.path)
    cache.put("a", {"x": 1})
    assert other.get("a") == {"x": 1}
    cache.close()
    other.close()
    cache.path.write_bytes(b"x" * 8192)
    cache.put("b", {"x": 2})
    other.put("c", {"x": 3})
    assert cache.get_many("abc") == other.get_many("abc") == {"b": {"x": 2}, "c": {"x": 3}}
    assert len(list(cache.path.parent.glob("*.damaged-*"))) == 1
    other.close()


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="Not a directory"):
        AnswerCache(tmp_path / "file" / "answers.sqlite").put("a", {})


def test_a_full_disk_is_said_and_the_cache_goes_on_afterwards(cache: AnswerCache) -> None:
    cache.put("a", {"x": 1})
    assert cache._connection is not None
    cache._connection.execute("PRAGMA max_page_count = 3")
    with pytest.raises(StoreUnavailable, match="free space"):
        cache.put("big", {"x": "y" * 50_000})
    assert cache.get("a") == {"x": 1}
    cache.put("big", {"x": "y" * 50_000})
    assert reopened(cache).get("big") == {"x": "y" * 50_000}


def test_the_file_is_plain_sqlite_for_others(cache: AnswerCache) -> None:
    cache.put("a", {"x": 1})
    cache.close()
    with sqlite3.connect(cache.path) as connection:
        assert connection.execute("SELECT key, CAST(value AS TEXT) FROM answers").fetchall() == [("a", '{"x":1}')]
    connection.close()


def test_the_statement_of_the_pages_brings_two_files_together(cache: AnswerCache, repository: Path) -> None:
    other = AnswerCache(cache.path.parent / "other" / "answers.sqlite")
    cache.put_many({"both": {"x": "first"}, "ours": {"x": 1}})
    other.put_many({"both": {"x": "second"}, "theirs": {"x": 2}})
    cache.close()
    other.close()
    page = (repository / "docs/design/answers.md").read_text(encoding="utf-8")
    found = re.search(r'^sqlite3 answers\.sqlite "(.*)"$', page, re.MULTILINE)
    assert found is not None
    with closing(sqlite3.connect(cache.path)) as connection:
        connection.executescript(found[1].replace("other/answers.sqlite", str(other.path)))
    assert cache.get_many(["both", "ours", "theirs"]) == {"both": {"x": "first"}, "ours": {"x": 1}, "theirs": {"x": 2}}


def test_where_a_run_keeps_them(tmp_path: Path) -> None:
    for given, folder in ((None, tmp_path / "store" / "cache"), (str(tmp_path / "disk"), tmp_path / "disk")):
        config = load_config(settings={"store": str(tmp_path / "store"), "run": {"answers": given}}, environ={})
        assert RunResources(config).answers.path == folder / "answers.sqlite"
