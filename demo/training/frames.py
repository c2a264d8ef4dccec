"""Training frames: pictures of random moments of training clips, their true sentences, and what is where in them."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad.demo import grammar
from lavad.demo.places import HEIGHT, WIDTH
from lavad.demo.script import SPLITS, script
from lavad_core.models.pixels import resized
from lavad_core.video.types import Geometry

LABELS = (
    *("walk", "stand", "run", "sit", "lie", "kneel", "fight", "guard", "hug", "up", "gun", "photo", "carry", "reach"),
    *("strike", "panic", "talk", "car", "crash", "bus", "dog", "ball", "fire", "smoke", "grill", "explosion", "steam"),
    *("lightning", "lamp", "door", "burglary", "linger", "face", "robbery", "crowd", "stare"),
    *("bench", "tree", "wall", "shelf"),
    *grammar.PEOPLE,
    *grammar.COLOURS,
)
"""What the vision tower learns to find, patch by patch."""

ACTS = tuple(grammar.FORMS)
_NUMBER = {label: number for number, label in enumerate(LABELS)}

_OFTEN = {
    "idle": 0.3,
    "explosion": 4.0,
    "smoke": 2.0,
    "linger": 2.0,
    "face": 2.0,
    "stare": 2.0,
    "fall": 3.0,
    "kneel": 1.5,
    "burglary": 1.5,
    "fight": 2.0,
}
"""How much more often than by their length some acts are taken."""

GAP = 16
"""Between the two frames of a clip: the grid's."""


@dataclass
class TrainingFrames:
    """n frames."""

    pictures: NDArray[np.uint8]
    """uint8 [n, 180, 240, 3], with the losses of H.264."""
    later: NDArray[np.uint8] | None
    """The pictures ``GAP`` frames later, where wanted; otherwise None."""
    sentences: list[str]
    """The true sentence of each frame."""
    around: list[list[str]]
    """The true sentences of the window around each, where ``later`` is wanted, otherwise empty lists."""
    scenes: list[grammar.Scene]
    """What the sentences are made of."""
    clips: NDArray[np.int64]
    """int64 [n], the number of each frame's clip."""
    boxes: list[NDArray[np.float32]]
    """For each frame (label number, left, top, right, bottom), float32 [k, 5]."""


def make_frames(
    clips: range, per_clip: int, *, split: str = "train", seed: int = 0, later: bool = False, workers: int = 2
) -> TrainingFrames:
    """Frames of training clips. Rare scenes are taken as often as long ones.

    Args:
        clips: numbers of clips.
        per_clip: frames of each.
        split, seed: which clips, and the seed of their world.
        later: with the second frame of a two-frame clip.
        workers: processes.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(partial(_of_clip, split, seed, per_clip, later), clips, chunksize=8))
    return TrainingFrames(
        np.concatenate([part[0] for part in made]),
        np.concatenate([part[1] for part in made]) if later else None,
        [grammar.sentence(scene) for part in made for scene in part[2]],
        [window for part in made for window in part[4]],
        [scene for part in made for scene in part[2]],
        np.repeat(np.asarray(clips, np.int64), per_clip),
        [boxes for part in made for boxes in part[3]],
    )


def _of_clip(
    split: str, seed: int, count: int, later: bool, number: int
) -> tuple[
    NDArray[np.uint8], NDArray[np.uint8] | None, list[grammar.Scene], list[NDArray[np.float32]], list[list[str]]
]:
    clip = script(split, seed, number)
    random = np.random.default_rng([SPLITS[split], seed, number, 7])
    last = clip.frames - GAP
    scenes = [clip.scene(frame) for frame in range(last)]
    runs = [list(run) for _, run in groupby(range(last), key=lambda frame: scenes[frame])]
    weights = np.sqrt([len(run) for run in runs])
    weights *= [_OFTEN.get(scenes[run[0]].act, 1.0) for run in runs]
    chosen = random.choice(len(runs), count, p=weights / weights.sum())
    frames = [int(random.choice(runs[run])) for run in chosen]
    pictures = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    second = np.empty_like(pictures) if later else None
    boxes = []
    for at, frame in enumerate(frames):
        picture, marks = clip.picture(frame)
        quality = int(random.integers(30, 75))
        pictures[at] = _compressed(picture, quality)
        if second is not None:
            second[at] = _compressed(clip.picture(frame + GAP)[0], quality)
        boxes.append(
            np.array([(_NUMBER[label], *box) for label, box in marks if label in _NUMBER], np.float32).reshape(-1, 5)
        )
    around = [
        [grammar.sentence(scenes[at]) for at in range(max(0, frame - 72), min(last, frame + 73), GAP)] if later else []
        for frame in frames
    ]
    return pictures, second, [scenes[frame] for frame in frames], boxes, around


def _compressed(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A picture with the losses of compression. JPEG's are of H.264's kind and need no neighbours."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def squashed(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Brought to a square of ``side`` pixels as BLIP-2's processor does: uint8 [n, side, side, 3]."""
    return np.stack([resized(picture, Geometry("square", side)) for picture in pictures])


def patch_labels(boxes: list[NDArray[np.float32]], grid: int) -> NDArray[np.bool_]:
    """What lies in each patch of a squashed picture: bool [n, grid², len(LABELS)].

    A label holds for a patch that its box covers by a third, and for the patch of its box's middle.
    """
    out = np.zeros((len(boxes), grid, grid, len(LABELS)), bool)
    wide, high = WIDTH / grid, HEIGHT / grid
    left, top = np.arange(grid) * wide, np.arange(grid) * high
    for frame, rows in enumerate(boxes):
        for label, x0, y0, x1, y1 in rows:
            across = np.clip(np.minimum(left + wide, x1) - np.maximum(left, x0), 0, None) / wide
            down = np.clip(np.minimum(top + high, y1) - np.maximum(top, y0), 0, None) / high
            out[frame, :, :, int(label)] |= np.outer(down, across) > 1 / 3
            row, column = int((y0 + y1) / 2 // high), int((x0 + x1) / 2 // wide)
            if 0 <= row < grid and 0 <= column < grid:
                out[frame, row, column, int(label)] = True
    return out.reshape(len(boxes), grid * grid, len(LABELS))
