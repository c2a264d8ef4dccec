"""Stage 7, embed summaries: E_T on the distinct summaries of the video."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.method.refinement import unique_pool
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.embed_texts import embed_texts
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import VECTOR
from lavad_core.stages.video_frames import FrameTimes, grid_of
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Vectors of all summaries."
SCHEMA = pa.schema(
    [
        pa.field("summary", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("vector", VECTOR, nullable=False),
    ]
)


def reads(config: LavadConfig) -> list[Reads]:
    """The summaries."""
    return [Reads(("summarise",), settings_of(config, "embed_summaries"), role="encoder")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a text for each grid frame."""
    texts = len(grid_of(config, video))
    return {work.TEXTS_ENCODED: texts, ROWS: texts}


def run(context: StageContext) -> Commit:
    """Commit one row per distinct summary, with the first grid frame that has it."""
    table = context.table("summarise", ["frame", "summary"])
    pool = unique_pool(table["frame"].to_pylist(), table["summary"].to_pylist())
    columns = {"summary": list(pool.texts), "frame": pool.frames}
    with context.writer(SCHEMA) as writer:
        embed_texts(context, writer, pa.table(columns), SCHEMA)
        return writer.commit(counts={"summaries": len(table), "unique": len(pool.texts)})
