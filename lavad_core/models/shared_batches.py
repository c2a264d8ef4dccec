"""Batches of one model, filled from the items of all videos in progress."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Generic, TypeVar

from lavad_core.errors import InternalError, Interrupted

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key")

PATIENCE_S = 5.0
"""How long a batch that is not full waits, beside a free device, for sessions that still bring items: a decoder may be very
slow, and the videos that wait for its frames would hold up those behind them."""


class Ticket(Generic[Item, Result]):
    """An item on its way through the model; :meth:`Session.result` redeems it.

    Attributes:
        done: there is a result or an error, and no wait for it.
        kind: the kind of the item, as ``kind_of`` says.
    """

    def __init__(self, session: Session[Item, Result], item: Item, kind: Hashable) -> None:
        self.done, self.kind = False, kind
        self._session = session
        self._item: Item | None = item
        self._result: Result | None = None
        self._error: Exception | None = None

    def _settle(self, result: Result | None, error: Exception | None = None) -> None:
        # The item is a picture: it must not stay in memory as long as its caption.
        self._item, self._result, self._error, self.done = None, result, error, True

    def outcome(self) -> Result:
        """The result of an item that is done; raises what :meth:`Session.result` does, but never computes."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class SharedBatches(Generic[Item, Result]):
    """Feeds a model from several threads: each opens a session, submits items and gets a result for each of its own.

    A batch is computed when it is full, or when no item can come: every open session waits for a result or for room. So the
    device never stands idle beside items while all wait, and no batch is cut short while a session still brings items; but
    none waits longer than ``patience_s``. It is computed by one of the sessions' own threads, mostly one that waits, and by
    one at a time: there is no other thread.

    An error of a batch with items of several sessions is nobody's yet: the batch is computed again, session by session, and
    each has its own outcome. Only :class:`~lavad_core.errors.Interrupted` is everybody's at once.

    At most two full batches of items are waiting, and one for each thread.

    Args:
        compute: the results of a batch, one for each item, in order. It may be called again for the same items.
        size: items of a full batch, at least 1. Asked for each batch: it may shrink when memory runs out.
        kind_of: items of one kind alone share a batch. A session may have items of several kinds; a thread that had two
            sessions, of two models, could wait in one of them while others wait for it in the other.
        size_of: items of alike size make a batch, the oldest among them, where more are waiting than it takes.
        patience_s: how long a batch that is not full waits beside a free device, seconds.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Item]], Sequence[Result]],
        size: Callable[[], int],
        kind_of: Callable[[Item], Hashable] = lambda item: None,
        size_of: Callable[[Item], int] = lambda item: 0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._compute_items, self._size, self.kind_of, self._size_of = compute, size, kind_of, size_of
        self._patience_s = patience_s
        self._change = threading.Condition()
        self._open: set[Session[Item, Result]] = set()
        self._waiting: set[Session[Item, Result]] = set()
        self._items: deque[Ticket[Item, Result]] = deque()
        self._busy = False

    @contextmanager
    def session(
        self,
        *,
        at_work: Callable[[], AbstractContextManager[Any]] = nullcontext,
        check_stop: Callable[[], None] = lambda: None,
        most: int | None = None,
    ) -> Iterator[Session[Item, Result]]:
        """The items of one video. To be used by one thread alone; while it is open and its thread is at something else, batches
        that are not full wait for it. At its end, whatever ends it, what is not being computed yet is withdrawn.

        Args:
            at_work: entered while this thread computes a batch, items of other sessions among it: holds the device.
            check_stop: raises Interrupted when the run is being stopped; asked before each batch and wait.
            most: items of this session that may be waiting, at least 1. None: as many as there is room for.
        """
        session = Session(self, at_work, check_stop, most)
        with self._change:
            self._open.add(session)
        try:
            yield session
        finally:
            with self._change:
                self._open.discard(session)
                self._items = deque(ticket for ticket in self._items if ticket._session is not session)
                self._change.notify_all()

    def _add(self, ticket: Ticket[Item, Result]) -> None:
        with self._change:
            self._items.append(ticket)
            if self._full():
                self._change.notify_all()
        self._wait(ticket._session, lambda: self._has_room(ticket._session))

    def _wait(self, session: Session[Item, Result], done: Callable[[], bool]) -> None:
        """Compute batches, and wait for those of others, until ``done``."""
        while batch := self._turn(session, done):
            self._compute(session, batch)

    def _turn(self, session: Session[Item, Result], done: Callable[[], bool]) -> list[Ticket[Item, Result]]:
        """The batch that this thread is to compute; empty when it is done."""
        with self._change:
            self._waiting.add(session)
            try:
                # One that is done leaves a full batch to others who wait; without others it stays for that.
                impatient = False
                while not done() or (len(self._waiting) == 1 and self._full()):
                    session.check_stop()
                    if batch := self._next(impatient):
                        self._busy = True
                        taken = set(batch)
                        self._items = deque(ticket for ticket in self._items if ticket not in taken)
                        return batch
                    impatient = not self._change.wait(self._patience_s)
                return []
            finally:
                self._waiting.discard(session)

    def _next(self, impatient: bool) -> list[Ticket[Item, Result]]:
        """The batch whose turn it is; empty if there is none."""
        batch = self._full()
        if batch or self._busy or not self._items or not (impatient or self._waiting == self._open):
            return batch
        kind = self._items[0].kind
        return [ticket for ticket in self._items if ticket.kind == kind]

    def _full(self) -> list[Ticket[Item, Result]]:
        """The first full batch, if the device is free for it; otherwise empty."""
        kinds: Counter[Hashable] = Counter()
        size = self._size()
        for ticket in () if self._busy else self._items:
            kinds[ticket.kind] += 1
            if kinds[ticket.kind] == size:
                return self._alike([each for each in self._items if each.kind == ticket.kind], size)
        return []

    def _alike(self, same: list[Ticket[Item, Result]], size: int) -> list[Ticket[Item, Result]]:
        """The oldest, and those that are most like it; of equal ones the oldest."""
        sizes = [self._size_of(ticket._item) for ticket in same]  # type: ignore[arg-type]
        order = sorted(range(len(same)), key=lambda place: abs(sizes[place] - sizes[0]))
        return [same[place] for place in order[:size]]

    def _has_room(self, session: Session[Item, Result]) -> bool:
        own = sum(ticket._session is session for ticket in self._items)
        return len(self._items) < 2 * self._size() and (session.most is None or own < session.most)

    def _compute(self, session: Session[Item, Result], batch: list[Ticket[Item, Result]]) -> None:
        try:
            with session.at_work():
                self._settle(batch)
        finally:
            with self._change:
                self._busy = False
                # A thread that is ended in the middle takes nobody else's items with it.
                left = [ticket for ticket in batch if not ticket.done and ticket._session in self._open]
                self._items.extendleft(reversed(left))
                self._change.notify_all()

    def _settle(self, batch: list[Ticket[Item, Result]]) -> None:
        """Give every item its result, or the error that its session's items are to blame for."""
        failure: Exception | None = None
        try:
            results = self._compute_items([ticket._item for ticket in batch])  # type: ignore[misc]
            if len(results) != len(batch):
                raise InternalError(f"{len(batch)} items gave {len(results)} results")
        except Exception as error:  # whatever it is: it is raised by those whose items they are
            failure = error
        else:
            for ticket, result in zip(batch, results, strict=True):
                ticket._settle(result)
            return
        sessions = list(dict.fromkeys(ticket._session for ticket in batch))
        if len(sessions) == 1 or isinstance(failure, Interrupted):
            for ticket in batch:
                ticket._settle(None, failure)
            return
        failure = None  # its traceback holds the failed call's memory
        for each in sessions:
            self._settle([ticket for ticket in batch if ticket._session is each])


