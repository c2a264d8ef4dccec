"""The results of a run of this program, read from the store by the run's own records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import DamagedResult, InputError
from lavad_core.imports.types import Neighbours
from lavad_core.imports.values import Nested
from lavad_core.method.sampling import SAMPLED, window_samples
from lavad_core.results.nearest import nearest_texts
from lavad_core.results.recipe import recipe_of_run
from lavad_core.results.settings import commits_of, config_of_results
from lavad_core.results.types import Recipe, ScoredVideo, VideoTexts
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome, load_records, load_run
from lavad_core.runs.video_list import load_sources
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key

RunKeys = Mapping[str, Mapping[str, Key]]
"""Video id to node id to the key of the result that a run made or found."""


def keys_of_run(root: Path, run_id: str) -> RunKeys:
    """Which results are a run's, by its own records: no model, import or video is needed to know it."""
    keys: defaultdict[str, dict[str, Key]] = defaultdict(dict)
    for record in load_records(root, run_id):
        if record.fingerprint:
            key = Key(record.node.partition(":")[0], record.video_id, record.fingerprint)
            keys[record.video_id][record.node] = key
    return keys


class RunResults:
    """Implements :class:`lavad_core.results.types.ResultSet`; a video is read when it is asked for. The videos of a retry are
    those of the set that it is of: also the ones that earlier runs have scored.

    Args:
        root: the store's folder.
        run: the run's manifest.
    """

    origin: Literal["run"] = "run"

    def __init__(self, root: Path, run: RunManifest) -> None:
        self.run = run
        self.store = FileStore(root)
        self.set_id = run.run_id

    @cached_property
    def config(self) -> LavadConfig:
        """The run's configuration, as its results were made with it.

        Raises:
            ConfigError: another version of the program recorded it, and this one does not know a setting of it.
        """
        return config_of_results(self.run, self._commits)

    @cached_property
    def _commits(self) -> Mapping[str, Commit]:
        """The commits of one video; all videos are made with the same settings."""
        return commits_of(self.store, next(iter(self._scored.values()), {}))

    @cached_property
    def recipe(self) -> Recipe:
        """How the scores were made."""
        return recipe_of_run(self.run, self.config, self._commits)

    @cached_property
    def _runs(self) -> list[RunManifest]:
        """This run, and those that have scored others of its set before, with only these."""
        try:
            earlier = load_sources(self.store.root, self.set_id).earlier
        except InputError:  # nobody noted the videos: the run has no others
            return [self.run]
        runs = [self.run]
        for run_id in dict.fromkeys(earlier.values()):
            names = {source.name for source, run in earlier.items() if run == run_id}
            run = load_run(self.store.root, run_id)
            runs.append(replace(run, videos=tuple(outcome for outcome in run.videos if outcome.name in names)))
        return runs

    @cached_property
    def _scored(self) -> dict[str, Mapping[str, Key]]:
        scored: dict[str, Mapping[str, Key]] = {}
        for run in self._runs:
            keys = keys_of_run(self.store.root, run.run_id)
            for outcome in run.videos:
                own = keys.get(outcome.video_id, {})
                if outcome.status in SCORED and "refine" in own:
                    scored[outcome.name] = own
        return dict(sorted(scored.items()))

    @cached_property
    def unscored(self) -> Mapping[str, str]:
        """Videos of the run that have no scores, with the reason."""
        every = [outcome for run in self._runs for outcome in run.videos]
        return {outcome.name: _why(outcome) for outcome in every if outcome.name not in self._scored}

    @property
    def names(self) -> Sequence[str]:
        """Of the scored videos, sorted."""
        return list(self._scored)

    def keys(self, name: str) -> Mapping[str, Key]:
        """Node id to key of the results of one of :attr:`names`, of the run that scored it."""
        return self._scored[name]

    def scores(self, name: str) -> ScoredVideo:
        """Scores of one of :attr:`names`, with the times of its frames.

        Raises:
            DamagedResult: they are gone from the store.
        """
        refined = self._table(name, "refine", ["score", "raw_score"])
        times = self._table(name, "probe", ["time_s"])["time_s"].to_numpy()
        own = self.config.refine.enabled
        return ScoredVideo(
            name=name,
            frames=len(times),
            interval=self.config.video.frame_interval,
            scores=refined["score"].to_numpy(),
            raw_scores=refined["raw_score"].to_numpy() if own else None,
            frame_rate=_mean_rate(times),
            times_s=times,
        )

    def texts(self, name: str) -> VideoTexts:
        """Texts of one of :attr:`names`; errors as :meth:`scores`."""
        captions = {
            node.partition(":")[2]: self._said(name, node, "caption")
            for node in self._scored[name]
            if node.startswith("caption:")
        }
        return VideoTexts(captions, self._cleaned(name), self._said(name, "summarise", "summary"))

    def windows(self, name: str) -> Nested[str]:
        """Grid frame to the cleaned captions of its window, by frame: of the window that its summary was made of; of the one
        that the run's settings give it where summaries are imported or left out. Empty without cleaned captions."""
        cleaned = self._said(name, "clean", "caption")
        if not cleaned:
            return {}
        grid: list[int] = self._table(name, "refine", ["frame"])["frame"].to_pylist()
        windows = self._sampled(name) or dict(zip(grid, self._window_samples(name, grid), strict=True))
        found = {at: {frame: cleaned[frame] for frame in window if frame in cleaned} for at, window in windows.items()}
        return {at: window for at, window in found.items() if window}

    def _sampled(self, name: str) -> dict[int, list[int]]:
        """Frames of the windows that summaries were made of; empty if the run made none."""
        if "summarise" not in self._scored[name]:
            return {}
        table = self._table(name, "summarise", ["frame", "sampled_frames"])
        samples: list[list[int]] = table["sampled_frames"].to_pylist()
        return dict(zip(table["frame"].to_pylist(), samples, strict=True)) if any(samples) else {}

    def _window_samples(self, name: str, grid: Sequence[int]) -> list[list[int]]:
        times = self._table(name, "probe", ["time_s"])["time_s"].to_numpy()
        window = self.config.window
        samples = window_samples(
            np.array(grid, np.int64),
            len(times),
            self.config.video.frame_interval,
            times,
            duration_s=window.duration_s,
            samples=window.samples,
            sampling=window.sampling,
            frame_rate=window.constant_frame_rate if window.frame_rate == "constant" else None,
        )
        return [frames.tolist() for frames in samples]

    def window_samples(self) -> Mapping[int, int] | None:
        """Number of samples to how many windows have it, by the commits of the summaries; None if one is from before that
        was noted, or gone."""
        found: Counter[int] = Counter()
        for keys in self._scored.values():
            if "summarise" in keys:
                commit = self.store.find(keys["summarise"])
                if commit is None or SAMPLED not in commit.facts:
                    return None
                found.update({int(number): windows for number, windows in commit.facts[SAMPLED].items()})
        return found

    def neighbours(self, name: str) -> Neighbours | None:
        """What the refined scores are averages of; None where there was no refinement."""
        table = self._table(name, "refine", ["frame", "raw_score", "neighbour_frames", "neighbour_similarities"])
        frames, similarities = (table[column].to_pylist() for column in table.column_names[2:])
        if not any(frames):
            return None
        raw = dict(zip(table["frame"].to_pylist(), table["raw_score"].to_pylist(), strict=True))
        return Neighbours([[raw[frame] for frame in row] for row in frames], similarities, frames)

    def _cleaned(self, name: str) -> dict[int, str]:
        """With ``any-frame`` other frames than the grid's are cleaned: then it is the caption of the nearest."""
        cleaned = self._said(name, "clean", "caption")
        if not cleaned:
            return {}
        return nearest_texts(cleaned, self._table(name, "refine", ["frame"])["frame"].to_pylist())

    def _said(self, name: str, node: str, column: str) -> dict[int, str]:
        if node not in self._scored[name]:
            return {}
        table = self._table(name, node, ["frame", column])
        return dict(zip(table["frame"].to_pylist(), table[column].to_pylist(), strict=True))

    def _table(self, name: str, node: str, columns: list[str]) -> pa.Table:
        key = self._scored[name].get(node)
        commit = self.store.find(key) if key is not None else None
        if commit is None or commit.status == "rejected":
            raise DamagedResult(f"the result of {node} for {name!r} is gone from the store; run again")
        return self.store.read(commit, columns)


def _why(outcome: VideoOutcome) -> str:
    if outcome.status in SCORED:
        return "the run was not to score it"
    return ": ".join(part for part in (outcome.status, outcome.reason, outcome.message) if part)


def _mean_rate(times_s: NDArray[np.float64]) -> float | None:
    """Frames per second; None for a single frame, or where time does not pass."""
    passed = float(times_s[-1] - times_s[0])
    return (len(times_s) - 1) / passed if passed > 0 else None
