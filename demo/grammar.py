"""What the small world can say: who does what, where and when, and the one sentence for it.

A :class:`Scene` is what can be seen in one frame. Its sentence is the truth that captions are trained and measured on.
Some events are made of words that the models know from other sentences but that occur *together* only in demonstration
clips (:func:`is_held_out`): women fight, a child falls, a fire burns beside a bench.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PLACES = {
    "street": "on a street",
    "parking lot": "in a parking lot",
    "yard": "in a yard",
    "park": "in a park",
    "shop": "in a shop",
    "station": "at a station",
}
"""Kinds of places, and how a sentence names them."""

MOST_WORDS = 18

PEOPLE = ("man", "woman", "child")
COLOURS = ("red", "blue", "green", "yellow", "white", "black")

NORMAL = {
    "idle": "an empty {place}",
    "walk": "{one} walks {at}",
    "stand": "{one} stands {at}",
    "talk": "{two} talk {at}",
    "run": "{one} runs {at}",
    "ball": "{one} plays with a ball {at}",
    "sit": "{one} sits on a bench {at}",
    "dog": "{one} walks a dog {at}",
    "hug": "{two} hug {at}",
    "carry": "{one} carries a box {at}",
    "kneel": "{one} kneels to tie a shoe {at}",
    "photo": "{one} takes a photo of {other} {at}",
    "door": "{one} opens a door {at}",
    "grill": "{one} grills food {at}",
    "crowd": "a crowd walks {at}",
    "drive": "a {colour} car drives {at}",
    "bus": "a bus passes {at}",
    "lightning": "lightning flashes over {a_place}",
    "lamp": "a lamp flickers {at}",
    "steam": "steam rises from a drain {at}",
}
"""What happens on any day."""

UNCLEAR = {
    "face": "{two} face each other {at}",
    "linger": "{one} waits at a window {at}",
    "smoke": "smoke rises beside a {thing} {at}",
    "stare": "a crowd stares {at}",
}
"""What is seen in the pauses of events: neither an event nor an ordinary day."""

EVENTS = {
    "fight": "{two} fight {at}",
    "fall": "{one} lies on the ground {at}",
    "fire": "a fire burns beside a {thing} {at}",
    "explosion": "an explosion bursts beside a {thing} {at}",
    "burglary": "{one} breaks a window {at}",
    "robbery": "{one} points a gun at {other} {at}",
    "collision": "two cars crash {at}",
    "panic": "a crowd runs in panic {at}",
}
"""What a camera is there for."""

FORMS = {**NORMAL, **UNCLEAR, **EVENTS}

ASIDES = {
    "drive": "while a {colour} car drives by",
    "bus": "while a bus passes by",
    "walk": "while {one} walks by",
    "run": "while {one} runs by",
    "dog": "while {one} walks a dog",
}
"""What may pass by while something else happens."""

INDOORS = ("shop", "station")
WITH_WINDOW = ("street", "parking lot", "yard", "shop")
WITH_BENCH = ("street", "park", "station", "yard")
WITH_ROAD = ("street", "parking lot", "yard")
THINGS = {
    "street": ("car", "tree", "bench"),
    "parking lot": ("car", "wall"),
    "yard": ("wall", "tree", "bench"),
    "park": ("tree", "bench"),
    "shop": ("shelf", "wall"),
    "station": ("bench", "wall"),
}
"""What a fire can burn beside."""


@dataclass(frozen=True)
class Scene:
    """What one frame shows."""

    act: str
    """A key of :data:`FORMS`."""
    place: str
    """A key of :data:`PLACES`."""
    night: bool
    """Whether it is dark."""
    who: tuple[str, ...] = ()
    """One or two of :data:`PEOPLE`."""
    colour: str = ""
    """The colour of the first one's clothes, or of the car."""
    thing: str = ""
    """What a fire burns beside."""
    aside: str = ""
    """A key of :data:`ASIDES`; empty if nothing else is seen."""
    aside_who: str = ""
    """Who is seen in it, one of :data:`PEOPLE`."""
    aside_colour: str = ""
    """The colour of the car in it; empty for a person."""


