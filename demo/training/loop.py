"""What all trainings have in common: the optimiser, its schedule, and the messages on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Log = Callable[[str], None]

_SMALLEST = 64
"""Matrices with a shorter side are not hidden layers."""

_MUON = 1.0
"""Muon's learning rate in terms of AdamW's: its updates are scaled to the same size."""


@dataclass
class TrainingRecord:
    """What a training was, for the model's card."""

    steps: int
    """How many steps were made."""
    batch: int
    """Samples in each step."""
    seconds: float
    """How long the training took, seconds."""
    losses: list[tuple[int, float]]
    """(step, mean loss since the last), about ten."""


def train(
    parameters: list[torch.nn.Parameter],
    loss_of: Callable[[NDArray[np.int64]], torch.Tensor],
    batches: Iterator[NDArray[np.int64]],
    *,
    steps: int,
    rate: float,
    log: Log,
    name: str,
    decay: float = 0.05,
) -> TrainingRecord:
    """Muon for the matrices and AdamW for the rest, with a warm-up over a twentieth of the steps and a cosine to zero.

    Args:
        parameters: to be trained.
        loss_of: gives the loss of the samples with these numbers.
        batches: numbers of samples, endless.
        steps: how many.
        rate: highest learning rate.
        log: takes about ten lines.
        name: what is trained.
        decay: weight decay of matrices.
    """
    hidden = [each for each in parameters if each.ndim == 2 and min(each.shape) >= _SMALLEST]
    taken = {id(each) for each in hidden}
    others = [each for each in parameters if id(each) not in taken]
    optimisers: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)]
    if hidden:
        optimisers.append(torch.optim.Muon(hidden, lr=_MUON * rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    warm = max(1, steps // 20)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimiser,
            lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps))),
        )
        for optimiser in optimisers
    ]
    began, recent, losses, size = time.monotonic(), [], [], 0
    for step in range(1, steps + 1):
        numbers = next(batches)
        size = len(numbers)
        loss = loss_of(numbers)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
        recent.append(loss.item())
        if step % max(1, steps // 10) == 0 or step == steps:
            losses.append((step, round(float(np.mean(recent)), 4)))
            log(f"{name}: step {step} of {steps}, loss {losses[-1][1]:.4f}, {time.monotonic() - began:.0f} s")
            recent = []
    return TrainingRecord(steps, size, round(time.monotonic() - began, 1), losses)


def half_precision() -> torch.autocast:
    """Matrix products in bfloat16: on processors that have it three times as fast."""
    return torch.autocast("cpu", torch.bfloat16)


def shuffled(count: int, batch: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Numbers below ``count`` in random order, over and over, ``batch`` at a time, or all where there are fewer."""
    batch = min(batch, count)
    while True:
        order = random.permutation(count)
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]
