"""Captions, summaries or scores made elsewhere: one ``<video>.json`` with ``{frame: value}`` per video.

The authors' program also writes ``{frame: {key: value}}``: the captions of a frame's window by frame, and what belongs to a
frame's neighbours by rank.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lavad_core.errors import InputError
from lavad_core.escape import shortened
from lavad_core.user_files import decode_utf8, parse_json, read_bytes

T = TypeVar("T")

MAX_BYTES = 512 * 2**20
"""A caption of 60 bytes for each frame of 80 hours of video."""

EXPECTED = '{"0": value, "16": value, …} with frame numbers as keys, and texts or scores in [0, 1] as values'

_FRAME = re.compile(r"[0-9]{1,12}")

Nested = dict[int, dict[int, T]]
"""Frame to key to value."""


def read_file_of(folder: Path, video: str) -> tuple[bytes, str]:
    """The content of ``<folder>/<video>.json``, and how messages call it.

    Raises:
        InputError: there is no such file, it cannot be read, or the video's name cannot be that of a file.
    """
    if video in ("", "..") or Path(video).name != video:
        raise InputError(f"imported values: {video!r} cannot be the name of a file; rename the video")
    path = folder / f"{video}.json"
    return read_bytes(path, "imported values", MAX_BYTES), str(path)


def parse_values(content: bytes, where: str) -> dict[int, str] | dict[int, float]:
    """``{frame: value}``, in increasing order of frames: all texts or all scores.

    The authors' program has captions for every frame; the caller takes those of the grid.

    Raises:
        InputError: the file is damaged, a key is not a frame number, or a value is neither a text nor a number in [0, 1], or
            they are mixed; says which.
    """
    texts: dict[int, str] = {}
    scores: dict[int, float] = {}
    for frame, value in _parse(content, where):
        if isinstance(value, str):
            texts[frame] = _text(value, f"frame {frame}", where)
        else:
            scores[frame] = _score(value, f"frame {frame}", where)
    if texts and scores:
        _fail(where, f"{len(texts)} values are texts and {len(scores)} are numbers")
    return texts or scores


def parse_texts(content: bytes, where: str) -> dict[int, str]:
    """:func:`parse_values` of texts."""
    values = parse_values(content, where)
    texts = {frame: value for frame, value in values.items() if isinstance(value, str)}
    if len(texts) < len(values):
        _fail(where, "the values are numbers where texts are needed")
    return texts


def parse_scores(content: bytes, where: str) -> dict[int, float]:
    """:func:`parse_values` of scores."""
    values = parse_values(content, where)
    scores = {frame: value for frame, value in values.items() if not isinstance(value, str)}
    if len(scores) < len(values):
        _fail(where, "the values are texts where scores are needed")
    return scores


def parse_windows(content: bytes, where: str) -> Nested[str]:
    """Cleaned captions: ``{frame: {frame of its window: text}}``, or ``{frame: text}``, which is a window of one frame."""
    return {
        frame: _inner(value, frame, where, _text)
        if isinstance(value, _Pairs)
        else {frame: _text(value, f"frame {frame}", where)}
        for frame, value in _parse(content, where)
    }


def parse_score_file(content: bytes, where: str) -> dict[int, float] | Nested[float]:
    """Refined scores: ``{frame: score}``, or of the authors' program ``{frame: {rank: score of the neighbour}}``."""
    ranked = any(isinstance(value, _Pairs) for _, value in _parse(content, where))
    return _ranked(content, where, _score) if ranked else parse_scores(content, where)


def parse_ranked_similarities(content: bytes, where: str) -> Nested[float]:
    """``{frame: {rank: similarity}}``; far below -1 is the authors' padding, where there were fewer neighbours."""
    return _ranked(content, where, _number)


def parse_ranked_frames(content: bytes, where: str) -> Nested[int]:
    """``{frame: {rank: "video/frame"}}`` as frames."""
    return _ranked(content, where, _frame_of)


def _ranked(content: bytes, where: str, check: Callable[[Any, str, str], T]) -> Nested[T]:
    """An empty file says that nothing is known about neighbours."""
    pairs = _parse(content, where, least=0)
    return {frame: _inner(value, frame, where, check) for frame, value in pairs}


def _inner(value: Any, frame: int, where: str, check: Callable[[Any, str, str], T]) -> dict[int, T]:
    if not isinstance(value, _Pairs):
        _fail(where, f"frame {frame} has {_shown(value)} where an object by frame or rank is needed")
    return {key: check(item, f"frame {frame}, {key}", where) for key, item in _keys(value, where)}


def _parse(content: bytes, where: str, least: int = 1) -> list[tuple[int, Any]]:
    """Frames and values, in increasing order; at least ``least`` of them."""
    # An object is handed over as its pairs, so that a frame named twice shows; lists of values stay lists.
    text = decode_utf8(content, where, "imported values")
    pairs = parse_json(text, f"imported values: {where!r}", f"expected is {EXPECTED}", pairs=_Pairs)
    if not isinstance(pairs, _Pairs):
        _fail(where, f"the file holds {_shown(pairs)}")
    if len(pairs) < least:
        _fail(where, "there are no values")
    return _keys(pairs, where)


def _keys(pairs: _Pairs, where: str) -> list[tuple[int, Any]]:
    """Frames or ranks, each once and in increasing order, with what they stand for."""
    values: dict[int, Any] = {}
    for key, value in pairs:
        if not _FRAME.fullmatch(key):
            _fail(where, f"the key {_shown(key)} is not a frame number")
        if int(key) in values:
            _fail(where, f"frame {int(key)} appears twice")
        values[int(key)] = value
    return sorted(values.items())  # no two keys are equal, so that values are never compared


class _Pairs(list[tuple[str, Any]]):
    """A JSON object."""


def _text(value: Any, at: str, where: str) -> str:
    if not isinstance(value, str):
        _fail(where, f"{at} has {_shown(value)} where a text is needed")
    try:
        value.encode()
    except UnicodeEncodeError:  # "\ud800" is valid JSON, but no text: nothing could write it down again
        _fail(where, f"the text of {at} has half a surrogate pair: {_shown(value)}")
    return value


def _number(value: Any, at: str, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        _fail(where, f"{at} has {_shown(value)}, neither a text nor a number")
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf if value > 0 else -math.inf


def _score(value: Any, at: str, where: str) -> float:
    number = _number(value, at, where)
    if not 0 <= number <= 1:
        _fail(where, f"{at} has the score {_shown(value)}, outside [0, 1]")
    return number + 0.0  # -0 is 0, and would be written as a number below it


def _frame_of(value: Any, at: str, where: str) -> int:
    frame = _text(value, at, where).rpartition("/")[2]
    if not _FRAME.fullmatch(frame):
        _fail(where, f"{at} has {_shown(value)}, which does not end in a frame number")
    return int(frame)


def _fail(where: str, problem: str) -> NoReturn:
    raise InputError(f"imported values: {where!r}: {problem}; expected is {EXPECTED}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "an object" if isinstance(value, _Pairs) else "a list"
    return shortened(repr(value), 60)
