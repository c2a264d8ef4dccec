"""From a video's name to its results: which run had it, and where in the store they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from lavad_core.config.schema import LavadConfig
from lavad_core.config.suggest import nearest
from lavad_core.errors import InputError, LavadError
from lavad_core.results.run import RunKeys, keys_of_run
from lavad_core.results.settings import commits_of, config_of_results
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome, list_runs, load_run
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit

MAX_LOOKED = 100
"""Runs that are looked through for a video, from the latest."""


@dataclass(frozen=True)
class Found:
    """A video in a run.

    Attributes:
        run: its manifest.
        outcome: how the run ended for the video.
    """

    run: RunManifest
    outcome: VideoOutcome


def find_video(root: Path, name: str, run_id: str | None) -> Found:
    """The video in a run; in the latest that had it if none is named.

    Raises:
        InputError: no run had it; names the nearest that was had.
    """
    ids = [run_id] if run_id is not None else list_runs(root)[::-1][:MAX_LOOKED]
    if not ids:
        load_run(root)  # says that there is none
    seen: dict[str, None] = {}
    for candidate in ids:
        run = load_run(root, candidate)
        for outcome in run.videos:
            if outcome.name == name:
                return Found(run, outcome)
            seen[outcome.name] = None
    near = _meant(name, seen) or nearest(name, seen)
    where = f"run {run_id}" if run_id is not None else f"the last {len(ids)} runs in {str(root)!r}"
    raise InputError(
        f"no video {name!r} in {where}; there are {len(seen)}: {', '.join(map(repr, list(seen)[:5]))}"
        + (" …" if len(seen) > 5 else "")
        + (f"; did you mean {near!r}?" if near else "")
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


def newest_scores(root: Path, name: str, besides: str) -> str | None:
    """Id of the newest run that has scores for a video; None if none has.

    Args:
        root: the store's folder.
        name: of the video.
        besides: a run that is known to have none.
    """
    for run_id in list_runs(root)[::-1][:MAX_LOOKED]:
        if run_id == besides:
            continue
        try:
            found = find_video(root, name, run_id)
            if found.outcome.status in SCORED if found.run.origin == "import" else Results(root, found).has_scores:
                return run_id
        except LavadError:  # the run did not have the video, or cannot be read: it is no help
            continue
    return None


class Results:
    """The stored results of one video of a run.

    Args:
        root: the store's folder.
        found: the video.
        keys: of the run, where the caller has them.
    """

    def __init__(self, root: Path, found: Found, keys: RunKeys | None = None) -> None:
        self.store = FileStore(root)
        self.name = found.outcome.name
        self._rejected = found.outcome.status == "rejected"
        keys = keys if keys is not None else keys_of_run(root, found.run.run_id)
        self._keys = keys.get(found.outcome.video_id, {})
        self.config: LavadConfig = config_of_results(found.run, commits_of(self.store, self._keys))

    @property
    def has_scores(self) -> bool:
        """Whether there is something to show."""
        return not self._rejected and self.commit("refine") is not None

    def commit(self, stage: str) -> Commit | None:
        """The commit of a stage; None if it is not there."""
        key = self._keys.get(stage)
        return self.store.find(key) if key is not None else None

    def table(self, stage: str, columns: list[str]) -> dict[str, list[Any]] | None:
        """Columns of a stage's result; None if it is not there."""
        commit = self.commit(stage)
        if commit is None or commit.status == "rejected":
            return None
        read: dict[str, list[Any]] = self.store.read(commit, columns).to_pydict()
        return read


def described(found: Found) -> dict[str, Any]:
    """What is known of the video in the run, for JSON."""
    outcome = found.outcome
    return {
        "video": outcome.name,
        "video_id": outcome.video_id,
        "run": found.run.run_id,
        "status": outcome.status,
        "reason": outcome.reason,
        "message": outcome.message,
    }
