"""Stage 7, embed summaries: E_T on the distinct summaries of the video."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.method.refinement import unique_pool
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.embed_captions import TEXTS_PER_CALL
from lavad_core.stages.node import Reads, settings_of
from lavad_core.stages.vectors import VECTOR, to_column
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


def run(context: StageContext) -> Commit:
    """Commit one row per distinct summary, with the first grid frame that has it."""
    table = context.table("summarise", ["frame", "summary"])
    pool = unique_pool(table["frame"].to_pylist(), table["summary"].to_pylist())
    texts = list(pool.texts)
    encoder, device = context.bench.models.encoder()
    with context.writer(SCHEMA) as writer:
        for start in range(0, len(texts), TEXTS_PER_CALL):
            part = texts[start : start + TEXTS_PER_CALL]
            with device:
                vectors = encoder.embed_texts(part)
            context.count(work.TEXTS_ENCODED, len(part))
            columns = {
                "summary": part,
                "frame": pool.frames[start : start + TEXTS_PER_CALL],
                "vector": to_column(vectors),
            }
            writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(counts={"summaries": len(table), "unique": len(texts)})
