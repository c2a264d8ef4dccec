"""How a run ends for its videos: the table of cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.errors import GivenUp, InputError, Interrupted, LavadError, NotAsked, VideoRejected
from lavad_core.pipeline.ledger import Ledger, run_ending
from lavad_core.runs.manifest import VideoOutcome
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.types import VideoSource


def ledger(**contents: str) -> Ledger:
    made = Ledger([VideoSource(name, Path(f"/{name}")) for name in contents])
    for name, content in contents.items():
        made.prepared(PreparedVideo(name, f"/{name}", "file", content))
    return made


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (VideoRejected("format", "x"), "rejected", "format"),
        (InputError("x"), "failed", "InputError"),
        (GivenUp("x"), "not-run", "GivenUp"),
        (Interrupted("x"), "not-run", "Interrupted"),
        (MemoryError(), "failed", "MemoryError"),
        (None, "failed", "Unknown"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_and_statuses(error: LavadError | None, status: str, reason: str) -> None:
    made = ledger(a="1", b="2")
    made.failed("a", error)
    made.all_stages_done()
    assert [(o.status, o.reason) for o in made.outcomes()] == [(status, reason), ("ok", "")]
    assert [video.name for video in made.live] == ["b"]


def test_what_was_not_reached_is_not_run() -> None:
    made = ledger(a="1")
    assert [o.status for o in made.outcomes()] == ["not-run"]


def test_gaps_of_several_stages_are_all_said_and_once() -> None:
    made = ledger(a="1")
    made.result("a", "score", "ok_with_gaps", "first")
    made.result("a", "score", "ok_with_gaps", "second")
    made.result("a", "score", "ok_with_gaps", "first")
    made.all_stages_done()
    assert [(o.status, o.message) for o in made.outcomes()] == [("ok_with_gaps", "first; second")]


def test_a_note_is_no_gap() -> None:
    made = ledger(a="1", b="2", c="3")
    made.result("a", "score", "ok_with_gaps", "1 of 9 captions is empty")
    made.result("a", "score", "ok", "warning: one text")
    made.result("b", "score", "ok", "warning: one text")
    made.all_stages_done()
    assert [(o.status, o.reason, o.message) for o in made.outcomes()] == [
        ("ok_with_gaps", "gaps", "1 of 9 captions is empty; warning: one text"),
        ("ok", "", "warning: one text"),
        ("ok", "", ""),
    ]


def test_a_rejection_comes_with_what_earlier_stages_said() -> None:
    made = ledger(a="1", b="2")
    for name in "ab":
        made.result(name, "score", "ok_with_gaps", "9 of 9 summaries are empty (9 refused)")
    made.failed("a", VideoRejected("no-scores", "none of 9 windows has a score"))
    made.failed("b", InputError("bad"))
    assert [o.message for o in made.outcomes()] == [
        "none of 9 windows has a score; 9 of 9 summaries are empty (9 refused)",
        "bad",
    ]


def test_what_was_not_asked_is_not_run_and_not_failed() -> None:
    made = ledger(a="1")
    made.failed("a", NotAsked("not asked"))
    assert [(o.status, o.reason, o.message) for o in made.outcomes()] == [("not-run", "NotAsked", "not asked")]


def test_equal_content_ends_as_its_first() -> None:
    made = ledger(a="1", b="1")
    assert [video.name for video in made.live] == ["a"]
    made.failed("a", VideoRejected("format", "not a video"))
    assert [(o.status, o.message) for o in made.outcomes()] == [
        ("rejected", "not a video"),
        ("rejected", "same content as 'a'; not a video"),
    ]


@pytest.mark.parametrize(
    ("statuses", "name", "message"),
    [
        (["ok", "ok_with_gaps"], "Completed", "2 of 2 videos scored, 1 with gaps"),
        (["ok", "failed", "rejected"], "PartiallyFailed", "2 of 3 videos have no scores (1 failed, 1 rejected)"),
        (["ok", "not-run"], "PartiallyFailed", "1 of 2 videos have no scores (1 not-run)"),
        (["rejected"], "Failed", "1 of 1 videos have no scores (1 rejected)"),
    ],
)
def test_endings(statuses: list[str], name: str, message: str) -> None:
    outcomes = [VideoOutcome(str(i), "", status) for i, status in enumerate(statuses)]  # type: ignore[arg-type]
    assert run_ending(outcomes) == (name, message)
