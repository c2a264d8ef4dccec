"""Pictures to normalised tensors: resize, crop, scale. Shared by the encoders; no torchvision."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Normaliser:
    """uint8 pictures of one size to the tensor that a model reads."""

    mean: tuple[float, float, float] = CLIP_MEAN
    """Mean of red, green and blue, of values scaled by ``scale``."""
    std: tuple[float, float, float] = CLIP_STD
    """Standard deviation of red, green and blue, likewise."""
    scale: float = 255.0
    """What the 0..255 values are divided by."""

    def __call__(self, pictures: Sequence[Image], device: torch.device, dtype: torch.dtype) -> Tensor:
        """[B, 3, height, width] in ``dtype``, computed in float32 on ``device``."""
        batch: NDArray[np.uint8] = np.stack(pictures)
        pixels = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
        return self.normalise(pixels.to(torch.float32).div_(self.scale)).to(dtype)

    def normalise(self, values: Tensor) -> Tensor:
        """Subtract the mean and divide by the deviation, in place, of float32 [..., 3, height, width] in 0..1."""
        return values.sub_(_statistic(self.mean, values.device)).div_(_statistic(self.std, values.device))


@functools.lru_cache(maxsize=64)  # each would be a copy to the device, and a wait for it, for every frame of a clip
def _statistic(values: tuple[float, float, float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1)
