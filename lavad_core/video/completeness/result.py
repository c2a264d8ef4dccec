"""What a check of a container's structure reports, and how the checks read a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from lavad_core.video.completeness.mp4_edits import Edits

CHUNK_BYTES = 1 << 20
"""The most that is read at once: a size in a file is never a reason to allocate more."""

MAX_FINDINGS = 8
"""Kinds of damage that are told apart in a verdict; each is counted."""


@dataclass
class Completeness:
    """What a container announces about its first video stream, what it holds, and what is damaged."""

    frames: int | None = None
    """Packets that show a frame which an undamaged copy would hold; None where that is not known."""
    end_checked: bool = False
    """Whether the container says where it ends (a size, a count, a duration, an end mark), and that was compared."""
    why_unchecked: str = ""
    """What it does not announce, if the end could not be checked."""
    findings: dict[str, int] = field(default_factory=dict)
    """What is damaged: a sentence for each kind, with its count."""
    unknown_loss: bool = False
    """Whether frames are lost and nothing says how many."""
    edits: Edits | None = None
    """The edit list, where there is one."""

    def damage(self, what: str, count: int = 1) -> None:
        """Count a kind of damage. ``what`` is a sentence of ours, with nothing of the file in it."""
        if what in self.findings or len(self.findings) < MAX_FINDINGS:
            self.findings[what] = self.findings.get(what, 0) + count

    @property
    def damaged(self) -> int:
        """Places that are damaged."""
        return sum(self.findings.values())

    @property
    def sentence(self) -> str:
        """The findings, and whether the number of missing frames is a lower bound."""
        words = [f"{what} ({count})" if count > 1 else what for what, count in self.findings.items()]
        if self.unknown_loss:
            words.append("how many frames that takes is not announced, so the number of missing frames is the least")
        return "; ".join(words)


class FileBytes:
    """A file that is read at positions. Reading beyond its end gives fewer bytes.

    Args:
        file: open for reading, binary.
        size: bytes.
        tick: called for every read.
    """

    def __init__(self, file: BinaryIO, size: int, tick: Callable[[], None] = lambda: None) -> None:
        self._file, self.size, self._tick = file, size, tick

    def at(self, position: int, count: int) -> bytes:
        """At most ``count`` bytes (and at most :data:`CHUNK_BYTES`) from ``position``."""
        self._tick()
        self._file.seek(position)
        return self._file.read(min(count, CHUNK_BYTES))

    def marks(self, pattern: re.Pattern[bytes], position: int, longest: int) -> Iterator[int]:
        """Positions of all matches that do not overlap, increasing.

        Args:
            pattern: what is searched for.
            position: where the search begins.
            longest: bytes of the longest match.
        """
        length = 1 << 12
        while position < self.size:
            chunk = self.at(position, length)
            if not chunk:
                return
            whole = position + len(chunk) >= self.size
            after = len(chunk) if whole else max(1, len(chunk) - longest + 1)
            for found in pattern.finditer(chunk):
                if found.start() >= after:
                    break
                yield position + found.start()
            position, length = position + after, min(2 * length, CHUNK_BYTES)

    def find(self, mark: bytes, position: int) -> int:
        """Position of the next ``mark``, -1 if there is none."""
        return next(self.marks(re.compile(re.escape(mark)), position, len(mark)), -1)


def uint(data: bytes, offset: int, width: int, order: str = "big") -> int:
    """An unsigned number of ``width`` bytes; what lies beyond the end of ``data`` counts as zero."""
    value = int.from_bytes(data[offset : offset + width].ljust(width, b"\0"), "big")
    return value if order == "big" else int.from_bytes(value.to_bytes(width, "big"), "little")
