"""What lines of labels and of lists have in common: where the name ends, how the rest is separated, what is not a line of them.

A name may hold spaces, commas and digits, so that a line of an unknown form would always do as a name. It is one only where
nothing in it looks like a known form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lavad_core.video.discover import VIDEO_SUFFIXES

LABEL_IN_NAME = "_label_"
"""XD-Violence has no class column; the class is the end of the name: ``…_label_B1-0-0``, ``…_label_A`` for normal."""

_FEATURES = ".npy .npz .pt .pth .pkl .h5 .hdf5 .mat .txt"
FEATURE_SUFFIXES = frozenset(_FEATURES.split())
"""Endings of files of features: lists of weakly supervised methods name those in the place of videos."""

INTEGER = re.compile(r"-?[0-9]{1,15}(?:\.0{1,6})?", re.ASCII)
"""A whole number, also as NumPy and pandas write it after a detour over floating point."""

INTEGERS = re.compile(r"-?[0-9]{1,9}(?:,-?[0-9]{1,9})+", re.ASCII)
"""Several classes in one field: ``2,1,6``."""

_SEVERAL_CLASSES = re.compile(r".*\s-?[0-9]+\s+-?[0-9]+\s+-?[0-9]+(?:,-?[0-9]+)+", re.ASCII)
_UCF_NAME = re.compile(r".+_x264", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"[\[({\"'+-]*[0-9][0-9.,:;~/+-]*(?:[eE][+-]?[0-9]+)?[\])}\"']*[,;]?", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"]|"")+)"\s*([,;|\t])(.*)')
_HEADERS = (
    "video videos name names class classes label labels category type start starting end ending begin first last frame frames "
    "event anomaly anomalous temporal annotation interval total path file filename feature features id index num number count "
    "length nframes of n gt clip scene scenario fps rate duration is s e split crop subset set"
)
_WORDS_OF_HEADERS = frozenset(_HEADERS.split())
_NAMES_OF_COLUMNS = frozenset(
    ("video", "videos", "name", "path", "file", "filename", "video_name", "video_path", "file_name")
)


@dataclass(frozen=True)
class LineCells:
    """A line, taken apart."""

    name: str
    """The name, as written, with folders and ending; empty where it is not certain where it ends."""
    rest: tuple[str, ...]
    """The fields after it, or all words of the line where there is no name."""
    separator: str = " "
    """The separator of the fields; a space for any run of spaces and tabs."""


def rows_of(text: str, is_name: Callable[[str], bool] = lambda text: False) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, from 1: without blank ones, comments (``# …``) and a first line of names of columns.

    Args:
        text: what the file holds.
        is_name: whether a line is the name of a video that is known.
    """
    first = True
    # Not splitlines(): it also splits at characters that a name may hold.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped == "#" or (stripped[0] == "#" and stripped[1].isspace()):
            continue
        if not (first and not is_name(stripped) and is_header(stripped)):
            yield number, line
        first = False


def is_header(line: str) -> bool:
    """Whether a line has names of columns and nothing else: ``name class start end``, ``path,label``, ``video``."""
    columns = [column for column in re.split(r"[\s,;|]+", line.strip().lower()) if column]
    if len(columns) == 1:
        return columns[0] in _NAMES_OF_COLUMNS
    return all(
        words and not words - _WORDS_OF_HEADERS
        for words in ({word for word in re.split(r"[_\d.()-]+", column) if word} for column in columns)
    )


def cells_of(line: str) -> LineCells:
    """The name and the fields of a line.

    Certain is the end of a name before ``|``, ``;``, a comma or a tab with nothing but fields after it, after the ending of
    a file (``.mp4``, ``.npy``), after XD-Violence's ``_label_…`` and UCF-Crime's ``…_x264``.
    """
    text = line.strip()
    if (quoted := _QUOTED.fullmatch(text)) is not None:
        cells = _fields(quoted[3].split(quoted[2]))
        if cells is not None:
            return LineCells(quoted[1].replace('""', '"'), cells, quoted[2])
    if not _SEVERAL_CLASSES.fullmatch(text):
        for separator in "|\t;,":
            name, found, after = text.partition(separator)
            fields = _fields(after.split(separator)) if found and name.strip() else None
            if fields is None and separator == "\t" and found and not has_ending(text):
                fields = _fields(after.split())
            if fields is not None and not _goes_on(name):
                return LineCells(name.strip(), fields, separator)
    words = list(re.finditer(r"\S+", text))
    end = max((at for at, word in enumerate(words) if ends_name(word[0])), default=None)
    if end is None:
        return LineCells("", tuple(word[0] for word in words))
    return LineCells(text[: words[end].end()], tuple(word[0] for word in words[end + 1 :]))


def has_ending(word: str) -> bool:
    """Whether it ends like the file of a video or of its features."""
    suffix = PurePosixPath(word.replace("\\", "/")).suffix.lower()
    return suffix in VIDEO_SUFFIXES or suffix in FEATURE_SUFFIXES


def ends_name(word: str) -> bool:
    """Whether a name certainly ends with this word."""
    return LABEL_IN_NAME in word or has_ending(word) or _UCF_NAME.fullmatch(word) is not None


def like_a_number(word: str) -> bool:
    """Whether a word is made as numbers, times and ranges are (``1.5``, ``00:01:10``, ``3500-4000``): it is not a class."""
    return _LIKE_A_NUMBER.fullmatch(word) is not None


def _goes_on(name: str) -> bool:
    """Whether numbers follow what certainly ends a name: ``a.mp4 0 1080 2`` is more than a name."""
    words = name.split()
    end = max((at for at, word in enumerate(words) if ends_name(word)), default=len(words))
    return any(map(like_a_number, words[end + 1 :]))


def leading(line: str, words: Sequence[str]) -> str:
    """The first words of a line as they are written: runs of spaces between them are part of a name."""
    written = re.match(r"\s*" + r"\s+".join(map(re.escape, words)), line)
    assert written is not None, "they are its first words"
    return written[0].lstrip()


def base_name(written: str) -> str:
    """A name without the folders before it, of either kind of system."""
    return written.replace("\\", "/").rstrip("/").rpartition("/")[2]


def is_integer(word: str) -> bool:
    """Whether a word is a whole number."""
    return INTEGER.fullmatch(word) is not None


def integer(word: str) -> int:
    """The number of a word for which :func:`is_integer` is true."""
    return int(word.partition(".")[0])


def _fields(cells: list[str]) -> tuple[str, ...] | None:
    """Cells after a name, brackets and quotes taken off; None if they do not look like fields: then it was part of a name."""
    found = [word for cell in cells for word in [cell.strip().strip("[](){}\"'").strip()] if word]
    words = [word for cell in found for word in (_listed(cell) or [cell])]
    if not words or any(has_ending(word) or not _is_field(word) for word in words):
        return None
    return tuple(words)


def _listed(cell: str) -> list[str] | None:
    """The numbers of a cell such as ``[165, 240]``."""
    numbers = [word.strip() for word in cell.split(",")]
    return numbers if len(numbers) > 1 and all(map(is_integer, numbers)) else None


def _is_field(cell: str) -> bool:
    """A number, or a class of one or a few words: no number among them."""
    words = cell.split()
    return is_integer(cell) or not any(is_integer(word) or INTEGERS.fullmatch(word) for word in words)
