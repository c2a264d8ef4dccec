"""Stage 8, embed windows: E_V on the window around each grid frame."""

from __future__ import annotations

from lavad_core.config.schema import LavadConfig
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.encode_video import encode_video, window_table
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import CLIPS_ENCODED, ROWS, VISION_PASSES, Work, one_pass
from lavad_core.stages.vectors import FRAME_VECTORS, WindowMeans, from_column
from lavad_core.stages.video_frames import SAMPLES_READ_IF, FrameTimes, clips_of, grid_of, load_probe, samples_of
from lavad_core.store.types import Commit, ResultWriter

VERSION = 1
DESCRIPTION = "Vectors of the windows around grid frames."
SCHEMA = FRAME_VECTORS
READ_IF = SAMPLES_READ_IF | {"window.clips": lambda config: config.window.vector == "spread"}


VIEWS_PER_CLIP = {"imagebind": 3}
"""By kind of encoder (``Encoder.views_per_clip``); a user's own encoder says it only when it is loaded."""


def reads(config: LavadConfig) -> list[Reads]:
    """The pictures of the windows; with an encoder that has no tower for clips, the vectors of their frames."""
    return [
        Reads(
            ("probe",) if config.encoder.encodes_clips else ("probe", "embed_frames"),
            settings_of(config, "embed_windows", READ_IF),
            role="encoder",
            pictures="refine.enabled=false, imports.refined, or run.targets=[score]",
        )
    ]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """Each distinct clip once, in a pass of its own (:func:`~lavad_core.stages.passes.sharing_a_pass` says when there is
    none), and a row for each grid frame."""
    rows = {ROWS: len(grid_of(config, video))}
    if not config.encoder.encodes_clips:
        return rows
    clips = len({pair for window in clips_of(config, samples_of(config, video)) for pair in window})
    views = VIEWS_PER_CLIP.get(config.encoder.kind)
    known = {} if views is None else {work.VIEWS_ENCODED: clips * views, VISION_PASSES: clips * views}
    return one_pass(video) | {CLIPS_ENCODED: clips} | known | rows


def run(context: StageContext) -> Commit:
    """Commit one unit vector per grid frame. ``embed_frames`` has usually done so already, in its pass over the video."""
    with context.writer(SCHEMA) as writer:
        if "embed_frames" in context.node.inputs:
            _from_frames(context, writer)
        else:
            encode_video(context, windows_writer=writer)
        return writer.commit()


def _from_frames(context: StageContext, writer: ResultWriter) -> None:
    """For encoders without a clip tower: a clip is the mean of its frames' vectors, which exist already."""
    probe = load_probe(context)
    centres = grid_of(context.config, probe)
    windows = clips_of(context.config, samples_of(context.config, probe))
    means = WindowMeans([frame for pair in pairs for frame in pair] for pairs in windows)
    for batch in context.resources.store.batches(context.input("embed_frames"), ["frame", "vector"]):
        for frame, vector in zip(batch["frame"].to_pylist(), from_column(batch["vector"]), strict=True):
            means.add(frame, vector)
        writer.write(window_table(centres, list(means.ready())))
    means.finish()
