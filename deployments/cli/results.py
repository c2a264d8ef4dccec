"""From a video's name to its results: which run had it, and where in the store they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavad_core.config.load import load_recorded
from lavad_core.config.schema import LavadConfig
from lavad_core.config.suggest import nearest
from lavad_core.errors import InputError, LavadError
from lavad_core.imports.values import read_frame_values
from lavad_core.pipeline.graph import Graph, PreparedVideo
from lavad_core.pipeline.prepare import import_folders
from lavad_core.pipeline.workbench import Workbench
from lavad_core.runs.manifest import RunManifest, VideoOutcome, list_runs, load_run
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import results_of
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
    near = nearest(name, seen)
    where = f"run {run_id}" if run_id is not None else f"the last {len(ids)} runs in {str(root)!r}"
    raise InputError(
        f"no video {name!r} in {where}; there are {len(seen)}: {', '.join(map(repr, list(seen)[:5]))}"
        + (" …" if len(seen) > 5 else "")
        + (f"; did you mean {near!r}?" if near else "")
    )


class Results:
    """The stored results of one video of a run.

    Args:
        root: the store's folder.
        found: the video.
        graph: of the run's configuration, where the caller has it.
    """

    def __init__(self, root: Path, found: Found, graph: Graph | None = None) -> None:
        self.store = FileStore(root)
        self.name = found.outcome.name
        self._found = found
        self.config: LavadConfig = load_recorded(found.run.config)
        self._keys = self._commits_by_key(root, graph)

    def commit(self, stage: str) -> Commit | None:
        """The commit of a stage; None if it is not there."""
        return self._keys.get(stage)

    def table(self, stage: str, columns: list[str]) -> dict[str, list[Any]] | None:
        """Columns of a stage's result; None if it is not there."""
        commit = self.commit(stage)
        if commit is None or commit.status == "rejected":
            return None
        read: dict[str, list[Any]] = self.store.read(commit, columns).to_pydict()
        return read

    def _commits_by_key(self, root: Path, graph: Graph | None) -> Mapping[str, Commit]:
        outcome = self._found.outcome
        if not outcome.video_id:
            return {}
        config = self.config.model_copy(update={"store": root})
        try:
            imports = import_digests(config, outcome.name)
            graph = graph or Workbench(config).graph
            keys = graph.keys(PreparedVideo(outcome.name, "", "file", outcome.video_id, imports))
        except LavadError as error:
            return self._only_ones(error)
        found = {node_id: self.store.find(key) for node_id, key in keys.items()}
        return {node_id: commit for node_id, commit in found.items() if commit is not None}

    def _only_ones(self, cause: LavadError) -> Mapping[str, Commit]:
        """Without the run's models or imports its keys are not known; where there is one result, it is that."""
        found = {}
        for stage in ("probe", "summarise", "score", "refine", "detect"):
            commits = results_of(self.store, stage, self._found.outcome.video_id)
            if len(commits) > 1:
                raise InputError(
                    f"{self.name!r} has {len(commits)} results of {stage}, and which of them is run "
                    f"{self._found.run.run_id}'s cannot be told: {cause}"
                )
            if commits:
                found[stage] = commits[0]
        return found


def import_digests(config: LavadConfig, name: str) -> dict[str, str]:
    """Node id to SHA-256 of the values that the configuration imports for a video.

    Raises:
        InputError: there are none under this name.
    """
    return {node_id: read_frame_values(folder, name)[1] for node_id, folder in import_folders(config).items()}


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
