"""Scores by a bank of sentences, in place of captions and language model: how much nearer each grid frame's vector is to
sentences for what is anomalous than to those for what is normal. The nearest of both are the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.recipes import BankConfig, used_bank
from lavad_core.config.schema import LavadConfig
from lavad_core.config.sentence_bank import BankCategory
from lavad_core.models.protocols import Vectors
from lavad_core.recipes.bank import margin_scores, neighbour_scores, normal_anchor, similarities
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition, Node, Reads, never, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import VECTORS_OF, from_column
from lavad_core.stages.video_frames import FrameTimes, grid_of
from lavad_core.store.types import Commit

Similarities = NDArray[np.float64]

VERSION = 1
DESCRIPTION = "Anomaly scores by a bank of sentences, and which kind of anomaly it would be."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("anomalous", pa.string(), nullable=False),
        pa.field("to_anomalous", pa.float64(), nullable=False),
        pa.field("normal", pa.string(), nullable=False),
        pa.field("to_normal", pa.float64(), nullable=False),
        pa.field("kinds", pa.list_(pa.struct({"kind": pa.string(), "score": pa.float64()})), nullable=False),
    ]
)

NUMBERS_AT_ONCE = 4_000_000
"""Similarities in memory: 32 MB, and some times that while they are ranked."""

BEGINNING = "the beginning of the video"
"""What the normal anchor is called where it is the nearest of the normal side."""

ALPHA = {"margin": 0.9, "neighbours": 0.95}
TEMPERATURE = {"margin": 0.03, "neighbours": 1.0}
"""What each rule's source takes."""


def _by_margin(config: LavadConfig) -> bool:
    return config.bank.rule == "margin"


def _anchored(config: LavadConfig) -> bool:
    return config.bank.normal_anchor != "none"


READ_IF: dict[str, Condition] = {
    "definitions.normal": never,  # it is in the bank's digest
    "bank.top": _by_margin,
    "bank.normal_anchor": _by_margin,
    "bank.neighbours": lambda config: not _by_margin(config),
    "bank.anchor_frames": _anchored,
    "bank.anchor_temperature": _anchored,
}


@dataclass(frozen=True)
class _Embedded:
    """A category with the vectors of its sentences."""

    category: BankCategory
    anomalous: Vectors
    normal: Vectors


