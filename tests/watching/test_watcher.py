"""Files that arrive are scored once and told once, whatever fails in between."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pyarrow as pa
import pytest
from support.watched_folder import REASON, Hook, WatchedFolder

from lavad_core.config.load import load_config
from lavad_core.errors import InputError, ServiceUnavailable, StoreUnavailable
from lavad_core.runs.manifest import list_runs
from lavad_core.runs.run_log import load_records
from lavad_core.watching import watcher as watcher_module
from lavad_core.watching.arrivals import Arrivals
from lavad_core.watching.notices import Notice, NoticeBook
from lavad_core.watching.receivers import Lines, Program, Receiver, Webhook
from lavad_core.watching.watcher import Watcher, watchable


@pytest.fixture
def folder(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path)


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A receiver in this process that takes what it is told, or does not."""

    def __init__(self, name: str = "here") -> None:
        self.name = self.shown = name
        self.notices: list[Notice] = []
        self.refuses = False

    def tell(self, notice: Notice) -> None:
        if self.refuses:
            raise ServiceUnavailable("not now")
        self.notices.append(notice)


def watching(folder: WatchedFolder, book: NoticeBook, *receivers: Receiver, settle_s: float = 0.0) -> Watcher:
    config = watchable(load_config(settings=folder.settings, environ={}))
    return Watcher(config, Arrivals([folder.inbox], settle_s), book, receivers)


def made(folder: WatchedFolder) -> int:
    """How many results were computed, and not found."""
    store = folder.root / "store"
    return sum(not record.cached for run_id in list_runs(store) for record in load_records(store, run_id))


def test_a_file_is_at_rest_when_it_has_stayed_the_same(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "a.mp4"
    arrivals = Arrivals([tmp_path, tmp_path / "later.mp4"], 5, clock)
    assert arrivals.at_rest() == []
    file.write_bytes(b"")
    clock.now += 60
    assert arrivals.at_rest() == [], "an empty file has only been opened"
    file.write_bytes(b"1")
    assert arrivals.at_rest() == []
    clock.now += 4.9
    assert arrivals.at_rest() == []
    assert arrivals.moving
    file.write_bytes(b"12")
    clock.now += 4.9
    assert arrivals.at_rest() == []
    clock.now += 5
    assert [one.path for one in arrivals.at_rest()] == [file]
    assert not arrivals.moving
    (tmp_path / "later.mp4").write_bytes(b"1")  # a file that was named before it was there
    (tmp_path / "notes.txt").write_bytes(b"1")
    (tmp_path / ".hidden.mp4").write_bytes(b"1")
    os.utime(tmp_path / "later.mp4", (0, 0))
    arrivals.at_rest()
    clock.now += 5
    assert [one.path.name for one in arrivals.at_rest()] == ["later.mp4", "a.mp4"], "the one that ended first"
    file.unlink()
    assert [one.path.name for one in arrivals.at_rest()] == ["later.mp4"]


@pytest.mark.parametrize("path", ["no/such.mp4", "nosuch", "no/such"])
def test_a_place_that_cannot_come_to_be_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{path}' is not there: watch a folder that exists"):
        Arrivals([tmp_path / path], 5)


def test_a_folder_that_goes_away_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    arrivals = Arrivals([folder], 0)
    folder.rmdir()
    assert arrivals.at_rest() == arrivals.at_rest() == []
    assert [record.message for record in caplog.records] == [f"nothing of {str(folder)!r} is scored: it is not there"]
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"1")
    assert [one.path.name for one in arrivals.at_rest()] == ["a.mp4"]


