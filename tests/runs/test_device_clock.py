"""Time at work and time of waiting for frames: each moment once, and what the end of a run says of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lavad.deployments.cli.terminal.run_end import pace
from lavad_core.runs.device_clock import DeviceClock
from lavad_core.runs.manifest import VideoOutcome, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.records import StageRecord, StageTotals
from lavad_core.runs.work import VIDEOS_DECODED


def record(node: str, video: str = "v") -> StageRecord:
    return StageRecord(video, "id", node, "")


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


STEPS = {
    "one after the other": (["wait a", "3", "end a", "work a", "5", "end a"], (5, 3)),
    "a wait beside work is none": (["work a", "wait b", "4", "end a", "1", "end b"], (4, 1)),
    "two waits are one": (["wait a", "wait b", "2", "end a", "2", "end b"], (0, 4)),
    "two calls are one": (["work a", "work b", "2", "end b", "3", "end a"], (5, 0)),
    "neither": (["wait a", "1", "end a", "7", "work a", "2", "end a"], (2, 1)),
}
"""What two videos of a stage do, with seconds between; seconds at work and of waiting."""


@pytest.mark.parametrize("steps", STEPS)
def test_each_moment_counts_once(steps: str) -> None:
    hand = Hand()
    clock, records, open_ = DeviceClock(hand), {name: record("caption:x", name) for name in "ab"}, {}
    done, expected = STEPS[steps]
    for step in done:
        word, _, video = step.partition(" ")
        if word == "end":
            open_.pop(video).close()
        elif video:
            stack = open_[video] = ExitStack()
            stack.enter_context((clock.at_work if word == "work" else clock.waiting)(records[video]))
        else:
            hand.now_s += float(word)
    assert tuple(
        sum(getattr(one, name) for one in records.values()) for name in ("device_seconds", "waited_seconds")
    ) == pytest.approx(expected)


def test_stages_have_their_own_time() -> None:
    hand = Hand()
    clock, one, other = DeviceClock(hand), record("caption:x"), record("embed_frames")
    with clock.waiting(one), clock.at_work(other):
        hand.now_s = 2.0
    assert (one.waited_seconds, one.device_seconds) == (2.0, 0.0)
    assert (other.waited_seconds, other.device_seconds) == (0.0, 2.0)


def test_the_record_of_a_run_has_both_and_the_passes(tmp_path: Path) -> None:
    with RunRecorder(tmp_path, new_run_id(), config={}) as recorder:
        for node, decoded in (("probe", 1), ("caption:x", 1), ("caption:y", 0)):
            with recorder.stage("v", "id", node) as stage:
                stage.work[VIDEOS_DECODED] += decoded
                stage.device_seconds, stage.waited_seconds = (9.0, 1.0) if node != "probe" else (0.0, 0.0)
        interrupted = load_run(tmp_path, recorder.run_id)
        recorder.outcome(VideoOutcome("v", "id", "ok"))
        recorder.finish("completed")
    finished = load_run(tmp_path, recorder.run_id)
    for run in (interrupted, finished):
        assert [video.passes for video in run.videos] == [2]
        assert run.stages["caption:x"].share_at_work == pytest.approx(0.9)
        assert run.stages["probe"].share_at_work is None
    assert pace(finished) == [
        "decoding: 2 passes over 1 video, at most 2 over one",
        "models at work, and not waiting for frames: caption:x 90%, caption:y 90%",
    ]
    assert pace(replace(finished, videos=(), stages={"score": StageTotals(device_seconds=3.0)})) == []
