"""The resize that every model's preprocessing starts with, done where frames are decoded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad_core.video.types import Geometry


def target_size(geometry: Geometry, width: int, height: int) -> tuple[int, int]:
    """Width and height, pixels, of a ``width`` x ``height`` picture at ``geometry``."""
    if geometry.resize == "native":
        return width, height
    if geometry.resize == "square":
        return geometry.side, geometry.side
    # Integer arithmetic equals int(side * long / short) of the models' own preprocessing for every size in use.
    if width <= height:
        return geometry.side, geometry.side * height // width
    return geometry.side * width // height, geometry.side


def resize_picture(geometry: Geometry, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a picture with Pillow's antialiased bicubic filter.

    Args:
        geometry: the wanted size.
        rgb: uint8 [height, width, 3].

    Returns:
        uint8 [height', width', 3], contiguous; ``rgb`` itself where the size is already right.
    """
    height, width = rgb.shape[:2]
    size = target_size(geometry, width, height)
    if size == (width, height):
        return np.ascontiguousarray(rgb)
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))