def reads(config: LavadConfig) -> list[Reads]:
    """The vectors of the grid's frames, or of the windows around them."""
    return [Reads((_vectors(config),), settings_of(config, "score_bank", READ_IF), role="encoder")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """A row for each grid frame. The sentences are encoded once, not for each video."""
    return {ROWS: len(grid_of(config, video))}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: the score, the category that fits best, the nearest sentence of either side with its
    similarity (with the margin rule that category's own), and every category's score. Facts hold the bank's digest."""
    own, store = context.config.bank, context.resources.store
    source = context.input(_vectors(context.config))
    bank: list[_Embedded] = context.resources.once("bank", partial(_embedded, context))
    anchor = _anchor(context, bank) if _anchored(context.config) else None
    rows = min(4096, max(1, NUMBERS_AT_ONCE // sum(len(each.anomalous) + len(each.normal) for each in bank)))
    with context.writer(SCHEMA) as writer:
        for batch in store.batches(source, ["frame", "vector"], rows=rows):
            vectors = from_column(batch["vector"])
            to_anchor = None if anchor is None else similarities(vectors, anchor[None])[:, 0]
            columns = {"frame": batch["frame"], **_rows(own, bank, vectors, to_anchor)}
            writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(facts={"bank": own.digest})


def _embedded(context: StageContext) -> list[_Embedded]:
    own = context.config.bank
    categories = used_bank(own, context.config.definitions).categories
    texts = [
        prefix.replace("{category}", category.name) + sentence
        for category in categories
        for prefix, side in ((own.anomalous_prefix, category.anomalous), (own.normal_prefix, category.normal))
        for sentence in side
    ]
    encoder, device = context.resources.models.encoder()
    with device, context.at_work():
        vectors = encoder.embed_texts(texts)
    context.count(work.TEXTS_ENCODED, len(texts))
    ends = np.cumsum([len(side) for category in categories for side in (category.anomalous, category.normal)])
    parts = np.split(vectors, ends[:-1])
    return [_Embedded(*each) for each in zip(categories, parts[::2], parts[1::2], strict=True)]


def _anchor(context: StageContext, bank: list[_Embedded]) -> NDArray[np.float64]:
    """What is normal in this video, by its first grid frames."""
    own = context.config.bank
    source = context.input(_vectors(context.config))
    first = next(iter(context.resources.store.batches(source, ["vector"], rows=own.anchor_frames)))
    vectors = from_column(first["vector"])
    scores = _scores(own, *_similarities(bank, vectors)).max(axis=1)
    return normal_anchor(vectors, scores, own.anchor_temperature)


def _similarities(bank: list[_Embedded], vectors: Vectors) -> tuple[list[Similarities], list[Similarities]]:
    return [similarities(vectors, each.anomalous) for each in bank], [
        similarities(vectors, each.normal) for each in bank
    ]


def _scores(
    own: BankConfig,
    to_anomalous: list[Similarities],
    to_normal: list[Similarities],
    to_anchor: Similarities | None = None,
) -> NDArray[np.float64]:
    alpha, temperature = own.alpha or ALPHA[own.rule], own.temperature or TEMPERATURE[own.rule]
    given = {"alpha": alpha, "temperature": temperature}
    if own.rule == "margin":
        return margin_scores(to_anomalous, to_normal, **given, top=own.top, to_anchor=to_anchor)
    return neighbour_scores(to_anomalous, to_normal, **given, neighbours=own.neighbours)


def _rows(
    own: BankConfig, bank: list[_Embedded], vectors: Vectors, to_anchor: Similarities | None
) -> dict[str, Sequence[Any] | NDArray[Any]]:
    """The columns of some frames."""
    to_anomalous, to_normal = _similarities(bank, vectors)
    scores = _scores(own, to_anomalous, to_normal, to_anchor)
    margin = own.rule == "margin"
    best = scores.argmax(axis=1)
    among = best if margin else np.stack([values.max(axis=1) for values in to_normal], axis=1).argmax(axis=1)
    anomalous = _nearest(to_anomalous, [each.category.anomalous for each in bank], best)
    normal = _nearest(to_normal, [each.category.normal for each in bank], among)
    if to_anchor is not None:
        normal = [max(pair, (float(near), BEGINNING)) for pair, near in zip(normal, to_anchor, strict=True)]
    names = [each.category.name for each in bank]
    kinds = [names[category] for category in best]
    return {
        "score": scores.max(axis=1) if margin else np.minimum(scores.sum(axis=1), 1),
        "reason": [
            f"{kind}: {a:.3f} to {said!r}, {n:.3f} to {usual!r}"
            for kind, (a, said), (n, usual) in zip(kinds, anomalous, normal, strict=True)
        ],
        "kind": kinds,
        "anomalous": [text for _, text in anomalous],
        "to_anomalous": [value for value, _ in anomalous],
        "normal": [text for _, text in normal],
        "to_normal": [value for value, _ in normal],
        "kinds": [
            [{"kind": name, "score": value} for name, value in zip(names, row, strict=True)] for row in scores.tolist()
        ],
    }


def _nearest(
    values: list[Similarities], texts: list[tuple[str, ...]], categories: NDArray[np.int64]
) -> list[tuple[float, str]]:
    """For each frame the most similar sentence of a category, after its similarity."""
    found = []
    for row, category in enumerate(categories):
        here = values[category][row]
        place = int(here.argmax())
        found.append((float(here[place]), texts[category][place]))
    return found


def _vectors(config: LavadConfig) -> str:
    return VECTORS_OF[config.bank.vector]
