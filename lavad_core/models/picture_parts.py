"""Pictures as parts of a message to a server: JPEG in a ``data:`` URI."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image as PillowImage

from lavad_core.models.protocols import Image

_GREY = 127


def data_uri(image: Image, quality: int) -> str:
    """A picture as JPEG of a quality of 1 to 100, base64, in a ``data:`` URI."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def blank(side: int) -> Image:
    """A grey square, which nobody has a reason to refuse; its side in pixels."""
    return np.full((side, side, 3), _GREY, np.uint8)


def picture_part(uri: str) -> dict[str, object]:
    """A picture as a part of a message's content."""
    return {"type": "image_url", "image_url": {"url": uri}}
