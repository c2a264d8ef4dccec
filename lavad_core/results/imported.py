"""An import as one result in the store, and as a set of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lavad_core.datasets.types import Dataset
from lavad_core.digest import digest
from lavad_core.errors import DamagedResult
from lavad_core.imports.types import ImportedSet, ImportedVideo, Neighbours
from lavad_core.imports.values import Nested
from lavad_core.results.recipe import recipe_of_import
from lavad_core.results.types import CleanedCaption, ResultSet, ScoredVideo, VideoResults, nearest_texts
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome
from lavad_core.runs.run_log import load_records
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key, Store

STAGE = "import"
VERSION = 1

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("raw_score", pa.float64()),
        pa.field("summary", pa.string()),
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("cleaned_frames", pa.list_(pa.int64()), nullable=False),
        pa.field("cleaned", pa.list_(pa.string()), nullable=False),
        pa.field("neighbour_frames", pa.list_(pa.int64()), nullable=False),
        pa.field("neighbour_similarities", pa.list_(pa.float64()), nullable=False),
        pa.field("neighbour_scores", pa.list_(pa.float64()), nullable=False),
    ]
)
"""One row per grid frame. ``captions`` are in the order of the fact ``captioners``, null where one said nothing of the frame;
``cleaned`` are those of the frame's window."""


def commit_import(store: Store, found: ImportedSet, dataset: Dataset | None) -> Commit:
    """Commit an import and the data set that it was checked against; the existing commit if the same values were imported
    before."""
    tables = [(video, _table(video, found)) for video in found.videos]
    facts: dict[str, Any] = {
        "interval": found.interval,
        "frame_rate": found.frame_rate,
        "final_scores": any(video.scores is not None for video in found.videos),
        "captioners": list(found.captioners),
        "dataset": None
        if dataset is None
        else {"adapter": dataset.adapter, "title": dataset.title, "files": [asdict(file) for file in dataset.files]},
        "videos": [[video.name, video.frames, _digest(video)] for video, _ in tables],
        "unscored": sorted(found.unscored),
    }
    provenance = {"stage": STAGE, "version": VERSION, "values": digest(facts)}
    key = Key(STAGE, digest(facts["videos"]), digest(provenance))
    present = store.find(key)
    if present is not None:
        return present
    with store.writer(key, video="", schema=SCHEMA, provenance=provenance) as writer:
        for _, table in tables:
            writer.write(table)
        return writer.commit(
            counts={
                "videos_scored": len(found.videos),
                "videos_expected": len(found.videos) + len(found.unscored),
                "frames": sum(video.frames for video in found.videos),
                "rows": sum(table.num_rows for _, table in tables),
            },
            facts=facts,
        )


def video_digests(commit: Commit) -> dict[str, str]:
    """Name of each video to the digest of everything that was imported for it."""
    return {name: sha for name, _, sha in commit.facts["videos"]}


def _digest(video: ImportedVideo) -> str:
    own = video.neighbours
    return digest(
        {
            "frames": video.frames,
            "scores": None if video.scores is None else video.scores.tolist(),
            "raw_scores": None if video.raw_scores is None else video.raw_scores.tolist(),
            "neighbours": None if own is None else [own.scores, own.similarities, own.frames],
            "captions": {captioner: _pairs(texts) for captioner, texts in video.captions.items()},
            "cleaned": [[frame, _pairs(window)] for frame, window in sorted(video.cleaned.items())],
            "summaries": _pairs(video.summaries),
        }
    )


def _pairs(texts: Mapping[int, str]) -> list[list[Any]]:
    return [[frame, text] for frame, text in sorted(texts.items())]


def _table(video: ImportedVideo, found: ImportedSet) -> pa.Table:
    grid = list(range(0, video.frames, found.interval))
    nothing: list[list[Any]] = [[]] * len(grid)
    own = video.neighbours or Neighbours(nothing, nothing, nothing)
    said = [video.captions.get(captioner, {}) for captioner in found.captioners]
    windows = [sorted(video.cleaned.get(frame, {}).items()) for frame in grid] if video.cleaned else nothing
    columns = {
        "name": [video.name] * len(grid),
        "frame": grid,
        "score": [None] * len(grid) if video.scores is None else video.scores,
        "raw_score": [None] * len(grid) if video.raw_scores is None else video.raw_scores,
        "summary": [video.summaries.get(frame) for frame in grid],
        "captions": [[texts.get(frame) for texts in said] for frame in grid] if said else nothing,
        "cleaned_frames": [[frame for frame, _ in window] for window in windows],
        "cleaned": [[text for _, text in window] for window in windows],
        "neighbour_frames": own.frames or nothing,
        "neighbour_similarities": own.similarities,
        "neighbour_scores": own.scores,
    }
    return pa.Table.from_pydict(columns, schema=SCHEMA)


