"""Boundary scores of videos made elsewhere, as a detector of events gives them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.config.schema import MAX_FRAME_COUNT_TOLERANCE, LavadConfig
from lavad_core.datasets.names import match_key
from lavad_core.errors import InputError
from lavad_core.imports.set_file import is_set_file, videos_of
from lavad_core.imports.values import parse_scores, read_file_of
from lavad_core.location import shown
from lavad_core.plain_text import number_of
from lavad_core.remote_files import near
from lavad_core.user_files import decode_utf8, parse_json

WHAT = "boundary scores"

EXPECTED = (
    '{"pred": [score, …], "frames": frames of the video}, or {"0": score, "3": score, …} by frame, scores in [0, 1]'
)

MAX_FILES = 2
"""Files of all videos whose content is kept: each video of a run asks for its part."""


@dataclass(frozen=True)
class Boundaries:
    """The boundary scores of a video."""

    where: str
    """The file, in messages."""
    sha256: str
    """Digest of what they were read from, hexadecimal."""
    scores: NDArray[np.float64] = field(repr=False)
    """float64 [n], 0 … 1."""
    at: NDArray[np.int64] | None = field(default=None, repr=False)
    """int64 [n], the frame of each score, increasing; None where they lie evenly over the video."""
    frames: int | None = None
    """How many frames the video has, by the file; None where it does not say it."""
    note: str = ""
    """What a reader should know about the scores; empty if nothing."""

    def positions(self, frames: int) -> tuple[NDArray[np.int64], NDArray[np.float64], str]:
        """The frame of each score, int64 [n]; the scores; and what a reader should know about them, empty if nothing.

        Args:
            frames: M. Programs count the frames of some videos differently: less than a step of the grid is no other video.

        Raises:
            InputError: they are of a video of another length.
        """
        if self.at is None:
            assert self.frames is not None, "it comes with scores that lie evenly"
            if abs(self.frames - frames) > MAX_FRAME_COUNT_TOLERANCE:
                raise InputError(
                    f"{self.where} is of a video of {self.frames} frames, and this one has {frames}: give the scores by frame, "
                    '{"0": score, "3": score, …}, if they are of this video'
                )
            counted = (
                f"warning: {self.where} counts {self.frames} frames, and this video has {frames}; its scores lie evenly"
            )
            notes = [note for note in (self.note, counted * (self.frames != frames)) if note]
            return np.linspace(0, frames - 1, len(self.scores), dtype=np.int64), self.scores, "; ".join(notes)
        if len(self.at) and self.at[-1] >= frames:
            raise InputError(f"{self.where} has a score of frame {self.at[-1]}, and the video has {frames} frames")
        return self.at, self.scores, self.note


def read_boundaries(place: Path, video: str) -> Boundaries:
    """The boundary scores of a video.

    Args:
        place: a folder with ``<video>.json``, or one ``.json`` file of all videos, by their names with an ending or without.
        video: its name.

    Raises:
        InputError: there are none, or they are of another form; says what is expected.
    """
    place = near(place, WHAT)
    if is_set_file(place):
        given = _set_of(place, place.stat().st_mtime_ns).get(match_key(video))
        where = f"{str(place)!r}, {video!r}"
        if given is None:
            raise InputError(f"{WHAT}: {str(place)!r} has no video {video!r}")
        content = json.dumps(given, sort_keys=True).encode()
    else:
        content, where = read_file_of(place, video)
        given = parse_json(decode_utf8(content, where, WHAT), f"{WHAT}: {where}", f"expected is {EXPECTED}")
    sha256 = hashlib.sha256(content).hexdigest()
    if isinstance(given, dict) and "pred" in given:
        return _evenly(given, f"{WHAT}: {where}", sha256)
    by_frame = parse_scores(content, where)
    return Boundaries(where, sha256, np.array(list(by_frame.values()), np.float64), np.array(list(by_frame), np.int64))


def boundaries_place(config: LavadConfig) -> Path | None:
    """Where a configuration reads boundary scores, if it does.

    Raises:
        InputError: there is neither a folder nor a file of all videos.
    """
    place = config.imports.boundaries if config.events.boundaries == "import" else None
    if place is not None and config.score.method == "events":
        here = near(place, WHAT)
        if not here.is_dir() and not is_set_file(here):
            raise InputError(
                f"{WHAT}: {shown(place)!r} is neither a folder nor a file; needed is a folder with a <video>.json for each "
                "video, or one .json file of all"
            )
        return place
    return None


@lru_cache(MAX_FILES)
def _set_of(place: Path, changed: int) -> Mapping[str, Any]:
    """Key of its name to what a file has of each video; ``changed`` is when it was written."""
    return {match_key(name): values for name, values in videos_of(place, WHAT)}


def _evenly(given: Mapping[str, Any], where: str, sha256: str) -> Boundaries:
    frames, pred = given.get("frames"), given["pred"]
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise InputError(f"{where}: frames {frames!r} is not a number of frames; expected is {EXPECTED}")
    if not isinstance(pred, list) or len(pred) > frames:
        count = number_of(len(pred), "score") if isinstance(pred, list) else "no list of scores"
        raise InputError(f"{where}: pred holds {count} for {frames} frames; expected is {EXPECTED}")
    note = ""
    if "gamma" in given and len(pred) > (most := _positions_of_vadtree(given.get("fps"), frames, where)):
        note = f"warning: {where} holds {len(pred)} boundary scores; the first {most} count, as in VADTree's own trees"
        pred = pred[:most]
    wrong = [
        value for value in pred if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1
    ]
    if wrong:
        raise InputError(f"{where}: {str(wrong[0])[:60]!r} is not a score in [0, 1]; expected is {EXPECTED}")
    return Boundaries(where, sha256, np.array(pred, np.float64), None, frames, note)


def _positions_of_vadtree(fps: Any, frames: int, where: str) -> int:
    """At how many positions VADTree's program takes scores: ten a second. Its own files hold more for some short videos: one
    for each frame."""
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < math.inf:
        raise InputError(f"{where}: fps {fps!r} is not a frame rate; expected is {EXPECTED}")
    return int(frames / fps * min(10, fps))
