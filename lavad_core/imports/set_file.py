"""One JSON file with the values of all videos, as other programs publish it, taken apart into a file for each video.

Known are: VADTree's ``{"vid_score": {video: {"first, last": [score, …]}}}`` and ``{video: [score of each frame]}``; CoReVAD's
``{video: ["Anomalous scenes. …", …]}``; and plain ``{video: {frame: value}}`` or ``{video: [score, …]}``.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import MAX_FRAMES
from lavad_core.errors import InputError
from lavad_core.plain_text import number_of
from lavad_core.user_files import parse_json, read_text

MAX_BYTES = 512 * 2**20
"""VADTree's reasoning about 290 videos takes 4 MB."""

SEGMENT_FRAMES = 30
"""CoReVAD gives one answer for each segment of this many frames."""

RAW = "raw scores"
"""The role in which a range's own score counts, and not the refined one before it."""

EXPECTED = (
    'a JSON object of videos: {"video": {"0": value, "16": value, …}}, {"video": [score of each frame]}, or under "vid_score" '
    '{"video": {"first, last": score or [refined, raw, …]}}'
)

_RANGE = re.compile(r"\s*[\[(]?\s*([0-9]{1,12})(?:\.0*)?\s*[,:-]\s*([0-9]{1,12})(?:\.0*)?\s*[\])]?\s*")
_FRAME = re.compile(r"[0-9]{1,12}")
_LABELS = {"anomalous scenes": 1.0, "normal scenes": 0.0}
"""How an answer of CoReVAD begins, and what its program takes it for."""


def is_set_file(place: Path) -> bool:
    """Whether a path is that of such a file, and not of a folder or an archive."""
    return place.suffix.lower() == ".json" and place.is_file()


def videos_of(place: Path, what: str) -> Iterator[tuple[str, Mapping[str, Any] | list[Any]]]:
    """The videos of a file, and what it has of each.

    Raises:
        InputError: it cannot be read or is of another form.
    """
    found = parse_json(
        read_text(place, what, MAX_BYTES), f"{what}: {str(place)!r}", f"expected is {EXPECTED}", nan=True
    )
    if isinstance(found, dict) and isinstance(found.get("vid_score"), dict):
        found = found["vid_score"]
    if not isinstance(found, dict) or not found or all(_FRAME.fullmatch(name) for name in found):
        hint = "; a file of one video belongs into a folder" if isinstance(found, dict) and found else ""
        raise InputError(f"{what}: {str(place)!r} has no videos; expected is {EXPECTED}{hint}")
    strange = [name for name, value in found.items() if not isinstance(value, dict | list)]
    if strange:
        raise InputError(
            f"{what}: {str(place)!r}: {strange[0][:80]!r} is not a video with values; expected is {EXPECTED}"
        )
    yield from found.items()


def file_of(values: Mapping[str, Any] | list[Any], what: str, where: str) -> tuple[str, bytes]:
    """What a file says about a video as a file of its own: its ending, and its content.

    Raises:
        InputError: the values are of another form; says which.
    """
    if isinstance(values, list):
        if values and all(isinstance(value, str) for value in values):
            own = {at * SEGMENT_FRAMES: _said(value, what, where) for at, value in enumerate(values)}
            return ".json", json.dumps(own).encode()
        return ".npy", _npy(np.array([_number(value, f"position {at}", where) for at, value in enumerate(values)]))
    if values and all(_RANGE.fullmatch(key) for key in values):
        return ".npy", _npy(_of_ranges(values, what == RAW, where))
    return ".json", json.dumps(values).encode()


def _of_ranges(ranges: Mapping[str, Any], raw: bool, where: str) -> NDArray[np.float64]:
    """A score for each frame. Both ends of a range belong to it; where two share a frame the later segment has it, whatever
    the order of the file: programs that sort keys put "10, 19" before "2, 10"."""
    spans = []
    for key, value in ranges.items():
        match = _RANGE.fullmatch(key)
        assert match is not None, "it was looked at before"
        first, last = int(match[1]), int(match[2])
        if not first <= last < MAX_FRAMES:  # two numbers can announce more than any memory has
            raise InputError(f"{where}: the range {key!r} is not a segment of a video of at most {MAX_FRAMES} frames")
        spans.append((first, last, _score_of(value, raw, key, where)))
    frames = np.full(max(last for _, last, _ in spans) + 1, np.nan)
    for first, last, score in sorted(spans, key=lambda span: span[:2]):
        frames[first : last + 1] = score
    if len(holes := np.flatnonzero(np.isnan(frames))):
        raise InputError(
            f"{where}: {number_of(len(holes), 'frame', 'are')} in no range, the first is {holes[0]}; nothing is padded"
        )
    return frames


def _score_of(value: Any, raw: bool, key: str, where: str) -> float:
    """The score in ``score``, ``[score, text]`` or ``[refined, raw, text]``."""
    numbers = value if isinstance(value, list) else [value]
    if not numbers:
        raise InputError(f"{where}: the range {key!r} has no score")
    if len(numbers) > 1 and isinstance(numbers[1], str):
        numbers = numbers[:1]
    score = _number(numbers[1] if raw and len(numbers) > 1 else numbers[0], f"the range {key!r}", where)
    if score == -1:
        raise InputError(
            f"{where}: the range {key!r} has -1, which is not a score: the model gave no answer that could be read"
        )
    return score


def _number(value: Any, at: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: {at} has {str(value)[:60]!r} where a score is needed")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{where}: {at} has a number of {len(str(value))} digits, which is not a score") from None


def _said(text: str, what: str, where: str) -> str | float:
    """An answer of CoReVAD; as a score what it begins with."""
    if what not in ("scores", RAW):
        return text
    first = text.strip().lower()
    for begin, score in _LABELS.items():
        if first.startswith(begin):
            return score
    raise InputError(
        f"{where}: {text[:60]!r} is neither a score nor begins with one of {', '.join(map(repr, _LABELS))}"
    )


def _npy(values: NDArray[np.float64]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()
