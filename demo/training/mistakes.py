"""Captions with the mistakes that small captioners make, and windows of them: what the language model learns from.

A captioner mixes up people, colours and places, forgets that it is night, breaks off, repeats itself, or tells what is seen
in another frame or in no frame at all; and often it makes the same mistake in several frames running.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lavad.demo import grammar
from lavad.demo.grammar import Scene
from lavad.demo.script import script

GRID = 16
"""Frames from one caption to the next."""

WINDOW = 10
"""Captions of a window."""

_WRONG_FRAME, _WRONG_CLIP, _WRONG_WORD = 0.18, 0.07, 0.35
"""Chances of each mistake in a caption of a window of middling quality."""

scene_text = lru_cache(1 << 16)(grammar.sentence)


@dataclass(frozen=True)
class SceneTrack:
    """A clip, as its captions are made."""

    scenes: tuple[Scene, ...]
    """The scene at each grid frame."""
    event: tuple[int, ...]
    """Positions in ``scenes`` of those that show the event or its pauses."""


def tracks(split: str, seed: int, clips: range) -> list[SceneTrack]:
    """The tracks of the clips with these numbers."""
    found = []
    for number in clips:
        clip = script(split, seed, number)
        frames = range(0, clip.frames, GRID)
        event = tuple(at for at, frame in enumerate(frames) if clip.event and clip.event.is_on(frame))
        found.append(SceneTrack(tuple(clip.scene(frame) for frame in frames), event))
    return found


class Windows:
    """Random windows of captions with mistakes."""

    def __init__(self, found: Sequence[SceneTrack], seed: int, held_out: bool = False) -> None:
        """Windows of tracks.

        Args:
            found: where windows are taken from.
            seed: seed of what is random.
            held_out: mistakes may make combinations that no training clip has.
        """
        self._tracks, self._held_out = found, held_out
        self._with_event = [track for track in found if track.event]
        self._random = np.random.default_rng(seed)

    def one(self) -> list[str]:
        """The captions of one window. Half of the windows touch an event."""
        random = self._random
        touching = bool(self._with_event) and random.random() < 0.5
        among = self._with_event if touching else self._tracks
        track = among[int(random.integers(len(among)))]
        centre = int(random.integers(len(track.scenes)))
        if touching:
            centre = int(np.clip(random.choice(track.event) + random.integers(-4, 5), 0, len(track.scenes) - 1))
        size = WINDOW if random.random() < 0.9 else int(random.integers(1, WINDOW))
        first = max(0, centre - size // 2)
        seen = track.scenes[first : centre + (size + 1) // 2]
        quality = random.uniform(0, 1.8) if random.random() < 0.85 else 0.0
        return self._captions(seen, track, quality)

    def _captions(self, seen: Sequence[Scene], track: SceneTrack, quality: float) -> list[str]:
        """The worse the quality the more mistakes; 0 makes none."""
        random, texts = self._random, []
        again = ""
        for scene in seen:
            if again and random.random() < 0.5:
                texts.append(again)
                continue
            again = ""
            told, chance = scene, random.random()
            if chance < _WRONG_FRAME * quality:
                told = track.scenes[int(random.integers(len(track.scenes)))]
            elif chance < (_WRONG_FRAME + _WRONG_CLIP) * quality:
                told = self._foreign(scene)
            if random.random() < _WRONG_WORD * quality:
                told = self._misread(told)
            text = scene_text(told)
            if random.random() < 0.06 * quality:
                text = self._broken(text)
            if text != scene_text(scene):
                again = text
            texts.append(text)
        return texts

    def _foreign(self, scene: Scene) -> Scene:
        """Something of another clip, at this place or at its own; often an event."""
        random = self._random
        if self._with_event and random.random() < 0.5:
            track = self._with_event[int(random.integers(len(self._with_event)))]
            told = track.scenes[int(random.choice(track.event))]
        else:
            track = self._tracks[int(random.integers(len(self._tracks)))]
            told = track.scenes[int(random.integers(len(track.scenes)))]
        moved = replace(told, place=scene.place, night=scene.night)
        return moved if random.random() < 0.7 and self._allowed(moved) else told

    def _misread(self, scene: Scene) -> Scene:
        """One detail of a scene changed."""
        random = self._random
        what = random.choice(("who", "colour", "no-colour", "place", "night", "aside", "aside", "aside_who"))
        changed = scene
        if what == "who" and scene.who:
            who = list(scene.who)
            who[random.integers(len(who))] = str(random.choice(grammar.PEOPLE))
            changed = replace(scene, who=tuple(who))
        elif what == "colour" and scene.colour:
            changed = replace(scene, colour=str(random.choice(grammar.COLOURS)))
        elif what == "no-colour" and scene.act != "drive":
            changed = replace(scene, colour="")
        elif what == "place":
            changed = replace(scene, place=str(random.choice(list(grammar.PLACES))))
        elif what == "night":
            changed = replace(scene, night=not scene.night)
        elif what == "aside":
            changed = replace(scene, aside="", aside_who="", aside_colour="")
        elif what == "aside_who" and scene.aside_who:
            changed = replace(scene, aside_who=str(random.choice(grammar.PEOPLE)))
        return changed if self._allowed(changed) else scene

    def _allowed(self, scene: Scene) -> bool:
        return self._held_out or not grammar.is_held_out(scene.act, scene.place, scene.who, scene.thing)

    def _broken(self, text: str) -> str:
        """Broken off, or with a word said twice, or without its place."""
        words, random = text.split(), self._random
        at = int(random.integers(2, len(words))) if len(words) > 2 else 1
        kind = random.integers(3)
        if kind == 0:
            return " ".join(words[: at + 1])
        if kind == 1:
            return " ".join([*words[:at], words[at - 1], *words[at:]])
        return re.sub(rf" (?:{'|'.join(grammar.PLACES.values())})(?: at night)?", "", text, count=1)
