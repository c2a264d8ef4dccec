"""The numbers of the paper's tables, and how an evaluation's protocol differs from theirs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from lavad_core.errors import InputError
from lavad_core.evaluation.types import SMOOTHED, Evaluation, ScoreRow


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table."""

    dataset: str
    """Key of the data set's adapter."""
    table: str
    """Number of the paper's table."""
    training: str
    """``weakly-supervised``, ``one-class``, ``unsupervised`` or ``training-free``."""
    method: str
    """The method, as the table calls it."""
    backbone: str
    """The backbone, as the table calls it; empty where it names none."""
    auc: float | None
    """ROC AUC, 0 … 1; None where the table has none."""
    ap: float | None
    """Average precision, 0 … 1; None where the table has none."""


@dataclass(frozen=True)
class PublishedDifference:
    """An evaluation beside a published row."""

    row: PublishedRow
    """The published row."""
    auc: float | None
    """Our ROC AUC less the published one; None where one of them is missing."""
    ap: float | None
    """Our area by trapezoids, which programs after XD-Violence's print as AP, less the published AP; None likewise."""


@dataclass(frozen=True)
class PublishedComparison:
    """An evaluation beside a paper's tables."""

    ours: ScoreRow
    """The evaluation's unsmoothed final scores."""
    rows: tuple[PublishedDifference, ...]
    """One row per row of the paper's tables, in their order."""
    notes: tuple[str, ...]
    """What the protocols have different, one sentence for each difference."""
    source: str
    """Where the published numbers come from."""


_SMOOTHING = {
    "ucf-crime": "AUC 0.745 → 0.844",
    "xd-violence": "AUC 0.854 → 0.913, AP 0.595 → 0.681",
}
"""What smoothing is worth, measured on URF's published scores."""


@functools.cache
def _document() -> Any:
    return yaml.safe_load(files("lavad_core.evaluation").joinpath("published.yaml").read_text(encoding="utf-8"))


@functools.cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows of all tables."""
    found = []
    for table in _document()["tables"]:
        for training, rows in table["rows"].items():
            for method, backbone, *per_cent in rows:
                given = {
                    name: value for name, value in zip(table["columns"], per_cent, strict=True) if value is not None
                }
                values = {name: round(value / 100, 6) for name, value in given.items()}
                about = (table["dataset"], table["table"], training, method, backbone)
                found.append(PublishedRow(*about, values.get("auc"), values.get("ap")))
    return tuple(found)


def published_source() -> str:
    """Where the numbers come from."""
    return str(_document()["source"])


def published_sizes(adapter: str) -> Mapping[str, int]:
    """How many ``videos``, ``frames`` and ``positive`` frames the numbers of a data set are over, as far as it is known."""
    sizes: Mapping[str, int] = _document()["sizes"][adapter]
    return sizes


def against_published(evaluation: Evaluation) -> PublishedComparison:
    """The evaluation's unsmoothed final scores beside each published number of its data set.

    Raises:
        InputError: the tables have no number of this data set.
    """
    adapter = evaluation.header.adapter
    rows = [row for row in published_rows() if row.dataset == adapter]
    if not rows:
        known = ", ".join(sorted({row.dataset for row in published_rows()}))
        raise InputError(f"the paper has no number of {adapter!r}; its tables are of {known}")
    ours = next(row for row in evaluation.rows if row.name != SMOOTHED)
    auc, ap = ours.metrics["auc"].value, ours.metrics["pr_auc_trapezoid"].value
    return PublishedComparison(
        ours,
        tuple(PublishedDifference(row, _less(auc, row.auc), _less(ap, row.ap)) for row in rows),
        tuple(_notes(evaluation)),
        published_source(),
    )


def _less(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs


def _notes(evaluation: Evaluation) -> Iterator[str]:
    header = evaluation.header
    sizes = published_sizes(header.adapter)
    found = {"videos": header.scored, "frames": header.frames, "positive": header.positive}
    if other := [f"{found[what]} {what} instead of {size}" for what, size in sizes.items() if found[what] != size]:
        yield f"not the published test set: {', '.join(other)}"
    if header.adapter == "xd-violence":
        yield (
            "the published AP is compared with PR-AUC by trapezoids, as the programs behind it work it out; average "
            "precision is another number, lower on scores with few distinct values"
        )
    yield (
        "LAVAD's program does not smooth, so the unsmoothed scores are compared; a Gaussian of 10 grid steps (160 frames) "
        f"alone changes those of another method (URF) by {_SMOOTHING[header.adapter]}"
    )
