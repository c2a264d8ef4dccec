"""Makes the demonstration's models from scratch: one vision tower, five captioners, ImageBind, Llama, and a Llama that has
learned yes and no beside.

On a processor of two cores it takes well under three hours; each model's card says how long it took. The same seeds give
models as good, not the same bytes: threads add up in another order.

Usage: python -m lavad.demo.train [--models demo/models] [--only NAME …] [--share 1.0]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from transformers import Blip2VisionModel

from lavad.demo import grammar
from lavad.demo.training.captioners import (
    CAPTIONERS,
    LARGE_SIDE,
    CaptionerInTraining,
    features,
    for_larger_images,
    train_captioner,
)
from lavad.demo.training.cards import write_card
from lavad.demo.training.frames import TrainingFrames, make_frames, patch_labels, squashed
from lavad.demo.training.imagebind import Pairs, pairs_of, train_imagebind
from lavad.demo.training.llama import train_llama
from lavad.demo.training.loop import TrainingRecord
from lavad.demo.training.questions import train_to_answer
from lavad.demo.training.vision import PATCH, SIDE, new_tower, train_vision

MODELS = Path(__file__).parent / "models"
QUESTIONS = "llama-questions"
"""The model that is trained on from ``llama``."""

SEED = 0
SETS = {"vision": (0, 9000, 12), "captioner": (2, 4500, 8), "imagebind": (1, 4500, 6)}
"""Seed of the world, clips and frames of each, by what they train. Each model learns from clips that its vision tower has not
seen: on those it has, the tower is surer than it will ever be again."""

STEPS = {"vision": 7000, "captioner": 1500, "imagebind": 1200}
_CHUNK = 300


def log(line: str) -> None:
    """Progress goes to standard error."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Train what is asked for."""
    names = ["vision", *(captioner.name for captioner in CAPTIONERS), "imagebind", "llama", QUESTIONS]
    parser = argparse.ArgumentParser(description="Train the demonstration's models from scratch.")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder to write to")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="models to train; the others stay")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps and clips, for a trial")
    parser.add_argument("--threads", type=int, help="of this process; two trainings beside each other take one each")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    given.models.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    work = given.models / ".work"
    work.mkdir(exist_ok=True)
    if "vision" in given.only:
        _vision(work, given.share)
    captioners = [captioner for captioner in CAPTIONERS if captioner.name in given.only]
    if captioners:
        _captioners(captioners, work, given.models, given.share)
    if "imagebind" in given.only:
        _imagebind(work, given.models, given.share)
    if "llama" in given.only:
        folder = _folder(given.models, "llama")
        write_card(folder, "llama", train_llama(folder, SEED, log=log), _machine())
    if QUESTIONS in given.only:
        folder = _folder(given.models, QUESTIONS)
        record = train_to_answer(given.models / "llama", folder, SEED, log)
        write_card(folder, QUESTIONS, record, _machine(), start="the weights of `llama`")
    log(f"{', '.join(given.only)}: {(time.monotonic() - began) / 60:.0f} minutes")


def _folder(models: Path, name: str) -> Path:
    folder = models / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _machine() -> str:
    threads = torch.get_num_threads()
    return f"{threads} {'thread' if threads == 1 else 'threads'}, {platform.machine()}, torch {torch.__version__.split('+')[0]}"


def _steps(what: str, share: float) -> int:
    return max(2, int(STEPS[what] * share))


def _chunks(what: str, share: float, later: bool = False) -> Iterator[TrainingFrames]:
    """Frames of many clips, a few hundred at a time: all at their full size would take 14 GB."""
    seed, clips, per_clip = SETS[what]
    clips = max(1, round(clips * share))
    for start in range(0, clips, _CHUNK):
        end = min(start + _CHUNK, clips)
        yield make_frames(range(start, end), per_clip, seed=seed, later=later)
        log(f"rendered {end} of {clips} clips")


def _vision(work: Path, share: float) -> None:
    pictures, dense = [], []
    scenes: list[grammar.Scene] = []
    for frames in _chunks("vision", share):
        pictures.append(squashed(frames.pictures, SIDE))
        dense.append(patch_labels(frames.boxes, SIDE // PATCH))
        scenes += frames.scenes
    tower, record = train_vision(
        np.concatenate(pictures),
        np.concatenate(dense),
        scenes,
        steps=_steps("vision", share),
        seed=SEED,
        log=log,
    )
    torch.save(tower.state_dict(), work / "vision.pt")
    (work / "vision.json").write_text(json.dumps(asdict(record)))


def _tower(work: Path) -> tuple[Blip2VisionModel, TrainingRecord]:
    """The trained tower.

    Raises:
        SystemExit: it was not trained yet.
    """
    if not (work / "vision.pt").is_file():
        raise SystemExit("the vision tower is not trained yet: run this once with `--only vision`")
    tower = new_tower()
    tower.load_state_dict(torch.load(work / "vision.pt", weights_only=True))
    return tower.eval(), TrainingRecord(**json.loads((work / "vision.json").read_text()))


def _captioners(captioners: Sequence[CaptionerInTraining], work: Path, models: Path, share: float) -> None:
    tower, vision = _tower(work)
    towers = {SIDE: tower, LARGE_SIDE: for_larger_images(tower)}
    seen: dict[int, list[torch.Tensor]] = {side: [] for side in towers}
    scenes: list[grammar.Scene] = []
    for frames in _chunks("captioner", share):
        for side, each in towers.items():
            seen[side].append(features(each, frames.pictures))
        scenes += frames.scenes
    joined = {side: torch.cat(parts) for side, parts in seen.items()}
    for number, captioner in enumerate(CAPTIONERS):
        if captioner not in captioners:
            continue
        folder, seed = _folder(models, captioner.name), SEED + 1 + number
        record = train_captioner(
            captioner,
            towers[captioner.side],
            joined[captioner.side],
            scenes,
            folder,
            steps=_steps("captioner", share),
            seed=seed,
            log=log,
        )
        write_card(folder, captioner.name, {"seed": seed, **asdict(record)}, _machine(), vision=asdict(vision))


def _imagebind(work: Path, models: Path, share: float) -> None:
    tower, vision = _tower(work)
    pairs = Pairs.joined([pairs_of(frames) for frames in _chunks("imagebind", share, later=True)])
    folder = _folder(models, "imagebind")
    record = train_imagebind(
        tower,
        pairs,
        folder,
        steps=_steps("imagebind", share),
        seed=SEED + 20,
        log=log,
        per_clip=SETS["imagebind"][2],
    )
    write_card(folder, "imagebind", {"seed": SEED + 20, **asdict(record)}, _machine(), vision=asdict(vision))


if __name__ == "__main__":
    main()
