"""A folder of frames as a video: what is in it, and its pictures. Runs in the decoding child."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import VideoRejected
from lavad_core.video import images
from lavad_core.video.answer import Answer, MakePicture, Message, int64, once
from lavad_core.video.numbered_frames import NumberJump, list_frames, number_frames, without_jumps

MIN_PEAK = 1 << 12
"""Pictures of 16 bits that never reach this value, a sixteenth of white, have fewer bits than their format says."""

MAX_NAMED_JUMPS = 5
"""Jumps of the numbers that the reason names; the others are counted."""


def probe(path: str, answer: Answer) -> Message:
    """Read every image.

    Raises:
        VideoRejected: ``missing``, ``unreadable``, ``empty``, ``too-large``, ``no-frames`` or ``changed``.
    """
    request = answer.request
    names, first, jumps = _frame_files(path)
    total = max(names) + 1
    if total > request["max_frames"]:
        raise VideoRejected(
            "too-large",
            f"file names count up to frame {total - 1}, more than video.max_frames = {request['max_frames']}",
        )
    tick = answer.begin()
    size: tuple[int, int] | None = None
    peak = deep = more = 0
    suffixes: set[str] = set()
    good = np.zeros(total, dtype=bool)
    for index, name in names.items():
        tick()
        try:
            found = images.examine_image(os.path.join(path, name), request["max_pixels"])
        except images.DAMAGE:
            continue
        size = size or found.size
        more += found.more
        peak = max(peak, found.peak or 0)
        deep += found.peak is not None
        suffixes.add(os.path.splitext(name)[1].lower().lstrip("."))
        good[index] = True
    if size is None:
        raise VideoRejected("no-frames", f"none of {len(names)} images could be read")
    if 0 < peak < MIN_PEAK:
        raise VideoRejected(
            "format",
            f"{deep} pictures of 16 bits hold no value above {peak}: with 65535 for white they would be black; multiply "
            "pictures of 10 bits by 64, of 12 bits by 16, or save them with 8 bits",
        )
    gaps = np.flatnonzero(~good)
    counts = {
        "frames_decoded": int(good.sum()),
        "frames_missing": len(gaps),
        "decode_errors": len(names) - int(good.sum()),
        "first_number": first,
        "pages_left_out": more,
        "number_jumps": len(jumps),
    }
    found_header = {
        "t": "probe",
        "frames": total,
        "time_base": None,
        "width": size[0],
        "height": size[1],
        "rotation": 0,
        "codec": "+".join(sorted(suffixes)),
        "container": "frames",
        "frames_from_header": None,
        "counts": counts,
        "gaps": len(gaps),
        "jumps": [],
        "findings": _in_words(jumps),
    }
    return found_header, [int64(np.arange(total)), int64(gaps), int64(gaps[:0])]


def _frame_files(path: str) -> tuple[dict[int, str], int, list[NumberJump]]:
    try:
        names, first = number_frames(list_frames(Path(path)))
    except (FileNotFoundError, NotADirectoryError):
        raise VideoRejected("missing", "the folder does not exist") from None
    except OSError as error:
        raise VideoRejected("unreadable", f"the folder cannot be read: {error.strerror}") from None
    if not names:
        raise VideoRejected("empty", "a folder without frames")
    names, jumps = without_jumps(names)
    return names, first, jumps


def _in_words(jumps: list[NumberJump]) -> str:
    """Which jumps were taken out."""
    words = [f"from {jump.before} to {jump.after}, now frame {jump.index}" for jump in jumps[:MAX_NAMED_JUMPS]]
    more = f", and {len(jumps) - len(words)} more" if len(jumps) > len(words) else ""
    return f"the numbers jump {'; '.join(words)}{more}" if jumps else ""


def frames(
    path: str, answer: Answer, packets: NDArray[np.int64], gaps: NDArray[np.int64]
) -> Iterator[tuple[int, MakePicture]]:
    """Readable images with their index, increasing; each is read only if its picture is asked for."""
    request = answer.request
    names, *_ = _frame_files(path)
    lost = set(gaps.tolist())
    tick = answer.begin()

    def picture(name: str) -> NDArray[np.uint8]:
        try:
            return images.read_rgb(os.path.join(path, name), request["max_pixels"])
        except images.DAMAGE as error:
            raise VideoRejected("changed", f"{name!a} could be read before and cannot now: {error!a}") from None

    for index, name in names.items():
        tick()
        if index not in lost:
            yield index, once(partial(picture, name))


def header(path: str, answer: Answer) -> dict[str, Any]:
    """What the names of the images say."""
    names, *_ = _frame_files(path)
    return {"t": "header", "frames": max(names) + 1, "rate": None, "duration_s": None}
