"""Folders of pre-extracted frames: which files are frames, and which frame each is. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Images that are taken for frames, by their ending in any case."""


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
        numbers.setdefault(int(os.path.splitext(name)[0]), name)
    first = min(numbers)
    shift = 1 if first == 1 else 0
    return {number - shift: numbers[number] for number in sorted(numbers)}, first
