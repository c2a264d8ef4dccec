"""Weights in files: which of a folder's count, and their identity."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lavad_core.digest import digest
from lavad_core.errors import ModelError
from lavad_core.video.identity import IdentityCache, file_digest

_ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".json", ".model", ".jinja")
_NAMES = ("merges.txt", "vocab.txt")
"""Files of a model's folder that decide what it computes: weights, configuration, tokenizer. Cards and licences do not."""


def model_files(folder: Path) -> list[Path]:
    """Files of a model's folder that count.

    Raises:
        ModelError: it is not a model's folder.
    """
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise ModelError(f"{str(folder)!r} is not a model's folder: it has no config.json")
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and (path.suffix in _ENDINGS or path.name in _NAMES)
    ]


def files_identity(files: Iterable[Path], cache: IdentityCache | None) -> str:
    """``local:<digest>`` of names and contents: equal weights have equal identities wherever they lie.

    Raises:
        ModelError: one cannot be read.
    """
    try:
        return f"local:{digest(sorted((path.name, file_digest(path, cache)) for path in files))}"
    except OSError as error:
        raise ModelError(f"a file of the model cannot be read, or is still being written: {error}") from error
