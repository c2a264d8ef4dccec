"""Files that have come to rest: nobody writes to them any more, as far as that can be seen.

Folders are looked at again and again. The notices that a kernel gives of changes do not come from network file systems, where
cameras mostly write, nor through some containers' mounts, and would have to be followed by a look in any case.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lavad_core.errors import InputError
from lavad_core.video.discover import discover

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrival:
    """A file that is at rest, as it was when that was seen."""

    path: Path
    """Where it is, absolute."""
    size_bytes: int
    """Its size, bytes."""
    mtime_ns: int
    """When it was last written to, by the clock of its file system, nanoseconds since 1970."""

    @property
    def ended_s(self) -> float:
        """When it was last written to, seconds since 1970."""
        return self.mtime_ns / 1e9


class Arrivals:
    """The videos of folders, and files that may still be written to or not exist yet.

    A file is at rest when its size and its time of change have stayed the same for ``settle_s``, by this program's own clock:
    that of a file server may be another. An empty file is not; it has only been opened. Folders of numbered frames are left
    out, since nothing says which frame is the last.

    Args:
        inputs: folders and files of this machine.
        settle_s: how long a file must stay as it is, seconds.
        clock: seconds that pass, for tests.

    Raises:
        InputError: an input is not a folder, and the folder in which it could appear as a file does not exist.
    """

    def __init__(
        self, inputs: Sequence[str | Path], settle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inputs = [Path(item).absolute() for item in inputs]
        for path in self._inputs:
            if not path.parent.is_dir():
                raise InputError(
                    f"{str(path)!r} is not a folder, and that in which it could appear, {str(path.parent)!r}, does not exist"
                )
        self._settle_s, self._clock = settle_s, clock
        self._seen: dict[Path, tuple[int, int, float]] = {}
        self._unread: dict[Path, str] = {}

    def at_rest(self) -> list[Arrival]:
        """The files that are at rest now, those that ended first before others."""
        seen: dict[Path, tuple[int, int, float]] = {}
        found = []
        now = self._clock()
        for path in self._there():
            try:
                facts = os.stat(path)
            except OSError:  # it has just gone, or its file system has
                continue
            if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
                continue
            before = self._seen.get(path)
            same = before is not None and before[:2] == (facts.st_size, facts.st_mtime_ns)
            since = before[2] if same and before is not None else now
            seen[path] = (facts.st_size, facts.st_mtime_ns, since)
            if now - since >= self._settle_s:
                found.append(Arrival(path, facts.st_size, facts.st_mtime_ns))
        self._seen = seen
        return sorted(found, key=lambda one: (one.mtime_ns, one.path))

    @property
    def moving(self) -> bool:
        """Whether the last look saw files that are not at rest yet."""
        now = self._clock()
        return any(now - since < self._settle_s for _, _, since in self._seen.values())

    def _there(self) -> list[Path]:
        found: dict[Path, None] = {}
        for path in self._inputs:
            if not path.is_dir():
                found[path] = None
                continue
            try:
                sources = discover([path])
            except InputError as error:
                if error.__cause__ is None:  # nothing is in it yet
                    self._unread.pop(path, None)
                elif self._unread.get(path) != str(error):  # said once, not at each look
                    self._unread[path] = str(error)
                    log.warning("nothing below %r is scored: %s", str(path), error)
                continue
            self._unread.pop(path, None)
            found |= {source.path.absolute(): None for source in sources if source.kind == "file"}
        return list(found)


def goes_on(arrival: Arrival) -> bool:
    """Whether a file is another one than was seen at rest. One that has been moved away was whole."""
    try:
        facts = os.stat(arrival.path)
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) != (arrival.size_bytes, arrival.mtime_ns)
