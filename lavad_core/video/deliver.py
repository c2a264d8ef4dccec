"""Which pictures go to the parent: every wanted frame, or what stands in for it. Runs in the decoding child."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import VideoRejected
from lavad_core.video import geometry
from lavad_core.video.answer import MakePicture, Send
from lavad_core.video.types import FrameRequest

SendFrame = Callable[[int, int, MakePicture, bool], None]
"""Takes index, number of the request, picture, and whether it stands in for another."""


def sender(requests: list[FrameRequest], send: Send, delivered: int) -> SendFrame:
    """Sends pictures at the sizes that ``requests`` want, but for the first ``delivered``, which an earlier process sent."""
    left = delivered

    def give(index: int, number: int, picture: MakePicture, substituted: bool) -> None:
        nonlocal left
        if left:
            left -= 1
            return
        image = geometry.resize_picture(requests[number].geometry, picture())
        height, width = image.shape[:2]
        send({"t": "frame", "i": index, "r": number, "h": height, "w": width, "s": substituted}, [image])

    return give


def deliver(
    source: Iterator[tuple[int, MakePicture]],
    wanted: Iterator[tuple[int, list[int]]],
    gaps: NDArray[np.int64] | None,
    send: SendFrame,
) -> None:
    """Send every wanted frame, in increasing index; for those that are missing the nearest earlier, at the start a later, one.

    Args:
        gaps: the only indices that may be missing; None if any may.
    """
    allowed = None if gaps is None else set(gaps.tolist())

    def give(index: int, to: list[int], picture: MakePicture, substituted: bool) -> None:
        if substituted and allowed is not None and index not in allowed:
            raise VideoRejected("changed", f"frame {index} could be decoded before and cannot now")
        for number in to:
            send(index, number, picture, substituted)

    next_wanted = next(wanted, None)
    previous: MakePicture | None = None
    while next_wanted is not None:
        found = next(source, None)
        if found is None:
            break
        index, picture = found
        while next_wanted is not None and next_wanted[0] < index:
            give(*next_wanted, previous or picture, True)
            next_wanted = next(wanted, None)
        if next_wanted is not None and next_wanted[0] == index:
            give(*next_wanted, picture, False)
            next_wanted = next(wanted, None)
        previous = picture
    while next_wanted is not None:
        if previous is None:
            raise VideoRejected("changed", "frames could be decoded before, and none can now")
        give(*next_wanted, previous, True)
        next_wanted = next(wanted, None)
