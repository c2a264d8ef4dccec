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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache, partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad.demo import grammar
from lavad.demo.acts import FRAME_RATE, Act, scene_of
from lavad.demo.figures import Canvas, Person
from lavad.demo.places import HEIGHT, WIDTH, Place, make_place

RECIPE = 1
"""Raise it when clips of a seed change, so that rendered sets are rendered again."""

SPLITS = {"train": 1, "validation": 2, "demo": 3}
"""First number of every seed of a split: no two splits share a random number, and so no place."""

SECONDS = (46, 56)
"""Length of a clip, seconds."""

EVENT_SECONDS = (11, 20)

Picture = NDArray[np.uint8]
Marks = list[tuple[str, tuple[float, float, float, float]]]


@dataclass(frozen=True)
class Interval:
    """An event: ``kind`` of ``grammar.EVENTS``, frames ``first`` to ``last``, 0-based, inclusive."""

    kind: str
    first: int
    last: int


@dataclass(frozen=True)
class Truth:
    """What is true of a clip.

    Attributes:
        name: stem of its file.
        frames: how many.
        frame_rate: per second.
        events: none for a normal clip.
        sentences: the true one of every frame.
    """

    name: str
    frames: int
    frame_rate: int
    events: tuple[Interval, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """The script of a clip.

    Attributes:
        number: within its set.
        place, night: where and when.
        frames: how many.
        main: acts that follow one another; between them nobody is there.
        beside: acts that pass by.
        event: the one of ``main`` that is an event.
        seed: of its noise.
    """

    number: int
    place: Place
    night: bool
    frames: int
    main: tuple[Act, ...]
    beside: tuple[Act, ...]
    event: Act | None
    seed: int

    @property
    def name(self) -> str:
        """Stem of its file: number, event or ``normal``, place."""
        kind = self.event.act if self.event else "normal"
        return f"{self.number + 1:02d}_{kind}_{self.place.kind.replace(' ', '_')}"

    def scene(self, frame: int) -> grammar.Scene:
        """What can be seen in a frame."""
        act = next((act for act in self.main if act.is_on(frame)), None)
        seen = act.seen(frame) if act else "idle"
        passing = next((act for act in self.beside if act.is_on(frame) and act.seen(frame) != "idle"), None)
        if seen == "idle" and passing is not None:
            return scene_of(passing, passing.act, self.place, self.night)
        if act is None or seen == "idle":
            return grammar.Scene("idle", self.place.kind, self.night)
        scene = scene_of(act, seen, self.place, self.night)
        if passing is None:
            return scene
        aside = scene_of(passing, passing.act, self.place, self.night)
        who = aside.who[0] if aside.who else ""
        return replace(scene, aside=passing.act, aside_who=who, aside_colour="" if who else aside.colour)

    def truth(self) -> Truth:
        """What is true of it."""
        sentences = tuple(grammar.sentence(self.scene(frame)) for frame in range(self.frames))
        events = (Interval(self.event.act, self.event.first, self.event.last),) if self.event else ()
        return Truth(self.name, self.frames, FRAME_RATE, events, sentences)

    def picture(self, frame: int) -> tuple[Picture, Marks]:
        """A frame, uint8 [180, 240, 3], and what is where in it."""
        canvas = Canvas(self.place.background.copy())
        acts = [act for act in (*self.main, *self.beside) if act.is_on(frame)]
        for act in sorted(acts, key=lambda act: act.foot):
            act.draw(canvas, frame, self.place)
        flashes = {act.act for act in acts if act.act in ("lightning", "lamp") and act.seen(frame) == act.act}
        pixels = np.asarray(canvas.image, np.float32) * self._light(flashes)
        lit = Canvas(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), canvas.marks)
        for shine in canvas.shining:
            shine(lit)
        for flash in flashes:
            lit.mark(flash, (0, 0, WIDTH, HEIGHT))
        pixels = np.asarray(lit.image, np.float32) + self._noise(frame)
        return pixels.clip(0, 255).astype(np.uint8), lit.marks

    def _light(self, flashes: set[str]) -> NDArray[np.float32]:
        """Brightness of each pixel, float32 [180, 240, 3] or one that broadcasts to it."""
        if "lightning" in flashes:
            return np.array([1.35, 1.4, 1.55], np.float32)
        light = _lamplight(self.place.lamps, self.place.kind in grammar.INDOORS) if self.night else _DAY
        return light * np.float32(0.5) if "lamp" in flashes else light

    def _noise(self, frame: int) -> NDArray[np.float32]:
        random = np.random.default_rng([self.seed, frame])
        noise = _noise_pool(7.0 if self.night else 3.5)[random.integers(_NOISES)]
        return noise[:: random.choice((-1, 1)), :: random.choice((-1, 1))]


