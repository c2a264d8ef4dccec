"""A video of many hours that nobody has to decode: the encoder's pass over it, with the real plan and nothing in the frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from lavad_core.config.schema import LavadConfig
from lavad_core.models.protocols import Image, Vectors
from lavad_core.stages import encode_video
from lavad_core.video import wanted
from lavad_core.video.types import NATIVE, Frame, FrameRequest, Probe

FRAME_RATE = 30
IMAGE: Image = np.zeros((1, 1, 3), np.uint8)


def probe_of(hours: float) -> Probe:
    """A whole video at 30 frames a second."""
    frames = round(hours * 3600 * FRAME_RATE)
    return Probe(
        status="ok",
        reason="",
        frames=frames,
        pts=np.arange(frames, dtype=np.int64),
        time_base=Fraction(1, FRAME_RATE),
        gaps=(),
        width=1,
        height=1,
        rotation=0,
        codec="none",
        container="none",
        frames_from_header=frames,
        counts={},
    )


class Encoder:
    """Every image and clip has the same short vector."""

    image_geometry = clip_geometry = NATIVE
    views_per_clip = 1

    def embed_images(self, images: Sequence[Any]) -> Vectors:
        return np.ones((len(images), 2), np.float32)

    embed_clips = embed_images


class Rows:
    """Counts what is written."""

    def __init__(self) -> None:
        self.rows = 0

    def write(self, table: Any) -> None:
        self.rows += len(table)

    def commit(self, **_: Any) -> None:
        """Nothing is kept."""


@contextmanager
def _decode(context: Any, probe: Probe, requests: Sequence[FrameRequest], model: Any) -> Iterator[Iterator[Frame]]:
    wanted.check_requests(requests, probe.frames)
    yield (
        Frame(index, number, IMAGE) for index, numbers in wanted.needed(requests, probe.frames) for number in numbers
    )


def encode(probe: Probe, **window: Any) -> tuple[int, int]:
    """The pass of ``embed_frames`` and ``embed_windows``: rows of each.

    Args:
        probe: of the video.
        window: settings of ``window``.
    """
    config = LavadConfig.model_validate({"window": {"constant_frame_rate": FRAME_RATE, **window}})
    models = SimpleNamespace(encoder=lambda: (Encoder(), nullcontext()))
    context: Any = SimpleNamespace(
        config=config,
        resources=SimpleNamespace(models=models, check_stop=lambda: None),
        count=lambda *_: None,
        at_work=nullcontext,
    )
    frames, windows = Rows(), Rows()
    with patch.multiple(encode_video, load_probe=lambda _: probe, decode_frames=_decode):
        encode_video.encode_video(context, frames_writer=frames, windows_writer=windows)  # type: ignore[arg-type]
    return frames.rows, windows.rows
