"""A CUDA graph's rules on a CPU: operations are recorded once, and then repeated on the very tensors of the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "item", "equal", "where.Scalar")
"""Beginnings of the names of operations for which the host waits for the device, or copies to it: they cannot be recorded."""


class Tape(TorchDispatchMode):
    """Records what is done within it; :meth:`replay` does it again. Python code in between is not run again, as in a graph."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._done: list[tuple[Any, Any, dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = f"{func._schema.name.removeprefix('aten::')}.{func._schema.overload_name}."
        chosen = [
            value for value in tree_leaves(args[1:]) if isinstance(value, torch.Tensor) and value.dtype == torch.bool
        ]
        waits = name.startswith(WAITS) or (name.startswith("index") and chosen)
        assert not waits, f"{func} cannot be recorded"
        result = func(*args, **(kwargs or {}))
        self._done.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        for func, args, kwargs, result in self._done:
            again = func(*args, **kwargs)
            # What was made anew goes to where it was; views and changes in place are there already.
            given = {_place(value) for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)}
            for before, after in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(before, torch.Tensor) and _place(before) not in given:
                    before.copy_(after)


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def recorded(step: Callable[[], None]) -> Tape:
    """What ``step`` does, which it does once."""
    tape = Tape()
    with tape:
        step()
    return tape
