"""Packed pictures come back to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.video_factory import make_video, picture
from support.video_limits import default_limits

from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.packed_picture import packed, unpacked
from lavad_core.video.types import NATIVE, FrameRequest, VideoSource


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


PICTURES = {
    "one pixel": noise(1, 1),
    "one row": noise(1, 7),
    "one column": noise(9, 1),
    "odd": noise(33, 17),
    "every step of colour": np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1)[..., [0, 1, 0]].astype(np.uint8),
    "extremes": (noise(16, 16) > 127).astype(np.uint8) * 255,
    "every other row and column": noise(40, 30)[::2, ::2],
    "turned": np.rot90(picture(5)),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_come_back(case: str) -> None:
    image = PICTURES[case]
    before = image.copy()
    found = unpacked(packed(image), *image.shape[:2])
    assert np.array_equal(image, before)
    assert np.array_equal(found, image)
    assert (found.dtype, found.flags.c_contiguous) == (np.uint8, True)


def test_decoded_pictures_take_less_than_is_expected_of_them(tmp_path: Path) -> None:
    def drawn(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A slope with the grain of a camera."""
        y, x = np.mgrid[0 : size[1], 0 : size[0]]
        slopes = np.stack([x + index, y, x + y], -1) // 4
        return (slopes + np.random.default_rng(index).normal(60, 6, slopes.shape)).astype(np.uint8)

    video = VideoSource("v", make_video(tmp_path / "v.mp4", frames=6, size=(320, 240), draw=drawn))
    found = probe(video, default_limits(), 30.0)
    with open_frames(video, [FrameRequest(NATIVE, [5])], found, default_limits()) as frames:
        (image,) = (frame.image for frame in frames)
    data = packed(image)
    assert np.array_equal(unpacked(data, 240, 320), image)
    assert len(data) < image.nbytes / 2
