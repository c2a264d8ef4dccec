"""Stage 9, refine (Eq. 5): scores averaged over the summaries that look most like a frame's window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.method.refinement import refine, unique_pool
from lavad_core.models.protocols import Vectors
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import imported_scores
from lavad_core.stages.node import Condition, Node, Reads, grid_settings, never, rated_node, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import from_column
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Scores refined by those of similar summaries (Eq. 5)."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("raw_score", pa.float64(), nullable=False),
        pa.field("neighbour_frames", pa.list_(pa.int64()), nullable=False),
        pa.field("neighbour_similarities", pa.list_(pa.float32()), nullable=False),
    ]
)

SUMMARIES_AT_ONCE = 4096
"""Vectors of summaries in memory: 16 MiB at 1024 dimensions, some times that while Arrow reads them. They are read again for
each batch of windows, which takes far less time than comparing them."""


READ_IF: dict[str, Condition] = {
    "score.method": never,  # whose scores they are, the inputs say
    "rescore.enabled": never,
    "refine.neighbours": lambda config: config.refine.enabled,
    "refine.pool": lambda config: config.refine.enabled,
}


def reads(config: LavadConfig) -> list[Reads]:
    """The scores, and the summaries' and windows' vectors that they are refined by; or the imported refined scores, beside
    the raw ones where these are imported too."""
    if config.imports.refined is not None:
        raw = () if config.imports.scores is None else ("score",)
        return [Reads(("probe", *raw), grid_settings(config), imported=True)]
    by = ("summarise", "embed_summaries", "embed_windows") if config.refine.enabled else ()
    return [Reads(("probe", rated_node(config), *by), settings_of(config, "refine", READ_IF))]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """No model: a row for each grid frame."""
    return {ROWS: len(grid_of(config, video))}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: its time, refined and raw score, and the grid frames whose summaries it was averaged
    over, with their similarities."""
    probe = load_probe(context)
    times = probe.times_s
    if context.node.imported:
        return _imported(context, grid_of(context.config, probe), times)
    scored = context.table(rated_node(context.config), ["frame", "score"])
    frames, scores = scored["frame"].to_numpy(), scored["score"].to_numpy()
    with context.writer(SCHEMA) as writer:
        if not context.config.refine.enabled:
            writer.write(_without_neighbours(frames, times, scores, scores))
            return writer.commit()
        pool = unique_pool(frames, context.table("summarise", ["summary"])["summary"].to_pylist())
        every = context.config.refine.pool == "all"
        candidates = frames if every else pool.frames
        candidate_scores = scores if every else scores[pool.first]
        row = 0
        for windows in context.resources.store.batches(context.input("embed_windows"), ["vector"]):
            refined, neighbours, similarities = refine(
                from_column(windows["vector"]),
                _summaries(context),
                candidate_scores,
                neighbours=context.config.refine.neighbours,
                text_of=pool.text_of if every else None,
            )
            here = slice(row, row + len(windows))
            row += len(windows)
            columns = {
                "frame": frames[here],
                "time_s": times[frames[here]],
                "score": refined,
                "raw_score": scores[here],
                "neighbour_frames": list(candidates[neighbours]),
                "neighbour_similarities": list(similarities),
            }
            writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(counts={"candidates": len(candidates), "unique_summaries": len(pool.texts)})


def _imported(context: StageContext, frames: NDArray[np.int64], times: NDArray[np.float64]) -> Commit:
    """Scores that were refined elsewhere, beside the raw ones where these are imported too, otherwise in their place."""
    scores = np.array(imported_scores(context, frames.tolist()))
    given = "score" in context.node.inputs
    raw = context.table("score", ["score"])["score"].to_numpy() if given else scores
    with context.writer(SCHEMA) as writer:
        writer.write(_without_neighbours(frames, times, scores, raw))
        return writer.commit()


def _without_neighbours(
    frames: NDArray[np.int64], times: NDArray[np.float64], scores: NDArray[np.float64], raw: NDArray[np.float64]
) -> pa.Table:
    nobody: list[list[int]] = [[] for _ in frames]
    columns = {
        "frame": frames,
        "time_s": times[frames],
        "score": scores,
        "raw_score": raw,
        "neighbour_frames": nobody,
        "neighbour_similarities": nobody,
    }
    return pa.Table.from_pydict(columns, schema=SCHEMA)


def _summaries(context: StageContext) -> Iterator[Vectors]:
    for batch in context.resources.store.batches(context.input("embed_summaries"), ["vector"], rows=SUMMARIES_AT_ONCE):
        yield from_column(batch["vector"])
