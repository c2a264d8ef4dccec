"""Records of runs that decide numbers: what was changed in them by hand is not believed, and said."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command import lavad
from support.filled_store import fill
from support.json_files import edit

from lavad_core.errors import DamagedResult, InputError
from lavad_core.results.open import open_results
from lavad_core.runs.manifest import load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.run_log import load_records
from lavad_core.runs.verify import check_records
from lavad_core.runs.video_list import load_sources, save_sources, unfinished_of
from lavad_core.seal import FIELD, sealed
from lavad_core.video.types import VideoSource


@pytest.fixture
def store(tmp_path: Path) -> Path:
    run_id, _ = fill(tmp_path / "store", "first", "second")
    save_sources(
        tmp_path / "store", run_id, [VideoSource("first", Path("/a.mp4")), VideoSource("second", Path("/b.mp4"))]
    )
    return tmp_path / "store"


def only(store: Path, ending: str) -> Path:
    (path,) = (store / "runs").glob(f"*{ending}")
    return path


def edited_line(path: Path, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if json.loads(line)["kind"] == kind)
    document = json.loads(lines[at])
    change(document)
    lines[at] = json.dumps(document)
    path.write_text("\n".join(lines) + "\n")


def set_threshold(document: dict[str, Any]) -> None:
    document["config"].setdefault("detect", {})["threshold"] = 0.05


RECORD: dict[str, Callable[[dict[str, Any]], object]] = {
    "a threshold": set_threshold,
    "a metric": lambda record: record["metrics"].update(roc_auc=0.99),
    "an outcome": lambda record: record["videos"][0].update(status="failed"),
    "an outcome taken away": lambda record: record["videos"].pop(0),
    "a sentence": lambda record: record.update(message="all is well"),
    "the number of the run": lambda record: record.update(run_id="20200101T000000000-000000"),
    "the digest": lambda record: record.update(digest="0" * 64),
    "no digest": lambda record: record.pop(FIELD),
    "no digest, and an earlier version": lambda record: (record.pop(FIELD), record.update(format=1)),
}


@pytest.mark.parametrize("word", RECORD)
def test_a_record_that_was_changed_is_not_believed(word: str, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    written = load_run(store)
    edit(only(store, ".json"), RECORD[word])
    found = load_run(store, written.run_id)
    assert "was changed after it was written" in "".join(found.altered)
    assert "was changed after it was written" in caplog.text
    # Everything that was there is read from the log.
    assert (found.videos, found.metrics, found.status, found.message) == (
        written.videos, written.metrics, written.status, written.message,
    )  # fmt: skip
    assert found.config == written.config
    assert [finding.kind for finding in check_records(store)] == ["altered"]
    checked = lavad("store", "verify", "--store", str(store))
    assert checked.exit_code == 4
    assert "altered: runs/" in checked.stdout
    told = lavad("status", "--store", str(store))
    assert "was changed after it was written" in told.stderr
    assert "0.99" not in told.stdout


def test_numbers_come_from_results(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As after a flow in the same process, whose handler is not the command line's.
    monkeypatch.setattr(logging.getLogger("lavad_core"), "handlers", [logging.NullHandler()])
    assert lavad("export", "intervals", str(tmp_path / "before.txt"), "--store", str(store)).exit_code == 0
    edit(only(store, ".json"), set_threshold)
    made = lavad("export", "intervals", str(tmp_path / "after.txt"), "--store", str(store))
    assert made.exit_code == 0, made.stderr
    assert "was changed after it was written" in made.stderr
    assert (tmp_path / "after.txt").read_text() == (tmp_path / "before.txt").read_text()


def edited_lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], object]:
    return lambda path: path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


LOG: dict[str, Callable[[Path], object]] = {
    "a setting": lambda path: edited_line(path, "run", set_threshold),
    "a result's key": lambda path: edited_line(path, "stage", lambda line: line.update(fingerprint="0" * 32)),
    "a line taken away": edited_lines(lambda lines: lines[:2] + lines[3:]),
    "the last lines taken away": edited_lines(lambda lines: lines[:3]),
    "lines in another order": edited_lines(lambda lines: lines[:1] + lines[:0:-1]),
    "a line without a digest": lambda path: edited_line(path, "stage", lambda line: line.pop(FIELD)),
    "a line that no longer parses": edited_lines(lambda lines: [lines[0], lines[1].replace(",", "", 1), *lines[2:]]),
    "all of it taken away": lambda path: path.unlink(),
}


@pytest.mark.parametrize("word", LOG)
def test_a_log_that_was_changed_is_refused(word: str, store: Path, tmp_path: Path) -> None:
    LOG[word](only(store, ".jsonl"))
    run = load_run(store)
    assert run.altered
    with pytest.raises(DamagedResult, match="was changed after it was written"):
        list(load_records(store, run.run_id))
    with pytest.raises(DamagedResult):
        open_results(store).names  # noqa: B018
    assert [finding.kind for finding in check_records(store)] == ["altered"]
    assert lavad("export", "csv", str(tmp_path / "t.csv"), "--store", str(store)).exit_code == 4
    assert lavad("show", "first", "--store", str(store)).exit_code == 4
    told = lavad("status", "--store", str(store))
    assert told.exit_code == 0
    assert "WARNING" in told.stderr


def test_a_log_of_a_run_that_was_killed_is_checked_too(store: Path) -> None:
    only(store, ".json").unlink()
    assert load_run(store).altered == ()
    edited_line(only(store, ".jsonl"), "stage", lambda line: line.update(video="third"))
    assert "does not match its digest" in "".join(load_run(store).altered)
    assert lavad("store", "verify", "--store", str(store)).exit_code == 4


def test_a_line_cut_by_a_kill_is_no_change(store: Path) -> None:
    only(store, ".json").unlink()
    with only(store, ".jsonl").open("ab") as file:
        file.write(b'{"kind": "stage", "work": {}')
    assert load_run(store).altered == ()
    with only(store, ".jsonl").open("ab") as file:
        file.write(b"\n")
    assert load_run(store).altered == ()


SOURCES: dict[str, Callable[[dict[str, Any]], object]] = {
    "which run has scored a video": lambda rows: rows["videos"][0].update(scored_in="20200101T000000000-000000"),
    "a video taken away": lambda rows: rows["videos"].pop(),
    "another file": lambda rows: rows["videos"][0].update(path="/other.mp4"),
    "no digest": lambda rows: rows.pop(FIELD),
    "a row that is none": lambda rows: rows["videos"].insert(0, 7),
}


@pytest.mark.parametrize("word", SOURCES)
def test_a_list_of_videos_that_was_changed(word: str, store: Path) -> None:
    run_id = load_run(store).run_id
    edit(only(store, ".sources"), SOURCES[word])
    for use in (load_sources, unfinished_of):
        with pytest.raises(DamagedResult, match="list of videos"):
            use(store, run_id)
    assert [finding.kind for finding in check_records(store)] == ["altered"]
    assert "list of videos" in lavad("status", "--store", str(store)).stderr


@pytest.mark.parametrize("written", [b"", b"\xff\xfe", b"{", b"[7]", b'[{"name": "first"}]'])
def test_a_list_of_videos_of_an_earlier_version_that_does_not_parse(written: bytes, store: Path) -> None:
    run_id = load_run(store).run_id
    as_before(store)
    only(store, ".sources").write_bytes(written)
    for use in (load_sources, unfinished_of):
        with pytest.raises(InputError, match=r"list of videos .* does not parse"):
            use(store, run_id)


def as_before(store: Path) -> None:
    """The records of a run as an earlier version of the program wrote them."""
    edit(only(store, ".json"), lambda record: (record.pop(FIELD), record.pop("log"), record.update(format=1)))
    lines = [json.loads(line) for line in only(store, ".jsonl").read_text().splitlines()]
    kept = [
        {k: v for k, v in line.items() if k not in (FIELD, "writer", "line")} for line in lines if line["kind"] != "end"
    ]
    only(store, ".jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    rows = json.loads(only(store, ".sources").read_text())["videos"]
    only(store, ".sources").write_text(json.dumps(rows))


def test_records_of_an_earlier_version_open_and_are_said_to_be_unprotected(store: Path, tmp_path: Path) -> None:
    written = load_run(store)
    as_before(store)
    found = load_run(store)
    assert (found.videos, found.config, found.altered, found.sealed) == (written.videos, written.config, (), False)
    assert [source.name for source in load_sources(store, found.run_id).own] == ["first", "second"]
    assert lavad("export", "csv", str(tmp_path / "t.csv"), "--store", str(store)).exit_code == 0
    assert "have no digests" in lavad("status", "--store", str(store)).stderr
    checked = lavad("store", "verify", "--store", str(store))
    assert checked.exit_code == 0
    assert "1 run has records without digests" in checked.stderr


def test_their_numbers_come_from_results_as_well(store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert lavad("export", "intervals", str(tmp_path / "before.txt"), "--store", str(store)).exit_code == 0
    as_before(store)
    edit(only(store, ".json"), set_threshold)
    made = lavad("export", "intervals", str(tmp_path / "after.txt"), "--store", str(store))
    assert made.exit_code == 0, made.stderr
    assert (tmp_path / "after.txt").read_text() == (tmp_path / "before.txt").read_text()
    assert "detect.threshold is 0.05, the results were made with 0.5" in caplog.text
    shown = lavad("show", "first", "--store", str(store))
    assert "threshold 0.5" in shown.stderr


def test_records_under_the_name_of_another_run_are_altered(store: Path) -> None:
    for path in sorted((store / "runs").iterdir()):
        other = path.name.replace(path.name.partition(".")[0], "20990101T000000000-abcdef")
        shutil.copy(path, path.with_name(other))
    found = {(finding.kind, finding.path) for finding in check_records(store)}
    assert found == {("altered", "runs/20990101T000000000-abcdef")}


def test_whatever_is_in_a_document_its_digest_holds() -> None:
    document = json.loads(json.dumps(sealed({"a": [1, 2.5, None, "\ud800"], "b": {"c": -0.0}})))
    assert sealed({k: v for k, v in document.items() if k != FIELD}) == document


@pytest.mark.parametrize("word", ["gone", "cut", "another run's"])
def test_the_record_knows_its_list_of_videos(word: str, tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        run = RunRecorder(tmp_path, new_run_id(), config={})
        save_sources(tmp_path, run.run_id, [VideoSource(name, Path(f"/{name}.mp4"))])
        run.finish("ok", [])
        ids.append(run.run_id)
    first, second = (tmp_path / "runs" / f"{run_id}.sources" for run_id in ids)
    assert [source.name for source in load_sources(tmp_path, ids[0]).own] == ["a"]
    if word == "gone":
        first.unlink()
    elif word == "cut":
        first.write_bytes(first.read_bytes()[:-20])
    else:
        shutil.copy(second, first)
    for use in (load_sources, unfinished_of):
        with pytest.raises(DamagedResult, match="list of videos"):
            use(tmp_path, ids[0])
    assert [finding.kind for finding in check_records(tmp_path)] == ["altered"]
