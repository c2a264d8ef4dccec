"""The resize in front of every model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lavad_core.video.geometry import resize_picture, target_size
from lavad_core.video.types import NATIVE, Geometry


@pytest.mark.parametrize(
    ("geometry", "size", "target"),
    [
        (NATIVE, (320, 240), (320, 240)),
        (Geometry("square", 224), (320, 240), (224, 224)),
        (Geometry("short_side", 224), (320, 240), (298, 224)),
        (Geometry("short_side", 224), (240, 320), (224, 298)),
        (Geometry("short_side", 224), (100, 100), (224, 224)),
        (Geometry("short_side", 224), (1, 10), (224, 2240)),
    ],
)
def test_sizes(geometry: Geometry, size: tuple[int, int], target: tuple[int, int]) -> None:
    assert target_size(geometry, *size) == target


@given(st.integers(1, 8192), st.integers(1, 8192), st.integers(1, 1024))
def test_the_long_side_is_that_of_the_models(width: int, height: int, side: int) -> None:
    short, long = sorted((width, height))
    assert max(target_size(Geometry("short_side", side), width, height)) == max(int(side * long / short), side)


def test_pixels_are_pillows() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    for geometry in (Geometry("square", 32), Geometry("short_side", 32), Geometry("square", 200)):
        width, height = target_size(geometry, 90, 60)
        expected = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))
        result = resize_picture(geometry, rgb)
        assert (result.shape, result.dtype) == ((height, width, 3), np.uint8)
        np.testing.assert_array_equal(result, expected)
        assert result.flags.c_contiguous


def test_the_right_size_is_left_alone() -> None:
    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert resize_picture(NATIVE, rgb) is rgb
    assert resize_picture(Geometry("square", 4), rgb) is rgb
    turned = resize_picture(NATIVE, np.rot90(rgb))
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, np.rot90(rgb))
