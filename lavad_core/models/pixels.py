"""Pictures to normalised tensors on a device: resize, copy, scale. Shared by captioners and encoders; no torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from lavad_core.errors import InternalError
from lavad_core.models.protocols import Image
from lavad_core.video.types import Geometry

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Colour statistics of CLIP's training data, which ImageBind keeps; of values in 0..1, RGB."""


def resized(
    image: Image, geometry: Geometry, resample: PillowImage.Resampling = PillowImage.Resampling.BICUBIC
) -> Image:
    """The picture at a geometry's size; the picture itself if it has that size already.

    Args:
        image: uint8 [height, width, 3].
        geometry: the size; ``native`` leaves the picture as it is.
        resample: Pillow's filter; a :class:`Geometry` alone means bicubic.
    """
    height, width = image.shape[:2]
    if geometry.resize == "native":
        return image
    if geometry.resize == "square":
        wanted = (geometry.side, geometry.side)
    elif height <= width:
        wanted = (int(geometry.side * width / height), geometry.side)
    else:
        wanted = (geometry.side, int(geometry.side * height / width))
    if wanted == (width, height):
        return image
    return np.asarray(PillowImage.fromarray(np.ascontiguousarray(image)).resize(wanted, resample))


def check_image(image: Image) -> None:
    """Refuse what is not a picture.

    Raises:
        InternalError: not uint8 [height, width, 3].
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InternalError(f"a picture is uint8 [height, width, 3], not {image.dtype} {list(image.shape)}")


def resample_of(processor: Any) -> PillowImage.Resampling:
    """The filter with which an image processor of transformers resizes."""
    if processor.resample is None:
        return PillowImage.Resampling.BILINEAR  # transformers' own default where a checkpoint says nothing
    return PillowImage.Resampling(int(processor.resample))


def on_device(pictures: Sequence[Image], device: torch.device) -> Tensor:
    """Pictures of one size as uint8 [B, height, width, 3] on a device: one copy, for which a GPU's host does not wait."""
    if device.type == "cpu":
        return torch.from_numpy(np.stack(pictures))
    host = torch.empty((len(pictures), *pictures[0].shape), dtype=torch.uint8, pin_memory=True)
    np.stack(pictures, out=host.numpy())
    return host.to(device, non_blocking=True)


def filled(pixels: Tensor, count: int) -> Tensor:
    """The pictures [B, ...], and copies of the first behind them up to ``count``."""
    missing = count - len(pixels)
    return torch.cat([pixels, pixels[:1].expand(missing, *pixels.shape[1:])]) if missing else pixels


class LevelTable:
    """What an image processor of transformers makes of pictures that have their size already, on any device.

    A value depends on its grey level and its channel alone, so that the processor is asked once, for the 256 levels, and a
    device looks up what it said. Nothing is computed twice in two ways that might round differently.
    """

    def __init__(self, processor: Any) -> None:
        """``processor`` does anything with a pixel's value, whatever its configuration; its resize is left out."""
        levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
        values = processor([PillowImage.fromarray(levels)], do_resize=False, return_tensors="pt")["pixel_values"]
        self._tables: dict[tuple[str, torch.dtype], Tensor] = {}
        self._table: Tensor = values[0].reshape(3, 256)

    def __call__(self, pictures: Sequence[Image], device: torch.device, dtype: torch.dtype) -> Tensor:
        """[B, 3, height, width] in ``dtype``, of pictures of one size."""
        pixels = on_device(pictures, device).permute(0, 3, 1, 2)
        values = torch.empty(pixels.shape, dtype=dtype, device=device)
        key = (str(device), dtype)
        if key not in self._tables:  # a copy for which the host would wait
            self._tables[key] = self._table.to(device, dtype)
        for channel, table in enumerate(self._tables[key]):
            plane = pixels[:, channel]
            values[:, channel] = table.index_select(0, plane.to(torch.int32).flatten()).view(plane.shape)
        return values


@dataclass(frozen=True, eq=False)
class Normaliser:
    """uint8 pictures of one size to the tensor that a model reads."""

    mean: tuple[float, float, float] = CLIP_MEAN
    """Mean of red, green and blue, of values scaled by ``scale``."""
    std: tuple[float, float, float] = CLIP_STD
    """Standard deviation of red, green and blue, likewise."""
    scale: float = 255.0
    """What the 0..255 values are divided by."""
    _statistics: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    """Device to mean and deviation there: a copy for each frame of a clip would be waited for."""

    def __call__(self, pictures: Sequence[Image], device: torch.device, dtype: torch.dtype) -> Tensor:
        """[B, 3, height, width] in ``dtype``, computed in float32 on ``device``."""
        pixels = on_device(pictures, device).permute(0, 3, 1, 2)
        return self.normalise(pixels.to(torch.float32).div_(self.scale)).to(dtype)

    def normalise(self, values: Tensor) -> Tensor:
        """Subtract the mean and divide by the deviation, in place, of float32 [..., 3, height, width] in 0..1."""
        if values.device not in self._statistics:
            mean, std = (
                torch.tensor(each, dtype=torch.float32, device=values.device).view(3, 1, 1)
                for each in (self.mean, self.std)
            )
            self._statistics[values.device] = mean, std
        mean, std = self._statistics[values.device]
        return values.sub_(mean).div_(std)
