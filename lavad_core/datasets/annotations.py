"""Temporal annotations of anomalies: UCF-Crime's text file and its relatives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lavad_core.datasets.features import Features, is_feature
from lavad_core.datasets.lines import (
    INTEGERS,
    LABEL_IN_NAME,
    LineCells,
    base_name,
    cells_of,
    has_ending,
    integer,
    is_integer,
    leading,
    like_a_number,
    rows_of,
)
from lavad_core.datasets.names import match_key, says_normal, without_ending
from lavad_core.datasets.types import MAX_FRAMES
from lavad_core.errors import InputError
from lavad_core.escape import shortened
from lavad_core.user_files import read_text

MAX_BYTES = 64 * 2**20
"""UCF-Crime's file has 15 kB; one with a million intervals would fit."""

WHAT = "temporal annotation"
EXPECTED = "`name class start end start end …`: 0-based frames, both ends inclusive, -1 -1 for none"
EXPECTED_FROM_1 = "`name class start end start end …`: 1-based frames, both ends inclusive, -1 -1 for none"

_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
_BRACKETS = re.compile(r"[\[(]*(?:[\[(]\s*-?[0-9]+\s*,\s*-?[0-9]+\s*[\])][\s,;]*)+[\])]*\s*$", re.ASCII)

LIKELY = 3
"""This many intervals that begin in frame 1, and none in frame 0, look as if frames were counted from 1."""


@dataclass(frozen=True)
class Annotation:
    """What a file says about one video."""

    class_name: str
    """The class, as written; in XD-Violence's form the part of the name after ``_label_``; empty if there is none."""
    intervals: tuple[tuple[int, int], ...]
    """(first, last) frame, 0-based, both inclusive, in the order of the file; empty for a normal video. They may reach
    past the end of the video."""
    frames: int | None = field(default=None, compare=False)
    """The video's length in frames; None where the line does not say."""
    line: int = field(default=0, compare=False)
    """The line of the file, from 1."""
    is_file: bool = field(default=False, compare=False)
    """Whether the name has the ending of a file."""


def read_annotations(path: Path, first_frame: int = 0) -> dict[str, Annotation]:
    """Annotations by video name, without the name's video ending, in the order of the file.

    Byte order mark, any line ends, tabs, runs of spaces, commas, semicolons or ``|``, blank lines, comments (``# …``), names
    of columns, a single closing -1 and any number of intervals are fine. The class may be missing (XD-Violence's
    ``name start end …``), or stand before each interval after a name that says it (``…_label_G-B2-B6``); the number of frames
    may stand before it.

    Args:
        first_frame: what the file calls the first frame, 0 or 1.

    Raises:
        InputError: the file cannot be read, holds no annotation, or has a line of another form; says which line.
    """
    expected = EXPECTED_FROM_1 if first_frame else EXPECTED
    result: dict[str, Annotation] = {}
    lines: dict[str, int] = {}
    for number, line in rows_of(read_text(path, WHAT, MAX_BYTES)):
        try:
            name, annotation = _parse(line, first_frame)
            before = lines.setdefault(match_key(name), number)
            if before != number:
                raise ValueError(f"the video was named before, in line {before}; keep one of the lines")
        except ValueError as problem:
            raise InputError(
                f"{WHAT}: {str(path)!r}, line {number}: {problem}; the line is {shortened(line.strip(), 120)!r}, "
                f"expected is {expected}"
            ) from problem
        result[name] = replace(annotation, line=number)
    if not result:
        raise InputError(f"{WHAT}: {str(path)!r} holds no annotation; expected are lines of {expected}")
    return result


def without_folders(found: Mapping[str, Annotation], *, of_files_only: bool = False) -> dict[str, Annotation]:
    """Annotations by names without the folders before them (``Arson/Arson022_x264.mp4``) and the endings of files of features,
    unless two would become one.

    Args:
        found: by name as written.
        of_files_only: a ``/`` in a name without an ending is part of it: videos of one name in two folders are called by both.
    """
    names = {
        name: (base_name(name) or name) if annotation.is_file or not of_files_only else name
        for name, annotation in found.items()
    }
    features = Features([name for name in names.values() if is_feature(name)], ())
    bare = {without_ending(features.video_of(name)[0]): found[written] for written, name in names.items()}
    return bare if len({match_key(name) for name in bare}) == len(found) else dict(found)


def counts_from_1(found: Mapping[str, Annotation]) -> str:
    """A sentence where intervals that were read as 0-based look as if frames were counted from 1; otherwise empty."""
    firsts = [first for annotation in found.values() for first, _ in annotation.intervals]
    at_1 = firsts.count(1)
    if 0 in firsts or at_1 < LIKELY:
        return ""
    return (
        f"{at_1} of {len(firsts)} intervals begin in frame 1 and none in frame 0: frames seem to be counted from 1 and were "
        "read as counted from 0; if so give --first-frame 1 (evaluate.first_frame)"
    )


