"""Captions, summaries or scores made elsewhere: one ``<video>.json`` with ``{frame: value}`` a video."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NoReturn

from lavad_core.errors import InputError
from lavad_core.imports.files import decode, read_bytes

MAX_BYTES = 512 * 2**20
"""A caption of 60 bytes for each frame of 80 hours of video."""

EXPECTED = '{"0": value, "16": value, …} with frame numbers as keys, and texts or scores in [0, 1] as values'

_FRAME = re.compile(r"[0-9]{1,12}")


def read_frame_values(folder: Path, video: str) -> tuple[dict[int, str] | dict[int, float], str]:
    """``<folder>/<video>.json`` in the layout of the authors' program.

    The captions of that program are there for every frame; the caller takes those of the grid.

    Args:
        folder: where the files are.
        video: the video's name.

    Returns:
        Values by frame, in increasing order, all texts or all scores; and the SHA-256 of the file, hexadecimal.

    Raises:
        InputError: the file is missing or damaged, a key is not a frame number, or a value is neither a text nor a
            number in [0, 1], or they are mixed; says which.
    """
    if video in ("", "..") or Path(video).name != video:
        raise InputError(f"imported values: {video!r} cannot be the name of a file; rename the video")
    path = folder / f"{video}.json"
    content = read_bytes(path, "imported values", MAX_BYTES)
    texts: dict[int, str] = {}
    scores: dict[int, float] = {}
    for frame, value in sorted(_parse(decode(content, path, "imported values"), path).items()):
        if isinstance(value, str):
            texts[frame] = _checked_text(value, frame, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            if not 0 <= value <= 1:
                _fail(path, f"frame {frame} has the score {_shown(value)}, outside [0, 1]")
            scores[frame] = float(value)
        else:
            _fail(path, f"frame {frame} has {_shown(value)}, neither a text nor a number")
    if texts and scores:
        _fail(path, f"{len(texts)} values are texts and {len(scores)} are numbers")
    if not texts and not scores:
        _fail(path, "there are no values")
    return texts or scores, hashlib.sha256(content).hexdigest()


def read_frame_texts(folder: Path, video: str) -> tuple[dict[int, str], str]:
    """:func:`read_frame_values` of captions or summaries; scores are an InputError."""
    values, digest = read_frame_values(folder, video)
    texts = {frame: value for frame, value in values.items() if isinstance(value, str)}
    if len(texts) < len(values):
        _fail(folder / f"{video}.json", "the values are numbers where texts are needed")
    return texts, digest


def read_frame_scores(folder: Path, video: str) -> tuple[dict[int, float], str]:
    """:func:`read_frame_values` of scores; texts are an InputError."""
    values, digest = read_frame_values(folder, video)
    scores = {frame: value for frame, value in values.items() if not isinstance(value, str)}
    if len(scores) < len(values):
        _fail(folder / f"{video}.json", "the values are texts where scores are needed")
    return scores, digest


def _parse(text: str, path: Path) -> dict[int, Any]:
    def no_number(word: str) -> NoReturn:
        _fail(path, f"a value is {word}, which is not a number of JSON")

    # An object is handed over as its pairs, so that a frame named twice shows; lists of values stay lists.
    try:
        pairs = json.loads(text, parse_constant=no_number, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"imported values: {str(path)!r} is not JSON: {_shown(str(error), 200)}; expected is {EXPECTED}"
        ) from error
    if not isinstance(pairs, _Pairs):
        _fail(path, f"the file holds {_shown(pairs)}")
    values: dict[int, Any] = {}
    for key, value in pairs:
        if not _FRAME.fullmatch(key):
            _fail(path, f"the key {_shown(key)} is not a frame number")
        if int(key) in values:
            _fail(path, f"frame {int(key)} is there twice")
        values[int(key)] = value
    return values


class _Pairs(list[tuple[str, Any]]):
    """A JSON object."""


def _checked_text(text: str, frame: int, path: Path) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # "\ud800" is valid JSON, but no text: nothing could write it down again
        _fail(path, f"the text of frame {frame} has half a surrogate pair: {_shown(text)}")
    return text


def _fail(path: Path, problem: str) -> NoReturn:
    raise InputError(f"imported values: {str(path)!r}: {problem}; expected is {EXPECTED}")


def _shown(value: Any, most: int = 60) -> str:
    if isinstance(value, list):
        return "an object" if isinstance(value, _Pairs) else "a list"
    text = repr(value)
    return text if len(text) <= most else text[:most] + "…"
