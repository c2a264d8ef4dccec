"""Pictures and frames of clips on their way to the vision tower."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.models.encoders.imagebind import preprocess
from lavad_core.models.encoders.imagebind.preprocess import centre_square, clip_frames, clip_size, crop_offsets
from lavad_core.models.pixels import CLIP_MEAN, CLIP_STD, Normaliser

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [
        pytest.param(224, 224, 0, 0, id="square"),
        pytest.param(224, 225, 0, 0, id="half rounds to the even 0"),
        pytest.param(224, 227, 0, 2, id="half rounds to the even 2"),
        pytest.param(229, 224, 2, 0, id="half rounds to the even 2, portrait"),
        pytest.param(224, 298, 0, 37, id="4:3"),
    ],
)
def test_centre_squares(height: int, width: int, top: int, left: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(centre_square(image, 224), image[top : top + 224, left : left + 224])


@pytest.mark.parametrize(
    ("height", "width", "offsets"),
    [
        pytest.param(224, 224, [(0, 0)], id="square"),
        pytest.param(224, 225, [(0, 0), (0, 1), (0, 1)], id="half rounds up"),
        pytest.param(224, 298, [(0, 0), (0, 37), (0, 74)], id="landscape"),
        pytest.param(229, 224, [(0, 0), (3, 0), (5, 0)], id="portrait"),
    ],
)
def test_crops(height: int, width: int, offsets: list[tuple[int, int]]) -> None:
    assert crop_offsets(height, width, 224) == offsets


@settings(deadline=None, max_examples=50)  # the machine may be busy
@given(height=st.integers(1, 90), width=st.integers(1, 90))
def test_any_size_gives_squares(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    assert centre_square(image, 16).shape == (16, 16, 3)
    frame = clip_frames([image], 16, Normaliser(), CPU)[0]
    for top, left in crop_offsets(frame.shape[1], frame.shape[2], 16):
        assert frame[:, top : top + 16, left : left + 16].shape == (3, 16, 16)


def test_normalised_like_the_published_recipe() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = (image.astype(np.float32) / np.float32(255) - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)
    ours = Normaliser()([image], CPU, torch.float32)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(ours, expected)
    same_size = clip_frames([image], 16, Normaliser(), CPU)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(same_size, expected)


def test_clip_frames_are_not_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[::2] = 255
    spread = clip_frames([stripes], 16, Normaliser((0, 0, 0), (1, 1, 1)), CPU)[0]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(stripes).permute(2, 0, 1)[None].float() / 255,
        size=(16, 16),
        mode="bilinear",
        align_corners=False,
    )[0]
    torch.testing.assert_close(spread, expected, atol=0, rtol=0)
    assert clip_frames([np.zeros((100, 333, 3), dtype=np.uint8)], 16, Normaliser(), CPU)[0].shape == (3, 16, 53)


@pytest.mark.parametrize(
    "copied", [pytest.param(1, id="each alone"), pytest.param(1 << 24, id="neighbours of a size together")]
)
def test_clip_frames_do_not_depend_on_what_is_copied_with_them(copied: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "_COPIED_BYTES", copied)
    copies: list[int] = []
    on_device = preprocess.on_device
    monkeypatch.setattr(
        preprocess, "on_device", lambda images, device: copies.append(len(images)) or on_device(images, device)
    )
    random = np.random.default_rng(0)
    sizes = [(48, 64), (48, 64), (48, 64), (64, 48), (33, 90), (48, 64)]
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    for image, frame in zip(images, clip_frames(images, 16, Normaliser(), CPU), strict=True):
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        size = clip_size(*image.shape[:2], 16)
        alone = torch.nn.functional.interpolate(pixels, size=size, mode="bilinear", align_corners=False)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
        assert torch.equal(frame, (alone[0] - mean) / std)
    assert copies == ([1] * 6 if copied == 1 else [3, 1, 1, 1])
