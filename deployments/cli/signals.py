"""SIGINT and SIGTERM: the run stops within a bounded time, whatever its threads are doing.

The first signal interrupts the main thread, which leaves its contexts (the run's record, the private server). Threads at
work cannot be interrupted, and the orchestrator waits for them, so a clock runs beside: when it is over the process goes
with its children. The store loses nothing by it (docs/design/store.md). A second signal ends the process at once.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lavad.deployments.cli.exits import GO_ON, SAME_AGAIN, AlreadyReported, SignalReceived
from lavad.deployments.cli.terminal.text import say

GRACE_S = 20.0
"""From the first signal to the end by force; the promise is 30 s, and children get a few of them."""

CHILDREN_S = 3.0
"""What children get between SIGTERM and SIGKILL at the end by force."""

ANNOUNCE_S = 2.0
"""The watcher's sentence comes before a process that stops faster than its threads are scheduled."""

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stop:
    """What has been asked for, and what is done then.

    Attributes:
        signal: number of the first signal; 0 if none.
        announced: somebody has been told.
        at_signal: called with the first signal, from a thread of its own.
        at_force: called before the end by force, from that thread; each must be bounded.
        exit_code: given the signal's number, the exit code of an end by force.
        can_retry: whether ``lavad retry`` would find what is stopped; asked when the way on is printed.
    """

    def __init__(self, go_on: str = GO_ON) -> None:
        self._go_on = go_on
        self.can_retry: Callable[[], bool] = lambda: True
        self.signal = 0
        self.announced = threading.Event()
        self.at_signal: list[Callable[[], None]] = []
        self.at_force: list[Callable[[], None]] = []
        self.exit_code: Callable[[int], int] = lambda number: 128 + number
        self._held = False

    @property
    def go_on(self) -> str:
        """How what is stopped can go on: a run that has not begun is not there to be retried."""
        return SAME_AGAIN if self._go_on == GO_ON and not self.can_retry() else self._go_on

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal within the body interrupts after it. For imports, which take a second or two: an exception in one of
        the interpreter's callbacks is printed and lost."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.signal:
            raise SignalReceived(self.signal, self.go_on)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler of both signals."""
        self.signal = self.signal or number
        if not self._held:
            raise SignalReceived(number, self.go_on)


@contextmanager
def interruptible(grace_s: float = GRACE_S, go_on: str = GO_ON) -> Iterator[Stop]:
    """Within it SIGINT and SIGTERM raise :class:`SignalReceived` in the main thread, and the clock starts."""
    stop = Stop(go_on)
    reader, writer = socket.socketpair()
    reader.setblocking(True)
    writer.setblocking(False)
    before = {number: signal.signal(number, stop.interrupt) for number in _NAMES}
    # Python's handlers run in the main thread only, when it gets there, and other libraries replace them for a while; the
    # bytes on this descriptor come at once and always.
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, stop, grace_s), name="signals", daemon=True).start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        if stop.signal:
            stop.announced.wait(ANNOUNCE_S)
        else:
            with suppress(OSError):  # ends the watcher; after a signal it stays, until the process is gone
                writer.close()


def _watch(reader: socket.socket, stop: Stop, grace_s: float) -> None:
    first = 0
    while received := reader.recv(1):
        number = received[0]
        if number not in _NAMES:
            continue
        if first:
            end_by_force(first, stop)
        first = stop.signal = number
        say(f"lavad: {_NAMES[signal.Signals(number)]}: stopping; what is finished is kept (again: stop at once)")
        clock = threading.Timer(grace_s, end_by_force, args=(number, stop))
        clock.daemon = True
        clock.start()
        stop.announced.set()
        for act in list(stop.at_signal):
            act()


def end_by_force(number: int, stop: Stop | None = None) -> None:
    """End this process and its children now."""
    import psutil

    stop = stop or Stop()
    for act in list(stop.at_force):
        act()
    code = stop.exit_code(number)
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.Error):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=CHILDREN_S)
    for child in alive:
        with suppress(psutil.Error):
            child.kill()
    # Asked first: nothing may hold up the end, not even a reader of stderr who does not read.
    if code >= 128 and not AlreadyReported.go_on and select.select([], [2], [], 0)[1]:
        os.write(2, f"{stop.go_on}\n".encode())
    os._exit(code)
