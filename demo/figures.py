"""Figures of the small world, drawn with Pillow: people in their poses, vehicles, flames.

Sizes follow a figure's height in pixels; ``phase`` moves its limbs, in cycles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
BoundingBox = tuple[float, float, float, float]

CLOTHES: dict[str, Colour] = {
    "red": (200, 40, 40),
    "blue": (45, 80, 200),
    "green": (40, 150, 60),
    "yellow": (225, 200, 50),
    "white": (235, 235, 230),
    "black": (35, 35, 40),
}
SKIN: Colour = (225, 175, 140)
TROUSERS: Colour = (60, 60, 85)
HAIR: Colour = (70, 45, 30)


@dataclass
class Canvas:
    """A picture that is being drawn."""

    image: Image.Image
    """The picture, RGB."""
    marks: list[tuple[str, BoundingBox]] = field(default_factory=list)
    """(label, box) of what was drawn, for dense training."""
    shining: list[Callable[[Canvas], None]] = field(default_factory=list)
    """Functions that draw what gives light; called after the picture was darkened."""

    def __post_init__(self) -> None:
        self.draw = ImageDraw.Draw(self.image, "RGBA")

    def mark(self, label: str, box: BoundingBox) -> None:
        """Note what lies in a box (left, top, right, bottom)."""
        self.marks.append((label, box))

    def limb(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        """A bent line with round ends."""
        thick = max(2, round(width))
        self.draw.line(points, fill=colour, width=thick, joint="curve")
        radius = thick / 2 - 0.5
        for x, y in (points[0], points[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
        """A filled circle."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


@dataclass(frozen=True)
class Person:
    """Who somebody is."""

    kind: str
    """A key of ``grammar.PEOPLE``."""
    colour: str
    """A key of ``grammar.COLOURS``."""

    def height(self, foot: float) -> float:
        """In pixels, of somebody whose feet are at the height ``foot`` of the picture: nearer is lower and larger."""
        return (20 + 0.34 * foot) * {"man": 1.0, "woman": 0.95, "child": 0.66}[self.kind]


