"""A new file or folder: complete or absent, and never in the place of another."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lavad_core.errors import InputError
from lavad_core.location import COPY_THERE, refuse_address


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path to write to; leaving the block without an error gives it its name.

    Raises:
        InputError: there is something of that name, or no folder to put it in.
        OSError: it cannot be written.
    """
    with _beside(target) as folder:
        unfinished = folder / "export"
        yield unfinished
        with open(unfinished, "rb") as file:
            os.fsync(file.fileno())
        try:
            os.link(unfinished, target)  # unlike a rename, this refuses an existing file
        except FileExistsError:
            raise _occupied(target) from None
        except OSError:  # a file system without hard links
            _refuse_occupied(target)
            os.rename(unfinished, target)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which exists and is empty."""
    with _beside(target) as folder:
        unfinished = folder / "export"
        unfinished.mkdir()
        yield unfinished
        _refuse_occupied(target)
        os.rename(unfinished, target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on the same file system, which goes when the block is left."""
    refuse_address(target, "the file or folder to write", way=COPY_THERE)
    _refuse_occupied(target)
    parent = target.absolute().parent
    if not parent.is_dir():
        raise InputError(f"there is no folder {str(parent)!r} to write {target.name!r} into; make it first")
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".unfinished", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_occupied(target: Path) -> None:
    if os.path.lexists(target):
        raise _occupied(target)


def _occupied(target: Path) -> InputError:
    return InputError(f"{str(target)!r} exists already and is not overwritten; name another, or remove it first")
