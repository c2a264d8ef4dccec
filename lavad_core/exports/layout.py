"""Results in the layout of the authors' program, which reads them, and so does ``lavad import --layout``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lavad_core.errors import InputError
from lavad_core.exports.target import new_folder
from lavad_core.imports.layout import (
    CLEANED,
    NEIGHBOURS,
    OWNER,
    RAW_CAPTIONS,
    RAW_SCORES,
    REFINED,
    SIMILARITIES,
    SUMMARIES,
)
from lavad_core.imports.types import Neighbours
from lavad_core.results.imported import ImportResults
from lavad_core.results.run import RunResults

ENSEMBLE, LANGUAGE_MODEL, PROMPT = "ensemble", "language-model", "prompt"
"""Names of folders between the kinds and the files: the program is told them, and reads nothing from them."""

SUMMARY_POOL = "clean_summary"
"""The program's own name for what neighbours are looked for in."""


def write_layout(results: RunResults | ImportResults, target: Path) -> None:
    """A folder with captions, scores and, where there are any, similarities and names of neighbours; a file a video.

    Raw captions are those of the grid frames. Scores that nobody averaged are written as ``{frame: score}``.

    Raises:
        InputError: the folder exists, or a name cannot be that of a file.
        OSError: it cannot be written.
        DamagedResult: results are gone from the store.
    """
    _check_names(results)
    with new_folder(target) as folder:
        for name in results.names:
            for kind, values in _files(results, name).items():
                path = folder / kind / f"{name}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(values, indent=4, allow_nan=False) + "\n", encoding="ascii")


def _check_names(results: RunResults | ImportResults) -> None:
    bad = [name for name in results.names if name in ("", "..") or Path(name).name != name or name.startswith(".")]
    captioners = {captioner for name in results.names for captioner in results.texts(name).captions}
    bad += sorted(name for name in captioners if name in ("", "..") or Path(name).name != name)
    if bad:
        raise InputError(
            f"{len(bad)} names cannot be those of files in the authors' layout: {', '.join(map(repr, bad[:5]))}; "
            "rename the videos (or captioners), or export to Parquet"
        )


def _files(results: RunResults | ImportResults, name: str) -> dict[str, Mapping[Any, Any]]:
    """Folder to what its file of the video holds."""
    video, texts = results.scores(name), results.texts(name)
    grid = video.grid.tolist()
    own = results.neighbours(name)
    only_raw = isinstance(results, ImportResults) and not results.has_final_scores
    raw = video.scores if only_raw else video.raw_scores
    files: dict[str, Mapping[Any, Any]] = {
        f"{RAW_CAPTIONS}/{OWNER}/{captioner}": said for captioner, said in texts.captions.items()
    }
    files[f"{CLEANED}/{ENSEMBLE}"] = results.windows(name)
    files[f"{SUMMARIES}/{LANGUAGE_MODEL}/{ENSEMBLE}"] = texts.summaries
    if raw is not None:
        files[f"{RAW_SCORES}/{LANGUAGE_MODEL}/{ENSEMBLE}/{PROMPT}"] = dict(zip(grid, raw.tolist(), strict=True))
    if own is not None:
        files |= _ranked(own, grid, name)
    elif not only_raw:
        files[REFINED] = dict(zip(grid, video.scores.tolist(), strict=True))
    return {kind: values for kind, values in files.items() if values}


def _ranked(own: Neighbours, grid: Sequence[int], name: str) -> dict[str, Mapping[Any, Any]]:
    """``{frame: {rank: value}}`` of the neighbours."""

    def by_rank(rows: Sequence[Sequence[Any]]) -> dict[int, dict[int, Any]]:
        return {frame: dict(enumerate(row)) for frame, row in zip(grid, rows, strict=True)}

    files: dict[str, Mapping[Any, Any]] = {
        REFINED: by_rank(own.scores),
        f"{SIMILARITIES}/{SUMMARY_POOL}": by_rank(own.similarities),
    }
    if own.frames:
        named = [[f"{name}/{frame}" for frame in row] for row in own.frames]
        files[f"{NEIGHBOURS}/{SUMMARY_POOL}"] = by_rank(named)
    return files
