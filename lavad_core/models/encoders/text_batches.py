"""What the encoders have in common for texts: clean-up, order of work, padding."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import ftfy
import numpy as np
from numpy.typing import NDArray

from lavad_core.models.batching import Batcher
from lavad_core.models.encoders.gather import stack_vectors
from lavad_core.models.protocols import Vectors

TokenIds = NDArray[np.int64]
"""Token ids of one text."""

MOST_CHARACTERS = 100_000
"""Longer texts are cut before anything else is done to them: captions are sentences, and only some 77 tokens count."""


def clean_text(text: str) -> str:
    """A text as CLIP and ImageBind were trained on: encoding repaired, entities resolved, spaces collapsed, lower case."""
    text = ftfy.fix_text(text[:MOST_CHARACTERS])
    return " ".join(html.unescape(html.unescape(text)).split()).lower()


def padded(rows: Sequence[TokenIds], padding: int) -> tuple[TokenIds, TokenIds]:
    """(ids [n, longest], position of the last id of each [n]) of rows with at least one id each; ``padding`` is the id of
    the places after the last."""
    last = np.asarray([len(row) - 1 for row in rows], dtype=np.int64)
    ids = np.full((len(rows), int(last.max()) + 1), padding, dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return ids, last


def embed_rows(
    texts: Sequence[str],
    tokenise: Callable[[Sequence[str]], Sequence[TokenIds]],
    batches: Batcher,
    encode: Callable[[Sequence[TokenIds]], list[NDArray[np.float32]]],
    dimension: int,
) -> Vectors:
    """Vectors of texts; texts of similar length are encoded together, and those with the same ids once.

    Once, because rows of one batch differ in their last bits even where their inputs are equal, and texts that mean the
    same to the model must not be ranked by that.

    Returns:
        float32 [len(texts), dimension].
    """
    if not texts:
        return stack_vectors([], dimension, "text")
    rows = tokenise(texts)
    distinct = {row.tobytes(): row for row in rows}
    # A batch is as wide as its longest text. Sorting is stable, so equal inputs meet in equal batches.
    order = sorted(distinct.values(), key=len)
    vectors = stack_vectors(batches.run(order, encode), dimension, "text")
    places = {row.tobytes(): number for number, row in enumerate(order)}
    return vectors[[places[row.tobytes()] for row in rows]]
