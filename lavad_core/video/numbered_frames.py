"""Folders of pre-extracted frames: which files are frames, and which frame each is. Standard library only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Images that are taken for frames, by their ending in any case."""

MAX_SPREAD = 16
"""A video has at most this many frames for each of its images, by the usual step of their numbers; and :data:`SPARE_FRAMES`."""

SPARE_FRAMES = 1000

MAX_STEP = 1000
"""A longer step is not the usual one of a video of which every Nth frame was saved."""

MAX_FIRST = 10_000
"""A stretch of a longer video may begin with this number; one that begins later is counted from its beginning."""

MAX_DIGITS = 19
"""Digits of a number; longer numbers count as equal."""


def is_numbered_frame(name: str) -> bool:
    """Whether a file name is a frame's: ASCII digits and an image ending, as in ``000000.jpg``."""
    stem, suffix = os.path.splitext(name)
    return suffix.lower() in IMAGE_SUFFIXES and stem.isascii() and stem.isdigit()


def has_numbered_frames(folder: Path) -> bool:
    """Whether ``folder`` directly holds a numbered frame. False where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return any(is_numbered_frame(entry.name) and entry.is_file() for entry in entries)
    except OSError:
        return False


def list_frames(folder: Path) -> list[str]:
    """Names of the images directly in ``folder``, sorted.

    If any is numbered the others are left out: a cover picture beside the frames is not a frame. Hidden files never are: macOS
    puts ``._a.jpg`` beside ``a.jpg``.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
            and not entry.name.startswith(".")
            and entry.is_file()
        ]
    numbered = [name for name in names if is_numbered_frame(name)]
    return sorted(numbered or names)


def number_frames(names: list[str]) -> tuple[dict[int, str], int]:
    """The frame index of each image.

    The index is the number in the name. Names that start at 1, as FFmpeg's own numbering does, are counted from it.
    Names without numbers are counted in sorted order.

    Args:
        names: as :func:`list_frames` returns them.

    Returns:
        index → name, increasing (of several names with one number the first is kept), and the first number.
    """
    if not names or not is_numbered_frame(names[0]):
        return dict(enumerate(names)), 0
    numbers: dict[int, str] = {}
    for name in names:
        # int() refuses more than 4,300 digits; a number of 19 and more is out of range for frames anyway.
        digits = os.path.splitext(name)[0].lstrip("0") or "0"
        numbers.setdefault(int(digits) if len(digits) < MAX_DIGITS else 10**MAX_DIGITS, name)
    first = min(numbers)
    shift = 1 if first == 1 else 0
    return {number - shift: numbers[number] for number in sorted(numbers)}, first


@dataclass(frozen=True)
class NumberJump:
    """A jump of the numbers that was taken out."""

    before: int
    """Number in front of it; -1 before the first."""
    after: int
    """Number after it."""
    index: int
    """Index of the frame after it."""


def without_jumps(numbers: dict[int, str]) -> tuple[dict[int, str], list[NumberJump]]:
    """Take out the longest jumps of the numbers while they make the video longer than its images make possible.

    One stray number (``0.jpg`` … ``99.jpg``, ``123456.jpg``) would otherwise be a video of as many frames, nearly all gaps.

    Args:
        numbers: from :func:`number_frames`.

    Returns:
        the same images, those after a jump counted one step after what is before it; and the jumps, in their order.
    """
    places = list(numbers)
    steps = [after - before for before, after in pairwise([-1, *places])]
    inner = sorted(steps[1:]) or [1]
    usual = min(inner[(len(inner) - 1) // 2], MAX_STEP)
    most = SPARE_FRAMES + MAX_SPREAD * usual * len(places)
    out = {0} if steps[0] > MAX_FIRST else set[int]()
    total = places[-1] - places[0]
    for at in sorted(range(1, len(steps)), key=lambda at: -steps[at]):
        if total <= most:
            break
        out.add(at)
        total -= steps[at] - usual
    moved: dict[int, str] = {}
    jumps: list[NumberJump] = []
    index = -1
    for at, (number, step) in enumerate(zip(places, steps, strict=True)):
        index += (usual if index >= 0 else 1) if at in out else step
        moved[index] = numbers[number]
        if at in out:
            jumps.append(NumberJump(number - step, number, index))
    return moved, jumps
