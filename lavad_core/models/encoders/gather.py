"""Rows from a model to checked arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import ModelError
from lavad_core.models.protocols import Vectors


def stack_vectors(rows: Sequence[NDArray[np.float32]], dimension: int, what: str) -> Vectors:
    """Rows, float32 [dimension] each, as one array, float32 [n, dimension]; ``what`` names what is encoded, for the message.

    Raises:
        ModelError: a value is not finite, or a vector is zero.
    """
    if not rows:
        return np.zeros((0, dimension), dtype=np.float32)
    vectors = np.stack(rows).astype(np.float32, copy=False)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ModelError(
            f"the encoder gave values that are not finite for {len(bad)} of {len(rows)} {what} vectors, the first at "
            f"position {bad[0]}; with `encoder.dtype: float16` give float32 or bfloat16, otherwise the weights are damaged"
        )
    zero = np.flatnonzero(~vectors.any(axis=1))
    if len(zero):  # as near to one picture as to another: the first would win, and nobody would see why
        raise ModelError(
            f"the encoder gave zeros alone for {len(zero)} of {len(rows)} {what} vectors, the first at position {zero[0]}: the "
            "weights are damaged; download them again"
        )
    return vectors


def mean_of_groups(vectors: Vectors, counts: Sequence[int]) -> Vectors:
    """The mean of each run of rows: ``counts[0]`` rows, then ``counts[1]`` rows, …"""
    means = np.zeros((len(counts), vectors.shape[1]), dtype=np.float32)
    start = 0
    for number, count in enumerate(counts):
        means[number] = vectors[start : start + count].mean(axis=0)
        start += count
    return means
