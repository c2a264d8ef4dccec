"""Reading a checkpoint with ImageBind's names: the published ``.pth``, or safetensors.

The published file holds six towers; only the two that are used are read, one tensor at a time.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lavad_core.errors import ModelError
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.quoting import NOT_TENSORS, first_line

FILE_NAMES = ("imagebind.safetensors", "imagebind_huge.pth")
"""The file names that are searched for in a folder."""

KNOWN_HEADS = {1280: 16, 1024: 16}
"""Attention heads of the published towers by their width (80 and 64 numbers a head)."""

_SCALE = "modality_postprocessors.text.1.log_logit_scale"
_MASK = "modality_preprocessors.text.mask"
_SHOWN = 5


@dataclass(frozen=True)
class _Source:
    """An open checkpoint: the shape of each of its tensors, what reads one, and what the file says about itself."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]
    metadata: Mapping[str, str]


def load_towers(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    vision_heads: int | None = None,
    text_heads: int | None = None,
) -> ImageBindTowers:
    """The vision and text towers of a checkpoint, on ``device`` in ``dtype``, ready to encode.

    Beyond the two towers no memory is taken that the system cannot have back: the file is mapped, and converted tensor by
    tensor.

    Args:
        path: the file, or a folder that holds one of :data:`FILE_NAMES`.
        device, dtype: where and how the weights are kept.
        vision_heads, text_heads: attention heads; None takes them from the file's metadata (safetensors:
            ``vision_heads`` and ``text_heads``, or ``heads`` for both) or from :data:`KNOWN_HEADS`.

    Raises:
        ModelError: no such file, not a checkpoint, a tensor missing, unknown or of another shape, weights that are not
            finite, or heads that are not stated.
    """
    path = find_checkpoint(path)
    with _opened(path) as source:
        vision = _vision_shape(source, vision_heads)
        text = _text_shape(source, text_heads)
        with torch.device("meta"):
            towers = ImageBindTowers(vision, text)
        _compare(source, {name: tuple(tensor.shape) for name, tensor in towers.state_dict().items()})
        state = {}
        for name in towers.state_dict():
            if name == _SCALE and name not in source.shapes:
                state[name] = torch.tensor(math.nan)  # not known; only zero-shot scores ask for it
                continue
            state[name] = _converted(source, name, device, torch.float32 if name == _SCALE else dtype)
        towers.load_state_dict(state, strict=True, assign=True)
    towers.requires_grad_(False).eval()
    towers.prepare()
    return towers


def find_checkpoint(path: Path) -> Path:
    """``path`` itself, or the checkpoint in it where it is a folder.

    Raises:
        ModelError: there is none.
    """
    if path.is_file():
        return path
    if path.is_dir():
        for name in FILE_NAMES:
            if (path / name).is_file():
                return path / name
        raise ModelError(f"folder {str(path)!r} holds neither {' nor '.join(FILE_NAMES)}")
    raise ModelError(
        f"ImageBind checkpoint {str(path)!r} is not there; give its path as `encoder.model`. The published "
        "imagebind_huge.pth (4.8 GB, CC BY-NC-SA 4.0: non-commercial) is not downloaded for you; `encoder.kind: clip` "
        "takes a model with a permissive licence instead"
    )


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
                yield _Source(path, shapes, file.get_tensor, file.metadata() or {})
        except (SafetensorError, OSError) as error:
            raise ModelError(f"checkpoint {str(path)!r} cannot be read as safetensors: {first_line(error)}") from error
        return
    try:
        loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"checkpoint {str(path)!r}: {NOT_TENSORS}") from error
    except (RuntimeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"checkpoint {str(path)!r} cannot be read as a torch file of plain tensors "
            f"({type(error).__name__}: {first_line(error)}); is the download complete?"
        ) from error
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ModelError(f"checkpoint {str(path)!r} is not a table of names and tensors")
    tensors = {str(name): value for name, value in loaded.items()}
    yield _Source(path, {name: tuple(value.shape) for name, value in tensors.items()}, tensors.__getitem__, {})


