"""Values that the user gives in place of a stage's own work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavad_core.errors import InputError
from lavad_core.imports.for_stage import import_folders, read_for_stage
from lavad_core.stages.context import StageContext


def imported_texts(context: StageContext, frames: Sequence[int]) -> list[str]:
    """A text for each of ``frames`` from the import folder of the context's node.

    Raises:
        InputError: the file lacks a frame, holds scores, or has changed since the run began.
    """
    return [str(value) for value in _values(context, frames)]


def imported_scores(context: StageContext, frames: Sequence[int]) -> list[float]:
    """A score in [0, 1] for each of ``frames``; errors as :func:`imported_texts`."""
    return [float(value) for value in _values(context, frames)]


def check_unchanged(context: StageContext, place: Path, sha256: str, what: str = "values") -> None:
    """
    Raises:
        InputError: what is imported for the context's video is not what it was when the run began.
    """
    if sha256 != context.video.imports[context.node.id]:
        raise InputError(f"{place}: the {what} of {context.video.name!r} changed during the run; run again")


def _values(context: StageContext, frames: Sequence[int]) -> list[str] | list[float]:
    folder = import_folders(context.config)[context.node.id]
    values, sha256 = read_for_stage(context.node.id, folder, context.video.name, context.config.imports.similarities)
    check_unchanged(context, folder, sha256)
    missing = [frame for frame in frames if frame not in values]
    if missing:
        if context.node.id == "clean" and context.config.window.sampling == "any-frame":
            needed = "needed are those that the windows sample (window.sampling is any-frame)"
        else:
            needed = f"the grid is every {context.config.video.frame_interval} frames"
        raise InputError(
            f"{folder} has no value for {len(missing)} of {len(frames)} frames of {context.video.name!r} that need one "
            f"(first: {missing[:5]}); {needed}"
        )
    return [values[frame] for frame in frames]  # type: ignore[return-value]
