"""Stage 2, embed captions: E_T on the unique captions of the video (all captioners together)."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import VideoRejected
from lavad_core.method.cleaning import unique_captions
from lavad_core.runs import work
from lavad_core.stages.caption import caption_nodes
from lavad_core.stages.context import StageContext
from lavad_core.stages.embed_texts import embed_texts
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import VECTOR
from lavad_core.stages.video_frames import FrameTimes, grid_of
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Vectors of all captions."
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("captioner", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("vector", VECTOR, nullable=False),
    ]
)


def reads(config: LavadConfig) -> list[Reads]:
    """The captions of all captioners."""
    return [Reads(caption_nodes(config), settings_of(config, "embed_captions"), role="encoder")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a text for each grid frame and captioner."""
    texts = len(grid_of(config, video)) * len(node.inputs)
    return {work.TEXTS_ENCODED: texts, ROWS: texts}


def run(context: StageContext) -> Commit:
    """Commit the candidate pool of Eq. 2: one row per distinct caption, with the captioner and frame it came from first."""
    captions = []
    for node_id in context.node.inputs:
        table = context.table(node_id, ["frame", "caption"])
        captions.append(
            (
                node_id.partition(":")[2],
                list(zip(table["frame"].to_pylist(), table["caption"].to_pylist(), strict=True)),
            )
        )
    pool = unique_captions(captions)
    if not pool:
        raise VideoRejected("no-captions", f"every caption of {context.video.name!r} is empty: nothing to score")
    columns = {name: [getattr(candidate, name) for candidate in pool] for name in ("text", "captioner", "frame")}
    with context.writer(SCHEMA) as writer:
        embed_texts(context, writer, pa.table(columns), SCHEMA)
        total = sum(len(rows) for _, rows in captions)
        return writer.commit(counts={"captions": total, "unique": len(pool)})
