"""Texts of frames other than the grid's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from lavad_core.method.sampling import nearest_rows

Text = TypeVar("Text")


def nearest_texts(texts: Mapping[int, Text], grid: Sequence[int]) -> dict[int, Text]:
    """For each frame of ``grid`` the text of the nearest frame that has one; of two as near that of the earlier.

    Args:
        texts: frame to text; at least one.
        grid: frames.
    """
    frames = sorted(texts)
    rows = nearest_rows(np.array(frames, np.int64), np.array(grid, np.int64))
    return {frame: texts[frames[row]] for frame, row in zip(grid, rows.tolist(), strict=True)}
