"""Values that the user gives in place of a stage's own work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lavad_core.errors import InputError
from lavad_core.imports.values import read_frame_scores, read_frame_texts
from lavad_core.pipeline.prepare import import_folders
from lavad_core.stages.context import StageContext

T = TypeVar("T")


def imported_texts(context: StageContext, frames: Sequence[int]) -> list[str]:
    """A text for each of ``frames`` from the import folder of the context's node.

    Raises:
        InputError: the file lacks a frame, holds scores, or has changed since the run began.
    """
    return _values(context, frames, read_frame_texts)


def imported_scores(context: StageContext, frames: Sequence[int]) -> list[float]:
    """A score in [0, 1] for each of ``frames``; errors as :func:`imported_texts`."""
    return _values(context, frames, read_frame_scores)


def _values(
    context: StageContext, frames: Sequence[int], read: Callable[[Path, str], tuple[Mapping[int, T], str]]
) -> list[T]:
    folder = import_folders(context.config)[context.node.id]
    values, sha256 = read(folder, context.video.name)
    if sha256 != context.video.imports[context.node.id]:
        raise InputError(f"{folder}: the values of {context.video.name!r} changed during the run; run again")
    missing = [frame for frame in frames if frame not in values]
    if missing:
        raise InputError(
            f"{folder} has no value for {len(missing)} of {len(frames)} grid frames of {context.video.name!r} "
            f"(first: {missing[:5]}); the grid is every {context.config.video.frame_interval} frames"
        )
    return [values[frame] for frame in frames]
