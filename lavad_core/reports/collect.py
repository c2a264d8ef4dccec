"""From a store to what a report shows of a video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import DamagedResult
from lavad_core.reports.video import (
    Caption,
    Change,
    Cleaned,
    GridFrame,
    Neighbour,
    Span,
    Steps,
    VideoReport,
    key_frames,
)
from lavad_core.store.types import Commit, Key, Store

KEY_FRAMES = 8
"""Of a page that shows one video."""

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


def video_report(
    video: StoredVideo, config: LavadConfig, truth: Sequence[Span] | None, most: int = KEY_FRAMES
) -> VideoReport:
    """What a report shows of a scored video.

    Args:
        video: its results.
        config: of the run.
        truth: its labelled events; None if it has no labels.
        most: key frames, whose scores are explained.

    Raises:
        DamagedResult: a result is gone.
    """
    times = [row["time_s"] for row in video.rows("probe", ["time_s"])]
    summaries = {row["frame"]: row["summary"] for row in video.rows("summarise", ["frame", "summary"])}
    refined = video.rows("refine", ["frame", "time_s", "score", "raw_score", *NEAR])
    if not times or not refined:
        raise DamagedResult(
            f"there are no scores for {video.name!r} in this run; its targets must have 'refine' or 'detect'"
        )
    grid = tuple(
        GridFrame(row["frame"], row["time_s"], row["score"], row["raw_score"], summaries.get(row["frame"], ""))
        for row in refined
    )
    found = video.rows("detect", ["start_frame", "end_frame"])
    bare = VideoReport(
        name=video.name,
        times_s=np.asarray(times, np.float64),
        interval=config.video.frame_interval,
        grid=grid,
        truth=None if truth is None else tuple(truth),
        found=tuple(Span(row["start_frame"], row["end_frame"]) for row in found),
        threshold=config.detect.threshold,
    )
    frames = {shown.at.frame for shown in key_frames(bare, most)}
    captions, cleaned = _captions(video), _cleaned(video)
    steps = {frame: Steps(captions.get(frame, ()), cleaned.get(frame)) for frame in frames}
    by_frame = {at.frame: at for at in grid}
    for row in refined:
        if row["frame"] in frames:
            steps[row["frame"]] = replace(steps[row["frame"]], neighbours=_neighbours(row, by_frame))
    return replace(bare, steps=steps, changes=changes(grid, captions, cleaned))


def _neighbours(row: Mapping[str, Any], by_frame: Mapping[int, GridFrame]) -> tuple[Neighbour, ...]:
    near = zip(*(row[column] for column in NEAR), strict=True)
    return tuple(sorted((Neighbour(by_frame[frame], alike) for frame, alike in near), key=lambda one: -one.similarity))


def _captions(video: StoredVideo) -> dict[int, tuple[Caption, ...]]:
    """Grid frame to its captions, a captioner each, in the order of the configuration."""
    found: defaultdict[int, list[Caption]] = defaultdict(list)
    for node_id in video.nodes:
        if node_id.startswith("caption:"):
            for row in video.rows(node_id, ["frame", "captioner", "caption"]):
                found[row["frame"]].append(Caption(row["captioner"], row["caption"]))
    return {frame: tuple(captions) for frame, captions in found.items()}


def _cleaned(video: StoredVideo) -> dict[int, Cleaned]:
    rows = video.rows("clean", ["frame", "caption", "captioner", "source_frame", "similarity"])
    return {
        row["frame"]: Cleaned(row["caption"], row["captioner"], row["source_frame"], row["similarity"]) for row in rows
    }


def changes(
    grid: Sequence[GridFrame], captions: Mapping[int, Sequence[Caption]], cleaned: Mapping[int, Cleaned]
) -> tuple[Change, ...] | None:
    """The grid frames whose first caption cleaning replaced by another text; None where there are no two texts to compare.

    Args:
        grid: of the video.
        captions: grid frame to its captions.
        cleaned: grid frame to what cleaning put there.
    """
    both = [at for at in grid if captions.get(at.frame) and at.frame in cleaned]
    if not both:
        return None
    pairs = (Change(at, captions[at.frame][0], cleaned[at.frame]) for at in both)
    return tuple(change for change in pairs if change.before.text != change.after.text)
