"""Stage 1, caption: Φ_C on every grid frame, for one captioner."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported import imported_texts
from lavad_core.stages.passes import calls_of, decode
from lavad_core.stages.timeline import grid_of, load_probe
from lavad_core.store.commits import storable
from lavad_core.store.types import Commit
from lavad_core.video.types import FrameRequest, Probe

SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("captioner", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
    ]
)


def run(context: StageContext) -> Commit:
    """Commit a row a grid frame; an empty caption is kept as such and counted."""
    probe = load_probe(context)
    batches = _imported(context, probe) if context.node.imported else _captioned(context, probe)
    empty = rows = 0
    with context.writer(SCHEMA) as writer:
        for frames, captions in batches:
            rows += len(frames)
            empty += sum(not caption.strip() for caption in captions)
            names = [context.node.variant] * len(frames)
            writer.write(
                pa.Table.from_pydict({"frame": frames, "captioner": names, "caption": captions}, schema=SCHEMA)
            )
        return writer.commit(
            "ok_with_gaps" if empty else "ok",
            message=f"{empty} of {rows} captions are empty" if empty else "",
            counts={"captions": rows, "empty": empty},
        )


def _captioned(context: StageContext, probe: Probe) -> Iterator[tuple[list[int], list[str]]]:
    captioner, device = context.bench.models.captioner(context.node.variant)
    section = next(item for item in context.config.captioners if item.name == context.node.variant)
    with decode(context, probe, [FrameRequest(captioner.geometry, grid_of(context, probe))]) as frames:
        for batch in calls_of(frames, section, context.config.run.queue_frames):
            with device:
                captions = captioner.caption([frame.image for frame in batch])
            context.count(work.CAPTIONS_MADE, len(captions))
            yield [frame.index for frame in batch], [storable(caption) for caption in captions]


def _imported(context: StageContext, probe: Probe) -> Iterator[tuple[list[int], list[str]]]:
    wanted = grid_of(context, probe).tolist()
    yield wanted, imported_texts(context, wanted)
