"""From a store to what a report shows of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import DamagedResult
from lavad_core.reports.video import Caption, Cleaned, GridFrame, Neighbour, Span, VideoReport
from lavad_core.store.types import Commit, Key, Store

NEAR = ("neighbour_frames", "neighbour_similarities")


class StoredVideo:
    """The results of one video.

    Args:
        store: where they are.
        keys: node id to key, of the run that is shown.
        name: of the video.
    """

    def __init__(self, store: Store, keys: Mapping[str, Key], name: str) -> None:
        self.store, self.name, self._keys = store, name, keys

    @property
    def nodes(self) -> list[str]:
        """Stages that the run had for it, in the order in which they ended."""
        return list(self._keys)

    def commit(self, node_id: str) -> Commit:
        """A result's commit.

        Raises:
            DamagedResult: it is not there.
        """
        key = self._keys.get(node_id)
        commit = self.store.find(key) if key is not None else None
        if commit is None or commit.status == "rejected":
            raise DamagedResult(f"the result of {node_id} for {self.name!r} is gone from the store; run again")
        return commit

    def rows(self, node_id: str, columns: list[str]) -> list[dict[str, Any]]:
        """Rows of a result, empty if the run had no such stage.

        Raises:
            DamagedResult: it had, and the result is gone.
        """
        if node_id not in self._keys:
            return []
        rows: list[dict[str, Any]] = self.store.read(self.commit(node_id), columns).to_pylist()
        return rows


def video_report(video: StoredVideo, config: LavadConfig, truth: Sequence[Span] | None) -> VideoReport:
    """What a report shows of a scored video.

    Args:
        video: its results.
        config: of the run.
        truth: its labelled events; None if it has no labels.

    Raises:
        DamagedResult: a result is gone.
    """
    times = [row["time_s"] for row in video.rows("probe", ["time_s"])]
    summaries = {row["frame"]: row["summary"] for row in video.rows("summarise", ["frame", "summary"])}
    refined = video.rows("refine", ["frame", "time_s", "score", "raw_score", *NEAR])
    if not times or not refined:
        raise DamagedResult(f"there are no scores for {video.name!r} in this run; its targets must have 'detect'")
    grid = tuple(
        GridFrame(row["frame"], row["time_s"], row["score"], row["raw_score"], summaries.get(row["frame"], ""))
        for row in refined
    )
    peak = max(range(len(grid)), key=lambda number: grid[number].score)
    near = zip(refined[peak]["neighbour_frames"], refined[peak]["neighbour_similarities"], strict=True)
    by_frame = {at.frame: at for at in grid}
    found = video.rows("detect", ["start_frame", "end_frame"])
    return VideoReport(
        name=video.name,
        times_s=np.asarray(times, np.float64),
        interval=config.video.frame_interval,
        grid=grid,
        truth=None if truth is None else tuple(truth),
        found=tuple(Span(row["start_frame"], row["end_frame"]) for row in found),
        threshold=config.detect.threshold,
        captions=_captions(video, grid[peak].frame),
        cleaned=_cleaned(video, grid[peak].frame),
        neighbours=tuple(
            sorted((Neighbour(by_frame[frame], alike) for frame, alike in near), key=lambda one: -one.similarity)
        ),
    )


def _captions(video: StoredVideo, frame: int) -> tuple[Caption, ...]:
    return tuple(
        Caption(row["captioner"], row["caption"])
        for node_id in video.nodes
        if node_id.startswith("caption:")
        for row in video.rows(node_id, ["frame", "captioner", "caption"])
        if row["frame"] == frame
    )


def _cleaned(video: StoredVideo, frame: int) -> Cleaned | None:
    for row in video.rows("clean", ["frame", "caption", "captioner", "source_frame", "similarity"]):
        if row["frame"] == frame:
            return Cleaned(row["caption"], row["captioner"], row["source_frame"], row["similarity"])
    return None
