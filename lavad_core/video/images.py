"""Images of a folder of frames, through Pillow. Runs in the decoding child."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad_core.errors import VideoRejected

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
"""What may be inside, whatever the file's name says."""

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on damaged images."""

# The project's own limit is checked from the header before pixels are allocated; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None


def read_rgb(path: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an image: uint8 [height, width, 3], RGB, as stored (an EXIF orientation is not applied).

    Raises:
        VideoRejected: ``too-large``; ``changed`` if it is gone; ``unreadable`` if the system cannot read it.
        one of :data:`DAMAGE`: damaged or not an image.
    """
    with _system_errors(path), Image.open(path, formats=FORMATS) as image:
        _check_size(image, path, max_pixels)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def check(path: str, max_pixels: int) -> tuple[int, int]:
    """Read an image to its end, at an eighth of the size where JPEG allows that; its width and height.

    Raises: as :func:`read_rgb`.
    """
    with _system_errors(path), Image.open(path, formats=FORMATS) as image:
        size = image.size
        _check_size(image, path, max_pixels)
        image.draft("L", (max(1, size[0] // 8), max(1, size[1] // 8)))
        image.load()
        return size


@contextmanager
def _system_errors(path: str) -> Iterator[None]:
    """What the system says of a file is no damage of the picture, which would be noted for ever: Pillow's own OSErrors have no
    number."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        name = ascii(os.path.basename(path))
        if error.errno == errno.ENOENT:
            raise VideoRejected("changed", f"{name} was there and is gone") from error
        raise VideoRejected("unreadable", f"{name} cannot be read: {error.strerror}") from error


def _check_size(image: Image.Image, path: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        name = ascii(os.path.basename(path))
        raise VideoRejected(
            "too-large", f"{name} has {width}x{height} pixels, more than video.max_pixels = {max_pixels}"
        )
