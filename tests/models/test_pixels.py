"""Pictures on their way to a device: a captioner's values are those of transformers' image processor, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from lavad_core.models import pixels
from lavad_core.models.pixels import LevelTable, Normaliser, on_device

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="as published"),
        pytest.param({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.23, 0.37]}, id="other statistics"),
        pytest.param({"image_mean": 0.5, "image_std": 0.25}, id="one number for all channels"),
        pytest.param({"rescale_factor": 1 / 127.5}, id="another scale"),
        pytest.param({"rescale_factor": 0.0039}, id="a rounded scale"),
        pytest.param({"do_normalize": False}, id="not normalised"),
        pytest.param({"do_rescale": False}, id="not scaled"),
        pytest.param({"do_rescale": False, "do_normalize": False}, id="grey levels"),
    ],
)
def test_every_level_of_every_channel_is_the_processors(settings: dict[str, Any], dtype: torch.dtype) -> None:
    processor = transformers.BlipImageProcessorPil(size={"height": 48, "width": 48}, **settings)
    random = np.random.default_rng(0)
    picture = (
        np.stack([random.permutation(48 * 48) % 256 for _ in range(3)], axis=1).astype(np.uint8).reshape(48, 48, 3)
    )
    assert all(len(np.unique(picture[..., channel])) == 256 for channel in range(3))
    pictures = [picture, picture[::-1], picture[:, ::-1]]
    expected = processor([np.ascontiguousarray(one) for one in pictures], return_tensors="pt")["pixel_values"]
    values = LevelTable(processor)(pictures, CPU, dtype)
    assert values.dtype == dtype
    assert values.is_contiguous()
    assert torch.equal(values, expected.to(dtype))


def test_a_batch_is_copied_and_pictures_may_be_read_only() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    picture.flags.writeable = False
    batch = on_device([picture, picture[::-1]], CPU)
    assert batch.dtype == torch.uint8
    batch.zero_()
    assert picture.any()


@pytest.mark.parametrize(
    "values_of",
    [
        pytest.param(
            LevelTable(transformers.BlipImageProcessorPil(size={"height": 4, "width": 4})), id="a captioner's"
        ),
        pytest.param(Normaliser(), id="an encoder's"),
    ],
)
def test_a_batch_is_one_copy(values_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[int] = []
    monkeypatch.setattr(
        pixels, "on_device", lambda pictures, device: copies.append(len(pictures)) or on_device(pictures, device)
    )
    assert len(values_of([np.zeros((4, 4, 3), np.uint8)] * 5, CPU, torch.float32)) == 5
    assert copies == [5]


def test_the_host_does_not_wait_for_a_copy_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """From page-locked memory, without which CUDA waits all the same."""
    asked: list[Any] = []
    empty, gpu = torch.empty, torch.device("cuda", 0)

    def allocated(*shape: Any, pin_memory: bool = False, **how: Any) -> Tensor:
        asked.append(pin_memory)
        return empty(*shape, **how)

    def copied(host: Tensor, device: torch.device, *, non_blocking: bool = False) -> Tensor:
        asked.append((device, non_blocking))
        return host

    monkeypatch.setattr(torch, "empty", allocated)
    monkeypatch.setattr(Tensor, "to", copied)
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    batch = on_device([picture, picture[::-1]], gpu)
    assert asked == [True, (gpu, True)]
    assert np.array_equal(batch.numpy(), [picture, picture[::-1]])
