"""What is said while a run goes on and at its end."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import EVIL, fill

from lavad.deployments.cli.terminal.progress import SERVICE_ERRORS, progress
from lavad.deployments.cli.terminal.run_end import (
    exit_code,
    print_run_end,
    rejected_for_good,
    work_line,
    worth_a_retry,
)
from lavad.deployments.cli.terminal.text import show_csv, size
from lavad_core.errors import ServiceError
from lavad_core.location import s3_home
from lavad_core.pipeline.graph import random_models
from lavad_core.pipeline.resources import RunResources
from lavad_core.plain_text import duration_text
from lavad_core.runs.manifest import RunManifest, VideoOutcome, load_run
from lavad_core.runs.records import StageRecord
from lavad_core.store.files import FileStore


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


@pytest.mark.parametrize(
    ("outcomes", "offer", "says"),
    [
        ([("failed", "ServiceUnavailable")], "1 of 1 videos have no scores; `lavad retry r` tries them again", []),
        ([("rejected", "no-scores")], None, ["rejected (no-scores)", "score.answer=choice"]),
        ([("rejected", "format"), ("ok", "")], None, ["1 of 2 videos are rejected (format)", "mend the files"]),
        ([("rejected", "no-captions")], None, ["another captioner"]),
        ([("rejected", "too-large")], None, ["video.max_pixels"]),
        ([("rejected", "timeout")], "`lavad retry r` tries them again", []),
        ([("rejected", "no-scores"), ("not-run", "GivenUp")], "tries 1 of them again", ["rejected (no-scores)"]),
        ([("ok", ""), ("ok_with_gaps", "gaps")], None, []),
    ],
)
def test_a_retry_is_offered_where_it_can_change_something(
    outcomes: list[tuple[str, str]], offer: str | None, says: list[str]
) -> None:
    videos = tuple(outcome(status, reason) for status, reason in outcomes)  # type: ignore[arg-type]
    manifest = RunManifest("r", "completed", {}, {}, {}, None, "", "", 0.0, 0, {}, {}, videos)
    offered = worth_a_retry(manifest)
    assert (offered is None) is (offer is None)
    assert (offer or "") in (offered or "")
    lines = "\n".join(rejected_for_good(manifest))
    assert all(words in lines for words in says)
    assert bool(lines) is bool(says)


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, config = fill(tmp_path, "first", EVIL)
    print_run_end(load_run(tmp_path, run_id), RunResources(config))
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["video", "status", "segments", "peak", "seconds", "reason"]
    assert [row[0] for row in rows[1:3]] == ["bad", "lost"]  # trouble first
    assert rows[3][:4] == ["first", "ok", "1", "0.700"]
    assert "work: 6 texts encoded" in said.err
    assert f"scores: {tmp_path}" in said.err
    assert f"lavad show first --store {tmp_path}" in said.err
    assert f"2 of 4 videos have no scores; `lavad retry {run_id} --store {tmp_path}` tries" in said.err
    assert "THE SCORES MEAN NOTHING" in said.err
    assert "random:llama" in said.err
    assert not {"\x1b", "\u202e"} & set(said.out + said.err)


@pytest.mark.parametrize(
    ("targets", "words"),
    [pytest.param("detect", "scores: ", id="scores"), pytest.param("summarise", "results: ", id="no scores")],
)
def test_show_is_named_where_there_is_something_to_show(
    targets: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, config = fill(tmp_path, "first", more=(f"run.targets=[{targets}]",))
    print_run_end(load_run(tmp_path, run_id), RunResources(config))
    said = capsys.readouterr().err
    assert f"{words}{tmp_path}" in said
    assert ("lavad show" in said) == (targets == "detect")


def test_a_store_on_an_object_storage_is_named_by_its_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, config = fill(tmp_path, "first")
    resources = RunResources(config.model_copy(update={"store": s3_home("s3://bucket/st")}))
    resources.store = FileStore(tmp_path)
    print_run_end(load_run(tmp_path, run_id), resources)
    said = capsys.readouterr().err
    assert "scores: s3://bucket/st\n" in said
    assert "look: lavad show first --store s3://bucket/st\n" in said


@pytest.mark.parametrize("name", ["-dash", "--store", "two words", "-a 'b'"])
def test_the_command_at_the_end_works(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, config = fill(tmp_path, name)
    print_run_end(load_run(tmp_path, run_id), RunResources(config))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  look: ")]
    program, *arguments = shlex.split(line.removeprefix("  look: "))
    shown = lavad(*arguments)
    assert (program, shown.exit_code) == ("lavad", 0), shown.output


def test_work_is_told_in_the_order_of_the_method(tmp_path: Path) -> None:
    run_id, _ = fill(tmp_path, "a")
    manifest = load_run(tmp_path, run_id)
    object.__setattr__(manifest, "work", {"llm_requests": 2, "captions_made": 3, "images_encoded": 0})
    assert work_line(manifest) == "3 captions made, 2 llm requests"


def test_random_models_are_those_that_the_run_needs(tmp_path: Path) -> None:
    _, config = fill(tmp_path, more=("run.targets=[probe]",))
    assert random_models(config) == []


def record(
    video: str, node: str, status: str = "ok", *, cached: bool = False, done: bool = True, reason: str = "no-video"
) -> StageRecord:
    message = "no\x1bpicture" if status in ("failed", "rejected") else ""
    made = StageRecord(video, "0", node, "", cached=cached, status=status, reason=reason, message=message)
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
        "clean 2/2: c: cached (1 before it cached)",
    ]


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which try the task at work is, as Prefect would say; the test moves it."""
    now = [1]
    monkeypatch.setattr("lavad.deployments.cli.terminal.progress._tries", lambda: (now[0], 3))
    return now


