"""Stage 0, probe: what the video holds. One decode of the whole video, without colour conversion."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.imports.listed import listed_probe
from lavad_core.method.detection import shown_until_s
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import ROWS, Work, one_pass
from lavad_core.stages.video_frames import FrameTimes
from lavad_core.store.types import Commit
from lavad_core.video.decoder import probe

VERSION = 3
DESCRIPTION = "Find a video's true frames and time stamps."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("pts", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("decoded", pa.bool_(), nullable=False),
        pa.field("packet", pa.int64(), nullable=False),
    ]
)


def reads(config: LavadConfig) -> list[Reads]:
    """The video alone: this is the first stage."""
    return [Reads(settings=settings_of(config, "probe"))]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """One pass over the video, and a row for each frame."""
    return one_pass(video) | {ROWS: video.frames}


def run(context: StageContext) -> Commit:
    """Commit the timeline: one row per frame; facts hold the picture's size, the time base and what the header said."""
    source = context.resources.source(context.video)
    if source.kind == "listed":
        found = listed_probe(source, context.config.imports)
    else:
        found = probe(source, context.config.video.limits, context.config.video.folder_frame_rate)
        context.count(work.VIDEOS_DECODED, 1)
    decoded = np.ones(found.frames, np.bool_)
    decoded[list(found.gaps)] = False
    with context.writer(SCHEMA) as writer:
        writer.write(
            pa.table(
                [
                    pa.array(np.arange(found.frames, dtype=np.int64)),
                    pa.array(found.pts),
                    pa.array(found.times_s),
                    pa.array(decoded),
                    pa.array(np.full(found.frames, -1, np.int64) if found.packets is None else found.packets),
                ],
                schema=SCHEMA,
            )
        )
        return writer.commit(
            found.status,
            message=found.reason,
            counts={**found.counts, "gaps": len(found.gaps)},
            facts={
                "frames": found.frames,
                "time_base": [found.time_base.numerator, found.time_base.denominator],
                "duration_s": shown_until_s(found.times_s, found.frames),
                "width": found.width,
                "height": found.height,
                "rotation": found.rotation,
                "codec": found.codec,
                "container": found.container,
                "frames_from_header": found.frames_from_header,
                "completeness": found.completeness,
                "unchecked": found.unchecked,
            },
        )