def test_each_clip_is_scored_once_and_told_once(folder: WatchedFolder, tmp_path: Path) -> None:
    clips, told = folder.prepare("a", "b"), Told()
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        assert not watcher.step()
        folder.arrive(clips["a"])
        assert watcher.step()
        assert not watcher.step()
        folder.arrive(clips["b"])
        assert watcher.step()
        assert watcher.idle
    computed = made(folder)
    with NoticeBook(tmp_path / "book") as book:
        assert not watching(folder, book, told).step(), "after a restart all is known"
    assert made(folder) == computed
    first, second = (notice.body for notice in told.notices)
    assert (first["video"], second["video"]) == ("a", "b")
    assert (first["kind"], first["reason"], first["peak_score"]) == ("anomaly", REASON, 0.9)
    assert (first["start_frame"], first["end_frame"], first["peak_frame"]) == (16, 31, 16)
    assert (first["threshold"], first["smoothing"], first["path"]) == (0.5, "", str(folder.inbox / "a.mp4"))
    assert first["event"] == told.notices[0].event != second["event"]
    assert first["latency_s"] > 0
    page = Path(first["page"].removeprefix("file://"))
    assert REASON in page.read_text(encoding="utf-8")
    assert watcher.latencies_s == pytest.approx([first["latency_s"], second["latency_s"]], abs=5)


