"""Which frames a pass delivers, in which order. Pure; both sides of the pipe compute it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import InternalError
from lavad_core.video.types import FrameRequest


def check_requests(requests: Sequence[FrameRequest], frames: int) -> None:
    """Refuse requests that no pass over a video of ``frames`` frames can fulfil.

    Raises:
        InternalError: indices out of range or not strictly increasing, or not exactly one of ``frames`` and ``every``.
    """
    for number, request in enumerate(requests):
        if (request.frames is None) == (request.every is None):
            raise InternalError(f"frame request {number}: exactly one of frames and every must be set")
        if request.every is not None and request.every < 1:
            raise InternalError(f"frame request {number}: every = {request.every}, must be at least 1")
        if request.frames is not None and len(request.frames):
            wanted = np.asarray(request.frames, np.int64)
            if (wanted[1:] <= wanted[:-1]).any():
                raise InternalError(f"frame request {number}: indices must be strictly increasing")
            if wanted[0] < 0 or wanted[-1] >= frames:
                raise InternalError(
                    f"frame request {number}: indices {wanted[0]} to {wanted[-1]} of a video of {frames} frames"
                )


def needed(requests: Sequence[FrameRequest], frames: int) -> Iterator[tuple[int, list[int]]]:
    """Every wanted index once, increasing, with the numbers of the requests that want it."""
    series = [range(0, frames, r.every) if r.every is not None else _integers(r.frames) for r in requests]
    at = [0] * len(series)
    while True:
        heads = [s[p] for s, p in zip(series, at, strict=True) if p < len(s)]
        if not heads:
            return
        index = min(heads)
        to = [n for n, (s, p) in enumerate(zip(series, at, strict=True)) if p < len(s) and s[p] == index]
        for n in to:
            at[n] += 1
        yield index, to


def _integers(frames: Sequence[int] | NDArray[np.int64] | None) -> Sequence[int]:
    """A view that gives Python integers, each when it is asked for: as a tuple a million take 40 MB."""
    return np.ascontiguousarray(() if frames is None else frames, np.int64).data
