"""How long the models of a run are at work, and how long they wait for frames meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lavad_core.runs.records import StageRecord


@dataclass
class _Stage:
    working: int = 0
    waiting: int = 0
    since: float = 0.0


class DeviceClock:
    """The time of each stage, each moment counted once however many of its videos are in progress: as work while a batch or
    call of its model goes on, otherwise as waiting while frames are waited for, otherwise as neither (loading, writing). A
    video that waits for its results waits for no frame. The time is added to the record of the video whose thread computes or
    waits, though a batch may hold frames of other videos; only the sum over a stage's videos means something. Safe with
    threads.

    Args:
        now: seconds, monotonic.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._guard = threading.Lock()
        self._stages: dict[str, _Stage] = {}

    @contextmanager
    def at_work(self, record: StageRecord) -> Iterator[None]:
        """While the body calls the model, or computes a batch."""
        self._change(record, working=1)
        try:
            yield
        finally:
            self._change(record, working=-1)

    @contextmanager
    def waiting(self, record: StageRecord) -> Iterator[None]:
        """While the body waits for a frame."""
        self._change(record, waiting=1)
        try:
            yield
        finally:
            self._change(record, waiting=-1)

    def _change(self, record: StageRecord, *, working: int = 0, waiting: int = 0) -> None:
        with self._guard:
            stage, now = self._stages.setdefault(record.node, _Stage()), self._now()
            if stage.working:
                record.device_seconds += now - stage.since
            elif stage.waiting:
                record.waited_seconds += now - stage.since
            stage.since = now
            stage.working += working
            stage.waiting += waiting