def _converted(source: _Source, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A copy of one tensor, checked to be finite in its new precision."""
    tensor = source.read(name)
    if not tensor.is_floating_point():
        raise ModelError(f"checkpoint {str(source.path)!r}: {name} is {tensor.dtype}, not floating point")
    if 0 in tensor.shape:
        raise ModelError(f"checkpoint {str(source.path)!r}: {name} is empty")
    tensor = tensor.to(device=device, dtype=dtype, copy=True).contiguous()
    low, high = torch.aminmax(tensor)  # one pass without temporaries; NaN comes through
    if not bool(torch.isfinite(low + high)):
        raise ModelError(
            f"checkpoint {str(source.path)!r}: {name} has values that are not finite as {dtype}; "
            "the file is damaged, or give `encoder.dtype: float32`"
        )
    return tensor


def _is_used(name: str) -> bool:
    """True for tensors of the two towers; the others' and the causal mask (it is implied) are passed over."""
    parts = name.split(".")
    return len(parts) > 2 and parts[1] in ("vision", "text") and name != _MASK


def _compare(source: _Source, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a file whose vision and text tensors are not exactly the expected ones."""
    there = {name: shape for name, shape in source.shapes.items() if _is_used(name)}
    problems = [f"{name} is missing" for name in expected if name not in there and name != _SCALE]
    problems += [f"{name!r} is unknown" for name in there if name not in expected]
    problems += [
        f"{name} has the shape {list(there[name])}, not {list(shape)}"
        for name, shape in expected.items()
        if name in there and there[name] != shape
    ]
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelError(f"checkpoint {str(source.path)!r} is not ImageBind's: {'; '.join(problems[:_SHOWN])}{more}")


def _dims(source: _Source, name: str, rank: int) -> tuple[int, ...]:
    """The shape of a tensor that the sizes are read from."""
    shape = source.shapes.get(name)
    if shape is None:
        raise ModelError(f"checkpoint {str(source.path)!r} is not ImageBind's: {name} is missing")
    if len(shape) != rank or 0 in shape:
        raise ModelError(
            f"checkpoint {str(source.path)!r} is not ImageBind's: {name} has the shape {list(shape)}, not {rank} sizes > 0"
        )
    return shape


def _depth(source: _Source, modality: str) -> int:
    pattern = re.compile(rf"modality_trunks\.{modality}\.blocks\.(\d+)\.")
    return len({match.group(1) for name in source.shapes if (match := pattern.match(name))})


def _heads(source: _Source, modality: str, width: int, stated: int | None) -> int:
    """Attention heads: as stated, or as the file's metadata says, or as published for this width."""
    field = f"{modality}_heads"
    heads = stated
    for key in (field, "heads"):
        if heads is None and key in source.metadata:
            text = source.metadata[key]
            if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) > 0):
                raise ModelError(
                    f"checkpoint {str(source.path)!r}: metadata {key} is {text!r:.100}, not a number of heads"
                )
            heads = int(text)
    if heads is None:
        heads = KNOWN_HEADS.get(width)
    if heads is None:
        raise ModelError(
            f"checkpoint {str(source.path)!r}: the {modality} tower is {width} wide, and the number of its attention heads "
            f"does not follow from that; state it as `encoder.{field}`, or as safetensors metadata {field!r}"
        )
    if width % heads:
        raise ModelError(
            f"checkpoint {str(source.path)!r}: the {modality} tower's width {width} cannot be shared by {heads} heads; "
            f"correct `encoder.{field}`"
        )
    return heads


def _vision_shape(source: _Source, heads: int | None) -> VisionShape:
    stem = "modality_preprocessors.vision.rgbt_stem.proj.1.weight"
    position = "modality_preprocessors.vision.pos_embedding_helper.pos_embed"
    width, channels, frames, patch, patch_wide = _dims(source, stem, 5)
    if channels != 3 or frames != 2 or patch != patch_wide:
        raise ModelError(
            f"checkpoint {str(source.path)!r}: {stem} has the shape {list(source.shapes[stem])}; "
            "3 colours, 2 frames and square patches are needed"
        )
    tokens = _dims(source, position, 3)[1]
    grid = math.isqrt(tokens - 1)
    if grid < 1 or grid * grid != tokens - 1:
        raise ModelError(
            f"checkpoint {str(source.path)!r}: {position} has {tokens} positions; 1 and a square number are needed"
        )
    hidden = _dims(source, "modality_trunks.vision.blocks.0.mlp.fc1.weight", 2)[0]
    output = _dims(source, "modality_heads.vision.2.weight", 2)[0]
    heads = _heads(source, "vision", width, heads)
    return VisionShape(width, _depth(source, "vision"), heads, hidden, output, frames, patch, grid)


def _text_shape(source: _Source, heads: int | None) -> TextShape:
    vocabulary, width = _dims(source, "modality_preprocessors.text.token_embedding.weight", 2)
    context = _dims(source, "modality_preprocessors.text.pos_embed", 3)[1]
    hidden = _dims(source, "modality_trunks.text.blocks.0.mlp.fc1.weight", 2)[0]
    output = _dims(source, "modality_heads.text.proj.1.weight", 2)[0]
    heads = _heads(source, "text", width, heads)
    shape = TextShape(width, _depth(source, "text"), heads, hidden, output, vocabulary, context)
    vision_output = _dims(source, "modality_heads.vision.2.weight", 2)[0]
    if output != vision_output:
        raise ModelError(
            f"checkpoint {str(source.path)!r}: text vectors have {output} numbers, image vectors {vision_output}"
        )
    return shape
