"""Cosine similarities of unit vectors, the same whatever the size of a block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLUMN_BLOCK = 4096
"""Vectors turned into float64 at a time: 32 MiB at dimension 1024."""

CELL_LIMIT = 2**22
"""Most similarities held at once (16 MiB as float32; the search for neighbours takes about five times that)."""


def check_vectors(what: str, vectors: NDArray[np.floating]) -> None:
    """Raise ValueError unless ``vectors`` is a finite [n, dimension] array of floats.

    NaN must stop here: it compares false with everything, so that an argmax over it is a plausible wrong answer.
    """
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise ValueError(f"{what}: floats of shape [n, dimension] are needed, got {vectors.dtype} {vectors.shape}")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{what}: {len(bad)} of {len(vectors)} rows have NaN or infinity, first rows {bad[:5].tolist()}"
        )


def similarities(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float32]:
    """⟨left, right⟩ of every pair of rows.

    Summed in float64 and rounded once to float32: two equal vectors then have the same similarity wherever they stand
    in a block and whatever the number of threads (but for about one sum in 10^8 on a rounding edge). A float32 product
    differs in the last bit there, and this bit would decide a tie. Ties are not rare: CLIP's tokenizer reads "A dog"
    and "a dog" as one text.

    Args:
        left: unit vectors, [n, dimension].
        right: unit vectors, [m, dimension].

    Returns:
        float32, [n, m].
    """
    result = np.empty((len(left), len(right)), np.float32)
    wide = left.astype(np.float64)
    for start in range(0, len(right), COLUMN_BLOCK):
        columns = right[start : start + COLUMN_BLOCK].astype(np.float64)
        result[:, start : start + COLUMN_BLOCK] = wide @ columns.T
    return result
