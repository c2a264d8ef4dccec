"""Texts through the encoder, a bounded number at a time."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.vectors import to_column
from lavad_core.store.types import ResultWriter

TEXTS_PER_CALL = 4096
"""Rows that are in memory at once: 16 MiB of vectors at ImageBind's 1024 dimensions."""


def embed_texts(context: StageContext, writer: ResultWriter, texts: pa.Table, schema: pa.Schema) -> None:
    """Write rows of texts with their vectors, E_T.

    Args:
        texts: a text in the first column, and all other columns but the last of ``schema``, which is the vector.
    """
    encoder, device = context.resources.models.encoder()
    for start in range(0, len(texts), TEXTS_PER_CALL):
        part = texts.slice(start, TEXTS_PER_CALL)
        with device, context.at_work():
            vectors = encoder.embed_texts(part.column(0).to_pylist())
        context.count(work.TEXTS_ENCODED, len(part))
        writer.write(pa.table([*part.columns, to_column(vectors)], schema=schema))