class Session(Generic[Item, Result]):
    """One thread's use of :class:`SharedBatches`; made by :meth:`SharedBatches.session`."""

    def __init__(
        self,
        batches: SharedBatches[Item, Result],
        at_work: Callable[[], AbstractContextManager[Any]],
        check_stop: Callable[[], None],
        most: int | None,
    ) -> None:
        self._batches, self.at_work, self.check_stop, self.most = batches, at_work, check_stop, most

    def submit(self, item: Item) -> Ticket[Item, Result]:
        """Hand an item over; waits, and computes meanwhile, while there is no room.

        Raises:
            Interrupted: the run is being stopped.
        """
        ticket = Ticket(self, item, self._batches.kind_of(item))
        self._batches._add(ticket)
        return ticket

    def result(self, ticket: Ticket[Item, Result]) -> Result:
        """The result of one of this session's items; waits, and computes meanwhile, until it is there.

        Raises:
            Interrupted: the run is being stopped.
            Exception: what ``compute`` raised for the items of this session in its batch.
        """
        self._batches._wait(self, lambda: ticket.done)
        return ticket.outcome()

    def redeem(
        self, waiting: deque[tuple[Key, Ticket[Item, Result]]], *, all_of_them: bool = False
    ) -> Iterator[tuple[Key, Result]]:
        """Take tickets off the front of a queue for their results, while these are computed; errors as :meth:`result`.

        Args:
            waiting: (anything of the caller's, ticket).
            all_of_them: wait for those that are not computed yet.
        """
        while waiting and (all_of_them or waiting[0][1].done):
            key, ticket = waiting.popleft()
            yield key, self.result(ticket)

    def results(self, items: Iterable[tuple[Key, Item]]) -> Generator[tuple[Key, Result], None, None]:
        """The results of items, in order, each with what the caller calls it; there is no wait for one while the next item can
        come. Errors as :meth:`result`."""
        waiting: deque[tuple[Key, Ticket[Item, Result]]] = deque()
        for key, item in items:
            waiting.append((key, self.submit(item)))
            yield from self.redeem(waiting)
        yield from self.redeem(waiting, all_of_them=True)
