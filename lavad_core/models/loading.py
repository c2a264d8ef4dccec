"""What the models that come through transformers have in common when they are loaded."""

from __future__ import annotations

import inspect
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError

from lavad_core.errors import DeviceOutOfMemory, ModelError
from lavad_core.models.batching import is_out_of_memory
from lavad_core.models.devices import free
from lavad_core.models.finite import check_weights
from lavad_core.models.quiet import quiet_transformers
from lavad_core.quoting import NOT_TENSORS, first_line

LOAD_ERRORS = (
    *(OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError, MemoryError),
    *(SafetensorError, pickle.UnpicklingError),
)
"""What transformers raises for a folder that is absent, incomplete, damaged, or of another kind of model; ImportError for
one that needs a library that is not here."""


@contextmanager
def loading(what: str, name: str) -> Iterator[None]:
    """Within it transformers says nothing, and what it raises is in the library's own errors.

    Args:
        what: kind of model: ``chat``, ``CLIP``.
        name: the model's name, quoted.

    Raises:
        ModelError: the model cannot be loaded.
        DeviceOutOfMemory: it does not fit this machine's memory.
    """
    try:
        with quiet_transformers(), warnings.catch_warnings():
            # torch's reader of pickles of tensors warns of each that other code has written; it is refused then.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\._weights_only_unpickler")
            yield
    except ModelError:
        raise
    except Exception as error:
        # The tokenizers library has no class for a tokenizer.json that is JSON and no tokenizer.
        if not isinstance(error, LOAD_ERRORS) and type(error) is not Exception:
            raise
        raise _failure(what, name, error) from error


def _failure(what: str, name: str, error: BaseException) -> ModelError | DeviceOutOfMemory:
    if is_out_of_memory(error):
        return DeviceOutOfMemory(f"{name} does not fit this machine's memory")
    if any(isinstance(cause, pickle.UnpicklingError) for cause in causes(error)):
        return ModelError(f"{what} model {name}: {NOT_TENSORS}")
    return ModelError(
        f"{what} model {name} cannot be loaded: {first_line(error)}; give a folder with its files, or a hub id that was "
        "downloaded before (`lavad download`, or `hf download ID`) or can be now"
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it came from."""
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        yield step
        step = step.__cause__ or step.__context__


def placed(model: Any, device: torch.device, dtype: torch.dtype, name: str, setting: str) -> Any:
    """``model`` on its device, ready to infer, its weights checked to be finite.

    Args:
        name: the model's name, quoted.
        setting: what its precision is set by: ``chat.dtype``.

    Raises:
        DeviceOutOfMemory: it does not fit.
        ModelError: weights are not finite.
    """
    try:
        model = model.eval().requires_grad_(False).to(device)
        check_weights(model, name, dtype, setting)
        return model
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        free(device)
        raise DeviceOutOfMemory(
            f"{name} in {dtype} does not fit {device}; give another `device` or a smaller model"
        ) from error


def cache_name(model: Any) -> str:
    """What a language model calls the keys and values that go from step to step, as argument and in its output."""
    # transformers 5.24 renamed them; 5.40 no longer knows the old name.
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
