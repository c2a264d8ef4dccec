"""How the benchmark of a GPU measures: time, operations, memory, and the rate of two large matrices."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from lavad_core.models.devices import free

CAPTIONERS = ("opt-6.7b", "opt-6.7b-coco", "flan-t5-xl", "flan-t5-xl-coco", "flan-t5-xxl")
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured, and how large."""

    device: torch.device
    small: bool
    batches: tuple[int, ...]
    """Sizes of captioners' batches; ``usual`` is among them."""
    usual: int
    """The size for which rates and parts are given."""
    images: int
    """Pictures of a measurement, a multiple of all sizes."""
    times: int
    """Measurements of which the median counts."""
    videos: tuple[int, int]
    """Videos of the run, and frames of each."""
    new_tokens: int = 19
    """Most tokens of a caption."""
    captioners: tuple[str, ...] = CAPTIONERS
    """Which are measured."""
    tflop: dict[str, float] = field(default_factory=dict)
    """Captioner to 10^12 operations of a caption, once that is known."""

    def dtype(self, wanted: torch.dtype) -> torch.dtype:
        """The precision that a model has on this device."""
        return torch.float32 if self.device.type == "cpu" else wanted


def plan_of(small: bool) -> Plan:
    """What is measured on this machine."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if small:
        return Plan(device, True, (2, 4), 4, 4, 1, (2, 40), 5, ("opt-6.7b-coco", "flan-t5-xxl"))
    return Plan(device, False, (32, 64, 128), 64, 128, 2, (8, 3600))


def seconds(plan: Plan, work: Callable[[], object], times: int = 0, warm: bool = False) -> float:
    """Median of what ``work`` takes, after one time that is not counted unless it is ``warm``."""
    taken = []  # each begins where the one before was waited for
    for _ in range((not warm) + (times or plan.times)):
        start = time.perf_counter()
        work()
        if plan.device.type == "cuda":
            torch.cuda.synchronize(plan.device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[not warm :])


def operations(work: Callable[[], object]) -> float:
    """10^12 operations of ``work``, two for a multiply-add."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e12


def gib(amount: int) -> float:
    """Bytes in GiB."""
    return round(amount / 2**30, 2)


def peak_gib(plan: Plan) -> float | None:
    """Highest memory of tensors since :func:`forget`; None on a CPU."""
    return gib(torch.cuda.max_memory_allocated(plan.device)) if plan.device.type == "cuda" else None


def forget(plan: Plan) -> None:
    """Free what is not used, and measure the peak anew."""
    free(plan.device)
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(plan.device)


def matrix_rates(plan: Plan) -> dict[torch.dtype, float]:
    """10^12 operations a second of a product of two square matrices."""
    side = 256 if plan.small else 8192
    rates = {}
    for dtype in {plan.dtype(torch.float16), plan.dtype(torch.bfloat16)}:
        one, other = (torch.randn(side, side, device=plan.device, dtype=dtype) for _ in range(2))
        rates[dtype] = 2 * side**3 / seconds(plan, lambda one=one, other=other: one @ other, 10) / 1e12
    return rates
