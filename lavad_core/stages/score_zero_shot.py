"""Zero-shot scores, in place of captions and language model: which of two texts each grid frame's vector is nearer to."""

from __future__ import annotations

import math
from numbers import Real

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ModelError
from lavad_core.models.protocols import Encoder, ScaledEncoder
from lavad_core.recipes.zero_shot import anomalous_probability, cosines
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Node, Reads, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import VECTORS_OF, from_column
from lavad_core.stages.video_frames import FrameTimes, grid_of
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Anomaly scores by the cosines to two texts (zero-shot)."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("to_normal", pa.float64(), nullable=False),
        pa.field("to_anomalous", pa.float64(), nullable=False),
    ]
)


def reads(config: LavadConfig) -> list[Reads]:
    """The vectors of the grid's frames, or of the windows around them."""
    return [Reads((_vectors(config),), settings_of(config, "score_zero_shot"), role="encoder")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """The two texts, and a row for each grid frame."""
    return {work.TEXTS_ENCODED: 2, ROWS: len(grid_of(config, video))}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: the probability of the anomalous text, and the cosines to both. Facts hold the
    temperature."""
    own = context.config.zero_shot
    encoder, device = context.resources.models.encoder()
    with device, context.at_work():
        normal, anomalous = encoder.embed_texts([own.normal, own.anomalous])
    context.count(work.TEXTS_ENCODED, 2)
    temperature = _own_temperature(context.config, encoder) if own.temperature == "model" else own.temperature
    with context.writer(SCHEMA) as writer:
        for batch in context.resources.store.batches(context.input(_vectors(context.config)), ["frame", "vector"]):
            vectors = from_column(batch["vector"])
            to_normal, to_anomalous = cosines(vectors, normal), cosines(vectors, anomalous)
            columns = {
                "frame": batch["frame"],
                "score": anomalous_probability(to_normal, to_anomalous, temperature),
                "reason": [
                    f"{b:.3f} to {own.anomalous!r}, {a:.3f} to {own.normal!r}"
                    for a, b in zip(to_normal, to_anomalous, strict=True)
                ],
                "to_normal": to_normal,
                "to_anomalous": to_anomalous,
            }
            writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(facts={"temperature": temperature})


def _vectors(config: LavadConfig) -> str:
    return VECTORS_OF[config.zero_shot.vector]


def _own_temperature(config: LavadConfig, encoder: Encoder) -> float:
    """
    Raises:
        ModelError: the encoder has none that can be used.
    """
    scale = encoder.logit_scale if isinstance(encoder, ScaledEncoder) else None
    if isinstance(scale, Real) and math.isfinite(scale) and scale > 0:  # NumPy's numbers too
        return 1 / float(scale)
    raise ModelError(
        f"encoder {config.encoder.model!r} has no temperature of its own (its logit_scale is {scale}); give a number: "
        "zero_shot.temperature=1 is the plain softmax of the cosines"
    )
