"""A small random ImageBind: its files, and the encoder of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lavad_core.config.models import ImageBindConfig
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.random_encoders import make_imagebind


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagebind")
    make_imagebind(path, seed=3)
    return path


@pytest.fixture(scope="session")
def encoder(folder: Path) -> ImageBindEncoder:
    return ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu", batch_size=8))


@pytest.fixture
def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "imagebind.safetensors")
