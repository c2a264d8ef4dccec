"""A folder as `lavad demo` fills it, with three clips of a second or four, small random models and an empty store."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np

from lavad_core.config.load import preset_text
from support.video_factory import make_video

CLIPS = {"01_normal": 48, "02_fire": 64, "03_fight": 48}
CAPTIONERS = ["random-blip2-opt", "random-blip2-t5"]


def write_demonstration(folder: Path) -> Path:
    """Fill a folder that exists."""
    (folder / "videos").mkdir()
    (folder / "store").mkdir()
    for number, (name, frames) in enumerate(CLIPS.items()):
        make_video(folder / f"videos/{name}.mp4", frames, fps=15, draw=partial(_picture, number))
    (folder / "labels.txt").write_text(
        "01_normal.mp4  Normal  -1  -1  -1  -1\n02_fire.mp4  fire  20  45  -1  -1\n03_fight.mp4  fight  10  30  -1  -1\n"
    )
    truths = [
        {"name": name, "frames": frames, "frame_rate": 15, "events": [], "sentences": [[0, frames, "A street."]]}
        for name, frames in CLIPS.items()
    ]
    (folder / "truth.json").write_text(json.dumps({"recipe": {}, "clips": truths}))
    (folder / "lavad.yaml").write_text(preset_text("tiny"))
    return folder


def _picture(clip: int, index: int, size: tuple[int, int]) -> np.ndarray:
    """Noise that differs from clip to clip and from frame to frame, so that the captions do."""
    return np.random.default_rng([clip, index // 16]).integers(0, 255, (size[1], size[0], 3), np.uint8)
