"""Frames of a video as small JPEG files, decoded as the models' frames are."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, field

from PIL import Image

from lavad_core.video.decoder import open_frames
from lavad_core.video.limits import Limits
from lavad_core.video.types import FrameRequest, Geometry, Probe, VideoSource

SIDE = 180
"""Short side, pixels: four of them stand beside each other on a page."""

QUALITY = 80
"""A picture of 240x180 is 5 to 12 kB."""


@dataclass(frozen=True)
class Footage:
    """A video that can be decoded.

    Attributes:
        source: where it is.
        probe: of it.
        limits: what decoding may take.
    """

    source: VideoSource
    probe: Probe = field(repr=False)
    limits: Limits


def pictures(footage: Footage, frames: Collection[int]) -> dict[int, bytes]:
    """Frames as JPEG, by index.

    Args:
        footage: the video.
        frames: which, 0-based.

    Raises:
        VideoRejected: it is gone or has changed.
    """
    request = FrameRequest(Geometry("short_side", SIDE), sorted(frames))
    with open_frames(footage.source, [request], footage.probe, footage.limits) as decoded:
        return {frame.index: _jpeg(frame.image) for frame in decoded}


def _jpeg(image: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, optimize=True)  # type: ignore[arg-type]
    return file.getvalue()
