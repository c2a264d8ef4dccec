"""Images of a folder of frames, through Pillow. Runs in the decoding child."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad_core.errors import VideoRejected

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
"""The formats that an image may have, whatever the file's name says."""

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

EIGHT_BITS = {
    **dict.fromkeys(("1", "L", "P", "LA", "PA", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr"), "RGB"),
    "La": "LA",
    "RGBa": "RGBA",
}
"""Pillow's modes with at most 8 bits a channel, and what each is converted to first. Colour pictures of 16 bits come as their
upper 8."""

# The project's own limit is checked from the header before pixels are allocated; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None


def read_rgb(path: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an image: uint8 [height, width, 3], RGB, as stored (an EXIF orientation is not applied).

    Raises:
        VideoRejected: ``too-large``; ``changed`` if it is gone; ``unreadable`` if the system cannot read it; ``format`` if
            nothing says which of its values is white.
        one of :data:`DAMAGE`: damaged or not an image.
    """
    with _system_errors(path), Image.open(path, formats=FORMATS) as image:
        _check_size(image, path, max_pixels)
        if image.mode == "RGB":
            return np.asarray(image)
        if image.mode in EIGHT_BITS:
            return np.asarray(image.convert(EIGHT_BITS[image.mode]).convert("RGB"))
        grey = np.minimum((_sixteen_bits(image, path).astype(np.uint32) + 128) >> 8, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)


@dataclass(frozen=True)
class ImageFacts:
    """What an image holds."""

    size: tuple[int, int]
    """Width and height, pixels."""
    peak: int | None
    """The highest value, of 65535, of a grey picture with more than 8 bits; None for others."""
    more: int
    """Further pictures of the same size in the file (pages, an animation), which are not read."""


def examine_image(path: str, max_pixels: int) -> ImageFacts:
    """Read an image to its end, at an eighth of the size where JPEG allows that.

    Raises: as :func:`read_rgb`.
    """
    with _system_errors(path), Image.open(path, formats=FORMATS) as image:
        size = image.size
        _check_size(image, path, max_pixels)
        image.draft("L", (max(1, size[0] // 8), max(1, size[1] // 8)))
        image.load()
        deep = image.mode not in EIGHT_BITS
        peak = int(_sixteen_bits(image, path).max()) if deep else None
        return ImageFacts(size, peak, _more(image, size))


def _sixteen_bits(image: Image.Image, path: str) -> NDArray[np.uint16]:
    """A grey picture of more than 8 bits: uint16 [height, width], 65535 is white.

    Pillow's own conversion cuts everything above 255 to white and makes 0 … 1 black.

    Raises:
        VideoRejected: ``format``, if nothing says which value is white.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # "I": Pillow 10
        return values.astype(np.uint16)
    name = ascii(os.path.basename(path))
    if image.mode == "F":
        if np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
            return np.rint(values.astype(np.float64) * 65535).astype(np.uint16)
        low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (np.nan, np.nan)
        found = f"real numbers from {low:g} to {high:g}, of which 0 … 1 alone can be shown"
    else:
        found = f"pixels of Pillow's mode {image.mode!a}, of which nothing says which value is white"
    raise VideoRejected(
        "format", f"{name} holds {found}; save the frames with 8 bits, or as 16-bit grey from 0 to 65535"
    )


def _more(image: Image.Image, size: tuple[int, int]) -> int:
    """Further pictures of the same size: thumbnails and previews do not count."""
    frames = int(getattr(image, "n_frames", 1)) if image.format in ("PNG", "WEBP", "TIFF") else 1
    if frames > 1:
        image.seek(1)
    return frames - 1 if frames > 1 and image.size == size else 0


@contextmanager
def _system_errors(path: str) -> Iterator[None]:
    """What the system says about a file is not damage of the picture, which would be final: Pillow's own OSErrors have no
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
