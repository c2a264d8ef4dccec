"""Vectors as a column, and means of vectors over windows in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.errors import InternalError, ModelError
from lavad_core.models.protocols import Vectors

VECTOR = pa.list_(pa.float32())
"""Type of a column of vectors; all vectors of a result have the same length."""

FRAME_VECTORS = pa.schema([pa.field("frame", pa.int64(), nullable=False), pa.field("vector", VECTOR, nullable=False)])
"""One vector per frame: rows of ``embed_frames`` and ``embed_windows``."""

VECTORS_OF = {"frame": "embed_frames", "window": "embed_windows"}
"""Whose vectors a method compares (its setting ``vector``) to the node that has them."""


def to_column(vectors: Vectors) -> pa.Array:
    """float32 [n, d] as a column of n lists."""
    count, dimension = vectors.shape
    offsets = np.arange(count + 1, dtype=np.int32) * dimension
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(vectors, np.float32).ravel()))


def from_column(column: pa.Array | pa.ChunkedArray) -> Vectors:
    """The float32 [n, d] array of a column made by :func:`to_column`.

    Raises:
        InternalError: the lists differ in length.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    count = len(column)
    flat: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    if count == 0:
        return np.zeros((0, 0), np.float32)
    if flat.size % count:
        raise InternalError(f"{flat.size} numbers in a column of {count} vectors")
    return flat.reshape(count, -1)


def gathered(batches: Iterable[Vectors], most: int) -> Iterator[Vectors]:
    """Small batches as larger ones, each in one array: a reader that makes large ones itself holds several copies of them.

    Args:
        batches: float32 [n, d], of one d.
        most: rows of each result but the last. The arrays share memory: use one before the next is taken.
    """
    room: Vectors | None = None
    filled = 0
    for batch in batches:
        while len(batch):
            if room is None:
                room = np.empty((most, batch.shape[1]), np.float32)
            taken = min(len(batch), most - filled)
            room[filled : filled + taken] = batch[:taken]
            filled, batch = filled + taken, batch[taken:]
            if filled == most:
                yield room
                filled = 0
    if room is not None and filled:
        yield room[:filled]


def unit(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1.

    Raises:
        ModelError: a row is zero or not finite: its encoder gave no direction.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0)
    if bad.any():
        raise ModelError(f"{int(bad.sum())} of {len(vectors)} vectors have no direction (zero, NaN or infinite)")
    return np.asarray(vectors / lengths, np.float32)


class WindowPart(Hashable, Protocol):
    """What can be a part of a window: a frame, or a clip as its two frames."""

    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=WindowPart)


class WindowMeans(Generic[K]):
    """Means over windows whose parts arrive one by one; a part is forgotten when its last window is done.

    A window is looked at when a part arrives that is not before its first, and forgotten when it is done: however many
    windows there are, those that are open at the moment are in memory.

    Args:
        windows: for each window, in order, the one or more parts that it is the mean of; a part given twice counts
            twice. No window's least part may be before that of the window in front of it.
    """

    def __init__(self, windows: Iterable[Sequence[K]]) -> None:
        self._coming = enumerate(windows)
        self._next = next(self._coming, None)
        self._waiting: deque[tuple[int, Sequence[K]]] = deque()
        self._users: Counter[K] = Counter()
        self._vectors: dict[K, NDArray[np.float32]] = {}

    def add(self, part: K, vector: NDArray[np.float32]) -> None:
        """A part's vector, [d]. Parts that no window waits for are ignored."""
        # All windows that have the part are open then: a later one begins after it.
        while self._next is not None and not part < min(self._next[1]):
            self._waiting.append(self._next)
            self._users.update(set(self._next[1]))
            self._next = next(self._coming, None)
        if part in self._users:
            self._vectors[part] = vector

    def ready(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(position, mean vector [d], not normalised) of the windows that are complete and next in order."""
        while self._waiting:
            position, window = self._waiting[0]
            if any(part not in self._vectors for part in window):
                return
            self._waiting.popleft()
            together = np.stack([self._vectors[part] for part in window])
            yield position, together.mean(axis=0, dtype=np.float64).astype(np.float32)
            for part in set(window):
                self._users[part] -= 1
                if not self._users[part]:
                    del self._users[part], self._vectors[part]

    def finish(self) -> None:
        """Raise InternalError if a window never became complete."""
        first = self._waiting[0] if self._waiting else self._next
        if first is not None:
            left = len(self._waiting) + (self._next is not None) + sum(1 for _ in self._coming)
            raise InternalError(f"{left} windows did not get all their frames, first {first}")
