"""Weights of the random models: drawn by NumPy from a seed, so that torch's version and threads do not matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def random_normal(generator: np.random.Generator, *shape: int, scale: float = 1.0) -> torch.Tensor:
    """Normal numbers of standard deviation ``scale``, float32."""
    values: Floats = np.asarray(generator.standard_normal(shape) * scale, dtype=np.float32)  # of a scalar, too
    return torch.from_numpy(values)


def randomise(module: torch.nn.Module, seed: int, *, gain: float = 1.0) -> np.random.Generator:
    """:func:`fill` with numbers of NumPy's, which is what files are made with.

    Returns:
        The generator, for further draws.
    """
    generator = np.random.default_rng(seed)
    fill(module, lambda values, scale: values.copy_(random_normal(generator, *values.shape, scale=scale)), gain=gain)
    return generator


@torch.no_grad()
def fill(module: torch.nn.Module, normal: Callable[[torch.Tensor, float], object], *, gain: float = 1.0) -> None:
    """Give every parameter of ``module`` a new value that keeps signals at unit size.

    The libraries' own initialisation is made for training: it starts near zero (BLIP-2's query tokens *at* zero), and
    then all images get the same caption. Here a matrix with n inputs has the standard deviation ``gain``/sqrt(n), an
    embedding 1, a bias 0.1, and the scale of a normalisation 1.

    Args:
        normal: fills a tensor with normal numbers of a standard deviation; called for one parameter after the other, by name.
    """
    norms = {
        id(parameter)
        for part in module.modules()
        if "norm" in type(part).__name__.lower()
        for parameter in part.parameters(recurse=False)
    }
    embeddings = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, torch.nn.Embedding)
        for parameter in part.parameters(recurse=False)
    }
    for _, parameter in sorted(module.named_parameters()):
        shape = tuple(parameter.shape)
        if id(parameter) in norms:
            parameter.fill_(1.0 if len(shape) == 1 and parameter.any() else 0.0)
        elif id(parameter) in embeddings:
            normal(parameter, 1.0)
        elif len(shape) == 1:
            normal(parameter, 0.1)
        else:
            inputs = int(np.prod(shape[1:]))
            normal(parameter, gain / inputs**0.5)


def speaking_head(
    generator: np.random.Generator,
    embeddings: torch.Tensor,
    words: list[int],
    *,
    stop: int,
    end: int,
    sharpness: float,
) -> torch.Tensor:
    """An output matrix that says words only, never one twice running, and ends soon.

    Args:
        embeddings: [vocabulary, width], the input embeddings.
        words: ids that may be said; all other ids always have the logit 0, far below the largest of the words'.
        stop: id after which the text ends (the full stop).
        end: id of the end token; its row lies along the embedding of ``stop``, so that it is likely exactly after it.
        sharpness: standard deviation of the words' logits.

    Returns:
        float32 [vocabulary, width].
    """
    vocabulary, width = embeddings.shape
    head = torch.zeros(vocabulary, width)
    head[words] = random_normal(generator, len(words), width, scale=sharpness / width**0.5)
    directions = torch.nn.functional.normalize(embeddings.detach(), dim=-1)
    head[words] -= torch.outer(head[words] @ directions[stop], directions[stop])
    head[words] -= sharpness * directions[words]
    head[end] = sharpness * directions[stop]
    return head
