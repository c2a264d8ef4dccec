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
from lavad_core.video.discover import VIDEO_SUFFIXES, discover

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
        InputError: an input is not there, and is not a video's file that could appear in an existing folder.
    """

    def __init__(
        self, inputs: Sequence[str | Path], settle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inputs = [Path(item).absolute() for item in inputs]
        for path in self._inputs:
            if not path.exists() and not (path.suffix.lower() in VIDEO_SUFFIXES and path.parent.is_dir()):
                raise InputError(
                    f"{str(path)!r} is not there: watch a folder that exists, or a video's file (.mp4 …) that may appear later "
                    "in a folder that exists"
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
            if not path.exists():  # not yet, or no more: a folder that was mounted
                self._say_once(path, "it is not there")
                continue
            if not path.is_dir():
                self._unread.pop(path, None)
                found[path] = None
                continue
            try:
                sources = discover([path])
            except InputError as error:
                if error.__cause__ is None:  # nothing is in it yet
                    self._unread.pop(path, None)
                else:
                    self._say_once(path, str(error))
                continue
            self._unread.pop(path, None)
            found |= {source.path.absolute(): None for source in sources if source.kind == "file"}
        return list(found)

    def _say_once(self, path: Path, why: str) -> None:
        if self._unread.get(path) != why:  # not at each look
            self._unread[path] = why
            log.warning("nothing of %r is scored: %s", str(path), why)


def goes_on(arrival: Arrival) -> bool:
    """Whether a file is another one than was seen at rest. One that has been moved away was whole."""
    try:
        facts = os.stat(arrival.path)
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) != (arrival.size_bytes, arrival.mtime_ns)
