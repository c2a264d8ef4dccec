"""The results of a run of this program, read from the store by the run's own records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import DamagedResult
from lavad_core.imports.types import Neighbours
from lavad_core.imports.values import Nested
from lavad_core.method.detection import SegmentRule, mean_rate
from lavad_core.method.sampling import SAMPLED
from lavad_core.results.recipe import recipe_of_run
from lavad_core.results.settings import commits_of, config_of_results
from lavad_core.results.types import (
    NEIGHBOURS,
    CleanedCaption,
    Recipe,
    ResultSet,
    ScoredVideo,
    VideoResults,
    nearest_texts,
)
from lavad_core.runs.known_bad import as_known_now, known_contents
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome
from lavad_core.runs.run_log import load_records
from lavad_core.runs.video_list import runs_of_set
from lavad_core.stages.node import final_scores_node, scores_node
from lavad_core.stages.score import VIOLATIONS
from lavad_core.stages.video_frames import read_probe, samples_of
from lavad_core.stages.yes_no import is_ordinal
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key, Store
from lavad_core.video.types import Probe

Keys = Mapping[str, Key]
"""Node id to the key of the result that a run made or found for one video."""

SEGMENT_COLUMNS = ["segment", "start_frame", "end_frame", "start_s", "end_s", "peak_score", "peak_frame"]
SEGMENT_TEXTS = ["summary", "caption", "kind"]
"""At the peak; the cleaned caption is there since version 2 of the stage, the kind where scores have one."""


def results_of_run(root: Path, run: RunManifest) -> ResultSet:
    """The results of a run. The videos of a retry are those of the set that it is of: also the ones that earlier runs have
    scored.

    Raises:
        ConfigError: another version of the program recorded it, and this one does not know a setting of it.
        StoreUnavailable: its records cannot be read.
    """
    store = FileStore(root)
    videos: dict[str, tuple[VideoOutcome, Keys]] = {}
    known_bad = known_contents(root)
    for one in runs_of_set(root, run):
        keys = keys_of_run(root, one.run_id)
        for outcome in as_known_now(one.videos, known_bad):
            videos.setdefault(outcome.name, (outcome, keys_of_video(keys, outcome.video_id, outcome.name)))
    refined = sorted(name for name, (own, keys) in videos.items() if own.status in SCORED and "refine" in keys)
    commits = commits_of(store, videos[refined[0]][1] if refined else {})  # all videos are made with the same settings
    config = config_of_results(run, commits)
    scored = [name for name in refined if final_scores_node(config) in videos[name][1]]
    made = set(scored)
    unscored = {name: _why(own) for name, (own, _) in videos.items() if name not in made}
    return ResultSet(
        set_id=run.run_id,
        origin="run",
        names=scored,
        unscored=unscored,
        known_bad=frozenset(name for name in unscored if videos[name][0].known_bad),
        recipe=recipe_of_run(run, config, commits),
        opened=lambda name: RunVideo(store, name, videos[name][1], config, videos[name][0]),
        config=config,
        record=run,
    )


def results_of_keys(store: Store, config: LavadConfig, videos: Mapping[str, Keys]) -> ResultSet:
    """The results of videos of a run that is still running, or has no record: name to the keys of a video's results, those of
    ``probe``, ``refine`` and the final scores among them."""
    return ResultSet(
        "", "run", sorted(videos), {}, Recipe(), lambda name: RunVideo(store, name, videos[name], config), config
    )


def keys_of_run(root: Path, run_id: str) -> Mapping[tuple[str, str], Keys]:
    """Video id and name to the keys of its results, by the run's own records: no model, import or video is needed to know it.
    :func:`keys_of_video` knows also the names in whose place a video of the same content was computed."""
    keys: defaultdict[tuple[str, str], dict[str, Key]] = defaultdict(dict)
    for record in load_records(root, run_id):
        if record.fingerprint:
            key = Key(record.node.partition(":")[0], record.video_id, record.fingerprint)
            for name in (record.video, ""):
                keys[record.video_id, name][record.node] = key
    return keys


def keys_of_video(keys: Mapping[tuple[str, str], Keys], video_id: str, name: str) -> Keys:
    """The keys of a video among those of its run. Under other names the same content may have other imported values."""
    return keys.get((video_id, name)) or keys.get((video_id, ""), {})


def unchecked_ends(root: Path, run: RunManifest) -> Sequence[str]:
    """Names of a run's videos whose containers announce no end, so that one that was cut off would not be noticed.

    Raises:
        StoreError: its records or results cannot be read.
    """
    store, names = FileStore(root), {outcome.video_id: outcome.name for outcome in run.videos}
    probes = [
        store.find(keys["probe"])
        for (_, name), keys in keys_of_run(root, run.run_id).items()
        if not name and "probe" in keys
    ]
    found = [probe.key.video_id for probe in probes if probe is not None and probe.facts.get("unchecked")]
    return [names[video_id] for video_id in found if video_id in names]


class _Times(NamedTuple):
    frames: int
    times_s: NDArray[np.float64]


class EventTexts(NamedTuple):
    """The texts of an event."""

    start_frame: int
    """First frame."""
    end_frame: int
    """Last frame, inclusive."""
    captions: list[str]
    """Those that it was summarised by, in order of time."""
    left_out: int
    """How many of these the prompt had no room for."""
    summary: str
    """The summary; empty where there is none."""


class RunVideo(VideoResults):
    """The results of one video of a run, by the keys of its results."""

    def __init__(
        self, store: Store, name: str, keys: Keys, config: LavadConfig, outcome: VideoOutcome | None = None
    ) -> None:
        self.name, self.outcome = name, outcome
        self._store, self._keys, self._config = store, keys, config

    @property
    def has_scores(self) -> bool:
        rejected = self.outcome is not None and self.outcome.status == "rejected"
        return not rejected and self._find(final_scores_node(self._config)) is not None

    @cached_property
    def scores(self) -> ScoredVideo:
        """The scores, with the times of the video's frames."""
        final = final_scores_node(self._config)
        if final not in self._keys:
            raise DamagedResult(
                f"there are no scores for {self.name!r} in this run; its targets must have {final!r} or 'detect'"
            )
        refined = self._table("refine", ["score", "raw_score"])
        smoothed = None if final == "refine" else self._table(final, ["score"])["score"].to_numpy()
        own = self._config.refine.enabled
        return ScoredVideo(
            name=self.name,
            frames=len(self._times_s),
            interval=self._config.video.frame_interval,
            scores=refined["score"].to_numpy() if smoothed is None else smoothed,
            raw_scores=refined["raw_score"].to_numpy() if own else None,
            frame_rate=mean_rate(self._times_s),
            times_s=self._times_s,
            refined=own,
            unsmoothed=None if smoothed is None else refined["score"].to_numpy(),
            smoothing=self._config.smooth.in_words,
            kinds=self._kinds,
        )

    @property
    def _kinds(self) -> list[str] | None:
        source = scores_node(self._config)
        commit = None if source == "score" or source not in self._keys else self._find(source)
        if commit is None or not any("kind" in part.schema for part in commit.files):
            return None
        found: list[str] = self._store.read(commit, ["kind"])["kind"].to_pylist()
        return found

    @cached_property
    def captions(self) -> Mapping[str, Mapping[int, str]]:
        nodes = [node for node in self._keys if node.startswith("caption:")]
        return {node.partition(":")[2]: self._said(node, "caption") for node in nodes}

    @cached_property
    def cleaned(self) -> Mapping[int, CleanedCaption]:
        if "clean" not in self._keys:
            return {}
        table = self._table("clean", ["frame", "caption", "captioner", "source_frame", "similarity"])
        frames, *values = (column.to_pylist() for column in table.columns)
        found = {frame: CleanedCaption(*own) for frame, *own in zip(frames, *values, strict=True)}
        return nearest_texts(found, self._grid) if found else {}

    @cached_property
    def summaries(self) -> Mapping[int, str]:
        return self._said("summarise", "summary")

    @cached_property
    def reasons(self) -> Mapping[int, str]:
        source = scores_node(self._config)
        if source != "score":
            return self._said(source, "reason")
        # Of a number that was said it would be the number.
        said = self._said(source, "answer") if is_ordinal(self._config) else {}
        return {frame: text for frame, text in said.items() if text}

    @cached_property
    def rescoring(self) -> Mapping[str, Any]:
        return self._commit("rescore").facts if "rescore" in self._keys else {}

    @property
    def events(self) -> pa.Table | None:
        if "rate_events" not in self._keys:
            return None
        rated = self._table("rate_events", ["level", "start_frame", "end_frame", "score"])
        ends = {"start_s": rated["start_frame"].to_numpy(), "end_s": rated["end_frame"].to_numpy() + 1}
        for place, (name, frames) in enumerate(ends.items(), start=3):
            rated = rated.add_column(place, name, pa.array(self.scores.seconds(frames)))
        return rated.append_column("summary", self._table("summarise_events", ["summary"])["summary"])

    @property
    def windows(self) -> Nested[str]:
        """Grid frame to the cleaned captions of its window, by frame: of the window that its summary was made of; of the one
        that the run's settings give it where summaries are imported or left out. Empty without cleaned captions."""
        cleaned = self._said("clean", "caption")
        if not cleaned:
            return {}
        windows = self._sampled() or self._by_settings(self._grid)
        found = {at: {frame: cleaned[frame] for frame in window if frame in cleaned} for at, window in windows.items()}
        return {at: window for at, window in found.items() if window}

    @cached_property
    def neighbours(self) -> Neighbours | None:
        table = self._table("refine", ["frame", "raw_score", "neighbour_frames", "neighbour_similarities"])
        at, raw_scores, frames, similarities = (column.to_pylist() for column in table.columns)
        if not any(frames):
            return None
        raw = dict(zip(at, raw_scores, strict=True))
        return Neighbours([[raw[frame] for frame in row] for row in frames], similarities, frames)

    @property
    def probe(self) -> Probe:
        return read_probe(self._store, self._commit("probe"))

    def segments(self, rule: SegmentRule | None = None) -> pa.Table | None:
        """The segments that the run committed, by its own rule; None if it was not to make any."""
        commit = self._find("detect")
        if commit is None or commit.status == "rejected":
            return None
        texts = [name for name in SEGMENT_TEXTS if any(name in part.schema for part in commit.files)]
        return self._store.read(commit, [*SEGMENT_COLUMNS, *texts])

    @property
    def segment_count(self) -> int | None:
        commit = self._find("detect")
        return None if commit is None else commit.counts["segments"]

    @property
    def facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"frame_interval": self._config.video.frame_interval}
        if (probe := self._find("probe")) is not None:
            facts |= {name: probe.facts[name] for name in ("frames", "duration_s")}
            # Probes of earlier versions did not check it.
            facts |= {name: probe.facts[name] for name in ("completeness", "unchecked") if name in probe.facts}
        if (scored := self._find(scores_node(self._config))) is not None and VIOLATIONS in scored.facts:
            facts[VIOLATIONS] = scored.facts[VIOLATIONS]
        if (detect := self._find("detect")) is not None and "peak_score" in detect.facts:
            facts |= {name: detect.facts[name] for name in ("peak_score", "peak_frame")}
            facts |= self._config.detect.model_dump()
        return facts | ({"rescoring": dict(self.rescoring)} if self.rescoring else {})

    @property
    def window_samples(self) -> Mapping[int, int] | None:
        """By the commit of the summaries; None if it is from before that was noted, or gone."""
        if "summarise" not in self._keys:
            return {}
        commit = self._find("summarise")
        if commit is None or SAMPLED not in commit.facts:
            return None
        return {int(number): windows for number, windows in commit.facts[SAMPLED].items()}

    @property
    def left_out(self) -> Mapping[int, int]:
        """Grid frame to how many captions of its window the summary's prompt had no room for."""
        return {frame: int(count) for frame, count in self._said("summarise", "captions_left_out").items()}

    @property
    def summaries_shortened(self) -> int:
        """How many summaries lost their last words in the score's prompt."""
        asked = next((node for node in ("rate_events", "score_definitions") if node in self._keys), "score")
        return self._commit(asked).counts.get("shortened", 0)

    @property
    def event_texts(self) -> list[EventTexts]:
        """Captions and summary of each event, each event once; empty where scores are not made of events."""
        if "summarise_events" not in self._keys:
            return []
        cleaned = self._said("clean", "caption")
        columns = ["start_frame", "end_frame", "caption_frames", "captions_left_out", "summary"]
        rows = self._table("summarise_events", columns).to_pylist()
        once = {(row["start_frame"], row["end_frame"]): row for row in rows}
        return [
            EventTexts(
                *span, [cleaned[frame] for frame in row["caption_frames"]], row["captions_left_out"], row["summary"]
            )
            for span, row in once.items()
        ]

    def model_of(self, node: str) -> str:
        """The identity of the model that made a result; empty if none did."""
        return str(self._commit(node).provenance.get("model", "")) if node in self._keys else ""

    def _why_absent(self, part: str) -> str:
        if part == NEIGHBOURS and not self._config.refine.enabled:
            return "refine.enabled was false"
        if (method := self._config.score.method) != "lavad":
            return f"score.method was {method}"
        imports = self._config.imports
        given = [kind for kind in ("cleaned", "summaries", "scores", "refined") if getattr(imports, kind)]
        return f"not needed: {', '.join(given)} imported" if given else ""

    @cached_property
    def _times_s(self) -> NDArray[np.float64]:
        times: NDArray[np.float64] = self._table("probe", ["time_s"])["time_s"].to_numpy()
        return times

    @property
    def _grid(self) -> list[int]:
        frames: list[int] = self._table("refine", ["frame"])["frame"].to_pylist()
        return frames

    def _sampled(self) -> dict[int, list[int]]:
        """Frames of the windows that summaries were made of; empty if the run made none."""
        if "summarise" not in self._keys:
            return {}
        table = self._table("summarise", ["frame", "sampled_frames"])
        samples: list[list[int]] = table["sampled_frames"].to_pylist()
        return dict(zip(table["frame"].to_pylist(), samples, strict=True)) if any(samples) else {}

    def _by_settings(self, grid: Sequence[int]) -> dict[int, list[int]]:
        samples = samples_of(self._config, _Times(len(self._times_s), self._times_s))
        return {at: frames.tolist() for at, frames in zip(grid, samples, strict=True)}

    def _said(self, node: str, column: str) -> dict[int, Any]:
        if node not in self._keys:
            return {}
        table = self._table(node, ["frame", column])
        return dict(zip(table["frame"].to_pylist(), table[column].to_pylist(), strict=True))

    def _table(self, node: str, columns: list[str]) -> pa.Table:
        return self._store.read(self._commit(node), columns)

    def _commit(self, node: str) -> Commit:
        commit = self._find(node)
        if commit is None or commit.status == "rejected":
            raise DamagedResult(f"the result of {node} for {self.name!r} is gone from the store; run again")
        return commit

    def _find(self, node: str) -> Commit | None:
        key = self._keys.get(node)
        return None if key is None else self._store.find(key)


def _why(outcome: VideoOutcome) -> str:
    if outcome.status in SCORED:
        return "the run was not to score it"
    return ": ".join(part for part in (outcome.word, outcome.reason, outcome.message) if part)
