"""A video's key frames as small JPEG files, decoded as the models' frames are."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from lavad_core.reports.video import KeyFrame, VideoReport
from lavad_core.video.decoder import open_frames
from lavad_core.video.limits import Limits
from lavad_core.video.types import FrameRequest, Geometry, Probe, VideoSource

SIDE = 180
"""Short side, pixels: four of them stand beside each other on a page."""

QUALITY = 80
"""A picture of 240x180 is 5 to 12 kB."""


@dataclass(frozen=True)
class DecodableVideo:
    """A video that is at hand, its timeline, and what decoding may take."""

    source: VideoSource
    """Where it is."""
    probe: Probe = field(repr=False)
    """Its timeline."""
    limits: Limits
    """What decoding may take."""


@dataclass(frozen=True)
class VideoCard:
    """A video with its key frames."""

    video: VideoReport
    """The results of the video."""
    key_frames: Sequence[KeyFrame] = ()
    """The key frames, in order of time."""
    pictures: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    """Frame to JPEG, for all of ``key_frames``; empty where the video is not at hand."""


def video_card(report: VideoReport, video: DecodableVideo, shown: Sequence[KeyFrame]) -> VideoCard:
    """A video with the pictures of these key frames.

    Raises:
        VideoRejected: it is gone or has changed.
    """
    return VideoCard(report, shown, pictures(video, [frame.at.frame for frame in shown]))


def pictures(video: DecodableVideo, frames: Collection[int]) -> dict[int, bytes]:
    """Frames as JPEG, by index from 0.

    Raises:
        VideoRejected: it is gone or has changed.
    """
    request = FrameRequest(Geometry("short_side", SIDE), sorted(frames))
    with open_frames(video.source, [request], video.probe, video.limits) as decoded:
        return {frame.index: _jpeg(frame.image) for frame in decoded}


def _jpeg(image: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, optimize=True)  # type: ignore[arg-type]
    return file.getvalue()
