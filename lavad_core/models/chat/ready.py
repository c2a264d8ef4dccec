"""Answers that come several at once, and are taken one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadyAnswers(Iterator[T], Generic[T]):
    """The items of a generator's lists, one for each finished batch, which knows how many can be taken without waiting: a
    caller that stops takes those first."""

    def __init__(self, rounds: Generator[list[T], None, None]) -> None:
        self._rounds = rounds
        self._items: deque[T] = deque()

    @property
    def ready(self) -> int:
        """Items that the next calls give at once."""
        return len(self._items)

    def __next__(self) -> T:
        while not self._items:
            self._items.extend(next(self._rounds))
        return self._items.popleft()

    def close(self) -> None:
        """Abandon the rest."""
        self._rounds.close()