def is_held_out(act: str, place: str, who: tuple[str, ...] = (), thing: str = "") -> bool:
    """Whether an event is of a combination that no training or validation clip has."""
    return (
        (act in ("fight", "face") and who == ("woman", "woman"))
        or (act == "fall" and who == ("child",))
        or (act in ("burglary", "linger") and who == ("woman",))
        or (act == "robbery" and who[:1] == ("woman",))
        or (act in ("fire", "explosion", "smoke") and thing == "bench")
        or (act == "collision" and place == "yard")
        or (act in ("panic", "stare") and place == "station")
    )


def sentence(scene: Scene) -> str:
    """The true sentence of a frame, at most 18 words (a caption has 19 tokens, one of them its end), without a full stop."""
    text = _clause(FORMS[scene.act], scene.place, scene.who, scene.colour, scene.thing)
    if scene.night:
        text += " at night"
    if scene.aside:
        longer = text + " " + _clause(ASIDES[scene.aside], scene.place, (scene.aside_who,), scene.aside_colour, "")
        if len(longer.split()) <= MOST_WORDS:
            return longer
    return text


def _clause(form: str, place: str, who: tuple[str, ...], colour: str, thing: str) -> str:
    one = f"a {who[0]}" if who else ""
    if colour and "{colour}" not in form and len(who) == 1:
        one += f" in {colour}"
    return form.format(
        at=PLACES[place],
        place=place,
        a_place=f"a {place}",
        one=one,
        two=_both(who),
        other=f"a {who[1]}" if len(who) > 1 else "",
        colour=colour,
        thing=thing,
    )


def _both(who: tuple[str, ...]) -> str:
    if len(who) < 2:
        return ""
    plural = {"man": "men", "woman": "women", "child": "children"}
    return f"two {plural[who[0]]}" if who[0] == who[1] else f"a {who[0]} and a {who[1]}"


_SLOT = re.compile(r"\{(\w+)\}")
_FILLERS = {
    "one": r"a (?:man|woman|child)(?: in \w+)?",
    "two": r"(?:two (?:men|women|children)|a \w+ and a \w+)",
    "other": r"a \w+",
    "colour": r"\w+",
    "thing": r"\w+",
    "place": "(?:" + "|".join(PLACES) + ")",
    "a_place": "a (?:" + "|".join(PLACES) + ")",
    "at": "(?:" + "|".join(PLACES.values()) + ")",
}


def _pattern(form: str) -> re.Pattern[str]:
    parts = _SLOT.split(form)  # text, slot, text, slot, …
    return re.compile("".join(_FILLERS[part] if at % 2 else re.escape(part) for at, part in enumerate(parts)))


_PATTERNS = {  # longest first: who walks a dog walks
    act: _pattern(form.removesuffix(" {at}")) for act, form in sorted(FORMS.items(), key=lambda item: -len(item[1]))
}
_KEYS = {
    act: re.compile(rf"\b(?:{words})\b")
    for act, words in {
        "fight": "fight|fights",
        "fall": "lies",
        "fire": "fire",
        "explosion": "explosion",
        "burglary": "breaks",
        "robbery": "gun",
        "collision": "crash|crashes",
        "panic": "panic",
    }.items()
}


def act_of(text: str) -> str | None:
    """The act that a sentence of this world tells, also one with words dropped; None if it tells none.

    Events are known by their word, so that a caption cut short still counts.
    """
    for act, key in _KEYS.items():
        if key.search(text):
            return act
    for act, pattern in _PATTERNS.items():
        if pattern.match(text):
            return act
    return None


def all_words() -> list[str]:
    """All words of sentences, sorted."""
    texts = [*FORMS.values(), *ASIDES.values(), *PLACES, *PLACES.values(), *PEOPLE, *COLOURS]
    texts += [
        "men women children two a an in and at night on",
        *(thing for group in THINGS.values() for thing in group),
    ]
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", _SLOT.sub(" ", text))})
