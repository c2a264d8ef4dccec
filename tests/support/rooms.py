"""A video of four scenes whose changes differ, and the settings under which it has four events, three of them coarse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENTS = {"peak_threshold": 0.05}
METHOD: dict[str, Any] = {"score": {"method": "events"}, "events": EVENTS}
IMPORTED: dict[str, Any] = {"score": {"method": "events"}, "events": {"boundaries": "import"}}


def four_rooms(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark, bright from frame 48, a little less bright from 96, and dark from 160: the second change is the least."""
    level = 35 if index < 48 else 205 if index < 96 else 165 if index < 160 else 35
    return np.full((size[1], size[0], 3), level, np.uint8)


def spans(rows: list[dict[str, Any]], level: str) -> list[tuple[int, int]]:
    return [(row["start_frame"], row["end_frame"]) for row in rows if row["level"] == level]