def _joint(start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    """A point ``length`` from ``start``; angle 0 is down, a quarter turn is to the right."""
    return start[0] + math.sin(angle) * length, start[1] + math.cos(angle) * length


def draw_person(
    canvas: Canvas, who: Person, x: float, foot: float, pose: str, phase: float = 0.0, side: int = 1
) -> None:
    """Draw somebody.

    Args:
        canvas: drawn on; what was drawn is marked with the pose, the kind and the colour.
        who: the person.
        x, foot: where the feet are, pixels.
        pose: walk, stand, run, sit, lie, kneel, fight, guard, hug, up (hands up), gun, photo, carry, reach, strike, panic.
        phase: how far the movement is, cycles.
        side: 1 faces right, -1 left.
    """
    height = who.height(foot)
    if pose == "lie":
        _draw_lying(canvas, who, x, foot, height, side)
        return
    top = CLOTHES[who.colour]
    swing = math.sin(2 * math.pi * phase)
    hip_y = foot - 0.47 * height
    lean = 0.0
    legs = ((0.42 * swing, 0.42 * swing), (-0.42 * swing, -0.42 * swing))
    arms = ((-0.5 * swing, -0.5 * swing), (0.5 * swing, 0.5 * swing))
    if pose in ("stand", "photo", "up", "gun", "carry", "reach", "talk", "hug"):
        legs = ((0.1, 0.05), (-0.1, -0.05))
        arms = ((0.12, 0.08), (-0.12, -0.08))
    if pose == "talk":
        arms = ((side * (0.7 + 0.25 * swing), side * (1.7 + 0.3 * swing)), (-0.12, -0.08))
    elif pose in ("run", "panic"):
        lean = 0.3
        legs = (
            (side * 0.1 + 0.85 * swing, side * -0.5 + 0.75 * swing),
            (side * 0.1 - 0.85 * swing, side * -0.5 - 0.75 * swing),
        )
        arms = ((-0.9 * swing, -0.9 * swing + side * 1.2), (0.9 * swing, 0.9 * swing + side * 1.2))
        if pose == "panic":
            arms = ((2.6 + 0.3 * swing, 2.8), (-2.6 - 0.3 * swing, -2.8))
    elif pose == "sit":
        hip_y = foot - 0.3 * height
        legs = ((side * 1.45, 0.0), (side * 1.35, 0.05))
        arms = ((side * 0.5, side * 1.2), (side * 0.4, side * 1.1))
    elif pose == "kneel":
        hip_y = foot - 0.27 * height
        lean = 0.55
        legs = ((side * 1.3, -side * 0.2), (side * 0.1, -side * 1.5))
        arms = ((side * 0.5, side * 0.4), (side * 0.8, side * 0.5))
    elif pose == "fight":
        lean = 0.25
        legs = ((side * 0.55, side * 0.3), (-side * 0.55, -side * 0.35))
        punch = max(0.0, swing)
        other = max(0.0, -swing)
        arms = (
            (side * (1.0 + 0.75 * punch), side * (2.4 - 0.75 * punch)),
            (side * (1.0 + 0.75 * other), side * (2.4 - 0.75 * other)),
        )
        if phase % 3 > 2:  # a kick now and then
            legs = ((side * (1.0 + 0.5 * punch), side * 1.3), (-side * 0.1, -side * 0.1))
    elif pose == "guard":
        legs = ((side * 0.2, side * 0.1), (-side * 0.2, -side * 0.1))
        arms = ((side * 0.5, side * 1.6), (side * 0.4, side * 1.5))
    elif pose == "hug":
        lean = 0.12
        arms = ((side * 1.25, side * 1.5), (side * 1.4, side * 1.2))
    elif pose == "up":
        arms = ((2.7, 3.0), (-2.7, -3.0))
    elif pose == "gun":
        arms = ((side * 1.57, side * 1.57), (-0.12, -0.08))
    elif pose == "photo":
        arms = ((side * 1.0, side * 2.5), (side * 0.9, side * 2.4))
    elif pose == "carry":
        legs = ((0.3 * swing, 0.3 * swing), (-0.3 * swing, -0.3 * swing))
        arms = ((side * 0.6, side * 1.6), (side * 0.5, side * 1.5))
    elif pose == "reach":
        arms = ((side * 1.3, side * 1.4), (-0.12, -0.08))
    elif pose == "strike":
        lean = 0.15
        legs = ((side * 0.35, side * 0.2), (-side * 0.3, -side * 0.2))
        arms = (
            (side * (2.2 + 0.7 * swing), side * (2.3 + 0.7 * swing)),
            (side * (2.0 + 0.7 * swing), side * (2.2 + 0.7 * swing)),
        )
    thick = 0.105 * height
    hip = (x, hip_y)
    neck = (x + side * math.sin(lean) * 0.33 * height, hip_y - math.cos(lean) * 0.33 * height)
    for upper, lower in legs:
        knee = _joint(hip, upper, 0.24 * height)
        canvas.limb([hip, knee, _joint(knee, lower, 0.23 * height)], TROUSERS, thick)
    dark = tuple(int(0.75 * value) for value in top)
    hands = []
    for number, (upper, lower) in enumerate(arms):
        shoulder = (neck[0], neck[1] + 0.05 * height)
        elbow = _joint(shoulder, upper, 0.17 * height)
        hand = _joint(elbow, lower, 0.17 * height)
        hands.append(hand)
        if number == 0:
            canvas.limb([shoulder, elbow, hand], dark, 0.8 * thick)  # type: ignore[arg-type]
    canvas.limb([neck, hip], top, 0.23 * height)
    if who.kind == "woman":
        wide = 0.17 * height
        canvas.draw.polygon(
            [
                (hip[0] - 0.1 * height, hip[1] - 0.06 * height),
                (hip[0] + 0.1 * height, hip[1] - 0.06 * height),
                (hip[0] + wide, hip[1] + 0.2 * height),
                (hip[0] - wide, hip[1] + 0.2 * height),
            ],
            fill=top,
        )
    shoulder = (neck[0], neck[1] + 0.05 * height)
    canvas.limb([shoulder, _joint(shoulder, arms[1][0], 0.17 * height), hands[1]], dark, 0.8 * thick)  # type: ignore[arg-type]
    radius = 0.085 * height if who.kind != "child" else 0.12 * height
    head = (neck[0] + side * math.sin(lean) * 0.1 * height, neck[1] - 0.1 * height)
    if who.kind == "woman":
        canvas.draw.ellipse(
            (head[0] - 1.25 * radius, head[1] - 1.25 * radius, head[0] + 1.25 * radius, head[1] + 2.0 * radius),
            fill=HAIR,
        )
    else:
        canvas.disc(head[0], head[1] - 0.3 * radius, radius, HAIR)
    canvas.disc(head[0] + side * 0.25 * radius, head[1] + 0.1 * radius, 0.85 * radius, SKIN)
    for hand in hands:
        canvas.disc(hand[0], hand[1], 0.04 * height + 0.5, SKIN)
    if pose == "gun":
        gun = hands[0]
        canvas.draw.rectangle(
            (
                min(gun[0], gun[0] + side * 0.13 * height),
                gun[1] - 0.045 * height,
                max(gun[0], gun[0] + side * 0.13 * height),
                gun[1] + 0.01 * height,
            ),
            fill=(10, 10, 10),
        )
    elif pose == "photo":
        canvas.draw.rectangle(
            (hands[0][0] - 3, hands[0][1] - 3, hands[0][0] + 3, hands[0][1] + 3), fill=(190, 200, 255)
        )
    elif pose == "carry":
        size = 0.13 * height
        middle = (hands[0][0], hands[0][1] - 0.3 * size)
        canvas.draw.rectangle(
            (middle[0] - size, middle[1] - size, middle[0] + size, middle[1] + 0.8 * size),
            fill=(165, 120, 70),
            outline=(90, 60, 30),
        )
    elif pose == "strike":
        canvas.limb([hands[0], _joint(hands[0], side * (2.6 + 0.8 * swing), 0.2 * height)], (25, 25, 30), 3)
    box = (x - 0.22 * height, foot - height, x + 0.22 * height, foot)
    for label in (pose, who.kind, who.colour):
        canvas.mark(label, box)


def _draw_lying(canvas: Canvas, who: Person, x: float, foot: float, height: float, side: int) -> None:
    top = CLOTHES[who.colour]
    y = foot - 0.08 * height
    hip = (x, y)
    neck = (x - side * 0.33 * height, y - 0.02 * height)
    for spread in (0.06, -0.03):
        canvas.limb(
            [
                hip,
                (x + side * 0.24 * height, y + spread * height),
                (x + side * 0.46 * height, y + 1.4 * spread * height),
            ],
            TROUSERS,
            0.105 * height,
        )
    canvas.limb([neck, hip], top, 0.2 * height)
    red, green, blue = (int(0.75 * value) for value in top)
    canvas.limb([neck, (neck[0] - side * 0.02 * height, y + 0.16 * height)], (red, green, blue), 0.08 * height)
    if who.kind == "woman":
        canvas.draw.polygon(
            [
                (x - side * 0.05 * height, y - 0.1 * height),
                (x + side * 0.2 * height, y - 0.15 * height),
                (x + side * 0.2 * height, y + 0.13 * height),
                (x - side * 0.05 * height, y + 0.1 * height),
            ],
            fill=top,
        )
    radius = 0.085 * height if who.kind != "child" else 0.12 * height
    head = (neck[0] - side * 0.11 * height, y - 0.01 * height)
    canvas.disc(head[0] - side * 0.3 * radius, head[1], radius * (1.35 if who.kind == "woman" else 1.0), HAIR)
    canvas.disc(head[0] + side * 0.2 * radius, head[1], 0.85 * radius, SKIN)
    box = (x - 0.5 * height, foot - 0.28 * height, x + 0.5 * height, foot + 0.05 * height)
    for label in ("lie", who.kind, who.colour):
        canvas.mark(label, box)


def draw_car(
    canvas: Canvas,
    x: float,
    foot: float,
    colour: Colour,
    side: int = 1,
    tilt: float = 0.0,
    label: str = "car",
    name: str = "",
) -> None:
    """A car whose wheels' middle is at (x, foot), about as long as 1.6 people are tall."""
    length = 0.95 * (20 + 0.34 * foot) * 1.5
    tall = 0.42 * length

    def turned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        cos, sin = math.cos(tilt), math.sin(tilt)
        return [(x + (cos * px * side - sin * py), foot + (sin * px * side + cos * py)) for px, py in points]

    half = length / 2
    body = [
        (-half, -0.15 * tall),
        (-half, -0.6 * tall),
        (-0.62 * half, -0.64 * tall),
        (-0.4 * half, -tall),
        (0.25 * half, -tall),
        (0.55 * half, -0.62 * tall),
        (half, -0.5 * tall),
        (half, -0.15 * tall),
    ]
    canvas.draw.polygon(turned(body), fill=colour, outline=(20, 20, 20))
    glass = [
        (-0.5 * half, -0.64 * tall),
        (-0.34 * half, -0.93 * tall),
        (0.2 * half, -0.93 * tall),
        (0.42 * half, -0.64 * tall),
    ]
    canvas.draw.polygon(turned(glass), fill=(120, 150, 170))
    for place in (-0.58 * half, 0.58 * half):
        (wheel_x, wheel_y) = turned([(place, -0.14 * tall)])[0]
        canvas.disc(wheel_x, wheel_y, 0.17 * tall, (20, 20, 20))
        canvas.disc(wheel_x, wheel_y, 0.08 * tall, (130, 130, 130))
    box = (x - half, foot - tall, x + half, foot)
    canvas.mark(label, box)
    if name:
        canvas.mark(name, box)


def draw_bus(canvas: Canvas, x: float, foot: float, colour: Colour, side: int) -> None:
    """A bus, 130 pixels long."""
    canvas.draw.rectangle((x - 65, foot - 62, x + 65, foot - 6), fill=colour, outline=(20, 20, 20))
    for number in range(5):
        left = x - 58 + 24 * number
        canvas.draw.rectangle((left, foot - 55, left + 18, foot - 32), fill=(120, 150, 170))
    for place in (-42, 42):
        canvas.disc(x + place, foot - 6, 9, (20, 20, 20))
        canvas.disc(x + place, foot - 6, 4, (130, 130, 130))
    canvas.draw.rectangle((x + side * 63 - 2, foot - 20, x + side * 63 + 2, foot - 14), fill=(255, 250, 200))
    canvas.mark("bus", (x - 65, foot - 62, x + 65, foot))


def draw_dog(canvas: Canvas, x: float, foot: float, phase: float, side: int) -> None:
    """A dog."""
    coat = (120, 80, 45)
    swing = 3 * math.sin(2 * math.pi * phase)
    for place in (-6, 6):
        canvas.limb([(x + place, foot - 8), (x + place + swing, foot)], coat, 3)
        canvas.limb([(x + place, foot - 8), (x + place - swing, foot)], coat, 3)
    canvas.draw.ellipse((x - 10, foot - 14, x + 10, foot - 5), fill=coat)
    canvas.disc(x + side * 11, foot - 15, 4.5, coat)
    canvas.limb([(x - side * 9, foot - 11), (x - side * 14, foot - 17)], coat, 2)
    canvas.mark("dog", (x - 14, foot - 18, x + 14, foot))


def draw_flames(canvas: Canvas, x: float, foot: float, size: float, random: np.random.Generator) -> None:
    """A fire with its smoke, ``size`` pixels high."""
    draw_smoke(canvas, x, foot - 0.8 * size, 1.1 * size, random, (55, 55, 55))
    for colour, share in (((210, 60, 10), 1.0), ((255, 140, 20), 0.7), ((255, 230, 110), 0.4)):
        for offset in (-0.3, 0.0, 0.3):
            tip = x + size * share * (offset + random.uniform(-0.12, 0.12))
            high = size * share * random.uniform(0.7, 1.0) * (1 - 0.5 * abs(offset))
            wide = 0.22 * size * share
            base = x + size * share * offset
            canvas.draw.polygon(
                [
                    (base - wide, foot),
                    (base - 0.8 * wide, foot - 0.4 * high),
                    (tip, foot - high),
                    (base + 0.8 * wide, foot - 0.4 * high),
                    (base + wide, foot),
                ],
                fill=colour,
            )
    canvas.mark("fire", (x - 0.5 * size, foot - size, x + 0.5 * size, foot))


def draw_smoke(
    canvas: Canvas, x: float, foot: float, size: float, random: np.random.Generator, grey: Colour, label: str = "smoke"
) -> None:
    """A plume, ``size`` pixels high, that widens as it rises."""
    for step in range(7):
        up = step / 6
        radius = size * (0.1 + 0.16 * up)
        middle = x + size * 0.12 * up * random.uniform(-1, 1) + size * 0.1 * up
        canvas.disc(middle, foot - size * up, radius, (*grey, int(150 - 80 * up)))
    canvas.mark(label, (x - 0.25 * size, foot - 1.1 * size, x + 0.3 * size, foot))


def draw_explosion(canvas: Canvas, x: float, foot: float, age: float, random: np.random.Generator) -> None:
    """A burst, ``age`` seconds old: a ball of light that grows for half a second, then flames and black smoke."""
    size = 60 * min(1.0, 0.5 + age)
    middle = foot - 0.45 * size
    draw_smoke(canvas, x, foot - 0.4 * size, 1.5 * size, random, (30, 30, 30))
    spikes = 14
    for colour, share in (((200, 70, 10), 1.0), ((255, 150, 20), 0.75), ((255, 250, 200), 0.45)):
        points = []
        for number in range(2 * spikes):
            angle = math.pi * number / spikes
            radius = size * share * (0.62 if number % 2 else 1.0) * random.uniform(0.75, 1.0) * 0.75
            points.append((x + radius * math.cos(angle), middle + 0.85 * radius * math.sin(angle)))
        canvas.draw.polygon(points, fill=colour)
    for _ in range(8):
        angle, far = random.uniform(0, 2 * math.pi), size * random.uniform(0.7, 1.2)
        canvas.disc(x + far * math.cos(angle), middle + far * math.sin(angle), 2, (30, 20, 20))
    canvas.mark("explosion", (x - 0.75 * size, middle - 0.75 * size, x + 0.75 * size, middle + 0.75 * size))
