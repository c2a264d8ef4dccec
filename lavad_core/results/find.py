"""Finding a video by its name: in which run it is, or which of a set's videos is meant."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePath

from lavad_core.errors import InputError, LavadError
from lavad_core.location import shown
from lavad_core.plain_text import first_few, number_of
from lavad_core.results.open import open_results
from lavad_core.results.types import ResultSet
from lavad_core.runs.manifest import RunManifest, list_runs, load_run
from lavad_core.runs.video_list import runs_of_set
from lavad_core.suggest import nearest

MAX_LOOKED = 100
"""Runs that are looked through for a video, from the latest."""


def run_with_video(root: Path, name: str, run_id: str | None) -> RunManifest:
    """The run or import that had a video: the latest if none is named. A retry that is named has the videos of its whole set.

    Raises:
        InputError: none had it; says the name that may be meant.
    """
    ids = [run_id] if run_id is not None else list_runs(root)[::-1][:MAX_LOOKED]
    if not ids:
        load_run(root)  # says that there is none
    seen: dict[str, None] = {}
    for candidate in ids:
        run = load_run(root, candidate)
        parts = [run] if run_id is None else runs_of_set(root, run)
        names = {outcome.name: None for part in parts for outcome in part.videos}
        if name in names:
            return run
        seen |= names
    near = _meant(name, seen) or nearest(name, seen)
    where = f"{run.origin} {run_id}" if run_id is not None else f"the last {len(ids)} runs in {shown(root)!r}"
    raise InputError(
        f"no video {name!r} in {where}; there are {len(seen)}: {first_few(seen, show=repr)}"
        + (f"; did you mean {near!r}?" if near else "")
    )


def newest_with_scores(root: Path, name: str, besides: str) -> RunManifest | None:
    """The newest run or import that has scores for a video, other than ``besides``; None if none has."""
    for run_id in list_runs(root)[::-1][:MAX_LOOKED]:
        try:
            if run_id != besides and open_results(root, run := run_with_video(root, name, run_id))[name].has_scores:
                return run
        except LavadError:  # the run did not have the video, or cannot be read: it is no help
            continue
    return None


def scored_name(results: ResultSet, name: str) -> str:
    """A name that has scores in a set.

    Raises:
        InputError: it has none; says why, or the nearest that has.
    """
    if name in results.names:
        return name
    why, near = results.unscored.get(name), nearest(name, results.names)
    hint = f"did you mean {near!r}?" if near else f"it has {number_of(len(results.names), 'video')}"
    raise InputError(
        f"no scores of video {name!r} in {results.origin} {results.set_id}" + (f": {why}" if why else f"; {hint}")
    )


def _meant(name: str, known: Collection[str]) -> str | None:
    """The known video that a path or a file's name stands for: names are the ends of paths, mostly without the ending."""
    parts = PurePath(name).parts
    for first in range(len(parts)):
        end = PurePath(*parts[first:])
        for candidate in (str(end), str(end.with_suffix("")) if end.suffix else ""):
            if candidate in known:
                return candidate
    return None
