"""What ImageBind sees of images and clips. The two ways differ, in the reference as here: see docs/design/encoders.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile

import torch
import torch.nn.functional as F
from torch import Tensor

from lavad_core.models.pixels import Normaliser, check_image, on_device, resized
from lavad_core.models.protocols import Image
from lavad_core.video.types import Geometry

CROPS = 3
"""Views of a clip: start, middle and end of its long side."""

_COPIED_BYTES = 16 << 20
"""Frames of clips that are copied to the device at once, bytes; before they are resized they take four times that there."""


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


def clip_frames(images: Sequence[Image], side: int, normaliser: Normaliser, device: torch.device) -> list[Tensor]:
    """Frames of clips, resized and normalised, before their crops.

    Bilinear without antialiasing on float values, long side rounded down: what the reference's video transform does.

    Args:
        images: uint8 [height, width, 3], as decoded, of any sizes. Neighbours of one size are copied to the device together.

    Returns:
        float32 [3, height, width] of each.
    """
    frames: list[Tensor] = []
    for image in images:
        check_image(image)
    while len(frames) < len(images):
        first = images[len(frames)]
        most = max(1, _COPIED_BYTES // first.nbytes)
        shapes = takewhile(first.shape.__eq__, (image.shape for image in images[len(frames) : len(frames) + most]))
        alike = images[len(frames) : len(frames) + len(list(shapes))]
        pixels = on_device(alike, device).permute(0, 3, 1, 2)
        values = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)
        size = clip_size(first.shape[0], first.shape[1], side)
        values = F.interpolate(values, size=size, mode="bilinear", align_corners=False, antialias=False)
        frames += normaliser.normalise(values)
    return frames


def crop_offsets(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """(top, left) of the views of a resized frame: three along its long side, or a single one if it is square."""
    top, left = math.ceil((height - side) / 2), math.ceil((width - side) / 2)
    if height == width:
        return [(top, left)]
    if height > width:
        return [(0, left), (top, left), (height - side, left)]
    return [(top, 0), (top, left), (top, width - side)]
