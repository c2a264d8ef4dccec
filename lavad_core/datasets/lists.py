"""Lists of the videos of a data set: which ones, and how many frames each has."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lavad_core.datasets.features import Features, is_feature
from lavad_core.datasets.lines import (
    INTEGERS,
    base_name,
    cells_of,
    integer,
    is_integer,
    leading,
    like_a_number,
    rows_of,
)
from lavad_core.datasets.names import match_key, without_ending
from lavad_core.datasets.table_files import read_headed
from lavad_core.datasets.types import MAX_FRAMES, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.user_files import read_text

MAX_BYTES = 64 * 2**20
"""UCF-Crime's list has 8 kB."""

WHAT = "list of videos"
EXPECTED = (
    "`name first last label` (frames, both inclusive), `name label`, `name frames` or `name` alone, with folders and an ending "
    "or without; or columns path,label"
)

MOST_LABELS = 14
"""UCF-Crime has 13 classes and Normal. A lone number below is a label, one above a number of frames: no video is that short."""

_SEVERAL = re.compile(
    r"(?P<before>.*\S\s+-?[0-9]+\s+-?[0-9]+)\s+(?:(?P<quote>[\[({\"'])\s*)?"
    r"(?P<labels>[0-9A-Za-z-]+(?:\s*[,;|/+]\s*[0-9A-Za-z-]+)*)\s*,?\s*(?(quote)[\])}\"'])",
    re.ASCII,
)
"""First and last frame, and several labels: ``2,1,6``, ``2, 1, 6``, ``[2, 1, 6]``, ``G;B2``."""

_COMMON_CLASSES = frozenset(["normal", "abnormal", "anomaly", "anomalous", "a"])


@dataclass(frozen=True)
class ListedVideo:
    """A line of a list."""

    frames: int | None = None
    """The frames of the video; None if the line does not say."""
    labels: tuple[str, ...] = ()
    """Its classes as written, numbers or words; empty if the line does not say."""
    line: int = field(default=0, compare=False)
    """The line of the file, from 1."""


@dataclass(frozen=True)
class _Line:
    """A line whose name is known, and whose fields are not understood yet."""

    number: int
    written: str
    fields: tuple[str, ...]


def read_list(path: Path, labelled: Mapping[str, LabelledVideo] | None = None) -> dict[str, ListedVideo]:
    """Videos by name, without folders and ending, in the order of the list.

    Byte order mark, any line ends, tabs, runs of spaces, commas, blank lines, comments (``# …``) and names of columns are fine.
    A name may hold spaces. Names of files of features are those of their videos, all crops of one.

    Args:
        labelled: the videos that have labels: a line that is the name of one is nothing else.

    Raises:
        InputError: the file cannot be read, is empty, names a video twice, a video has no frames, or a line is of another form
            or may be of two; says which line.
    """
    known = {match_key(name) for name in labelled or ()}
    classes = {name.lower() for video in (labelled or {}).values() for name in video.classes} | _COMMON_CLASSES
    text = read_text(path, WHAT, MAX_BYTES)

    def is_name(written: str) -> bool:
        return bool({match_key(written), match_key(base_name(written))} & known)

    def fail(number: int, problem: str) -> InputError:
        return InputError(f"{WHAT}: {str(path)!r}, line {number}: {problem}; expected is {EXPECTED}")

    lines = _headed(path, text, is_name)
    if lines is None:
        lines = []
        for number, line in rows_of(text, is_name):
            try:
                lines.append(_taken_apart(number, line.strip(), is_name, classes))
            except ValueError as problem:
                raise fail(number, str(problem)) from problem
    try:
        said = _understood(lines)
    except _Ambiguous as problem:
        raise fail(problem.line, str(problem)) from problem
    features = Features([base_name(line.written) for line in lines if is_feature(line.written)], known)
    result: dict[str, ListedVideo] = {}
    before: dict[str, dict[str | None, int]] = {}
    for found, video in zip(lines, said, strict=True):
        name, crop = features.video_of(base_name(found.written))
        name = without_ending(name)
        if not name:
            raise fail(found.number, "there is no name")
        crops = before.setdefault(match_key(name), {})
        if not crops:
            result[name] = video
        elif crop in crops or None in crops or crop is None:
            first = crops.get(crop, min(crops.values()))
            raise fail(found.number, f"{name!r} appears twice, first in line {first}; keep one of the lines")
        elif video != result.get(name, video):
            first = min(crops.values())
            raise fail(found.number, f"this crop of {name!r} has other frames or labels than the one in line {first}")
        crops[crop] = found.number
    if not result:
        raise InputError(f"{WHAT}: {str(path)!r} names no video; expected are lines of {EXPECTED}")
    return result


def _headed(path: Path, text: str, is_name: Callable[[str], bool]) -> list[_Line] | None:
    """Lines of a file whose first one names its columns, a path and others; None if it does not."""
    rows = read_headed(path, text, WHAT)
    if rows is None or is_name(text.lstrip().partition("\n")[0].strip()):
        return None
    lines = []
    for number, row in rows:
        frames = [row["frames"]] if "frames" in row else []
        fields = ["0", str(integer(frames[0]) - 1)] if frames and is_integer(frames[0]) else frames
        if label := row.get("label"):
            fields = [*fields, label]
        lines.append(_Line(number, row["name"], tuple(fields)))
    return lines


