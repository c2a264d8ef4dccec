"""NaN and infinities: looked for in weights when a model is loaded, and in the outputs of its parts while it works.

A comparison with NaN is false, so the most probable token of NaN logits is one that is always there: a model that computes
nothing says nothing, or the same for ever, and raises no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lavad_core.errors import ModelError
from lavad_core.plain_text import first_few

SHOWN = 5
"""Damaged tensors that a message names."""


def check_weights(model: Any, name: str, dtype: torch.dtype, setting: str) -> None:
    """Refuse weights that are not finite in the precision in which they were loaded.

    Each tensor is summed in float32, without a copy and with one wait for the device; only where a sum is not finite is the
    tensor looked at number by number.

    Args:
        model: a module, on its device.
        name: the model's name, quoted.
        dtype: in which it was loaded.
        setting: what the precision is set by: ``chat.dtype``.

    Raises:
        ModelError: names the tensors.
    """
    weights = [(path, weight) for path, weight in model.named_parameters() if weight.is_floating_point()]
    if not weights:
        return
    with torch.inference_mode():
        sums = torch.stack([weight.sum(dtype=torch.float32) for _, weight in weights]).tolist()
        bad = [
            path
            for (path, weight), total in zip(weights, sums, strict=True)
            if not abs(total) < float("inf") and not bool(torch.isfinite(weight).all())
        ]
    if bad:
        raise ModelError(
            f"{name}: weights that are not finite in {_short(dtype)}: {first_few(bad, SHOWN)}; {way_out(dtype, setting)}"
        )


def way_out(dtype: torch.dtype, setting: str) -> str:
    """What to do about numbers that are not finite."""
    if dtype == torch.float16:
        return (
            f"float16 ends at 65504: set {setting} to float32 or bfloat16; if that does not help the weights are damaged, "
            "download them again"
        )
    return f"the weights are damaged: download them again (or set {setting} to float32, if it is not)"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class FiniteWatch:
    """Notes, on the device and without waiting for it, for which items of a batch the parts of a model give numbers.

    Args:
        parts: what a part is called, in the order in which data pass through them, and its module; None where the caller
            looks itself and says so to :meth:`note`. A part gives a tensor or
            an output of transformers, with the items of the batch along its first axis. Of logits [n, positions, vocabulary]
            and hidden states [n, positions, width] alike all is looked at, but of a ``last_position`` part.
        last_position: parts of which only the last position decides: logits of a prompt's other positions choose nothing.
    """

    def __init__(self, parts: Mapping[str, torch.nn.Module | None], last_position: tuple[str, ...] = ()) -> None:
        self._finite: dict[str, torch.Tensor] = {}
        self._names = tuple(parts)
        for name, part in parts.items():
            if part is not None:
                part.register_forward_hook(self._hook(name, name in last_position))

    def _hook(self, name: str, last: bool) -> Any:
        def look(module: Any, arguments: Any, output: Any) -> None:
            values = output if isinstance(output, torch.Tensor) else output[0]
            if last:
                values = values[:, -1]
            self.note(name, torch.isfinite(values).flatten(1).all(dim=1))

        return look

    def note(self, name: str, finite: torch.Tensor) -> None:
        """For which items of the batch a part gave numbers: bool [n]."""
        before = self._finite.get(name)
        self._finite[name] = finite if before is None or len(before) != len(finite) else before & finite

    def begin(self) -> None:
        """Forget the batch before."""
        self._finite.clear()

    def first_bad(self, count: int) -> tuple[str, int] | None:
        """The first part that gave numbers which are not finite, and for how many of the first ``count`` items; None if there
        is none."""
        seen = [name for name in self._names if name in self._finite]
        if not seen:
            return None
        counts = torch.stack([(~self._finite[name][:count]).sum() for name in seen]).tolist()
        return next(((name, int(count)) for name, count in zip(seen, counts, strict=True) if count), None)
