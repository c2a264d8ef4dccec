"""Stage 4, clean (Eq. 2): the caption that fits a frame best, from the whole video's captions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.method.cleaning import best_captions
from lavad_core.method.sampling import nearest_grid
from lavad_core.stages.caption import caption_nodes
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import imported_texts
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import from_column, gathered
from lavad_core.stages.video_frames import FRAMES_READ_IF, FrameTimes, frames_to_clean, load_probe
from lavad_core.store.types import Commit, ResultWriter

VERSION = 1
DESCRIPTION = "Give each frame the caption nearest to it (Eq. 2)."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("similarity", pa.float32()),
        pa.field("captioner", pa.string(), nullable=False),
        pa.field("source_frame", pa.int64(), nullable=False),
    ]
)
READ_IF = FRAMES_READ_IF
IMPORTED = "imported"
"""In place of a captioner."""

CANDIDATES_PER_PASS = 32_768
"""Candidates in memory at once: 128 MiB of vectors at 1024 dimensions. More take another pass over the frames."""


def reads(config: LavadConfig) -> list[Reads]:
    """The vectors of captions and frames, and the captions themselves; without cleaning, those of the first captioner."""
    settings = settings_of(config, "clean", READ_IF)
    if config.imports.cleaned is not None:  # which frames: all that the captions are needed of
        which = {path: value for path, value in settings.items() if path.startswith(("video.", "window."))}
        return [Reads(("probe",), which, imported=True)]
    captions = caption_nodes(config)
    inputs = (*captions, "embed_captions", "probe", "embed_frames") if config.clean.enabled else ("probe", captions[0])
    return [Reads(inputs, settings)]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """No model: a row for each frame that is cleaned."""
    return {ROWS: len(frames_to_clean(config, video))}


def run(context: StageContext) -> Commit:
    """Commit one row per cleaned frame: the text, how similar it is, and whose caption of which frame it was."""
    with context.writer(SCHEMA) as writer:
        if context.config.clean.enabled and not context.node.imported:
            return writer.commit(counts={"changed": _clean(context, writer)})
        writer.write(_uncleaned(context))
        return writer.commit()


def _clean(context: StageContext, writer: ResultWriter) -> int:
    """Write the best candidates, and return how many frames got a caption that was made for another frame."""
    store, pool, frames = context.resources.store, context.input("embed_captions"), context.input("embed_frames")
    indices: list[NDArray[Any]] = []
    best: list[NDArray[Any]] = []
    similarity: list[NDArray[Any]] = []
    first_candidate = 0
    for vectors in gathered(
        (from_column(batch["vector"]) for batch in store.batches(pool, ["vector"])), CANDIDATES_PER_PASS
    ):
        for number, batch in enumerate(store.batches(frames, ["frame", "vector"])):
            found, values = best_captions(from_column(batch["vector"]), vectors)
            found = found + first_candidate
            if first_candidate == 0:
                indices.append(batch["frame"].to_numpy())
                best.append(found)
                similarity.append(values)
            else:  # strictly greater: of equal ones the first candidate wins, as within a pass
                better = values > similarity[number]
                best[number] = np.where(better, found, best[number])
                similarity[number] = np.where(better, values, similarity[number])
        first_candidate += len(vectors)
    texts = context.table("embed_captions", ["text", "captioner", "frame"])
    changed = 0
    for frame, chosen, values in zip(indices, best, similarity, strict=True):
        rows = texts.take(pa.array(chosen))
        changed += int((rows["frame"].to_numpy() != frame).sum())
        columns = {
            "frame": frame,
            "caption": rows["text"],
            "similarity": values,
            "captioner": rows["captioner"],
            "source_frame": rows["frame"],
        }
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
    return changed


def _uncleaned(context: StageContext) -> pa.Table:
    """Captions that were cleaned elsewhere, whose captioner is not known; or, without cleaning (Table 3), the first
    captioner's of the nearest grid frame."""
    probe = load_probe(context)
    frames = frames_to_clean(context.config, probe)
    columns: dict[str, Any] = {"frame": frames, "similarity": pa.nulls(len(frames), pa.float32())}
    if context.node.imported:
        columns["caption"] = imported_texts(context, frames.tolist())
        columns |= {"captioner": [IMPORTED] * len(frames), "source_frame": frames}
    else:
        captions = context.table(context.node.inputs[1], ["frame", "caption", "captioner"])
        sources = nearest_grid(frames, probe.frames, context.config.video.frame_interval)
        rows = captions.take(pa.array(np.searchsorted(captions["frame"].to_numpy(), sources)))
        columns |= {"caption": rows["caption"], "captioner": rows["captioner"], "source_frame": rows["frame"]}
    return pa.Table.from_pydict(columns, schema=SCHEMA)
