"""Whether a run is still going, seen from its own machine and from another."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lavad_core.runs import liveness, recorder
from lavad_core.runs.manifest import load_run, new_run_id, run_path
from lavad_core.runs.recorder import RunRecorder


def begun(store: Path) -> RunRecorder:
    run = RunRecorder(store, new_run_id(), config={})
    with run.stage("street", "ab" * 32, "caption"):
        pass
    return run


def test_the_videos_of_a_run_that_is_going_on_do_not_say_that_it_was_interrupted(tmp_path: Path) -> None:
    run = begun(tmp_path)
    going = load_run(tmp_path)
    assert (going.status, going.message) == ("running", "")
    assert [(video.reason, video.message) for video in going.videos] == [
        ("running", "the run is going on; stages finished: caption")
    ]
    run.close()
    killed = load_run(tmp_path)
    assert (killed.status, killed.message) == ("interrupted", "")
    assert [video.reason for video in killed.videos] == ["interrupted"]


@pytest.mark.parametrize(
    ("silent_s", "status", "message"),
    [
        pytest.param(60, "running", "it is recorded on gpu-7; its last record is 1:00 min old", id="a recent record"),
        pytest.param(
            7200,
            "interrupted",
            "it was recorded on gpu-7, and not for 2:00:00 h; a process that still works there is not seen here",
            id="silent for long",
        ),
    ],
)
def test_a_run_of_another_machine_is_judged_by_its_last_record(
    tmp_path: Path, silent_s: float, status: str, message: str
) -> None:
    then = (datetime.now(UTC) - timedelta(seconds=silent_s + 0.2)).isoformat()
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setattr(platform, "node", lambda: "gpu-7")
        elsewhere.setattr(recorder, "now_text", lambda: then)
        run = begun(tmp_path)
    run.close()
    found = load_run(tmp_path)
    assert (found.status, found.message) == (status, message)
    assert {video.reason for video in found.videos} == {status}


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOTSUP, errno.ENOLCK], ids=errno.errorcode.get)
def test_a_file_system_without_locks_costs_the_sign_of_life_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    begun(tmp_path)
    assert load_run(tmp_path).status == "interrupted"


def test_a_log_that_is_only_readable_is_looked_at_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def read_only(path: Path, flags: int, *rest: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, "read-only")
        return real(path, flags, *rest)

    run = begun(tmp_path)
    monkeypatch.setattr(os, "open", read_only)
    assert liveness.is_locked(run_path(tmp_path, run.run_id, ".jsonl"))


def test_who_looks_just_as_a_run_begins_does_not_keep_it_from_showing_that_it_lives(tmp_path: Path) -> None:
    run_id = new_run_id()
    path = run_path(tmp_path, run_id, ".jsonl")
    path.parent.mkdir(parents=True)
    looking = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_EX)
    done = threading.Timer(0.1, os.close, [looking])
    done.start()
    run = RunRecorder(tmp_path, run_id, config={})
    done.join()
    assert load_run(tmp_path, run_id).status == "running"
    run.close()
