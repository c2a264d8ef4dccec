"""A clip of the small world: its script, what is true of each frame, and its pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad.demo import grammar
from lavad.demo.acts import FRAME_RATE, Act, scene_of
from lavad.demo.figures import Canvas
from lavad.demo.places import HEIGHT, WIDTH, Place

Picture = NDArray[np.uint8]
Marks = list[tuple[str, tuple[float, float, float, float]]]


@dataclass(frozen=True)
class Event:
    """An event of a clip."""

    kind: str
    """A key of ``grammar.EVENTS``."""
    first: int
    """First frame, 0-based."""
    last: int
    """Last frame, inclusive."""


@dataclass(frozen=True)
class Truth:
    """What is true of a clip."""

    name: str
    """The stem of the clip's file."""
    frames: int
    """How many frames the clip has."""
    frame_rate: int
    """Frames per second."""
    events: tuple[Event, ...]
    """The anomalous events; empty for a normal clip."""
    sentences: tuple[str, ...]
    """The true sentence of every frame."""


@dataclass(frozen=True)
class Clip:
    """The script of a clip."""

    number: int
    """Number of the clip within its set."""
    place: Place
    """Where it is filmed."""
    night: bool
    """Whether it is dark."""
    frames: int
    """How many frames the clip has."""
    main: tuple[Act, ...]
    """Acts that follow one another; between them nobody is there."""
    beside: tuple[Act, ...]
    """Acts that pass by."""
    event: Act | None
    """The one of ``main`` that is an event."""
    seed: int
    """The seed of its noise."""

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
        """The true events of the clip, and a true sentence for each frame."""
        sentences = tuple(grammar.sentence(self.scene(frame)) for frame in range(self.frames))
        events = (Event(self.event.act, self.event.first, self.event.last),) if self.event else ()
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
        noise: NDArray[np.float32] = _noise_pool(7.0 if self.night else 3.5)[random.integers(_NOISES)]
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
