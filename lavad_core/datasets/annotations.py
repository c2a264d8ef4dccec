"""Temporal annotations of anomalies: UCF-Crime's text file and its relatives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lavad_core.datasets.names import match_key, without_ending
from lavad_core.errors import InputError
from lavad_core.imports.files import read_text

MAX_BYTES = 64 * 2**20
"""UCF-Crime's file has 15 kB; one with a million intervals would fit."""

EXPECTED = "`name class start end start end …`: 0-based frames, both ends inclusive, -1 -1 for none"

_INTEGER = re.compile(r"-?[0-9]{1,15}")

LABEL_IN_NAME = "_label_"
"""XD-Violence has no class column; the class is the end of the name: ``…_label_B1-0-0``, ``…_label_A`` for normal."""


@dataclass(frozen=True)
class Annotation:
    """What a file says about one video.

    Attributes:
        class_name: as written; of XD-Violence's form the part of the name after ``_label_``; empty if there is none.
        intervals: (first, last) frame, 0-based, both inclusive, in the order of the file; empty for a normal video.
            They may reach past the end of the video.
    """

    class_name: str
    intervals: tuple[tuple[int, int], ...]


def read_annotations(path: Path, rewritten: Callable[[str], str] = str) -> dict[str, Annotation]:
    """Annotations by video name, without the name's video ending, in the order of the file.

    Byte order mark, CRLF, tabs, runs of spaces, blank lines, a single closing -1 and any number of intervals are
    fine. The class may be missing (XD-Violence's ``name start end …``).

    Args:
        path: of the file.
        rewritten: brings a line of another form into this one.

    Raises:
        InputError: the file cannot be read, holds no annotation, or has a line of another form; says which line.
    """
    what = "temporal annotation"
    result: dict[str, Annotation] = {}
    lines: dict[str, int] = {}
    # Not splitlines(): it also splits at characters that a name may hold.
    for number, line in enumerate(read_text(path, what, MAX_BYTES).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            name, annotation = _parse(rewritten(line))
            before = lines.setdefault(match_key(name), number)
            if before != number:
                raise ValueError(f"the video was named before, in line {before}; keep one of the lines")
        except ValueError as problem:
            raise InputError(
                f"{what}: {str(path)!r}, line {number}: {problem}; the line is {_shown(line)}, expected is {EXPECTED}"
            ) from problem
        result[name] = annotation
    if not result:
        raise InputError(f"{what}: {str(path)!r} holds no annotation; expected are lines of {EXPECTED}")
    return result


def _parse(line: str) -> tuple[str, Annotation]:
    words = line.split()
    count = 0
    while count < len(words) and _INTEGER.fullmatch(words[-1 - count]):
        count += 1
    numbers = [int(word) for word in words[len(words) - count :]]
    head = words[: len(words) - count]
    if not head:
        raise ValueError("there is no name")
    if not numbers:
        raise ValueError("there are no frame numbers at its end")
    if len(head) > 1 and LABEL_IN_NAME not in head[-1]:
        class_name = head.pop()
    else:
        class_name = head[-1].rpartition(LABEL_IN_NAME)[2] if LABEL_IN_NAME in head[-1] else ""
    # Names may hold spaces; runs of them are kept as written.
    name = re.match(r"\s*" + r"\s+".join(re.escape(word) for word in head), line)
    assert name is not None
    return without_ending(name[0].lstrip()), Annotation(without_ending(class_name), _intervals(numbers))


def _intervals(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    if len(numbers) % 2:
        if numbers[-1] != -1:
            raise ValueError(f"{len(numbers)} frame numbers are not pairs")
        numbers = numbers[:-1]
    result = []
    for first, last in zip(numbers[::2], numbers[1::2], strict=True):
        if (first, last) == (-1, -1):
            continue
        if not 0 <= first <= last:
            raise ValueError(f"{first} {last} is not an interval")
        result.append((first, last))
    return tuple(result)


def _shown(line: str, most: int = 120) -> str:
    text = line.strip()
    return repr(text if len(text) <= most else text[:most] + "…")
