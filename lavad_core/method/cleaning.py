"""Image-text caption cleaning (paper Sec. 3.3, Eq. 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavad_core.method.similarity import COLUMN_BLOCK, check_vectors, similarities

FrameTexts = Sequence[tuple[int, str]]
"""(frame, caption) of one captioner."""


@dataclass(frozen=True)
class Candidate:
    """A distinct caption of a video: a member of C."""

    text: str
    """The text, as the captioner wrote it."""
    captioner: str
    """Who wrote it first."""
    frame: int
    """The first grid frame that has it."""


def unique_captions(captions_by_captioner: Sequence[tuple[str, FrameTexts]]) -> list[Candidate]:
    """The pool C of a video: the captions of all its grid frames by all captioners, each text once.

    Order: by frame, then by the captioners' order; the first that has a text owns it. The order decides ties of Eq. 2
    (the first wins). Texts are equal if all their characters are. Captions without a visible character are left out:
    they describe nothing, yet could be the nearest to some image.

    Args:
        captions_by_captioner: (name, captions of grid frames) in the order of the configuration.

    Returns:
        Distinct captions; empty if no captioner said anything.

    Raises:
        ValueError: a captioner is named twice.
    """
    names = [name for name, _ in captions_by_captioner]
    if len(set(names)) < len(names):
        raise ValueError(f"a captioner is named twice: {names}")
    ordered = sorted(
        (frame, position, text)
        for position, (_, captions) in enumerate(captions_by_captioner)
        for frame, text in captions
        if text.strip()
    )
    owners: dict[str, Candidate] = {}
    for frame, position, text in ordered:
        if text not in owners:
            owners[text] = Candidate(text, names[position], frame)
    return list(owners.values())


def best_captions(
    image_vectors: NDArray[np.floating] | Iterable[NDArray[np.floating]],
    caption_vectors: NDArray[np.floating],
    block: int = 1024,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ĉ_i = argmax over C of ⟨E_I(I_i), E_T(C)⟩ (Eq. 2); the first of equal ones.

    Memory beyond the arguments and the result: about 60 MiB at dimension 1024, however many images and captions.

    Args:
        image_vectors: unit vectors, [n, dimension], or blocks of them.
        caption_vectors: unit vectors of the pool, [m, dimension], m ≥ 1.
        block: most images compared at once.

    Returns:
        Position in the pool, int64 [n], and its cosine similarity, float32 [n].

    Raises:
        ValueError: the pool is empty, or vectors are not finite or of different dimensions.
    """
    check_vectors("caption vectors", caption_vectors)
    if not len(caption_vectors):
        raise ValueError("no caption to choose from: every caption of the video is empty")
    positions: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    values: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for images in _blocks(image_vectors, block):
        check_vectors("image vectors", images)
        if images.shape[1] != caption_vectors.shape[1]:
            raise ValueError(f"images have dimension {images.shape[1]}, captions {caption_vectors.shape[1]}")
        best = np.zeros(len(images), np.int64)
        value = np.full(len(images), -np.inf, np.float32)
        for start in range(0, len(caption_vectors), COLUMN_BLOCK):
            part = similarities(images, caption_vectors[start : start + COLUMN_BLOCK])
            at = part.argmax(axis=1)
            found = np.take_along_axis(part, at[:, None], axis=1)[:, 0]
            better = found > value  # not >=: the first of equal ones stays
            best[better], value[better] = at[better] + start, found[better]
        positions.append(best)
        values.append(value)
    return np.concatenate(positions), np.concatenate(values)


def _blocks(
    vectors: NDArray[np.floating] | Iterable[NDArray[np.floating]], rows: int
) -> Iterator[NDArray[np.floating]]:
    if rows < 1:
        raise ValueError(f"a block needs at least 1 row, got {rows}")
    for part in [vectors] if isinstance(vectors, np.ndarray) else vectors:
        for start in range(0, len(part), rows):
            yield part[start : start + rows]
