"""Video-text score refinement (paper Sec. 3.3, Eq. 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lavad_core.method.similarity import CELL_LIMIT, COLUMN_BLOCK, check_vectors, similarities


@dataclass(frozen=True)
class Pool:
    """The distinct summaries of a video, for n grid frames and u distinct texts."""

    texts: tuple[str, ...] = field(repr=False)
    """U texts in order of their first frame; what E_T encodes."""
    first: NDArray[np.int64] = field(repr=False)
    """int64, [u], position (0 … n − 1) of the first grid frame that has the text; it owns the text's score."""
    frames: NDArray[np.int64] = field(repr=False)
    """int64, [u], number of that frame."""
    text_of: NDArray[np.int64] = field(repr=False)
    """int64, [n], position in ``texts`` of each grid frame's summary."""


def unique_pool(frames: Sequence[int] | NDArray[np.int64], texts: Sequence[str]) -> Pool:
    """Find equal summaries (all characters equal).

    Args:
        frames: [n], grid frames in increasing order.
        texts: [n], their summaries.
    """
    if len(frames) != len(texts):
        raise ValueError(f"{len(frames)} frames but {len(texts)} summaries")
    positions: dict[str, int] = {}
    first: list[int] = []
    text_of = np.empty(len(texts), np.int64)
    for at, text in enumerate(texts):
        position = positions.setdefault(text, len(positions))
        if position == len(first):
            first.append(at)
        text_of[at] = position
    owners = np.array(first, dtype=np.int64)
    return Pool(tuple(positions), owners, np.asarray(frames, dtype=np.int64)[owners], text_of)


def refine(
    window_vectors: NDArray[np.floating],
    summary_vectors: NDArray[np.floating] | Iterable[NDArray[np.floating]],
    scores: NDArray[np.float64],
    *,
    neighbours: int,
    block: int = 1024,
    text_of: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float32]]:
    """ã_i = Σ_k a_k·e^{s_ik} / Σ_k e^{s_ik} over the K candidates most similar to V_i (Eq. 5).

    Candidates are the rows of ``summary_vectors`` (pool ``unique``: give the score of each text's first frame,
    ``scores[pool.first]``), or with ``text_of`` all grid frames, equal summaries each counting (pool ``all``, the
    formula's {S_1, …, S_M}: give ``pool.text_of`` and every frame's score). A text is compared once either way. Of
    equal similarities the lower candidate comes first. With fewer than K candidates all are used.

    Memory beyond arguments and result: about 120 MiB at most at 10^5 candidates of dimension 1024 and K up to 1000.

    Args:
        window_vectors: E_V(V_i), unit vectors, [n, dimension].
        summary_vectors: E_T of the distinct summaries, unit vectors, [u, dimension], or blocks of them in order.
        scores: a, float64, one for each of the c candidates (c = u, or the length of ``text_of``).
        neighbours: K.
        block: most windows compared at once.
        text_of: int64, [c], row of ``summary_vectors`` of each candidate; rows are in order of their first candidate, as
            those of :func:`unique_pool` are.

    Returns:
        ã, float64 [n], within the lowest and highest score of its neighbours; the neighbours, int32 [n, min(K, c)],
        positions among the candidates, most similar first; their similarities, float32 of the same shape.

    Raises:
        ValueError: no candidates, vectors or scores that are not finite, or shapes that do not fit.
    """
    check_vectors("window vectors", window_vectors)
    candidates = len(scores) if text_of is None else len(text_of)
    if not candidates or neighbours < 1 or block < 1:
        raise ValueError(
            f"{candidates} candidates, {neighbours} neighbours, blocks of {block}: each must be at least 1"
        )
    if scores.shape != (candidates,) or not np.isfinite(scores).all():
        raise ValueError(f"{candidates} candidates need as many finite scores, got shape {scores.shape}")
    texts = candidates
    if text_of is not None:
        highest = np.maximum.accumulate(text_of)
        if text_of[0] != 0 or text_of.min() < 0 or (np.diff(highest) > 1).any():
            raise ValueError("the texts are not in order of their first candidate, as unique_pool gives them")
        texts = int(highest[-1]) + 1
    nearest, values = _nearest_texts(window_vectors, summary_vectors, texts, neighbours, block)
    if text_of is not None:
        nearest, values = _nearest_candidates(nearest, values, text_of, neighbours, block)
    refined = np.empty(len(window_vectors), np.float64)
    for part in _parts(len(window_vectors), block, nearest.shape[1]):
        refined[part] = weighted_mean(scores[nearest[part]], values[part])
    return refined, nearest, values


