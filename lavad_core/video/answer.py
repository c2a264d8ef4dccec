"""What the two kinds of sources need to answer the parent. Runs in the decoding child."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Send = Callable[[dict[str, Any], Sequence[Any]], None]
"""Sends a message: its header and raw parts."""

MakePicture = Callable[[], NDArray[np.uint8]]
"""Makes a frame's picture: uint8 [height, width, 3]."""

Message = tuple[dict[str, Any], Sequence[Any]]
"""A header and raw parts."""

PROGRESS = struct.Struct("<Q")
"""The memory that parent and child share while the child works: how many packets or images it has begun with."""


@dataclass(frozen=True)
class Answer:
    """A request, and the ways to answer it."""

    request: dict[str, Any]
    """What the parent asked for (:mod:`lavad_core.video.decoder`)."""
    send: Send
    """Sends a message."""
    begin: Callable[[], Callable[[], None]]
    """Starts a pass over the source; returns a function to call for each packet or image."""


def int64(values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The values as they go through the pipe."""
    return np.ascontiguousarray(values, dtype="<i8")


def once(make: MakePicture) -> MakePicture:
    """A function that makes a picture at its first call and returns it at each one."""
    made: list[NDArray[np.uint8]] = []

    def get() -> NDArray[np.uint8]:
        if not made:
            made.append(make())
        return made[0]

    return get
