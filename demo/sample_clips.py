"""Renders a few short H.264 clips, so that a first run has real video files: figures walk through a street; in every second
clip something flashes for two seconds. Seeded: the same clips each time.

Usage: python demo/sample_clips.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SIZE = (240, 320)
FRAME_RATE = 30
SECONDS = (8, 12, 10, 9, 11, 10)


def background(random: np.random.Generator) -> NDArray[np.float32]:
    """A street: sky, wall with windows, pavement."""
    height, width = SIZE
    scene = np.zeros((height, width, 3), np.float32)
    scene[: height // 3] = random.uniform(90, 180, 3)
    scene[height // 3 : 2 * height // 3] = random.uniform(60, 140, 3)
    scene[2 * height // 3 :] = random.uniform(40, 90)
    for column in range(20, width - 40, 60):
        scene[height // 3 + 20 : height // 3 + 50, column : column + 30] = random.uniform(20, 220, 3)
    return scene


def clip(number: int) -> list[NDArray[np.uint8]]:
    """The frames of one clip."""
    random = np.random.default_rng(number)
    height, width = SIZE
    scene = background(random)
    total = SECONDS[number] * FRAME_RATE
    flash = range(total // 2, total // 2 + 2 * FRAME_RATE) if number % 2 else range(0)
    walkers = [(random.integers(0, width), random.uniform(-2, 2), random.uniform(0, 255, 3)) for _ in range(3)]
    frames = []
    for index in range(total):
        picture = scene.copy()
        for place, (start, speed, colour) in enumerate(walkers):
            x = int(start + speed * index) % (width - 16)
            y = 2 * height // 3 - 20 + 20 * place
            picture[y : y + 40, x : x + 14] = colour
        if index in flash:
            picture[120:200, 100:220] = (255, 160 + 90 * (index % 2), 30)
        picture += random.normal(0, 3, picture.shape)
        frames.append(picture.clip(0, 255).astype(np.uint8))
    return frames


def write(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """H.264 in MP4; under its own name only when it is complete."""
    unfinished = path.with_suffix(".part")
    with av.open(str(unfinished), "w", format="mp4") as media:
        stream = media.add_stream("libx264", rate=FRAME_RATE, options={"crf": "23", "preset": "veryfast"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            media.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        media.mux(stream.encode())
    unfinished.rename(path)


def main() -> None:
    """Write the clips that are not there yet."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(SECONDS)):
        path = folder / f"street_{number + 1}.mp4"
        if not path.exists():
            write(path, clip(number))
    print(f"{len(SECONDS)} clips in {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