def weighted_mean(scores: NDArray[np.float64], neighbour_similarities: NDArray[np.float32]) -> NDArray[np.float64]:
    """The weighted mean of Eq. 5 for neighbours already found.

    Args:
        scores: float64, [n, K].
        neighbour_similarities: float32, [n, K]; -inf has weight 0.

    Returns:
        float64, [n].
    """
    exponents = neighbour_similarities.astype(np.float64)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    mean = (weights * scores).sum(axis=1) / weights.sum(axis=1)
    # Rounding may leave the interval of the scores by one bit.
    return np.asarray(np.clip(mean, scores.min(axis=1), scores.max(axis=1)), dtype=np.float64)


def _nearest_texts(
    windows: NDArray[np.floating],
    vectors: NDArray[np.floating] | Iterable[NDArray[np.floating]],
    texts: int,
    neighbours: int,
    block: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest of ``texts`` vectors for each window, [n, min(neighbours, texts)], and how similar: those nearest so far
    are kept, and compete with the next vectors."""
    kept = min(neighbours, texts)
    nearest = np.zeros((len(windows), kept), np.int32)
    values = np.zeros((len(windows), kept), np.float32)
    seen = 0
    for summaries in [vectors] if isinstance(vectors, np.ndarray) else vectors:
        check_vectors("summary vectors", summaries)
        if windows.shape[1] != summaries.shape[1]:
            raise ValueError(f"windows have dimension {windows.shape[1]}, summaries {summaries.shape[1]}")
        for start in range(0, len(summaries), COLUMN_BLOCK):
            columns = summaries[start : start + COLUMN_BLOCK]
            had, have = min(kept, seen), min(kept, seen + len(columns))
            for part in _parts(len(windows), block, max(len(columns), had)):
                found = similarities(windows[part], columns)
                # Those so far come first: of equal ones the lower text is in front.
                picked, values[part, :have] = _most_similar(np.hstack([values[part, :had], found]), have)
                new = picked - had + seen
                old = np.take_along_axis(nearest[part], np.minimum(picked, max(had - 1, 0)), axis=1)
                nearest[part, :have] = np.where(picked < had, old, new)
            seen += len(columns)
    if seen != texts:
        raise ValueError(f"{seen} candidates have vectors, but scores are given for {texts}")
    return nearest, values


def _nearest_candidates(
    nearest: NDArray[np.int32],
    values: NDArray[np.float32],
    text_of: NDArray[np.int64],
    neighbours: int,
    block: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """From the K nearest texts of each window its K nearest candidates, which have no other text: before a candidate of
    the K+1st come the first candidates of the K texts, that are more similar, or equally and lower."""
    texts, kept = int(text_of.max()) + 1, min(neighbours, len(text_of))
    indices = np.empty((len(nearest), kept), np.int32)
    similarity = np.empty((len(nearest), kept), np.float32)
    for part in _parts(len(nearest), block, len(text_of)):
        found = np.full((len(nearest[part]), texts), -np.inf, np.float32)
        np.put_along_axis(found, nearest[part], values[part], axis=1)
        indices[part], similarity[part] = _most_similar(found[:, text_of], kept)
    return indices, similarity


def _parts(rows: int, block: int, columns: int) -> Iterator[slice]:
    """Rows 0 … ``rows`` − 1, in parts of at most CELL_LIMIT cells."""
    step = max(1, min(block, CELL_LIMIT // columns))
    return (slice(start, start + step) for start in range(0, rows, step))


def _most_similar(found: NDArray[np.float32], kept: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns and values of the ``kept`` largest of each row, largest first, of equal ones the lower column first."""
    rows, columns = found.shape
    if kept < columns:
        # The smallest value that gets in, then room for that many of those that have just this value.
        level = np.partition(found, columns - kept, axis=1)[:, columns - kept, None].copy()  # without the rest
        above, equal = found > level, found == level
        room = kept - above.sum(axis=1, dtype=np.int32)
        chosen = above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= room[:, None]))
        picked = np.nonzero(chosen)[1].reshape(rows, kept)
    else:
        picked = np.broadcast_to(np.arange(columns), (rows, columns))
    values = np.take_along_axis(found, picked, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(picked, order, axis=1), np.take_along_axis(values, order, axis=1)