def results_of_import(root: Path, run: RunManifest) -> ResultSet:
    """The results of an import, by its record.

    Raises:
        DamagedResult: its result is gone from the store.
        StoreUnavailable: its records cannot be read.
    """
    store = FileStore(root)
    table = _Rows(store, _commit_of(store, run))
    outcomes = {outcome.name: outcome for outcome in run.videos}
    return ResultSet(
        set_id=run.run_id,
        origin="import",
        names=list(table.places),
        unscored={outcome.name: outcome.message for outcome in run.videos if outcome.status not in SCORED},
        recipe=recipe_of_import(run, tuple(table.facts["captioners"])),
        opened=lambda name: ImportedVideoResults(name, table, outcomes.get(name)),
        record=run,
    )


def _commit_of(store: FileStore, run: RunManifest) -> Commit:
    for record in load_records(store.root, run.run_id):
        if record.node == STAGE and record.fingerprint:
            found = store.find(Key(STAGE, record.video_id, record.fingerprint))
            if found is not None:
                return found
    raise DamagedResult(f"the result of import {run.run_id} is gone from the store; import again")


class _Rows:
    """The rows of all videos of an import: read once for each choice of columns, then a slice for each video."""

    def __init__(self, store: FileStore, commit: Commit) -> None:
        self._store, self._commit, self.facts = store, commit, commit.facts
        self._tables: dict[tuple[str, ...], pa.Table] = {}
        self.places: dict[str, tuple[int, int, int]] = {}
        first = 0
        for name, frames, _ in self.facts["videos"]:
            rows = -(-frames // self.facts["interval"])
            self.places[name] = (frames, first, rows)
            first += rows

    def of(self, name: str, *columns: str) -> pa.Table:
        """Columns of :data:`SCHEMA` for one video."""
        if columns not in self._tables:
            self._tables[columns] = self._store.read(self._commit, list(columns))
        _, first, rows = self.places[name]
        return self._tables[columns].slice(first, rows)


class ImportedVideoResults(VideoResults):
    """The results of one imported video."""

    def __init__(self, name: str, rows: _Rows, outcome: VideoOutcome | None) -> None:
        self.name, self.outcome, self._rows = name, outcome, rows

    @property
    def has_scores(self) -> bool:
        return self.name in self._rows.places

    @cached_property
    def scores(self) -> ScoredVideo:
        found = self._rows.of(self.name, "score", "raw_score")
        final, raw = (_values(found[column]) for column in ("score", "raw_score"))
        scores = final if final is not None else raw
        if scores is None:
            raise DamagedResult(f"the import holds no scores of {self.name!r}; import again")
        return ScoredVideo(
            name=self.name,
            frames=self._rows.places[self.name][0],
            interval=self._rows.facts["interval"],
            scores=scores,
            raw_scores=raw if final is not None else None,
            frame_rate=self._rows.facts["frame_rate"],
            refined=final is not None,
        )

    @property
    def reasons(self) -> Mapping[int, str]:
        return {}  # no layout has any

    @cached_property
    def captions(self) -> Mapping[str, Mapping[int, str]]:
        rows = self._rows.of(self.name, "frame", "captions").to_pylist()
        found = {
            captioner: {row["frame"]: row["captions"][at] for row in rows if row["captions"][at] is not None}
            for at, captioner in enumerate(self._rows.facts["captioners"])
        }
        return {captioner: said for captioner, said in found.items() if said}

    @cached_property
    def cleaned(self) -> Mapping[int, CleanedCaption]:
        windows = self.windows
        found = {frame: CleanedCaption(text) for window in windows.values() for frame, text in window.items()}
        return nearest_texts(found, list(windows)) if found else {}

    @cached_property
    def summaries(self) -> Mapping[int, str]:
        rows = self._rows.of(self.name, "frame", "summary").to_pylist()
        return {row["frame"]: row["summary"] for row in rows if row["summary"] is not None}

    @property
    def windows(self) -> Nested[str]:
        found = self._rows.of(self.name, "frame", "cleaned_frames", "cleaned")
        windows = (dict(zip(row["cleaned_frames"], row["cleaned"], strict=True)) for row in found.to_pylist())
        return {frame: window for frame, window in zip(found["frame"].to_pylist(), windows, strict=True) if window}

    @cached_property
    def neighbours(self) -> Neighbours | None:
        found = self._rows.of(self.name, "neighbour_scores", "neighbour_similarities", "neighbour_frames")
        scores, similarities, frames = (column.to_pylist() for column in found.columns)
        return Neighbours(scores, similarities, frames if any(frames) else []) if any(scores) else None


def _values(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """None for a column without values; -0, which earlier versions kept, is 0."""
    return None if column.null_count else column.to_numpy() + 0.0
