"""What happens in a clip: acts with a beginning and an end, what of them is seen in a frame, and how they are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from lavad.demo import grammar
from lavad.demo.figures import (
    CLOTHES,
    Canvas,
    Person,
    draw_bus,
    draw_car,
    draw_dog,
    draw_explosion,
    draw_flames,
    draw_person,
    draw_smoke,
)
from lavad.demo.places import WIDTH, Place

FRAME_RATE = 15
"""Frames per second."""

_PAUSES = {"fight": "face", "burglary": "linger", "fire": "smoke", "robbery": "face", "panic": "stare"}
"""What is seen in the pauses of an event."""

BURST_S = 2.5
"""An explosion is a fire after this time, seconds."""

_STILL = ("stand", "sit", "kneel", "door")
_CROWD = 8


@dataclass(frozen=True)
class Act:
    """One thing that happens."""

    act: str
    """A key of ``grammar.FORMS``."""
    first: int
    """First frame."""
    last: int
    """Last frame, inclusive."""
    who: tuple[Person, ...] = ()
    """The people of its sentence."""
    x: float = 120
    """Where it happens, pixels from the left."""
    foot: float = 140
    """Where its feet are, pixels from the top."""
    side: int = 1
    """1 to the right, -1 to the left."""
    colour: str = ""
    """The colour of a car, a key of ``figures.CLOTHES``."""
    thing: str = ""
    """What a fire burns beside."""
    crosses: bool = False
    """Whether it passes through the picture once, as what is seen beside something else does."""
    seed: int = 0
    """The seed of what is random in it."""

    def is_on(self, frame: int) -> bool:
        """Whether it goes on at a frame."""
        return self.first <= frame <= self.last

    def seen(self, frame: int) -> str:
        """The act that can be seen at a frame: ``idle`` if nothing can, what a pause looks like, or the act itself."""
        age = (frame - self.first) / FRAME_RATE
        if self.act == "explosion":
            return "explosion" if age < BURST_S else _burning(age)
        if self.act in ("lightning", "lamp"):
            return self.act if self._flashes(frame) else "idle"
        if self.act == "collision" and age < 1.2:
            return "drive"
        if self.act == "fire":
            return _burning(age)
        if self.act in _PAUSES and (age + 0.37 * (self.seed % 7)) % 4.5 > 3.1:
            return _PAUSES[self.act]
        if self.act in ("walk", "run", "dog", "drive", "bus") and not 4 < self.position(frame) < WIDTH - 4:
            return "idle"
        return self.act

    def _flashes(self, frame: int) -> bool:
        random = np.random.default_rng([self.seed, (frame - self.first) // 9])
        return bool(random.random() < 0.5)

    def position(self, frame: int) -> float:
        """Where those are that move, pixels; may be outside the picture."""
        age = (frame - self.first) / FRAME_RATE
        speed = {"walk": 17.0, "dog": 16.0, "run": 52.0, "drive": 75.0, "bus": 55.0}.get(self.act, 0.0)
        if not speed:
            return self.x
        if self.crosses or self.act == "bus":
            wide = {"drive": 60, "bus": 75}.get(self.act, 14)
            return -wide + speed * age if self.side > 0 else WIDTH + wide - speed * age
        if self.act == "drive":  # one car after the other
            length = WIDTH + 150
            at = (self.x + speed * age) % length - 75
            return at if self.side > 0 else WIDTH - at
        # to and fro
        low, high = 22, WIDTH - 22
        at = (self.x - low + speed * age) % (2 * (high - low))
        return low + (at if at <= high - low else 2 * (high - low) - at)

    def heading(self, frame: int) -> int:
        """1 if it moves to the right at a frame, -1 to the left."""
        return 1 if self.position(frame + 1) > self.position(frame) else -1

    def draw(self, canvas: Canvas, frame: int, place: Place) -> None:
        """Draw what is seen of it."""
        seen = self.seen(frame)
        age = (frame - self.first) / FRAME_RATE
        drawer = _DRAWERS.get(self.act)
        if drawer is not None:
            drawer(self, canvas, frame, age, seen, place)


def _burning(age: float) -> str:
    return "smoke" if age % 5 > 3.8 else "fire"


def scene_of(act: Act, seen: str, place: Place, night: bool) -> grammar.Scene:
    """The scene of an act of which ``seen`` can be seen."""
    kinds = tuple(person.kind for person in act.who)
    if seen in ("idle", "crowd", "stare", "panic", "lightning", "lamp", "steam", "bus"):
        kinds = ()
    if seen in ("linger", "burglary"):
        kinds = kinds[:1]
    colour = act.colour if seen in ("drive", "collision") else act.who[0].colour if len(kinds) == 1 else ""
    return grammar.Scene(seen, place.kind, night, kinds, colour, act.thing)


def _person(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    """Somebody alone."""
    who, pose = act.who[0], {"ball": "walk", "dog": "walk", "door": "reach", "grill": "reach"}.get(act.act, act.act)
    rate = {"run": 2.6}.get(act.act, 1.5)
    x, side = act.position(frame), act.side
    if act.act in ("walk", "run", "dog"):
        side = act.heading(frame)
    if act.act == "carry":
        x = act.x + 12 * math.sin(0.5 * age)
    if act.act == "ball":
        x = act.x + 20 * math.sin(1.3 * age)
    foot = act.foot
    if act.act == "sit" and place.bench:
        x, foot = place.bench[0], place.bench[1] + 2
    if act.act == "door" and place.door:
        x, foot = place.door[0] - 12, place.door[1]
        canvas.draw.rectangle((x + 6, foot - 52, x + 14, foot - 2), fill=(20, 20, 22))
        side = 1
    draw_person(canvas, who, x, foot, pose, rate * age, side)
    if act.act == "ball":
        ball = x + side * (20 + 14 * math.sin(5 * age))
        up = 16 * abs(math.sin(4 * age))
        canvas.disc(ball, foot - 4 - up, 5, (240, 120, 30))
        canvas.mark("ball", (ball - 5, foot - 9 - up, ball + 5, foot + 1 - up))
    elif act.act == "dog":
        canvas.draw.line((x + 8 * side, foot - 24, x + 26 * side, foot - 12), fill=(40, 40, 40))
        draw_dog(canvas, x + 30 * side, foot, 2.2 * age, side)
    elif act.act == "grill":
        grill = x + 22 * side
        canvas.draw.rectangle((grill - 9, foot - 24, grill + 9, foot - 15), fill=(40, 40, 45))
        canvas.draw.line((grill, foot - 15, grill, foot), fill=(40, 40, 45), width=3)
        draw_smoke(canvas, grill, foot - 24, 22, np.random.default_rng([act.seed, frame]), (200, 200, 200), "grill")
        canvas.draw.polygon(
            [(grill - 5, foot - 24), (grill, foot - 29 - frame % 3), (grill + 5, foot - 24)], fill=(255, 150, 30)
        )
    elif act.act == "door":
        canvas.mark("door", (x - 10, foot - 54, x + 24, foot))


def _pair(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    """Two people."""
    first, second = act.who
    poses = {
        "talk": ("talk", "stand", 34),
        "hug": ("hug", "hug", 13),
        "photo": ("photo", "stand", 62),
        "fight": ("fight", "fight", 29),
        "robbery": ("gun", "up", 50),
    }
    left, right, gap = poses[act.act]
    if seen == "face":
        left, right, gap = "guard", "guard", 44
    shake = 5 * math.sin(2.2 * age) if seen == "fight" else 0.0
    x = act.x + shake
    pair = ((first, x - act.side * gap / 2, left, act.side), (second, x + act.side * gap / 2, right, -act.side))
    for number, (who, at, pose, side) in enumerate(pair):
        draw_person(canvas, who, at, act.foot, pose, 1.9 * age + 0.5 * number, side)
    canvas.mark(seen, (x - gap / 2 - 12, act.foot - 60, x + gap / 2 + 12, act.foot))


def _lying(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    draw_person(canvas, act.who[0], act.x, act.foot, "kneel" if age < 0.5 else "lie", 0, act.side)


def _burglar(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    assert place.window
    x, foot = place.window
    if age > 2:
        canvas.draw.polygon(
            [
                (x - 12, foot - 56),
                (x + 2, foot - 44),
                (x + 13, foot - 58),
                (x + 8, foot - 34),
                (x + 13, foot - 26),
                (x - 4, foot - 32),
                (x - 12, foot - 26),
                (x - 6, foot - 42),
            ],
            fill=(8, 8, 10),
        )
    draw_person(
        canvas, act.who[0], x - 16 * act.side, foot, "strike" if seen == "burglary" else "stand", 0.45 * age, act.side
    )
    canvas.mark(seen, (x - 30, foot - 64, x + 30, foot))


def _fire(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    x, foot = place.things[act.thing]
    random = np.random.default_rng([act.seed, frame])
    canvas.mark(act.thing, (x - 26, foot - 50, x + 26, foot))
    if seen == "explosion":
        canvas.shining.append(partial(draw_explosion, x=x + 12 * act.side, foot=foot + 6, age=age, random=random))
    elif seen == "fire":
        size = min(46.0, 24 + 2.5 * age) if act.act == "fire" else 40.0
        canvas.shining.append(partial(draw_flames, x=x + 12 * act.side, foot=foot + 5, size=size, random=random))
    else:
        draw_smoke(canvas, x + 12 * act.side, foot + 3, 55, random, (60, 60, 60))


def _crowd(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    random = np.random.default_rng(act.seed)
    speed = {"crowd": 13.0, "panic": 62.0, "stare": 0.0}[act.act if act.act == "crowd" else seen]
    length = WIDTH + 40
    people = []
    for number in range(_CROWD):
        kind = str(random.choice(grammar.PEOPLE, p=(0.45, 0.4, 0.15)))
        who = Person(kind, str(random.choice(grammar.COLOURS)))
        start = number * length / _CROWD + random.uniform(-12, 12)
        foot = act.foot + random.uniform(-16, 18)
        x = (start + speed * random.uniform(0.9, 1.1) * age) % length - 20
        people.append((foot, who, x if act.side > 0 else WIDTH - x, random.uniform(0, 1)))
    pose = {"crowd": "walk", "panic": "panic", "stare": "stand"}[seen]
    for foot, who, x, phase in sorted(people, key=lambda each: each[0]):
        draw_person(canvas, who, x, foot, pose, phase + (2.6 if pose == "panic" else 1.4) * age, act.side)
    canvas.mark(seen, (0, act.foot - 60, WIDTH, act.foot + 10))


def _drive(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    x = act.position(frame)
    draw_car(canvas, x, act.foot, CLOTHES[act.colour], act.side, name=act.colour)
    canvas.shining.append(partial(_headlight, x=x + 38 * act.side, foot=act.foot - 13))


def _headlight(canvas: Canvas, x: float, foot: float) -> None:
    canvas.disc(x, foot, 3, (255, 250, 210))


def _bus(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    draw_bus(canvas, act.position(frame), act.foot, CLOTHES[act.colour], act.side)


def _collision(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    other = grammar.COLOURS[(grammar.COLOURS.index(act.colour) + 1 + act.seed % 4) % len(grammar.COLOURS)]
    gap = max(0.0, 1.2 - age) * 110
    hit = age >= 1.2
    draw_car(
        canvas, act.x - 29 - gap, act.foot - 2, CLOTHES[act.colour], 1, -0.16 if hit else 0.0, "crash" if hit else "car"
    )
    draw_car(canvas, act.x + 29 + gap, act.foot + 4, CLOTHES[other], -1, 0.2 if hit else 0.0, "crash" if hit else "car")
    if hit:
        random = np.random.default_rng([act.seed, frame])
        debris = np.random.default_rng(act.seed)
        for _ in range(9):
            x, y = act.x + debris.uniform(-50, 50), act.foot + debris.uniform(-3, 9)
            canvas.draw.polygon([(x, y), (x + 4, y + 2), (x + 1, y + 4)], fill=(200, 210, 220))
        draw_smoke(canvas, act.x, act.foot - 22, 26, random, (140, 140, 140), "crash")


def _steam(act: Act, canvas: Canvas, frame: int, age: float, seen: str, place: Place) -> None:
    draw_smoke(canvas, *place.drain, 48, np.random.default_rng([act.seed, frame]), (235, 235, 240), "steam")


_DRAWERS = {
    **dict.fromkeys((*_STILL, "walk", "run", "ball", "dog", "carry", "grill"), _person),
    **dict.fromkeys(("talk", "hug", "photo", "fight", "robbery"), _pair),
    "fall": _lying,
    "burglary": _burglar,
    "fire": _fire,
    "explosion": _fire,
    "crowd": _crowd,
    "panic": _crowd,
    "drive": _drive,
    "bus": _bus,
    "collision": _collision,
    "steam": _steam,
}
