"""What is being asked of a chat model at this moment by the threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lavad_core.models.protocols import ChatRequest


class InFlight:
    """Requests that some thread of this process is asking now, so that another waits for the answer and does not ask too."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: set[ChatRequest] = set()

    @contextmanager
    def claim(self, wanted: Sequence[ChatRequest]) -> Iterator[set[ChatRequest]]:
        """Those of ``wanted`` (at least one) that nobody else is asking; waits while there are none."""
        with self._changed:
            while not (mine := set(wanted) - self._requests):
                self._changed.wait()
            self._requests |= mine
        try:
            yield mine
        finally:
            with self._changed:
                self._requests -= mine
                self._changed.notify_all()
