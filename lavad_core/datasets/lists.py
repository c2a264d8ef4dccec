"""Lists of the videos of a data set: which ones, and how many frames each has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lavad_core.datasets.names import match_key, without_ending
from lavad_core.datasets.types import MAX_FRAMES
from lavad_core.errors import InputError
from lavad_core.imports.files import read_text

MAX_BYTES = 64 * 2**20
"""UCF-Crime's list has 8 kB."""

EXPECTED = "`name first last label` (frames, both inclusive) or `name` alone, with folders and an ending or without"

_NUMBERED = re.compile(r"(.*\S)\s+(-?\d{1,15})\s+(-?\d{1,15})\s+(-?\d{1,9})", re.ASCII)

_FEATURES = re.compile(r"(?:__(?P<crop>[0-9])|_i3d)\.npy", re.ASCII | re.IGNORECASE)
"""XD-Violence and MSAD publish their lists as names of files of features: ``…__0.npy`` to ``…__4.npy`` for the five crops of a
video, ``…_i3d.npy``."""


@dataclass(frozen=True)
class ListedVideo:
    """A line of a list.

    Attributes:
        frames: of the video; None if the line does not say.
        label: number of its class; None if the line does not say.
    """

    frames: int | None = None
    label: int | None = None


def read_list(path: Path) -> dict[str, ListedVideo]:
    """Videos by name, without folders and ending, in the order of the list.

    Byte order mark, CRLF, tabs, runs of spaces and blank lines are fine. A name may hold spaces.

    Raises:
        InputError: the file cannot be read, is empty, names a video twice, or a video has no frames; says which line.
    """
    what = "list of videos"
    result: dict[str, ListedVideo] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(path, what, MAX_BYTES).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{what}: {str(path)!r}, line {number}"
        found = _parse(line.strip(), where)
        if found is None:
            continue
        name, listed = found
        before = lines.setdefault(match_key(name), number)
        if before != number:
            raise InputError(f"{where}: {name!r} is there twice, first in line {before}; keep one of the lines")
        result[name] = listed
    if not result:
        raise InputError(f"{what}: {str(path)!r} names no video; expected are lines of {EXPECTED}")
    return result


def _parse(line: str, where: str) -> tuple[str, ListedVideo] | None:
    """Name and what the line says; None for another crop of a video that is there already."""
    numbered = _NUMBERED.fullmatch(line)
    written = (numbered[1] if numbered else line).replace("\\", "/").rpartition("/")[2]
    features = _FEATURES.search(written)
    if features is not None and features.end() == len(written):
        if features["crop"] not in (None, "0"):
            return None
        written = written[: features.start()]
    name = without_ending(written)
    if not name:
        raise InputError(f"{where}: there is no name; expected is {EXPECTED}")
    if not numbered:
        return name, ListedVideo()
    first, last, label = int(numbered[2]), int(numbered[3]), int(numbered[4])
    if not (0 <= first <= last and last - first < MAX_FRAMES):
        raise InputError(
            f"{where}: {name!r} has frames {first} to {last}, and that is not 1 to {MAX_FRAMES:,}; expected is {EXPECTED}"
        )
    return name, ListedVideo(last - first + 1, label)
