"""What is said while a run goes on and at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from filled_store import EVIL, fill

from deployments.cli.progress import progress
from deployments.cli.report import exit_code, random_models, report, work_line
from deployments.cli.text import seconds, show_csv, size
from lavad_core.pipeline.workbench import Workbench
from lavad_core.runs.manifest import StageRecord, VideoOutcome, load_run


def outcome(status: str, reason: str = "") -> VideoOutcome:
    return VideoOutcome("v", "0", status, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "videos", "code"),
    [
        ("all scored", [outcome("ok"), outcome("ok_with_gaps")], 0),
        ("one rejected", [outcome("ok"), outcome("rejected", "empty")], 1),
        ("one failed", [outcome("ok"), outcome("failed", "ServiceUnavailable")], 1),
        ("one not reached", [outcome("ok"), outcome("not-run")], 1),
        ("all rejected", [outcome("rejected", "empty")], 1),
        ("service down", [outcome("failed", "ServiceUnavailable"), outcome("not-run", "GivenUp")], 3),
        ("model missing", [outcome("failed", "ModelError")], 3),
        ("store full", [outcome("failed", "StoreUnavailable"), outcome("not-run", "GivenUp")], 4),
        ("no videos", [], 3),
    ],
)
def test_exit_code_of_a_run(case: str, videos: list[VideoOutcome], code: int) -> None:
    assert exit_code(videos) == code, case


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, config = fill(tmp_path, "first", EVIL)
    report(load_run(tmp_path, run_id), Workbench(config))
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["video", "status", "segments", "peak", "seconds", "reason"]
    assert [row[0] for row in rows[1:3]] == ["bad", "lost"]  # trouble first
    assert rows[3][:4] == ["first", "ok", "1", "0.700"]
    assert "work: 6 texts encoded" in said.err
    assert f"scores: {tmp_path}" in said.err
    assert f"lavad show first --store {tmp_path}" in said.err
    assert f"2 of 4 videos have no scores; `lavad retry {run_id}`" in said.err
    assert "THE SCORES MEAN NOTHING" in said.err
    assert "random:llama" in said.err
    assert not {"\x1b", "\u202e"} & set(said.out + said.err)


def test_work_is_told_in_the_order_of_the_method(tmp_path: Path) -> None:
    run_id, _ = fill(tmp_path, "a")
    manifest = load_run(tmp_path, run_id)
    object.__setattr__(manifest, "work", {"llm_requests": 2, "captions_made": 3, "images_encoded": 0})
    assert work_line(manifest) == "3 captions made, 2 llm requests"


def test_random_models_are_those_that_the_run_needs(tmp_path: Path) -> None:
    _, config = fill(tmp_path, more=("run.targets=[probe]",))
    assert random_models(config) == []


def record(video: str, node: str, status: str = "ok", *, cached: bool = False, done: bool = True) -> StageRecord:
    made = StageRecord(video, "0", node, "", cached=cached, status=status, reason="no-video", message="no\x1bpicture")
    made.seconds = 1.5 if done else None
    return made


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, plain=True) as (listener, announce):
        announce("begins")
        for video in "abc":
            listener(record(video, "probe", done=False))
        listener(record("a", "probe", "rejected"))
        listener(record("b", "probe"))
        listener(record("c", "probe"))
        for video in "bc":
            listener(record(video, "clean", cached=True))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "begins",
        "probe 1/3: a: rejected after 1.5 s: no-video: no\\x1bpicture",
        "probe 2/3: b: 1.5 s",
        "probe 3/3: c: 1.5 s",
        "clean 2/2: c: cached",
    ]


def test_bars_do_not_touch_stdout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("deployments.cli.progress.is_terminal", lambda stream: True)
    with progress(2, plain=False) as (listener, announce):
        announce("[red]begins\x1b[2J")
        listener(record("a", "probe", done=False))
        listener(record("a", "probe", "rejected"))
        listener(record("b", "probe"))
    said = capsys.readouterr()
    assert said.out == ""
    assert "[red]begins\\x1b[2J" in said.err
    assert "probe: a: rejected after 1.5 s" in said.err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "2 KiB"),
        (5 * 2**20, "5 MiB"),
        (3 * 2**30, "3.00 GiB"),
        (2**41, "2048.00 GiB"),
    ],
)
def test_sizes(value: int, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1:01 min"), (3600, "1:00:00 h"), (90061, "25:01:01 h")],
)
def test_durations(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_csv_cells_that_a_spreadsheet_would_compute(capsys: pytest.CaptureFixture[str]) -> None:
    show_csv(["a"], [["=1+1"], ["@x"], ["-1"], [-1.5], ["a,b"], [None]])
    assert capsys.readouterr().out.splitlines() == ["a", "'=1+1", "'@x", "'-1", "-1.5", '"a,b"', '""']
