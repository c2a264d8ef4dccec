"""A sign of life at most every so often."""

from __future__ import annotations

import time
from collections.abc import Callable


def ticker(send: Callable[[], None], period_s: float) -> Callable[[], None]:
    """A function that calls ``send`` when at least ``period_s`` seconds have passed since it last did."""
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= period_s:
            last = now
            send()

    return tick
