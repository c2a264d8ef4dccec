"""An encoder's images and clips on their way through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.models.protocols import Encoder, Image
from lavad_core.models.shared_batches import SharedBatches

Seen = Image | tuple[Image, Image]
"""An image, or a two-frame clip."""

VisualBatches = SharedBatches[Seen, NDArray[np.float32]]


def visual_batches(encoder: Encoder, size: Callable[[], int]) -> VisualBatches:
    """Batches of images and batches of clips, ``size`` of either; each gets its vector, float32 [dimension]."""

    def vectors(items: Sequence[Any]) -> list[NDArray[np.float32]]:
        return list(encoder.embed_clips(items) if isinstance(items[0], tuple) else encoder.embed_images(items))

    return SharedBatches(vectors, size, kind_of=type)