def test_lines_count_videos_not_tries(tries: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    down = record("a", "score", "failed", reason="ServiceUnavailable")
    with progress(2, plain=True) as (listener, _):
        for tries[0] in (1, 2):
            listener(record("a", "score", done=False))
            listener(down)
        listener(record("b", "score"))
        tries[0] = 3
        listener(record("a", "score", done=False))
        listener(down)
        listener(record("b", "refine"))
    assert capsys.readouterr().err.splitlines() == [
        "score 0/2: a: try 1 of 3 failed after 1.5 s, to be tried again: ServiceUnavailable: no\\x1bpicture",
        "score 0/2: a: try 2 of 3 failed after 1.5 s, to be tried again: ServiceUnavailable: no\\x1bpicture",
        "score 1/2: b: 1.5 s",
        "score 2/2: a: failed after 1.5 s: ServiceUnavailable: no\\x1bpicture",
        "refine 1/1: b: 1.5 s",
    ]


@pytest.mark.parametrize(
    ("case", "status", "reason", "again"),
    [
        ("a service", "failed", "ServiceTimeout", True),
        ("a bad video", "rejected", "no-video", False),
        ("a fault of ours", "failed", "InternalError", False),
        ("a server that refuses the request", "failed", "RequestRejected", False),
    ],
)
def test_only_services_are_tried_again(
    case: str, status: str, reason: str, again: bool, tries: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(1, plain=True) as (listener, _):
        listener(record("a", "score", status, reason=reason))
    said = capsys.readouterr().err
    assert said.startswith("score 0/1" if again else "score 1/1"), case
    assert ("tried again" in said) == again, case


def test_the_reasons_of_services_are_the_classes_that_are_tried_again() -> None:
    kinds: list[type[Exception]] = [ServiceError, *ServiceError.__subclasses__()]
    assert set(SERVICE_ERRORS) == {kind.__name__ for kind in kinds}


def test_the_task_says_which_try_it_is() -> None:
    from lavad.deployments.cli.terminal.progress import _tries
    from lavad.tasks.stage_task import TRIES

    assert _tries() == (1, 1)
    before = TRIES.set((2, 4))
    assert _tries() == (2, 4)
    TRIES.reset(before)


def test_bars_count_videos_not_tries(
    tries: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lavad.deployments.cli.terminal.progress.is_terminal", lambda stream: True)
    with progress(2, plain=False) as (listener, _):
        for tries[0] in (1, 2):
            listener(record("a", "score", done=False))
            listener(record("a", "score", "failed", reason="ServiceUnavailable"))
    said = capsys.readouterr().err
    assert "0/2" in said
    assert "1/2" not in said
    assert said.count("to be tried again") == 2


def test_bars_do_not_touch_stdout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("lavad.deployments.cli.terminal.progress.is_terminal", lambda stream: True)
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
    assert duration_text(value) == shown


def test_csv_cells_that_a_spreadsheet_would_compute(capsys: pytest.CaptureFixture[str]) -> None:
    show_csv(["a"], [["=1+1"], ["@x"], ["-1"], [-1.5], ["a,b"], [None]])
    assert capsys.readouterr().out.splitlines() == ["a", "'=1+1", "'@x", "'-1", "-1.5", '"a,b"', '""']
