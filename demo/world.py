"""The small world: short surveillance-like H.264 clips with frame-exact ground truth and a true sentence for every frame.

A clip is a static camera at one place, by day or night: people walk, talk, run, play; cars and buses pass; a lamp flickers,
lightning flashes; for stretches nobody is there. In event clips one event of 11 to 20 s begins anywhere: a fight, a fall, a
fire, an explosion, a burglary, a robbery, a collision, a running crowd. Much of what is normal here is fast and bright, and
some events are slow and still, so that motion alone tells little. Everything follows from (split, seed, number): training,
validation and demonstration clips have disjoint seeds and disjoint places.

Usage: python -m lavad.demo.world FOLDER [--split demo] [--seed 0] [--clips 24]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import av

from lavad.demo.acts import FRAME_RATE
from lavad.demo.clip import Event, Truth
from lavad.demo.places import HEIGHT, WIDTH
from lavad.demo.script import SPLITS, script
from lavad_core.user_files import replacing

RECIPE = 1
"""Raise it when clips of a seed change, so that rendered sets are rendered again."""


def write_set(
    folder: Path, split: str = "demo", seed: int = 0, clips: int = 24, workers: int | None = None
) -> list[Truth]:
    """Render clips: ``videos/NAME.mp4``, ``labels.txt`` (temporal annotation), ``truth.json``.

    Args:
        folder: made if it does not exist. What it holds of the same split, seed and recipe is kept.
        split, seed: which clips.
        clips: how many; every second one has an event.
        workers: processes; None for one a core.

    Returns:
        The truths, in the order of the clips.
    """
    recipe = {"recipe": RECIPE, "split": split, "seed": seed, "clips": clips}
    truth_file = folder / "truth.json"
    if truth_file.is_file() and json.loads(truth_file.read_text(encoding="utf-8"))["recipe"] == recipe:
        truths = read_truth(folder)
        if all((folder / "videos" / f"{truth.name}.mp4").is_file() for truth in truths):
            return truths
    videos = folder / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    truth_file.unlink(missing_ok=True)
    for left in videos.glob("*.mp4"):  # of another seed
        left.unlink()
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        truths = list(pool.map(partial(_write_clip, videos, split, seed), range(clips)))
    (folder / "labels.txt").write_text("".join(f"{_label(truth)}\n" for truth in truths), encoding="utf-8")
    with replacing(truth_file) as draft:
        draft.write_text(
            json.dumps({"recipe": recipe, "clips": [_packed(truth) for truth in truths]}), encoding="utf-8"
        )
    return truths


def read_truth(folder: Path) -> list[Truth]:
    """The truths of a rendered set.

    Raises:
        FileNotFoundError: nothing was rendered there.
    """
    packed = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["clips"]
    return [
        Truth(
            clip["name"],
            clip["frames"],
            clip["frame_rate"],
            tuple(Event(**event) for event in clip["events"]),
            tuple(text for first, end, text in clip["sentences"] for _ in range(first, end)),
        )
        for clip in packed
    ]


def _packed(truth: Truth) -> dict[str, object]:
    """For JSON: of equal sentences in a row the first frame, the one after the last, and the text."""
    sentences = truth.sentences
    changes = [0, *(at for at in range(1, truth.frames) if sentences[at] != sentences[at - 1]), truth.frames]
    runs = [(first, end, sentences[first]) for first, end in pairwise(changes)]
    return {**asdict(truth), "sentences": runs}


def _label(truth: Truth) -> str:
    event = truth.events[0] if truth.events else None
    return f"{truth.name}.mp4  {event.kind if event else 'Normal'}  " + (
        f"{event.first}  {event.last}  -1  -1" if event else "-1  -1  -1  -1"
    )


def _write_clip(videos: Path, split: str, seed: int, number: int) -> Truth:
    clip = script(split, seed, number)
    path = videos / f"{clip.name}.mp4"
    with replacing(path) as draft, av.open(str(draft), "w", format="mp4") as media:
        stream = media.add_stream(
            "libx264", rate=FRAME_RATE, options={"crf": "26", "preset": "veryfast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in (clip.picture(frame)[0] for frame in range(clip.frames)):
            media.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        media.mux(stream.encode())
    return clip.truth()


def main() -> None:
    """Render a set."""
    parser = argparse.ArgumentParser(description="Render clips of the small world.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=list(SPLITS), default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    truths = write_set(given.folder, given.split, given.seed, given.clips)
    minutes = sum(truth.frames / truth.frame_rate for truth in truths) / 60
    events = sum(bool(truth.events) for truth in truths)
    print(f"{len(truths)} clips, {events} with an event, {minutes:.1f} minutes in {given.folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
