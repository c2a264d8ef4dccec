"""The folders of the authors' program."""

from __future__ import annotations

import os
from pathlib import Path

from lavad_core.errors import InputError
from lavad_core.imports.per_video import ImportSources
from lavad_core.remote_files import near

RAW_CAPTIONS = "captions/raw"
CLEANED = "captions/clean"
SUMMARIES = "captions/summary"
RAW_SCORES = "scores/raw"
REFINED = "scores/refined"
SIMILARITIES = "similarity"
NEIGHBOURS = "filenames"

OWNER = "Salesforce"
"""Names of the captioners: the program's folders are called by their names on the hub."""

OPTIONS = {
    CLEANED: "--cleaned",
    SUMMARIES: "--summaries",
    RAW_SCORES: "--raw-scores",
    REFINED: "--scores",
}
"""By which a folder is named where the layout has several."""


def find_layout(folder: Path, given: ImportSources | None = None) -> ImportSources:
    """What there is below a folder in the authors' layout.

    Language model and captioners are names of folders in it; each of ``captions/clean``, ``captions/summary``, ``scores/raw``
    and ``scores/refined`` may have one below it with files.

    Args:
        given: what was named apart, and is not looked for.

    Raises:
        InputError: there is nothing, or several where one is needed; names them.
    """
    given = given or ImportSources()
    folder = near(folder, "the authors' layout")
    if not folder.is_dir():
        raise InputError(f"the authors' layout: {str(folder)!r} is not a folder")
    scores = given.scores or (None if given.segments is not None else _one(folder, REFINED))
    ranked = scores is not None and given.scores is None
    found = ImportSources(
        scores=scores,
        raw_scores=given.raw_scores or _one(folder, RAW_SCORES),
        segments=given.segments,
        captions=given.captions or _captioners(folder),
        cleaned=given.cleaned or _one(folder, CLEANED),
        summaries=given.summaries or _one(folder, SUMMARIES),
        similarities=_one(folder, SIMILARITIES) if ranked else None,
        neighbours=_one(folder, NEIGHBOURS) if ranked else None,
    )
    if found == ImportSources():
        raise InputError(
            f"the authors' layout: {str(folder)!r} has none of {', '.join((RAW_CAPTIONS, *OPTIONS))} with JSON files below it"
        )
    return found


def _with_files(folder: Path) -> list[Path]:
    """Folders, this and those below it, that hold JSON files."""
    found = []
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name.endswith(".json") and not name.startswith(".") for name in names):
            found.append(Path(path))
    return found


def _one(folder: Path, kind: str) -> Path | None:
    found = _with_files(folder / kind)
    if len(found) > 1:
        option = OPTIONS.get(kind)
        raise InputError(
            f"the authors' layout: {str(folder / kind)!r} has several folders with files: "
            f"{', '.join(repr(path.relative_to(folder / kind).as_posix()) for path in found[:5])}; "
            + (f"name one with {option}" if option else "keep one of them")
        )
    return found[0] if found else None


def _captioners(folder: Path) -> dict[str, Path]:
    """Captioner to its folder; called by its last part, as in ``captioners`` of the configuration."""
    captioners: dict[str, Path] = {}
    for path in _with_files(folder / RAW_CAPTIONS):
        if path.name in captioners:
            raise InputError(
                f"the authors' layout: two captioners are called {path.name!r}: {str(captioners[path.name])!r} and "
                f"{str(path)!r}; name them with --captions NAME=PATH"
            )
        captioners[path.name] = path
    return captioners
