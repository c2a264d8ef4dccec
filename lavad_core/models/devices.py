"""Where a model runs and in what precision: what the configuration's ``device`` and ``dtype`` mean."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable

import torch

from lavad_core.errors import ModelError

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def resolve_device(text: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` names.

    ``auto`` is the first GPU if there is one, otherwise the CPU. A GPU always comes with its number.

    Raises:
        ModelError: another word, or a GPU that does not exist.
    """
    if text == "auto":
        text = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = text.partition(":")
    if text == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (number == "" and text != "cuda") or (number and not (number.isascii() and number.isdigit())):
        raise ModelError(f"device {text!r} is not known; give auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise ModelError(f"device {text!r}: torch {torch.__version__} sees no GPU here; give auto or cpu")
    index, there = int(number or 0), torch.cuda.device_count()
    if index >= there:
        raise ModelError(f"device {text!r}: there are {there} GPUs, numbered from 0; give cuda:0 to cuda:{there - 1}")
    return torch.device("cuda", index)


def resolve_dtype(name: str, device: torch.device, gpu_default: torch.dtype) -> torch.dtype:
    """The precision that ``auto``, ``float32``, ``float16`` or ``bfloat16`` names.

    Args:
        name: as in the configuration; ``auto`` is float32 on a CPU and ``gpu_default`` elsewhere.
        gpu_default: what suits the model on a GPU.

    Raises:
        ModelError: another word.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else gpu_default
    if name not in _DTYPES:
        raise ModelError(f"dtype {name!r} is not known; give auto, {', '.join(_DTYPES)}")
    return _DTYPES[name]


def free(device: torch.device) -> None:
    """Collect garbage and hand the GPU memory that torch keeps cached back to the driver."""
    gc.collect()
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.empty_cache()


def limit_memory(device: torch.device, share: float) -> None:
    """Let this process take at most this share of a GPU's memory from now on: beyond it torch is out of memory. CUDA's own few
    hundred MB are not counted. Nothing is limited on a CPU."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(float(share), device)


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that this process may still take: those that are free, within :func:`limit_memory`."""
    free(device)
    unused, all_ = torch.cuda.mem_get_info(device)
    allowed = int(all_ * torch.cuda.get_per_process_memory_fraction(device))
    return int(min(unused, allowed - torch.cuda.memory_reserved(device)))


def unused_share(room: int) -> float | None:
    """What another program may take of the first GPU, as a fraction of its memory: what is free, but for ``room`` bytes; 0 or
    less if that is nothing, None without a GPU. Rounded down to hundredths."""
    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda", 0)
    free(device)
    unused, all_ = torch.cuda.mem_get_info(device)
    return math.floor(100 * (unused - room) / all_) / 100


def peak_bytes(device: torch.device, work: Callable[[], object]) -> int:
    """Bytes of a GPU that ``work`` takes at its peak, in addition to those in use before it."""
    free(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return int(torch.cuda.max_memory_allocated(device)) - before
