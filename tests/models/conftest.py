"""Random BLIP-2 captioners, one of each architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_blip2 import KINDS, load

from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.random_models import random_folder


@pytest.fixture(scope="session")
def blip2_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("blip2")
    return {kind: random_folder(f"blip2-{kind}", root) for kind in KINDS}


@pytest.fixture(scope="module")
def captioners(one_thread: None, blip2_folders: dict[str, Path]) -> dict[str, Blip2Captioner]:
    return {kind: load(folder) for kind, folder in blip2_folders.items()}
