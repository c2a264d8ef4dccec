"""Stage 3, embed frames: E_I on the frames whose captions will be cleaned.

If the windows (stage 8) are wanted too and are not there yet, they are encoded in the same pass: one decode serves both.
"""

from __future__ import annotations

from lavad_core.config.schema import LavadConfig
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.encode_video import encode_video
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import ROWS, VISION_PASSES, Work, one_pass
from lavad_core.stages.vectors import FRAME_VECTORS
from lavad_core.stages.video_frames import FRAMES_READ_IF, FrameTimes, frames_to_clean
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Vectors of the frames that are cleaned."
SCHEMA = FRAME_VECTORS
READ_IF = FRAMES_READ_IF


def reads(config: LavadConfig) -> list[Reads]:
    """The pictures of the frames that are cleaned."""
    return [
        Reads(
            ("probe",),
            settings_of(config, "embed_frames", READ_IF),
            role="encoder",
            pictures="imports.cleaned (or clean.enabled=false)"
            + ", and events.boundaries=import" * (config.score.method == "events"),
        )
    ]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """An image for each frame that is cleaned."""
    images = len(frames_to_clean(config, video))
    return one_pass(video) | {work.IMAGES_ENCODED: images, VISION_PASSES: images, ROWS: images}


def run(context: StageContext) -> Commit:
    """Commit one unit vector per frame; and the windows' vectors if they can share the pass."""
    graph, keys, store = context.resources.graph, context.keys, context.resources.store
    together = (
        graph.has("embed_windows")
        and "embed_frames" not in graph.node("embed_windows").inputs
        # Stored windows are left to their own stage, also when all is computed again: it would encode them again.
        and store.find(keys["embed_windows"]) is None
    )
    with context.writer(SCHEMA) as frames_writer:
        if not together:
            encode_video(context, frames_writer=frames_writer)
            return frames_writer.commit()
        with context.writer(FRAME_VECTORS, "embed_windows") as windows_writer:
            encode_video(context, frames_writer=frames_writer, windows_writer=windows_writer)
            windows_writer.commit()
        return frames_writer.commit()