def _parse(line: str, first_frame: int) -> tuple[str, Annotation]:
    line = _without_brackets(line)
    cells = cells_of(line)
    name, rest, frames = _with_name(cells) if cells.name else _without_name(cells.rest, line)
    classes, numbers = _taken_apart(rest)
    intervals = _intervals(numbers, first_frame)
    if name.endswith((":", ",", ";", "=")):
        raise ValueError(f"{name[-1]!r} is after the name, and separates nothing here")
    for word in classes:
        if not any(character.isalpha() for character in word):
            raise ValueError(f"{word!r} is neither a class nor a frame number")
    said = name.rpartition(LABEL_IN_NAME)[2] if LABEL_IN_NAME in name else ""
    if len(set(classes)) > 1 and not said:
        raise ValueError(f"there are several classes: {', '.join(map(repr, dict.fromkeys(classes)))}; one is expected")
    class_name = classes[0] if len(set(classes)) == 1 else said
    return without_ending(name), Annotation(without_ending(class_name), intervals, frames, is_file=has_ending(name))


def _without_brackets(line: str) -> str:
    """``[165, 240] [300, 410]`` at the end of a line as four numbers."""
    found = _BRACKETS.search(line)
    if found is None or "|" in line:
        return line
    return f"{line[: found.start()]} {' '.join(_NUMBER.findall(found[0]))}"


def _with_name(cells: LineCells) -> tuple[str, Sequence[str], int | None]:
    """Name, words after it, and the number of frames where one stands before the class, or before brackets."""
    rest = cells.rest
    if len(rest) > 1 and is_integer(rest[0]):
        if not is_integer(rest[1]) and any(character.isalpha() for character in rest[1]):
            return cells.name, rest[1:], _frames(rest[0])
        if cells.separator == "|" and len(rest) % 2 and all(map(is_integer, rest)):
            return cells.name, rest[1:], _frames(rest[0])
        if says_normal(cells.name) and integer(rest[0]) > 0 and all(word == "-1" for word in rest[1:]):
            return cells.name, [*rest[1:], "-1"], _frames(rest[0])
    return cells.name, rest, None


def _without_name(words: Sequence[str], line: str) -> tuple[str, Sequence[str], int | None]:
    """A line's parts where only the numbers at the end say where the name ends: before a class, if there are two words."""
    count = 0
    while count < len(words) and is_integer(words[-1 - count]):
        count += 1
    head = list(words[: len(words) - count])
    if not head:
        raise ValueError("there is no name")
    if not count:
        raise ValueError("there are no frame numbers at its end")
    rest = [*([head.pop()] if len(head) > 1 else []), *words[len(words) - count :]]
    numbers = [word for word in head[1:] if is_integer(word) or INTEGERS.fullmatch(word)]
    if numbers and len(rest) > count:
        if len(head) == 2:
            return _counted(head, rest, line)
        if len(numbers) > 1 or numbers != head[-1:]:
            raise ValueError(
                f"{numbers[0]!r} is neither part of the name nor a frame of an interval; if it is of the name, write the "
                "ending of its file after that (.mp4)"
            )
    return leading(line, head), rest, None


def _counted(head: Sequence[str], rest: Sequence[str], line: str) -> tuple[str, Sequence[str], int | None]:
    """``name number class …``: the number is of frames, or part of the name."""
    name, number = head
    last = max(integer(word) for word in rest[1:])
    if is_integer(number) and ("/" in name or "\\" in name):
        return name, rest, _frames(number)
    if not is_integer(number) or integer(number) > last:
        raise ValueError(
            f"the name may be {name!r} with {number} frames, or '{name} {number}'; write the ending of its file after the name "
            "(.mp4)"
        )
    return leading(line, head), rest, None  # a video of so few frames has no such frame


def _frames(word: str) -> int:
    frames = integer(word)
    if not 1 <= frames <= MAX_FRAMES:
        raise ValueError(f"{frames} frames are not 1 to {MAX_FRAMES:,}")
    return frames


def _taken_apart(rest: Sequence[str]) -> tuple[list[str], list[int]]:
    """Classes and frame numbers; those after a class are pairs of their own."""
    classes: list[str] = []
    numbers: list[int] = []
    run: list[int] = []
    before = ""
    for word in rest:
        if is_integer(word):
            run.append(integer(word))
        elif INTEGERS.fullmatch(word):
            raise ValueError(f"{word!r} are not frame numbers; `name first last label,label` is of a list (--list)")
        elif like_a_number(word):
            raise ValueError(f"{word!r} is neither a class nor a frame number")
        elif before and not is_integer(before):
            classes[-1] += f" {word}"
        else:
            classes.append(word)
            numbers += _pairs(run)
            run = []
        before = word
    if not before or not is_integer(before):
        raise ValueError("there are no frame numbers at its end")
    return classes, numbers + _pairs(run)


def _pairs(numbers: list[int]) -> list[int]:
    if len(numbers) % 2 == 0:
        return numbers
    if numbers[-1] != -1:
        listed = " (`name first last label` is of a list: --list)" if len(numbers) == 3 and numbers[0] == 0 else ""
        raise ValueError(f"{len(numbers)} frame numbers are not pairs{listed}")
    return numbers[:-1]


def _intervals(numbers: Sequence[int], first_frame: int) -> tuple[tuple[int, int], ...]:
    result = []
    for first, last in zip(numbers[::2], numbers[1::2], strict=True):
        if (first, last) == (-1, -1):
            continue
        if first_frame and first == 0 and last >= 0:
            raise ValueError(
                "it begins in frame 0, and frames are counted from 1 here; if this file counts from 0 give --first-frame 0 "
                "(evaluate.first_frame)"
            )
        if not 0 <= first <= last:
            raise ValueError(f"{first} {last} is not an interval")
        result.append((first - first_frame, last - first_frame))
    return tuple(result)
