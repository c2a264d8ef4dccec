"""Stage 10, detect: anomalous segments, by thresholding the final scores: the smoothed ones, otherwise the refined ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.method.detection import Segment, SegmentRule, segments
from lavad_core.method.sampling import nearest_rows
from lavad_core.stage_names import OF_SUMMARIES
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Node, Reads, final_scores_node, scores_node, settings_of
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import FrameTimes, load_probe
from lavad_core.store.types import Commit

VERSION = 2
DESCRIPTION = "Segments above the threshold."
SCHEMA = pa.schema(
    [
        pa.field("segment", pa.int32(), nullable=False),
        pa.field("start_frame", pa.int64(), nullable=False),
        pa.field("end_frame", pa.int64(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("peak_score", pa.float64(), nullable=False),
        pa.field("peak_frame", pa.int64(), nullable=False),
        pa.field("summary", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
    ]
)

KIND = pa.field("kind", pa.string())
"""One more column where scores name the kind of anomaly: that at the segment's peak."""


def reads(config: LavadConfig) -> list[Reads]:
    """The final scores, and the texts at a segment's peak. These are not worth making for it alone: imported summaries need
    no captions, and imported refined scores no texts at all. Scores that are made without summaries bring their reasons."""
    given = config.imports
    ours = scores_node(config) == "score"
    made = (ours or config.score.method in OF_SUMMARIES) and given.summaries is None and given.refined is None
    captions = ("clean",) if made or given.cleaned is not None else ()
    summaries = ("summarise",) if made or given.summaries is not None else ()
    reasons = () if ours or given.refined is not None else (scores_node(config),)
    return [Reads(("probe", *captions, *summaries, *reasons, final_scores_node(config)), settings_of(config, "detect"))]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """Nothing that is known before: the segments are few."""
    return {}


def run(context: StageContext) -> Commit:
    """Commit one row per segment with the summary and the cleaned caption at its peak: no caption where summaries are imported,
    neither of them where refined scores are and no texts; where scores have reasons of their own, that at the peak is the
    summary. ``end_frame`` is inclusive; ``end_s`` is when that frame stops
    being shown. Facts hold the video's peak."""
    probe = load_probe(context)
    final = context.table(final_scores_node(context.config), ["frame", "score"])
    frames, scores = final["frame"].to_numpy(), final["score"].to_numpy()
    found = segments(
        scores,
        frames,
        probe.frames,
        context.config.video.frame_interval,
        probe.times_s,
        SegmentRule(**context.config.detect.model_dump()),
    )
    source = scores_node(context.config)
    kinds = source in context.node.inputs and KIND.name in context.table(source).schema.names
    schema = SCHEMA.append(KIND) if kinds else SCHEMA
    with context.writer(schema) as writer:
        columns = {
            "segment": list(range(len(found))),
            **{
                name: [getattr(segment, name) for segment in found]
                for name in ("start_frame", "end_frame", "start_s", "end_s", "peak_score", "peak_frame")
            },
            "summary": _summaries(context, found),
            "caption": _at_peaks(context, "clean", "caption", found)
            if "clean" in context.node.inputs
            else pa.nulls(len(found), pa.string()),
        }
        if kinds:
            columns[KIND.name] = _at_peaks(context, source, KIND.name, found)
        writer.write(pa.Table.from_pydict(columns, schema=schema))
        best = int(scores.argmax())
        return writer.commit(
            counts={"segments": len(found)},
            facts={"peak_score": float(scores[best]), "peak_frame": int(frames[best])},
        )


def _summaries(context: StageContext, found: Sequence[Segment]) -> pa.ChunkedArray | list[str]:
    if "summarise" in context.node.inputs:
        return _at_peaks(context, "summarise", "summary", found)
    source = scores_node(context.config)
    return _at_peaks(context, source, "reason", found) if source in context.node.inputs else [""] * len(found)


def _at_peaks(context: StageContext, node_id: str, column: str, found: Sequence[Segment]) -> pa.ChunkedArray:
    """The texts of a stage at the segments' peaks. With ``any-frame`` other frames than the grid's are cleaned: then it is
    that of the nearest."""
    table = context.table(node_id, ["frame", column])
    peaks = np.array([segment.peak_frame for segment in found], np.int64)
    return table[column].take(pa.array(nearest_rows(table["frame"].to_numpy(), peaks)))
