"""Results in the layout of the authors' program, which reads them, and so does ``lavad import --layout``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavad_core.datasets.names import listed
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
from lavad_core.plain_text import number_of
from lavad_core.results.types import ResultSet

ENSEMBLE, LANGUAGE_MODEL, PROMPT = "ensemble", "language-model", "prompt"
"""Names of folders between the kinds and the files: the program is told them, and reads nothing from them."""

SUMMARY_POOL = "clean_summary"
"""The program's own name for the pool in which neighbours are searched."""

SUMMARIES_OF_NEIGHBOURS = f"captions/{SUMMARY_POOL}"

PADDING = -3.4028234663852886e38
"""Similarity of an entry without weight: the lowest float32, as the program's search returns it."""

PROGRAM_NEIGHBOURS = 10
"""Ranks that the program looks at without ``--num_neighbors``."""


@dataclass(frozen=True)
class WrittenLayout:
    """What a user must know about a folder in the authors' layout."""

    ranks: int
    """Neighbours of each frame, padding among them; 0 where there are no neighbours."""
    notes: tuple[str, ...]
    """What the files do not have, and why, one sentence for each."""


def write_layout(results: ResultSet, target: Path) -> WrittenLayout:
    """A folder with captions, scores, similarities and names of neighbours; one file per video, so that the authors' program
    evaluates it.

    That program opens a file of scores, of similarities and of the neighbours' summaries for each video of its list. It takes
    ``{frame: {rank: score}}`` with K ranks for every frame, or ``{frame: score}``, of which it looks at neither similarities
    nor summaries: these are then empty. Where a video has fewer candidates than K, the ranks are filled up as the program
    itself does: with its last candidate, at a similarity that has no weight.

    Raw captions are those of the grid frames. Scores that were not averaged are written as ``{frame: score}``.

    Raises:
        InputError: the folder exists, or a name cannot be that of a file.
        OSError: it cannot be written.
        DamagedResult: results are gone from the store.
    """
    _check_names(results)
    ranks = _ranks(results)
    bare: list[str] = []
    wordless: list[str] = []
    with new_folder(target) as folder:
        for name in results.names:
            files = _files(results, name, ranks)
            if not files[f"{SIMILARITIES}/{SUMMARY_POOL}"]:
                bare.append(name)
            elif not files[SUMMARIES_OF_NEIGHBOURS]:
                wordless.append(name)
            for kind, values in files.items():
                path = folder / kind / f"{name}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(values, indent=4, allow_nan=False) + "\n", encoding="ascii")
    smoothed = (
        (f"scores are smoothed ({results.smoothing}) and no means of their neighbours",) if results.smoothing else ()
    )
    return WrittenLayout(ranks, (*smoothed, *_notes(bare, wordless, len(results.names))))


def _ranks(results: ResultSet) -> int:
    """Neighbours that every frame must have: at least those that the program looks at if it is not told another number."""
    longest = 0
    for name in results.names if not results.smoothing else ():
        own = results[name].neighbours
        if own is not None:
            longest = max(longest, *(len(row) for row in own.scores))
    return max(longest, PROGRAM_NEIGHBOURS) if longest else 0


def _notes(bare: Sequence[str], wordless: Sequence[str], videos: int) -> Iterator[str]:
    opened = "which the program opens, and reads nothing in unless told to --visualize"
    if bare:
        yield (
            f"{len(bare)} of {videos} videos have scores whose neighbours are not known ({listed(bare)}): they are "
            f"{{frame: score}}; their files of {SIMILARITIES}/ and {SUMMARIES_OF_NEIGHBOURS}/, {opened}, are empty"
        )
    if wordless:
        yield (
            f"{len(wordless)} of {videos} videos have neighbours without summaries ({listed(wordless)}): their files of "
            f"{SUMMARIES_OF_NEIGHBOURS}/, {opened}, are empty"
        )


def _check_names(results: ResultSet) -> None:
    bad = [name for name in results.names if name in ("", "..") or Path(name).name != name or name.startswith(".")]
    captioners = {captioner for name in results.names for captioner in results.texts(name).captions}
    bad += sorted(name for name in captioners if name in ("", "..") or Path(name).name != name)
    if bad:
        raise InputError(
            f"{number_of(len(bad), 'name')} cannot be those of files in the authors' layout: {', '.join(map(repr, bad[:5]))}; "
            "rename the videos (or captioners), or export to Parquet"
        )


def _files(results: ResultSet, name: str, ranks: int) -> dict[str, Mapping[Any, Any]]:
    """Folder to what its file of the video holds."""
    found = results[name]
    video, texts = found.scores, found.texts
    own = None if video.smoothing else found.neighbours  # the program would average the scores before smoothing
    grid = video.grid.tolist()
    only_raw = results.origin == "import" and not video.refined  # a run's scores are final, refined or not
    raw = video.scores if only_raw else video.raw_scores
    files: dict[str, Mapping[Any, Any]] = {
        f"{RAW_CAPTIONS}/{OWNER}/{captioner}": said for captioner, said in texts.captions.items()
    }
    files[f"{CLEANED}/{ENSEMBLE}"] = found.windows
    files[f"{SUMMARIES}/{LANGUAGE_MODEL}/{ENSEMBLE}"] = texts.summaries
    if raw is not None:
        files[f"{RAW_SCORES}/{LANGUAGE_MODEL}/{ENSEMBLE}/{PROMPT}"] = dict(zip(grid, raw.tolist(), strict=True))
    if own is None and not only_raw:
        files[REFINED] = dict(zip(grid, video.scores.tolist(), strict=True))
    files = {kind: values for kind, values in files.items() if values}
    opened: dict[str, Mapping[Any, Any]] = {f"{SIMILARITIES}/{SUMMARY_POOL}": {}, SUMMARIES_OF_NEIGHBOURS: {}}
    return files | opened | (_ranked(own, grid, name, ranks, texts.summaries) if own is not None else {})


def _ranked(
    own: Neighbours, grid: Sequence[int], name: str, ranks: int, summaries: Mapping[int, str]
) -> dict[str, Mapping[Any, Any]]:
    """``{frame: {rank: value}}`` of the neighbours, and of the padding."""

    def by_rank(rows: Sequence[Sequence[Any]]) -> dict[int, dict[int, Any]]:
        return {frame: dict(enumerate(row)) for frame, row in zip(grid, rows, strict=True)}

    # A frame with fewer neighbours has all candidates of the video: the program's last one is that of the latest frame.
    last = [
        max(range(len(row)), key=own.frames[at].__getitem__) if own.frames else len(row) - 1
        for at, row in enumerate(own.scores)
    ]

    def filled(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        return [[*row, *[row[at]] * (ranks - len(row))] for row, at in zip(rows, last, strict=True)]

    padded = [[*row, *[PADDING] * (ranks - len(row))] for row in own.similarities]
    files: dict[str, Mapping[Any, Any]] = {
        REFINED: by_rank(filled(own.scores)),
        f"{SIMILARITIES}/{SUMMARY_POOL}": by_rank(padded),
    }
    if own.frames:
        frames = filled(own.frames)
        files[f"{NEIGHBOURS}/{SUMMARY_POOL}"] = by_rank([[f"{name}/{frame}" for frame in row] for row in frames])
        if all(frame in summaries for row in frames for frame in row):
            files[SUMMARIES_OF_NEIGHBOURS] = by_rank([[summaries[frame] for frame in row] for row in frames])
    return files