_DAY = np.ones((1, 1, 1), np.float32)
_NOISES = 16


@cache
def _noise_pool(size: float) -> NDArray[np.float32]:
    """Sensor noise of a standard deviation, float32 [16, 180, 240, 3]: grey for the most part."""
    random = np.random.default_rng(0)
    grey = random.normal(0, size, (_NOISES, HEIGHT, WIDTH, 1))
    return np.asarray(grey + random.normal(0, size / 3, (_NOISES, HEIGHT, WIDTH, 3)), np.float32)


@lru_cache(maxsize=64)
def _lamplight(lamps: tuple[tuple[int, int], ...], indoors: bool) -> NDArray[np.float32]:
    """Brightness at night, float32 [180, 240, 3]: dark and blue, but for the lamps' cones."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    light = np.full((HEIGHT, WIDTH), 0.55 if indoors else 0.42, np.float32)
    for x, y in lamps:
        light += 0.42 * np.exp(-(((columns - x) / 70) ** 2 + ((rows - y) / 110) ** 2))
    return (light[:, :, None] * np.array([0.92, 0.96, 1.12], np.float32)).clip(0, 1.1)


def script(split: str, seed: int, number: int) -> Clip:
    """The clip of a number. Clips 2n and 2n+1 are at the same place; the odd ones have an event.

    Args:
        split: ``train``, ``validation`` or ``demo``.
        seed: of the set.
        number: of the clip, from 0.

    Raises:
        ValueError: no such split, or a negative number.
    """
    if split not in SPLITS or seed < 0 or number < 0:
        raise ValueError(f"no clip {number} of split {split!r} with seed {seed}; splits are {', '.join(SPLITS)}")
    shared = np.random.default_rng([SPLITS[split], seed, number // 2])
    kinds = list(grammar.EVENTS)
    order = np.random.default_rng([SPLITS[split], seed]).permutation(len(kinds))
    kind = kinds[order[(number // 2) % len(kinds)]]
    where = [name for name in grammar.PLACES if _possible(kind, name)]
    if split != "demo":
        where = [name for name in where if not grammar.is_held_out(kind, name)]
    place = make_place(str(shared.choice(where)), int(shared.integers(2**31)) * 4 + SPLITS[split])
    random = np.random.default_rng([SPLITS[split], seed, number // 2, 1 + number % 2])
    frames = int(random.integers(*SECONDS) * FRAME_RATE)
    event = (
        _event(random, kind, place, frames, held_out=split == "demo" and random.random() < 0.5) if number % 2 else None
    )
    night = bool(random.random() < 0.45)
    return Clip(
        number,
        place,
        night,
        frames,
        _main(random, place, night, frames, event),
        _beside(random, place, frames),
        event,
        int(random.integers(2**31)),
    )


def _possible(act: str, kind: str) -> bool:
    """Whether an act can happen at a kind of place."""
    if act in ("burglary", "linger"):
        return kind in grammar.WITH_WINDOW
    if act in ("collision", "drive", "bus"):
        return kind in grammar.WITH_ROAD
    if act == "sit":
        return kind in grammar.WITH_BENCH
    if act == "door":
        return kind in ("street", "shop", "station", "yard")
    if act in ("lightning", "steam", "grill", "dog", "ball"):
        return kind not in grammar.INDOORS
    if act == "lamp":
        return kind in grammar.INDOORS
    return True


def _people(random: np.random.Generator, count: int, kinds: tuple[str, ...] = grammar.PEOPLE) -> tuple[Person, ...]:
    return tuple(Person(str(random.choice(kinds)), str(random.choice(grammar.COLOURS))) for _ in range(count))


def _event(random: np.random.Generator, kind: str, place: Place, frames: int, held_out: bool) -> Act:
    """An event anywhere in the clip but its first and last three seconds, of a combination that is held out, or is not."""
    length = int(random.uniform(*EVENT_SECONDS) * FRAME_RATE)
    first = int(random.integers(3 * FRAME_RATE, frames - length - 3 * FRAME_RATE))
    for _ in range(60):
        act = _act(random, kind, place, first, first + length - 1)
        who = tuple(person.kind for person in act.who)
        if grammar.is_held_out(kind, place.kind, who, act.thing) == held_out:
            break  # else there is no such combination at this place: explosions in a shop have no bench
    return act


def _act(random: np.random.Generator, act: str, place: Place, first: int, last: int) -> Act:
    """An act with people, place and colours at random."""
    if act in ("talk", "hug", "photo", "fight", "robbery"):
        who = _people(random, 2, grammar.PEOPLE if act in ("talk", "hug", "photo") else ("man", "woman"))
    elif act in ("burglary", "linger", "grill"):
        who = _people(random, 1, ("man", "woman"))
    elif act in (
        "idle",
        "crowd",
        "panic",
        "drive",
        "bus",
        "collision",
        "steam",
        "lightning",
        "lamp",
        "fire",
        "explosion",
    ):
        who = ()
    else:
        who = _people(random, 1)
    low, high = place.floor
    foot = float(random.uniform(low + 8, high))
    x = float(random.uniform(70, 170))
    if act in ("walk", "run", "dog", "drive"):
        x = float(random.uniform(0, 300))
    if act in ("drive", "bus", "collision") and place.road:
        foot = float(place.road + random.integers(0, 6))
    if act in ("crowd", "panic"):
        foot = float((low + high) / 2)
    things = list(place.things)
    return Act(
        act,
        first,
        last,
        who,
        x,
        foot,
        int(random.choice((-1, 1))),
        str(random.choice(grammar.COLOURS)) if act in ("drive", "bus", "collision") else "",
        str(random.choice(things)) if act in ("fire", "explosion") else "",
        seed=int(random.integers(2**31)),
    )


def _main(random: np.random.Generator, place: Place, night: bool, frames: int, event: Act | None) -> tuple[Act, ...]:
    """Normal acts one after the other, with idle stretches between them, around the event."""
    free = [(0, event.first), (event.last + 1, frames)] if event else [(0, frames)]
    names = [act for act in grammar.NORMAL if act != "idle" and _possible(act, place.kind)]
    names = [act for act in names if act != "lightning" or night]
    acts = [event] if event else []
    for start, end in free:
        at = start
        while end - at > 2 * FRAME_RATE:
            length = min(end - at, int(random.uniform(4, 11) * FRAME_RATE))
            if random.random() < 0.78:
                acts.append(_act(random, str(random.choice(names)), place, at, at + length - 1))
            at += length
    return tuple(sorted(acts, key=lambda act: act.first))


def _beside(random: np.random.Generator, place: Place, frames: int) -> tuple[Act, ...]:
    """What passes by, once or a few times in a clip."""
    names = [act for act in grammar.ASIDES if _possible(act, place.kind)]
    acts = []
    at = int(random.uniform(2, 12) * FRAME_RATE)
    while at < frames - 4 * FRAME_RATE:
        act = str(random.choice(names))
        seconds = {"walk": 16, "dog": 17, "run": 5.5, "drive": 5, "bus": 7}[act]
        passing = _act(random, act, place, at, min(frames - 1, at + int(seconds * FRAME_RATE)))
        acts.append(replace(passing, crosses=True))
        at = passing.last + int(random.uniform(5, 16) * FRAME_RATE)
    return tuple(acts)


def write_set(
    folder: Path, split: str = "demo", seed: int = 0, clips: int = 24, workers: int | None = None
) -> list[Truth]:
    """Render clips: ``videos/NAME.mp4``, ``labels.txt`` (temporal annotation), ``truth.json``.

    Args:
        folder: made if it is not there. What it holds of the same split, seed and recipe is kept.
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
    draft = truth_file.with_suffix(".part")
    draft.write_text(json.dumps({"recipe": recipe, "clips": [_packed(truth) for truth in truths]}), encoding="utf-8")
    draft.rename(truth_file)
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
            tuple(Interval(**event) for event in clip["events"]),
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
    draft = path.with_suffix(".part")
    with av.open(str(draft), "w", format="mp4") as media:
        stream = media.add_stream(
            "libx264", rate=FRAME_RATE, options={"crf": "26", "preset": "veryfast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures(clip):
            media.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        media.mux(stream.encode())
    draft.rename(path)
    return clip.truth()


def pictures(clip: Clip) -> Iterator[Picture]:
    """All frames of a clip, uint8 [180, 240, 3]."""
    return (clip.picture(frame)[0] for frame in range(clip.frames))


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
