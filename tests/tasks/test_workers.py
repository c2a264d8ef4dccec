"""Worker threads on what Prefect's thread pool does not promise: its executor's threads, and how task runs are told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect import task
from prefect.futures import PrefectFuture

from lavad.tasks import scoring_run
from lavad.tasks.scoring_run import Workers


class Work:
    """In the place of Prefect's engine: a task run that goes on until it is told to stop, or until it may.

    Attributes:
        begun: it is running.
        may_end: for one that does not listen.
        ended: it is over.
    """

    def __init__(self, *, listens: bool) -> None:
        self.begun, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()
        self._listens = listens

    def __call__(self, *, context: dict[str, Any], **_: Any) -> str:
        self.begun.set()
        (context["cancel_event"] if self._listens else self.may_end).wait(60)
        time.sleep(0.1)  # somebody who did not wait would see it running
        self.ended.set()
        return "over"


@task
def nothing() -> None:
    """Is not called."""


@contextmanager
def at_work(monkeypatch: pytest.MonkeyPatch, work: Work) -> Iterator[tuple[Workers, PrefectFuture[Any]]]:
    monkeypatch.setattr("prefect.task_engine.run_task_sync", work)
    with Workers(max_workers=1) as workers:
        future = workers.submit(nothing, {})
        assert work.begun.wait(60)
        yield workers, future


def test_what_listens_is_told_to_stop_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(listens=True)
    with at_work(monkeypatch, work) as (workers, _):
        workers.cancel_all()
        assert work.ended.is_set()


def test_what_does_not_listen_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_run, "STOP_WAIT_S", 0.05)
    work = Work(listens=False)
    with at_work(monkeypatch, work) as (workers, _):
        workers.cancel_all()
        assert not work.ended.is_set()
        work.may_end.set()
        assert work.ended.wait(60)


def test_nothing_is_kept_about_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(listens=False)
    with at_work(monkeypatch, work) as (workers, future):
        assert workers._cancel_events
        work.may_end.set()
        assert list(workers.ended([future])) == [future]
        assert workers._cancel_events == {}
