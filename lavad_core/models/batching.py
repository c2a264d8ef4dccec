"""Batches that halve when the device runs out of memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from lavad_core.config.section import AUTO_MOST
from lavad_core.errors import DeviceOutOfMemory, InternalError
from lavad_core.models.devices import free

_LOG = logging.getLogger(__name__)

Item = TypeVar("Item")
Output = TypeVar("Output")

AUTO_SHARE = 0.8
"""Share of the free memory that a batch may take where ``batch_size`` is ``auto``; the rest is for fragments and for the
encoder, which may be loaded later."""

_TRIED = (2, 4)
"""Batches whose memory is measured to find how it grows."""

_MEMORY_ALLOCATION = 2
"""cudaErrorMemoryAllocation, ``AcceleratorError.error_code`` of an allocation outside of torch's own allocator."""

_ALLOCATOR_MESSAGES = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
"""torch has no class for these two (Unix, Windows): a bare RuntimeError, so its text is all there is to decide by."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if ``error`` says that the device or the machine has no memory for this much work at once."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    accelerator_error = getattr(torch, "AcceleratorError", None)  # torch < 2.8 has none
    if accelerator_error is not None and isinstance(error, accelerator_error):
        return getattr(error, "error_code", None) == _MEMORY_ALLOCATION
    return type(error) is RuntimeError and any(message in str(error) for message in _ALLOCATOR_MESSAGES)


def largest_fitting(peak_of: Callable[[int], int], free_bytes: int) -> int:
    """The largest power of two up to :data:`~lavad_core.config.section.AUTO_MOST` whose batch takes at most
    :data:`AUTO_SHARE` of the free memory.

    Args:
        peak_of: bytes that a batch of this many items takes; called for two small ones: memory grows evenly with the batch.
        free_bytes: before them.
    """
    few, more = _TRIED
    try:
        least = peak_of(few)
        each = max(0.0, (peak_of(more) - least) / (more - few))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return 1
    size = AUTO_MOST
    while size > 1 and least + each * (size - few) > AUTO_SHARE * free_bytes:
        size //= 2
    return size


class Batcher:
    """Runs items in batches and remembers the size that fits.

    Attributes:
        batch_size: items in a batch from now on; halves when a batch does not fit and never grows again, since the
            next video would only run out of memory at the same size.
    """

    def __init__(self, batch_size: int, device: torch.device, *, what: str = "items", fixed: bool = False) -> None:
        """
        Args:
            batch_size: items in a batch at first, at least 1.
            device: whose cache is emptied before a smaller batch is tried.
            what: the items' name in messages: ``images``, ``texts``, …
            fixed: the work fills up a batch to :meth:`shape`, so that this is what must fit.
        """
        if batch_size < 1:
            raise InternalError(f"batch size {batch_size} is not at least 1")
        self.batch_size = batch_size
        self._device = device
        self._what = what
        self._fixed = fixed

    def shape(self, count: int) -> int:
        """Items for which a batch of ``count`` is computed."""
        return self.batch_size if self._fixed else count

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Output]]) -> list[Output]:
        """``work`` over all items, in order.

        Args:
            work: results of a batch, one for each item, in order or an array of them.
                It may be called again for items whose batch was too large, so it must keep nothing of a failed call.

        Raises:
            DeviceOutOfMemory: one item alone does not fit.
        """
        results: list[Output] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.batch_size]
            done = self._attempt(batch, work)
            if done is None:
                # Only here, outside the `except` block, are the failed call's tensors no longer held by its traceback.
                free(self._device)
                tried = self.shape(len(batch))
                self.batch_size = max(1, tried // 2)
                _LOG.warning(
                    "out of memory on %s with %d %s at once; going on with %d",
                    self._device,
                    tried,
                    self._what,
                    self.batch_size,
                )
                continue
            if len(done) != len(batch):
                raise InternalError(f"{len(batch)} {self._what} gave {len(done)} results")
            results.extend(done)
        return results

    def _attempt(
        self, batch: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Output]]
    ) -> Sequence[Output] | None:
        """The batch's results, or None if it has to be smaller."""
        try:
            return work(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.shape(len(batch)) > 1:
                return None
            reason = (str(error).splitlines() or [type(error).__name__])[0]
        free(self._device)
        raise DeviceOutOfMemory(
            f"{self._device} has no memory for one of the {self._what} alone ({reason}); "
            "free memory there, choose another `device`, a smaller `dtype` (float16, bfloat16) or a smaller model"
        )
