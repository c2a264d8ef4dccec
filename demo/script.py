"""The scripts of clips: which acts happen where and when. Everything follows from (split, seed, number)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lavad.demo import grammar
from lavad.demo.acts import FRAME_RATE, Act
from lavad.demo.clip import Clip
from lavad.demo.figures import Person
from lavad.demo.places import Place, make_place

SPLITS = {"train": 1, "validation": 2, "demo": 3}
"""First number of every seed of a split: no two splits share a random number, and so no place."""

SECONDS = (46, 56)
"""Length of a clip, seconds."""

EVENT_SECONDS = (11, 20)


def script(split: str, seed: int, number: int) -> Clip:
    """The clip of a number. Clips 2n and 2n+1 are at the same place; the odd ones have an event.

    Args:
        split: ``train``, ``validation`` or ``demo``.
        seed: seed of the set.
        number: which clip, from 0.

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
