"""Sessions of shared batches in threads of their own, which do one step when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from lavad_core.models.shared_batches import Session, SharedBatches

PATIENCE_S = 30
"""For what must happen; a test that has to wait so long fails."""


class Threads:
    """Sessions in threads of their own, which do one step when they are told to."""

    def __init__(self, batches: SharedBatches[Any, Any], executor: ThreadPoolExecutor) -> None:
        self._batches, self._executor = batches, executor

    def open(self, **options: Any) -> Stepped:
        session = Stepped(self._executor)
        session.begin(self._batches, options)
        return session

    def settled(self, *asleep: Stepped) -> None:
        """Wait until exactly these wait for others."""
        wanted = {each.session for each in asleep}
        until(self._batches, lambda: self._batches._waiting == wanted and not self._batches._busy)


def until(batches: SharedBatches[Any, Any], holds: Callable[[], bool]) -> None:
    """Nobody says when a thread falls asleep: look again and again."""
    with batches._change:
        for _ in range(PATIENCE_S * 200):
            if holds():
                return
            batches._change.wait(0.005)
    raise AssertionError("it does not come about")


class Stepped:
    session: Session[Any, Any]

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._steps: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._change = threading.Condition()
        self.ended: Future[None]

    def begin(self, batches: SharedBatches[Any, Any], options: dict[str, Any]) -> None:
        opened = threading.Event()

        def run() -> None:
            with batches.session(**options) as self.session:
                opened.set()
                while True:
                    with self._change:
                        assert self._change.wait_for(lambda: self._steps, PATIENCE_S)
                        step, future = self._steps.pop(0)
                    try:
                        value = step()
                    except BaseException as error:
                        future.set_exception(error)
                        return
                    if value is StopIteration:
                        future.set_result(None)
                        return
                    future.set_result(value)

        self.ended = self._executor.submit(run)
        assert opened.wait(PATIENCE_S)

    def do(self, step: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._change:
            self._steps.append((step, future))
            self._change.notify_all()
        return future

    def submit(self, *items: Any) -> Any:
        return self.do(lambda: [self.session.submit(item) for item in items]).result(PATIENCE_S)

    def results(self, tickets: Sequence[Any]) -> Future[Any]:
        return self.do(lambda: [self.session.result(ticket) for ticket in tickets])

    def closing(self) -> Future[None]:
        self.do(lambda: StopIteration)
        return self.ended

    def close(self) -> None:
        self.closing().result(PATIENCE_S)
