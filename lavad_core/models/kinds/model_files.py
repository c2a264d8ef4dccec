"""Weights in files: which of a folder's count, their identity, and where their digests are remembered."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from lavad_core.digest import digest
from lavad_core.errors import ModelError
from lavad_core.video.identity import IdentityCache, file_digest

_ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".json", ".model", ".jinja")
_NAMES = ("merges.txt", "vocab.txt")
"""Files of a model's folder that decide what it computes: weights, configuration, tokenizer. Cards and licences do not."""

_BLOB = re.compile(r"[0-9a-f]{64}")


def weights_cache() -> IdentityCache:
    """Digests of models' files, kept for the user and not in a store: 30 GB of weights take half a minute to read, and every
    new store would read them again. A cache folder that cannot be written costs that time and nothing else."""
    return IdentityCache(Path(platformdirs.user_cache_dir("lavad")) / "weights.sqlite", by_inode=True)


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
        return f"local:{digest(sorted((path.name, _blob_digest(path) or file_digest(path, cache)) for path in files))}"
    except OSError as error:
        raise ModelError(f"a file of the model cannot be read, or is still being written: {error}") from error


def _blob_digest(path: Path) -> str | None:
    """The SHA-256 of a large file of the hub's cache, which calls it so and never changes it; None for any other file."""
    if not path.is_symlink():
        return None
    blob = Path(os.path.realpath(path))
    is_blob = blob.parent.name == "blobs" and blob.parent.parent.name.startswith("models--") and blob.is_file()
    return blob.name if is_blob and _BLOB.fullmatch(blob.name) else None
