"""Stage 10, detect: anomalous segments, by thresholding the refined scores."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.method.detection import segments
from lavad_core.stages.context import StageContext
from lavad_core.stages.timeline import load_probe
from lavad_core.store.types import Commit

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
    ]
)


def run(context: StageContext) -> Commit:
    """Commit a row a segment with the summary at its peak. ``end_frame`` is inclusive; ``end_s`` is when that frame stops
    being shown. Facts hold the video's peak."""
    probe = load_probe(context)
    refined = context.table("refine", ["frame", "score"])
    frames, scores = refined["frame"].to_numpy(), refined["score"].to_numpy()
    summaries = context.table("summarise", ["frame", "summary"])
    said = dict(zip(summaries["frame"].to_pylist(), summaries["summary"].to_pylist(), strict=True))
    settings = context.config.detect
    found = segments(
        scores,
        frames,
        probe.frames,
        context.config.video.frame_interval,
        probe.times_s,
        threshold=settings.threshold,
        low_threshold=settings.low_threshold,
    )
    with context.writer(SCHEMA) as writer:
        columns = {
            "segment": list(range(len(found))),
            **{
                name: [getattr(segment, name) for segment in found]
                for name in ("start_frame", "end_frame", "start_s", "end_s", "peak_score", "peak_frame")
            },
            "summary": [said[segment.peak_frame] for segment in found],
        }
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        best = int(scores.argmax())
        return writer.commit(
            counts={"segments": len(found)},
            facts={"peak_score": float(scores[best]), "peak_frame": int(frames[best])},
        )
