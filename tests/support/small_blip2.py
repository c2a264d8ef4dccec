"""Small random BLIP-2 captioners, pictures for them, and folders that were edited."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import transformers

from lavad_core.config.models import Blip2Config
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.protocols import Image

KINDS = ("opt", "t5")


def load(folder: Path, **settings: Any) -> Blip2Captioner:
    settings = {"device": "cpu", **settings}
    return Blip2Captioner.load(Blip2Config(model="unused", **settings), str(folder))


def image_processor(folder: Path) -> Any:
    """The image processor of transformers that a folder names."""
    return transformers.Blip2Processor.from_pretrained(folder, backend="pil").image_processor


def pictures(count: int, height: int = 90, width: int = 120) -> list[Image]:
    """Different smooth pictures."""
    y, x = np.mgrid[0:height, 0:width]
    return [
        np.stack([(x * (k + 1) + 40 * k) % 256, (y * (k + 2)) % 256, (x + y + 60 * k) % 256], -1).astype(np.uint8)
        for k in range(count)
    ]


def edited(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model's folder with another config.json."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    change(config)
    (target / "config.json").write_text(json.dumps(config))
    return target
