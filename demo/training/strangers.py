"""Words from outside the small world, put in the place of its people and things in a part of the training windows.

A model that only ever sees men fight says that men fight, whatever the captions say. Where it cannot know who or what it will
be, it learns to copy from the captions, and then tells of two women too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lavad.demo import grammar

PEOPLE = ("guard", "boy", "girl", "clerk", "nurse", "driver", "guest", "worker", "baker", "dancer")
THINGS = ("statue", "cart", "fence", "barrel", "sign", "van", "pole", "table", "stone", "box", "chair", "drum")

_SINGULAR = {"men": "man", "women": "woman", "children": "child"}
_PEOPLE = re.compile(r"\b(?:man|men|woman|women|child|children)\b")
_SEAT = re.compile(r"(?<=sits on a )\w+")
_BESIDE = re.compile(r"(?<=beside a )\w+")


def stranger_words() -> list[str]:
    """All that may be put in."""
    return [*PEOPLE, *(f"{one}s" for one in PEOPLE), *THINGS]


def with_strangers(texts: Sequence[str], random: np.random.Generator) -> list[str]:
    """The texts with one other word for each kind of people, for what fires burn beside, and for what is sat on.

    One kind of people stays as it is now and then. Nothing becomes a combination that is held out.
    """
    new = dict(zip(grammar.PEOPLE, random.choice(PEOPLE, len(grammar.PEOPLE), replace=False), strict=True))
    stays = random.choice((*grammar.PEOPLE, "nobody", "nobody"))
    thing = str(random.choice(THINGS))
    seat = str(random.choice((*THINGS, "bench", "bench", "bench", "bench")))  # a bench must be copied too

    def other(found: re.Match[str]) -> str:
        one = _SINGULAR.get(found[0], found[0])
        if one == stays:
            return found[0]
        return str(new[one]) if one == found[0] else f"{new[one]}s"

    return [_SEAT.sub(seat, _BESIDE.sub(thing, _PEOPLE.sub(other, text))) for text in texts]
