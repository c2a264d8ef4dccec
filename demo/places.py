"""Places of the small world: a static background, and where in it things can happen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from lavad.demo import grammar
from lavad.demo.figures import Canvas, draw_car

WIDTH, HEIGHT = 240, 180
"""Width and height of a picture, pixels."""

Point = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """A place as its camera sees it."""

    kind: str
    """A key of ``grammar.PLACES``."""
    background: Image.Image
    """The picture without people, RGB, by day."""
    floor: tuple[int, int]
    """Feet of people are between these heights, pixels."""
    window: Point | None
    """(x, foot) where people stand to use the window; None without one."""
    door: Point | None
    """(x, foot) where people stand to use the door; None without one."""
    bench: Point | None
    """(x, foot) where people stand to use the bench; None without one."""
    drain: Point
    """(x, foot) of the drain."""
    things: dict[str, Point]
    """(x, foot) of what a fire can burn beside, by name."""
    lamps: tuple[Point, ...]
    """Points that give light at night."""
    road: int | None
    """Feet of cars; None where none drive."""


def make_place(kind: str, seed: int) -> Place:
    """A place of a kind; another seed is another place."""
    random = np.random.default_rng([seed, *kind.encode()])
    image = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    horizon = int(random.integers(70, 88))
    indoors = kind in grammar.INDOORS
    _walls(draw, random, kind, horizon)
    _ground(draw, random, kind, horizon)
    window = door = bench = None
    # A place is laid out left or right handed.
    columns = [40, 92, 148, 200]
    if random.random() < 0.5:
        columns.reverse()
    base = horizon + 6
    if kind in grammar.WITH_WINDOW:
        window = (columns[1] + int(random.integers(-8, 9)), base + 8)
        _window(draw, random, window[0], base)
    if kind in ("street", "shop", "station", "yard"):
        door = (columns[3] + int(random.integers(-8, 9)), base + 6)
        _door(draw, random, door[0], base)
    if kind in grammar.WITH_BENCH:
        bench = (columns[2] + int(random.integers(-8, 9)), horizon + 42)
        _bench(draw, random, *bench)
    things: dict[str, Point] = {}
    for number, name in enumerate(grammar.THINGS[kind]):
        at = (
            bench
            if name == "bench" and bench
            else (columns[(2 * number) % 4] + int(random.integers(-6, 7)), horizon + 30 + 8 * number)
        )
        things[name] = at
        _thing(image, random, name, *at)
    lamps: tuple[tuple[int, int], ...] = ()
    if not indoors:
        post = int(random.choice([14, 226]))
        draw.line((post, 30, post, horizon + 30), fill=(60, 60, 60), width=3)
        draw.line((post, 30, post + (12 if post < 120 else -12), 30), fill=(60, 60, 60), width=2)
        lamps = ((post + (12 if post < 120 else -12), 32),)
    else:
        lamps = tuple((x, 12) for x in (60, 120, 180))
        for x, y in lamps:
            draw.rectangle((x - 14, y - 3, x + 14, y + 1), fill=(240, 240, 225))
    drain = (int(random.integers(70, 170)), horizon + int(random.integers(45, 70)))
    draw.ellipse((drain[0] - 8, drain[1] - 3, drain[0] + 8, drain[1] + 3), fill=(45, 45, 45))
    road = int(random.integers(154, 166)) if kind in grammar.WITH_ROAD else None
    texture = random.normal(0, 3.5, (HEIGHT, WIDTH, 1))
    pixels = np.clip(np.asarray(image, np.float32) + texture, 0, 255).astype(np.uint8)
    return Place(kind, Image.fromarray(pixels), (horizon + 30, 172), window, door, bench, drain, things, lamps, road)


def _near(random: np.random.Generator, colour: tuple[int, int, int], spread: float = 18) -> tuple[int, int, int]:
    shift = random.normal(0, spread / 2) + random.normal(0, spread, 3)
    red, green, blue = (int(min(245, max(10, value + change))) for value, change in zip(colour, shift, strict=True))
    return red, green, blue


def _walls(draw: ImageDraw.ImageDraw, random: np.random.Generator, kind: str, horizon: int) -> None:
    if kind == "park":
        draw.rectangle((0, 0, WIDTH, horizon), fill=_near(random, (150, 190, 230)))
        for _ in range(9):
            x, radius = int(random.integers(-10, 250)), int(random.integers(18, 34))
            draw.ellipse(
                (x - radius, horizon - 1.6 * radius, x + radius, horizon + 0.3 * radius),
                fill=_near(random, (60, 115, 60)),
            )
    elif kind == "parking lot":
        draw.rectangle((0, 0, WIDTH, 35), fill=_near(random, (160, 180, 205)))
        draw.rectangle((0, 35, WIDTH, horizon), fill=_near(random, (150, 145, 140)))
        for x in range(0, WIDTH, 30):
            draw.line((x, 35, x, horizon), fill=_near(random, (120, 118, 115), 5), width=2)
    elif kind == "yard":
        draw.rectangle((0, 0, WIDTH, 25), fill=_near(random, (165, 185, 205)))
        draw.rectangle((0, 25, WIDTH, horizon), fill=_near(random, (150, 85, 65)))
        for y in range(30, horizon, 7):
            draw.line((0, y, WIDTH, y), fill=(110, 65, 50))
    elif kind == "shop":
        draw.rectangle((0, 0, WIDTH, horizon), fill=_near(random, (215, 205, 180)))
        for y in (38, 52, 66):
            draw.line((0, y, WIDTH, y), fill=(110, 85, 60), width=3)
            for x in range(2, WIDTH, 9):
                draw.rectangle((x, y - 9, x + 6, y - 2), fill=_near(random, (150, 120, 110), 60))
    elif kind == "station":
        draw.rectangle((0, 0, WIDTH, horizon), fill=_near(random, (175, 185, 195)))
        for x in range(20, WIDTH, 66):
            draw.rectangle((x, 0, x + 10, horizon + 5), fill=_near(random, (110, 115, 130), 8))
        draw.rectangle((0, 20, WIDTH, 28), fill=_near(random, (40, 70, 140)))
    else:
        draw.rectangle((0, 0, WIDTH, 22), fill=_near(random, (150, 180, 215)))
        edge = 0
        while edge < WIDTH:
            wide = int(random.integers(50, 90))
            draw.rectangle(
                (edge, int(random.integers(4, 25)), edge + wide, horizon), fill=_near(random, (165, 150, 130), 22)
            )
            edge += wide
        for x in range(12, WIDTH, 38):
            draw.rectangle((x, 32, x + 16, 48), fill=_near(random, (95, 110, 130)))


def _ground(draw: ImageDraw.ImageDraw, random: np.random.Generator, kind: str, horizon: int) -> None:
    colours = {"park": (95, 150, 75), "shop": (180, 170, 160), "station": (150, 150, 145), "yard": (140, 130, 115)}
    draw.rectangle((0, horizon, WIDTH, HEIGHT), fill=_near(random, colours.get(kind, (110, 110, 112))))
    if kind == "street":
        draw.rectangle((0, horizon, WIDTH, horizon + 28), fill=_near(random, (160, 158, 150)))
        for x in range(0, WIDTH, 40):
            draw.rectangle((x, 142, x + 20, 144), fill=(215, 215, 205))
    elif kind == "parking lot":
        for x in range(10, WIDTH, 48):
            draw.line((x, horizon + 4, x - 14, horizon + 40), fill=(220, 220, 215), width=2)
    elif kind == "park":
        draw.polygon([(90, horizon), (130, horizon), (200, HEIGHT), (40, HEIGHT)], fill=_near(random, (185, 170, 135)))
    elif kind == "shop":
        for x in range(-60, WIDTH + 60, 30):
            draw.line((120 + (x - 120) * 0.6, horizon, x, HEIGHT), fill=(160, 150, 140))
    elif kind == "station":
        draw.rectangle((0, 172, WIDTH, HEIGHT), fill=(230, 200, 60))


def _window(draw: ImageDraw.ImageDraw, random: np.random.Generator, x: int, base: int) -> None:
    draw.rectangle(
        (x - 16, base - 52, x + 16, base - 16), fill=_near(random, (90, 120, 150), 10), outline=(230, 225, 215), width=3
    )
    draw.line((x, base - 52, x, base - 16), fill=(230, 225, 215), width=2)


def _door(draw: ImageDraw.ImageDraw, random: np.random.Generator, x: int, base: int) -> None:
    draw.rectangle((x - 12, base - 54, x + 12, base), fill=_near(random, (110, 75, 50)), outline=(50, 35, 25), width=2)
    draw.ellipse((x + 6, base - 28, x + 9, base - 25), fill=(220, 200, 90))


def _bench(draw: ImageDraw.ImageDraw, random: np.random.Generator, x: int, foot: int) -> None:
    wood = _near(random, (130, 90, 55))
    draw.rectangle((x - 24, foot - 28, x + 24, foot - 22), fill=wood)
    draw.rectangle((x - 24, foot - 14, x + 24, foot - 10), fill=wood)
    for leg in (-20, 20):
        draw.line((x + leg, foot - 28, x + leg, foot), fill=(50, 50, 50), width=2)


def _thing(image: Image.Image, random: np.random.Generator, name: str, x: int, foot: int) -> None:
    draw = ImageDraw.Draw(image)
    if name == "tree":
        draw.rectangle((x - 4, foot - 50, x + 4, foot), fill=(95, 65, 40))
        draw.ellipse((x - 22, foot - 92, x + 22, foot - 40), fill=_near(random, (50, 110, 50), 10))
    elif name == "wall":
        draw.rectangle((x - 26, foot - 26, x + 26, foot), fill=_near(random, (170, 165, 155), 10), outline=(90, 90, 85))
    elif name == "shelf":
        draw.rectangle((x - 22, foot - 44, x + 22, foot), fill=(120, 90, 60))
        for y in (38, 26, 14):
            for left in range(x - 20, x + 18, 7):
                draw.rectangle((left, foot - y, left + 5, foot - y + 8), fill=_near(random, (150, 120, 110), 60))
    elif name == "car":
        draw_car(Canvas(image), x, foot, _near(random, (120, 125, 135), 25), 1 if x < 120 else -1)
