"""Names of runs: which can be one, and which run one stands for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavad_core.errors import InputError
from lavad_core.runs.manifest import MAX_NAME, checked_name, find_run, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.video_list import save_sources, unfinished_of


def record(root: Path, name: str = "", limit: int | None = None) -> str:
    with RunRecorder(root, new_run_id(), config={}, name=name or None) as run:
        run.limited(limit)
        run.finish("Completed", [])
    return run.run_id


@pytest.mark.parametrize("name", ["baseline", "täglich 3/4", "[bold]x", "`a`|b", "x" * MAX_NAME, "2026-01-01", "2026"])
def test_names_that_can_be(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", " a", "a\n", "a\x1b[31m", "a\u202eb", "a\udcff", "x" * (MAX_NAME + 1), "-a", "a=b"),
        *(
            "20260101T000000000-abcdef",
            "20260101T000000000-ABCDEF",
            "20260101t000000000-abc",
            "20260101T0000",
            "20260101",
        ),
    ],
    ids=ascii,
)
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be the name of a run"):
        checked_name(name)
    with pytest.raises(InputError):
        RunRecorder(tmp_path, new_run_id(), config={}, name=name)
    assert not (tmp_path / "runs").exists(), "it is refused before anything is written"


def test_a_name_stands_for_the_latest_run_that_has_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, other, second = record(tmp_path, "a"), record(tmp_path, "b"), record(tmp_path, "a")
    record(tmp_path)
    assert find_run(tmp_path, "b") == other
    assert not caplog.messages
    assert load_run(tmp_path, "a").run_id == second
    assert caplog.messages == [f"2 runs are named 'a'; the latest is taken: {second}"]
    assert find_run(tmp_path, first) == first
    with pytest.raises(InputError, match=r"no run in .* has that name.*did you mean 'b'"):
        find_run(tmp_path, "B")


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "killed"])
def test_name_and_limit_are_in_the_record_and_its_log(tmp_path: Path, ended: bool) -> None:
    run_id = record(tmp_path, "trial", 3)
    if not ended:
        (tmp_path / "runs" / f"{run_id}.json").unlink()
    assert (load_run(tmp_path, "trial").name, load_run(tmp_path, run_id).limit) == ("trial", 3)
    save_sources(tmp_path, run_id, [])
    left = unfinished_of(tmp_path, "trial")
    assert (left.run_id, left.name, left.limit) == (run_id, "trial", 3)


def test_a_run_without_them_has_the_record_that_it_had_before_there_were_any(tmp_path: Path) -> None:
    run_id = record(tmp_path)
    document = json.loads((tmp_path / "runs" / f"{run_id}.json").read_text())
    header = json.loads((tmp_path / "runs" / f"{run_id}.jsonl").read_text().splitlines()[0])
    assert not {"name", "limit"} & (document.keys() | header.keys())


def test_a_log_whose_first_line_is_cut_has_no_name(tmp_path: Path) -> None:
    run_id = record(tmp_path, "a")
    log = tmp_path / "runs" / f"{run_id}.jsonl"
    log.write_bytes(log.read_bytes()[:40])
    with pytest.raises(InputError, match="has that name"):
        find_run(tmp_path, "a")