def _taken_apart(number: int, line: str, is_name: Callable[[str], bool], classes: Collection[str]) -> _Line:
    """Where the name ends.

    Raises:
        ValueError: the line looks like another form.
    """
    if is_name(line):
        return _Line(number, line, ())
    line = _one_field(line)
    if is_name(line):
        return _Line(number, line, ())
    cells = cells_of(line)
    if cells.name:
        return _Line(number, cells.name, cells.rest)
    words = cells.rest
    count = int(words[-1].lower() in classes)
    while count < len(words) - 1 and (is_integer(words[-1 - count]) or INTEGERS.fullmatch(words[-1 - count])):
        count += 1
    count = min(count, len(words) - 1)
    name, fields = words[: len(words) - count], words[len(words) - count :]
    written = leading(line, name)
    if len(name) > 1 and not is_name(written):
        if count > 1 and name[-1].lower() in classes:
            fields = (name[-1], *fields)
        elif numbers := [word for word in name[1:] if is_integer(word) or INTEGERS.fullmatch(word)]:
            raise ValueError(
                f"{numbers[0]!r} is part of no known form; if it is of the name, write the ending of its file after that (.mp4)"
            )
    return _Line(number, written, tuple(fields))


def _one_field(line: str) -> str:
    """The line with its labels as one field, without quotes around a name alone, and without separators at the end."""
    line = line.rstrip().rstrip(",;|").rstrip() or line
    if len(line) > 2 and line[0] == line[-1] in "\"'" and line.count(line[0]) == 2:
        line = line[1:-1].strip()
    found = _SEVERAL.fullmatch(line)
    if found is None:
        return line
    return f"{found['before']} {','.join(re.split(r'[^0-9A-Za-z-]+', found['labels']))}"


class _Ambiguous(ValueError):
    """A line that has no form, or two."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def _understood(lines: Sequence[_Line]) -> list[ListedVideo]:
    """What the fields of each line say. Those that alone could be one thing or another, all lines together decide."""
    singles = [line for line in lines if len(line.fields) == 1 and is_integer(line.fields[0])]
    pairs = [line for line in lines if len(line.fields) == 2 and all(map(is_integer, line.fields))]
    labels = _all_or_none(
        singles,
        lambda line: integer(line.fields[0]) < MOST_LABELS,
        "{0} may be a label or a number of frames: other lines say another; write `name first last label`",
    )
    frames_first = _all_or_none(
        pairs,
        lambda line: integer(line.fields[0]) >= MOST_LABELS > integer(line.fields[1]),
        "{0} {1} may be the first and the last frame, or the number of frames and a label: other lines say another; write "
        "`name first last label`",
    )
    return [_said(line, labels, frames_first) for line in lines]


def _all_or_none(lines: Sequence[_Line], test: Callable[[_Line], bool], problem: str) -> bool:
    """Whether the test holds for all of the lines or for none.

    Raises:
        _Ambiguous: for some.
    """
    held = [test(line) for line in lines]
    if len(set(held)) > 1:
        odd = lines[held.index(not held[0])]
        raise _Ambiguous(odd.number, problem.format(*odd.fields))
    return bool(held and held[0])


def _said(line: _Line, single_is_label: bool, frames_first: bool) -> ListedVideo:
    fields = _joined(line.fields)
    whole = list(map(is_integer, fields))
    if len(fields) > 3 or not all(whole[:-1]):
        _another_form(line)
    if not fields:
        return ListedVideo(line=line.number)
    if len(fields) == 1 and whole[0] and not single_is_label:
        return ListedVideo(_frames(line, 0, integer(fields[0]) - 1), (), line.number)
    if len(fields) == 2 and all(whole) and not frames_first:
        if integer(fields[0]) not in (0, 1):
            _another_form(line)
        return ListedVideo(_frames(line, *map(integer, fields)), (), line.number)
    label = tuple(str(integer(word)) if is_integer(word) else word for word in fields[-1].split(","))
    if any(like_a_number(word) and ("." in word or ":" in word) for word in label) or not any(
        character.isalnum() for word in label for character in word
    ):
        _another_form(line)
    if len(fields) == 1 or (len(fields) == 2 and not whole[1] and 0 <= integer(fields[0]) < MOST_LABELS):
        return ListedVideo(None, label, line.number)  # `name 1 Abuse`: its label twice, and not one frame
    first, last = (0, integer(fields[0]) - 1) if len(fields) == 2 else map(integer, fields[:2])
    return ListedVideo(_frames(line, first, last), label, line.number)


def _joined(fields: tuple[str, ...]) -> tuple[str, ...]:
    """First and last frame and one label, where several labels are fields of their own: ``name,0,1080,2,1,6``.

    Numbers this small after a length are not frames of an interval, which begins and ends within it and after the last one.
    """
    if len(fields) < 4 or not all(map(is_integer, fields)):
        return fields
    first, last, *labels = map(integer, fields)
    if first not in (0, 1) or last < MOST_LABELS or not all(0 <= label < MOST_LABELS for label in labels):
        return fields
    return (*fields[:2], ",".join(map(str, labels)))


def _another_form(line: _Line) -> NoReturn:
    shown = " ".join(line.fields)
    intervals = len(line.fields) > 1 and is_integer(line.fields[-1])
    also = "; lines of `name class start end` are labels (--labels)" if intervals else ""
    name = base_name(line.written)
    raise _Ambiguous(line.number, f"{name[:80]!r} is followed by {shown[:80]!r}, which is of no known form{also}")


def _frames(line: _Line, first: int, last: int) -> int:
    if not (0 <= first <= last and last - first < MAX_FRAMES):
        raise _Ambiguous(
            line.number,
            f"{without_ending(base_name(line.written))!r} has frames {first} to {last}, and that is not 1 to {MAX_FRAMES:,}",
        )
    return last - first + 1