def test_a_receiver_that_is_away_is_told_later_and_in_order(
    folder: WatchedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, away, there = folder.prepare("a", "b"), Told("away"), Told("there")
    away.refuses = True
    for clip in clips.values():
        folder.arrive(clip)
    with NoticeBook(tmp_path / "book") as book:
        watching(folder, book, away, there).step()
        assert len(there.notices) == 2
        assert len(book.due(["away"], later=True)) == 2
        assert not watching(folder, book, away, there).idle
        away.refuses = False
        watching(folder, book, away, there).step()
        assert away.notices == [], "later notices wait behind the first"
    monkeypatch.setattr("lavad_core.watching.notices.FIRST_WAIT_S", 0)
    with NoticeBook(tmp_path / "book") as book:  # a new process
        book.not_told(book.due(["away"], later=True)[0])
        watching(folder, book, away, there).step()
        assert book.due(["away", "there"], later=True) == []
    assert [notice.event for notice in away.notices] == [notice.event for notice in there.notices]
    assert len(there.notices) == 2


def test_a_copy_of_the_same_content_is_the_same_event(folder: WatchedFolder, tmp_path: Path) -> None:
    clips, told = folder.prepare("a", "b"), Told()
    (folder.inbox / "a.mp4").write_bytes(clips["a"].read_bytes())
    (folder.inbox / "b.mp4").write_bytes(clips["a"].read_bytes())
    with NoticeBook(tmp_path / "book") as book:
        watching(folder, book, told).step()
    assert len(told.notices) == 1


def test_a_file_that_goes_on_is_scored_again_as_a_whole(
    folder: WatchedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, told = folder.prepare("a"), Told()
    folder.arrive(clips["a"])
    scored = watcher_module.score_videos

    def growing(*given: Any, **named: Any) -> Any:
        found = scored(*given, **named)
        with (folder.inbox / "a.mp4").open("ab") as file:
            file.write(b"\0" * 64)
        return found

    monkeypatch.setattr(watcher_module, "score_videos", growing)
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        watcher.step()
        assert told.notices == [], "what was scored is not the whole of it"
        monkeypatch.setattr(watcher_module, "score_videos", scored)
        watcher.step()
    assert [notice.body["kind"] for notice in told.notices] == ["anomaly"]


def test_files_that_are_moved_away_stop_nothing(
    folder: WatchedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, told = folder.prepare("a", "b"), Told()
    scored = watcher_module.score_videos

    def moving(*given: Any, **named: Any) -> Any:
        found = scored(*given, **named)
        (folder.inbox / "a.mp4").rename(tmp_path / "a.mp4")
        return found

    def gone(*given: Any, **named: Any) -> Any:
        (folder.inbox / "b.mp4").unlink()
        return scored(*given, **named)

    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        folder.arrive(clips["a"])
        monkeypatch.setattr(watcher_module, "score_videos", moving)
        watcher.step()
        folder.arrive(clips["b"])
        monkeypatch.setattr(watcher_module, "score_videos", gone)
        watcher.step()
        assert watcher.idle
    assert [notice.body["video"] for notice in told.notices] == ["a"], (
        "what was whole is told, what was not scored is not"
    )


def test_a_file_that_goes_before_its_next_try_is_not_waited_for(folder: WatchedFolder, tmp_path: Path) -> None:
    clips = folder.prepare("a")
    folder.arrive(clips["a"])
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book)
        (arrival,) = watcher.arrivals.at_rest()
        book.again(arrival, 600)
        assert not watcher.idle
        arrival.path.unlink()
        assert watcher.idle


def test_names_that_are_not_utf_8_are_scored_and_told(folder: WatchedFolder, tmp_path: Path) -> None:
    clips, told = folder.prepare("caf\\xe9"), Told()
    (folder.inbox / os.fsdecode(b"caf\xe9.mp4")).write_bytes(clips["caf\\xe9"].read_bytes())
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        watcher.step()
        assert watcher.idle
    assert [(notice.body["kind"], notice.body["video"]) for notice in told.notices] == [("anomaly", "caf\\xe9")]


def test_a_folder_that_cannot_be_read_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(inputs: Any) -> Any:
        raise InputError("'lost+found' cannot be read") from PermissionError()

    arrivals = Arrivals([tmp_path], 0)
    assert arrivals.at_rest() == [], "an empty folder is nothing to say"
    monkeypatch.setattr("lavad_core.watching.arrivals.discover", refused)
    assert (arrivals.at_rest(), arrivals.at_rest()) == ([], [])
    (record,) = caplog.records
    assert "lost+found" in record.getMessage()


def test_a_file_that_is_no_video_is_told_once(folder: WatchedFolder, tmp_path: Path) -> None:
    folder.prepare("bad")
    (folder.inbox / "bad.mp4").write_text("no video", encoding="utf-8")
    told = Told()
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        watcher.step()
        assert not watcher.step()
    (notice,) = told.notices
    assert (notice.body["kind"], notice.body["video"], notice.body["page"]) == ("unscored", "bad", "")
    assert "format" in notice.body["reason"]


def test_a_service_that_is_down_loses_no_file(
    folder: WatchedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, told = folder.prepare("a"), Told()
    folder.arrive(clips["a"])
    scored = watcher_module.score_videos

    def down(*given: Any, **named: Any) -> Any:
        raise ServiceUnavailable("no connection")

    monkeypatch.setattr(watcher_module, "FIRST_WAIT_S", 0)
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        monkeypatch.setattr(watcher_module, "score_videos", down)
        watcher.step()
        assert not watcher.idle
        monkeypatch.setattr(watcher_module, "score_videos", scored)
        watcher.step()
        assert watcher.idle
    assert [notice.body["kind"] for notice in told.notices] == ["anomaly"]


def test_files_that_are_left_out_stay_left_out(folder: WatchedFolder, tmp_path: Path) -> None:
    clips, told = folder.prepare("a", "b"), Told()
    folder.arrive(clips["a"])
    with NoticeBook(tmp_path / "book") as book:
        watcher = watching(folder, book, told)
        watcher.skip(watcher.arrivals.at_rest())
        folder.arrive(clips["b"])
        watcher.step()
    assert [notice.body["video"] for notice in told.notices] == ["b"]


def test_a_notice_says_which_kind_of_anomaly_it_is() -> None:
    segment = {"start_frame": 0, "end_frame": 31, "summary": "two men fight", "kind": "fight"}
    results: Any = MagicMock(rule=MagicMock(threshold=0.5), smoothing="")
    results["a"].segments.return_value = pa.Table.from_pylist([segment])
    outcome: Any = MagicMock(video_id="0")
    outcome.name = "a"
    (notice,) = watcher_module._anomalies(results, outcome, {})
    assert (notice.body["kind"], notice.body["anomaly"], notice.body["reason"]) == ("anomaly", "fight", "two men fight")


def test_labels_and_lists_of_videos_have_no_place(folder: WatchedFolder) -> None:
    folder.prepare("a")
    settings = {**folder.settings, "run": {"targets": ["refine", "evaluate"]}, "evaluate": {"labels": "labels.txt"}}
    found = watchable(load_config(settings=settings, environ={}))
    assert (found.run.targets, found.evaluate.labels) == (("refine", "detect"), None)
    listed = load_config(overrides=["imports.list=l.txt", "imports.frame_rate=30"], environ={})
    with pytest.raises(InputError, match=r"imports\.list"):
        watchable(listed)


NOTICE = Notice("0f" * 16, {"event": "0f" * 16, "video": 'a";$(touch x)', "file_ended_s": 1.0})


def test_a_webhook_gets_json_with_its_id(tmp_path: Path) -> None:
    with Hook() as hook:
        Webhook(hook.address).tell(NOTICE)
        assert hook.notices == [dict(NOTICE.body)]
        assert hook.keys == [NOTICE.event]
        hook.answer = lambda notice: 500
        with pytest.raises(ServiceUnavailable, match="it answered 500") as told:
            Webhook(hook.address).tell(NOTICE)
        hook.answer = lambda notice: 302
        with pytest.raises(ServiceUnavailable, match="it answered 302"):
            Webhook(hook.address).tell(NOTICE)
        address = hook.address
    with pytest.raises(ServiceUnavailable, match="ConnectError") as gone:
        Webhook(address).tell(NOTICE)
    assert "s3cret" not in f"{told.value}{gone.value}{Webhook(address).name}{Webhook(address).shown}"


@pytest.mark.parametrize(
    "address", ["", "ftp://host/x", "http://", "file:///etc/passwd", "http://host:0/", "http://a b/"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        Webhook(address)


def test_a_program_reads_the_notice_and_no_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVAD_CHAT__API_KEY", "s3cret")
    script = (
        "import json, os, sys; json.dump([json.load(sys.stdin), sys.argv[2], [*os.environ]], open(sys.argv[1], 'w'))"
    )
    out = tmp_path / "out.json"
    Program([sys.executable, "-c", script, str(out), "$(touch x)"]).tell(NOTICE)
    body, argument, names = json.loads(out.read_text())
    assert (body, argument) == (dict(NOTICE.body), "$(touch x)")
    assert "LAVAD_CHAT__API_KEY" not in names
    with pytest.raises(ServiceUnavailable, match="exit status 3: no"):
        Program([sys.executable, "-c", "import sys; sys.exit(print('no', file=sys.stderr) or 3)"]).tell(NOTICE)
    with pytest.raises(ServiceUnavailable, match="No such file"):
        Program([str(tmp_path / "missing")]).tell(NOTICE)
    for wrong in ([], [""], ["a", ""]):
        with pytest.raises(InputError, match="is no program"):
            Program(wrong)


def test_lines_are_json() -> None:
    lines: list[str] = []
    Lines(lines.append).tell(NOTICE)
    assert json.loads(lines[0]) == dict(NOTICE.body)


def test_one_book_has_one_watcher(tmp_path: Path) -> None:
    with NoticeBook(tmp_path / "book"), pytest.raises(InputError, match="another process is watching"):
        NoticeBook(tmp_path / "book")
    (tmp_path / "broken").write_bytes(b"no database" * 100)
    with pytest.raises(StoreUnavailable, match="move it away"):
        NoticeBook(tmp_path / "broken")


def test_a_notice_is_noted_with_its_file_or_not_at_all(tmp_path: Path, folder: WatchedFolder) -> None:
    folder.prepare("a")
    folder.arrive(folder.root / "clips" / "a.mp4")
    (arrival,) = Arrivals([folder.inbox], 0).at_rest()
    wrong: Callable[[], Notice] = lambda: Notice("x", {"value": float("nan")})  # noqa: E731
    with NoticeBook(tmp_path / "book") as book:
        with pytest.raises(ValueError, match="JSON"):
            book.done(arrival, "ok", [NOTICE, wrong()], ["here"])
        assert book.waiting([arrival]) == [arrival]
        assert book.due(["here"]) == []
