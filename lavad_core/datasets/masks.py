"""Frame labels as data sets with masks have them: arrays, MATLAB cells, folders of pictures."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad_core.datasets.matlab import marked_elements
from lavad_core.errors import InputError
from lavad_core.npy_files import read_npy
from lavad_core.quoting import first_line
from lavad_core.user_files import read_bytes
from lavad_core.video.images import DAMAGE

MAX_BYTES = 256 * 2**20
"""Largest file of masks that is read. Avenue's are compressed and take a few hundred kilobytes."""

MAX_PIXELS = 64 * 2**20
"""Most pixels of a picture that is a mask."""


def read_frame_mask(path: Path) -> NDArray[np.bool_]:
    """A ``.npy`` array with 0 or 1 for each frame: bool [M].

    Raises:
        InputError: the file cannot be read, is no such array or has other values.
    """
    what, expected = "frame mask", "an array [frames] of 0 and 1, as np.save writes it"
    try:
        values = read_npy(read_bytes(path, what, MAX_BYTES))
    except ValueError as error:
        raise InputError(f"{what}: {str(path)!r} is not {expected}: {first_line(error)}") from error
    if values.ndim != 1 or not len(values) or not np.isin(values, (0, 1)).all():
        found = f"an array {list(values.shape)} of {values.dtype}"
        raise InputError(f"{what}: {str(path)!r} holds {found}; expected is {expected}")
    return np.asarray(values, dtype=bool)


def read_cell_masks(path: Path, variable: str) -> NDArray[np.bool_]:
    """A MATLAB file with a cell of pictures, one for each frame, as a bool [M]: whether anything is marked in it.

    Raises:
        InputError: the file cannot be read or has no such cell.
    """
    what = "masks"
    content = read_bytes(path, what, MAX_BYTES)
    try:
        return marked_elements(content, variable)
    except (ValueError, struct.error, zlib.error) as problem:
        raise InputError(
            f"{what}: {str(path)!r} is not a MATLAB file (version 5 to 7) with a cell {variable} of a mask for each frame: "
            f"{type(problem).__name__}: {first_line(problem)}"
        ) from problem


def read_picture_masks(paths: Sequence[Path]) -> NDArray[np.bool_]:
    """Whether anything is marked in each of these pictures: bool [M].

    Raises:
        InputError: one cannot be read.
    """
    return np.array([_is_marked(path) for path in paths], dtype=bool)


def _is_marked(path: Path) -> bool:
    content = read_bytes(path, "mask", MAX_BYTES)
    try:
        with Image.open(io.BytesIO(content), formats=("BMP", "PNG", "TIFF")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width}x{picture.height} pixels, more than {MAX_PIXELS}")
            return bool(np.asarray(picture.convert("L")).any())
    except DAMAGE as error:
        raise InputError(f"mask: {str(path)!r} is not a picture (BMP, PNG or TIFF): {first_line(error)}") from error
