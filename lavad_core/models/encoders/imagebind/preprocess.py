"""What ImageBind sees of images and clips. The two ways differ, in the reference as here: see docs/design/encoders.md."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lavad_core.models.encoders.pixels import Normaliser, check_image, resized
from lavad_core.models.protocols import Image
from lavad_core.video.types import Geometry

CROPS = 3
"""Views of a clip: start, middle and end of its long side."""


def centre_square(image: Image, side: int) -> Image:
    """An image's centre square after its short side was brought to ``side`` (Pillow bicubic).

    Args:
        image: uint8 [height, width, 3], of any size; resizing is skipped if its short side is ``side`` already.
        side: pixels.

    Returns:
        uint8 [side, side, 3], a view where nothing was resized.
    """
    check_image(image)
    image = resized(image, Geometry("short_side", side))
    # round() goes to the even neighbour of a half, as the reference's centre crop does.
    top, left = (round((length - side) / 2.0) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def clip_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) of a clip's frame whose short side became ``side``; the long one is rounded down."""
    long = math.floor(max(height, width) / min(height, width) * side)
    return (long, side) if height > width else (side, long)


def clip_frame(image: Image, side: int, normaliser: Normaliser, device: torch.device) -> Tensor:
    """A clip's frame, resized and normalised, before its crops.

    Bilinear without antialiasing on float values, long side rounded down: what the reference's video transform does.

    Args:
        image: uint8 [height, width, 3], as decoded.

    Returns:
        float32 [3, height, width].
    """
    check_image(image)
    height, width = image.shape[:2]
    size = clip_size(height, width, side)
    # A copy: frames are read-only, and torch warns about wrapping those.
    pixels = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)
    values = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)
    values = F.interpolate(values[None], size=size, mode="bilinear", align_corners=False, antialias=False)[0]
    return normaliser.normalise(values)


def crop_offsets(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """(top, left) of the views of a resized frame: three along its long side, or a single one if it is square."""
    top, left = math.ceil((height - side) / 2), math.ceil((width - side) / 2)
    if height == width:
        return [(top, left)]
    if height > width:
        return [(0, left), (top, left), (height - side, left)]
    return [(top, 0), (top, left), (top, width - side)]
