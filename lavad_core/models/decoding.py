"""What decoding over a cache of fixed length has in common, whatever chooses the tokens.

A token is a fixed list of operations on tensors that keep their places, so that a GPU can repeat it as one CUDA graph; a CPU
runs the same function. docs/design/gpu.md says how.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lavad_core.models.batching import is_out_of_memory

_LOG = logging.getLogger(__name__)

_SPARE_STREAMS: dict[int, list[Any]] = {}
"""By GPU the CUDA streams of graphs that are gone, for those that come after. cuBLAS has a workspace for each stream, 32 MB on
an H100, which some versions of torch keep for good. Graphs that live at once never have the same one: they would share it."""

ALIGNED = 8
"""Cache positions come in multiples of it: attention with a mask of another width is slow on a GPU, which copies the mask."""


def rounded_up(positions: int, multiple: int) -> int:
    """The least multiple that is not below ``positions``."""
    return positions + -positions % multiple


def causal_mask(positions: Tensor, places: Tensor, dtype: torch.dtype, padding: Tensor | None = None) -> Tensor:
    """What attention adds: 0 where a position may look, the least number elsewhere.

    Not minus infinity: a position of padding sees nothing at all, and would be NaN.

    Args:
        positions: int64 [length], of the tokens that are read.
        places: int64 [cache length], 0, 1, ….
        dtype: the model's.
        padding: int64 [n]: places at the beginning that nobody looks at; none if absent.

    Returns:
        [n, 1, length, cache length], with n = 1 without padding.
    """
    unseen = places > positions[:, None]
    if padding is not None:
        unseen = unseen | (places < padding[:, None, None, None])
    mask = torch.zeros(unseen.shape, dtype=dtype, device=places.device).masked_fill_(unseen, torch.finfo(dtype).min)
    return mask if padding is not None else mask[None, None]


def graph_of(step: Callable[[], None], what: str) -> Any:
    """A step as a CUDA graph, recorded and not run; None, with a warning, if this device or version cannot record it.

    Args:
        step: has been run before: what is made on first use cannot be recorded.
        what: is decoded more slowly without it, for the warning.

    Raises:
        RuntimeError: memory runs out.
    """
    try:
        graph = torch.cuda.CUDAGraph()
        spare = _SPARE_STREAMS.setdefault(torch.cuda.current_device(), [])
        stream = spare.pop() if spare else torch.cuda.Stream()
        weakref.finalize(graph, spare.append, stream)
        # Other threads of this process may allocate meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            step()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        _LOG.warning("%s are decoded without CUDA graphs, and slower: %s", what, error)
        return None
    return graph
