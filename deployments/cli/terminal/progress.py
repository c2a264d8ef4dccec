"""What a run is doing, on stderr: bars on a terminal, a line for each finished piece of work elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lavad.deployments.cli.terminal.text import escape, is_terminal, say
from lavad_core.plain_text import duration_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from lavad_core.runs.recorder import Listener, StageRecord

NAME_WIDTH = 40
"""Characters of a video's name beside a bar."""

SET_MODULES = ("set_run", "shard_flow_runs")
"""Modules whose log tells how far a run over a set is."""

SERVICE_ERRORS = ("ServiceError", "ServiceUnavailable", "ServiceTimeout")
"""Reasons of records after which Prefect tries the stage again."""


Announce = Callable[[str], None]
"""Prints a line that does not disturb the bars."""


@contextmanager
def progress(videos: int, plain: bool) -> Iterator[tuple[Listener, Announce]]:
    """A listener for run recorders, and how to say something beside it; if ``plain``, lines even on a terminal."""
    if plain or not is_terminal(sys.stderr):
        yield _Lines(videos), say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as bars:
        yield _Bars(bars, videos), lambda text: console.print(escape(text))


@contextmanager
def flow_lines(announce: Announce) -> Iterator[None]:
    """Within it each shard of a run over a set that is done or issued again is printed, as the flow in this process logs it."""
    handler = _Announced(announce)
    log = logging.getLogger("lavad_core.flow")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Announced(logging.Handler):
    def __init__(self, announce: Announce) -> None:
        super().__init__(logging.INFO)
        self._announce = announce

    def emit(self, record: logging.LogRecord) -> None:
        if record.module not in SET_MODULES:  # of the machine, and of the run's id, which was said
            return
        self._announce(escape(record.getMessage()))


def _tries() -> tuple[int, int]:
    """Which try of an outage this is, and how many there are. Records come from the thread that works."""
    from lavad.tasks.stage_task import TRIES

    return TRIES.get()


def _try_again(record: StageRecord) -> str:
    """For a try that a service has failed and that is not the last: which it was, in words; otherwise empty."""
    if record.seconds is None or record.status != "failed" or record.reason not in SERVICE_ERRORS:
        return ""
    this, most = _tries()
    return f"try {this} of {most}" if this < most else ""


class _Count:
    """How far each stage is, in videos. Stages follow each other; a video that one loses does not come to the next."""

    def __init__(self, videos: int) -> None:
        self._now = ""
        self._through = 0
        self.ended = 0
        self.total = videos

    def take(self, record: StageRecord, again: str) -> bool:
        """Count a record; whether the stage is over for its video."""
        if record.node != self._now:
            self.total = self._through if self._now else self.total
            self._now, self._through, self.ended = record.node, 0, 0
        if record.seconds is None or again:
            return False
        self.ended += 1
        self._through += record.status not in ("failed", "rejected")
        return True


class _Lines:
    def __init__(self, videos: int) -> None:
        self._count = _Count(videos)
        self._guard = threading.Lock()
        self._unsaid: Counter[str] = Counter()

    def __call__(self, record: StageRecord) -> None:
        again = _try_again(record)
        quiet = record.cached and record.status == "ok" and not record.message
        with self._guard:
            self._count.take(record, again)
            ended, total = self._count.ended, self._count.total
            if record.seconds is None:
                return
            if quiet and ended < total:  # of a thousand cached results the next line says enough
                self._unsaid[record.node] += 1
                return
            unsaid = self._unsaid.pop(record.node, 0)
        before = f" ({unsaid} before it cached)" if unsaid else ""
        say(f"{record.node} {ended}/{total}: {escape(record.video)}: {_how(record, again)}{before}")


def _how(record: StageRecord, again: str) -> str:
    took = duration_text(record.seconds or 0.0)
    if again:
        return f"{again} failed after {took}, to be tried again: {escape(record.reason)}: {escape(record.message)}"
    if record.status in ("failed", "rejected"):
        return f"{record.status} after {took}: {escape(record.reason)}: {escape(record.message)}"
    said = f", {escape(record.message)}" if record.message else ""
    return ("cached" if record.cached else took) + said


class _Bars:
    def __init__(self, bars: Progress, videos: int) -> None:
        self._bars, self._count = bars, _Count(videos)
        self._tasks: dict[str, TaskID] = {}
        self._doing: dict[str, dict[str, None]] = {}
        self._guard = threading.Lock()

    def __call__(self, record: StageRecord) -> None:
        again = _try_again(record)
        with self._guard:
            over = self._count.take(record, again)
            if record.node not in self._tasks:
                self._tasks[record.node] = self._bars.add_task(record.node, total=self._count.total, doing="")
            doing = self._doing.setdefault(record.node, {})
            if record.seconds is None:
                doing[record.video] = None
            else:
                doing.pop(record.video, None)
                if record.status != "ok" or record.message:
                    self._bars.console.print(escape(f"{record.node}: {record.video}: {_how(record, again)}"))
            names = escape(", ".join(doing), limit=NAME_WIDTH)
            self._bars.update(self._tasks[record.node], advance=over, doing=names)
