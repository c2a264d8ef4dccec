"""Whether results are worse than a named baseline's, by more than is tolerated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError
from lavad_core.escape import fixed
from lavad_core.evaluation.compare import compare
from lavad_core.evaluation.compute import label
from lavad_core.evaluation.evaluation import METRIC_TITLES, Evaluation, ScoreRow
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.smoothing import Sigma, Unit, unlike
from lavad_core.evaluation.ties import SAME
from lavad_core.results.types import ResultSet

TOLERANCES: Mapping[str, float] = {"auc": 0.005, "average_precision": 0.005}
"""Metric to how much it may fall: half a point, since the answers of a sampled language model are not the same in every run."""


@dataclass(frozen=True)
class MetricChange:
    """A metric now and before.

    Attributes:
        metric: key of :data:`METRIC_TITLES`. sigma: of the smoothing, in ``unit``.
        before, now: None where undefined, and then ``reason`` says why.
        low, high: of the 95 % interval of the difference by the paired bootstrap; None without one.
        tolerance: how much it may fall.
    """

    metric: str
    sigma: float
    before: float | None
    now: float | None
    low: float | None
    high: float | None
    tolerance: float
    reason: str = ""
    unit: Unit = "scores"

    @property
    def difference(self) -> float | None:
        """Now minus before."""
        return None if self.before is None or self.now is None else self.now - self.before

    @property
    def fell(self) -> bool:
        """By more than the tolerance; or it cannot be had any more."""
        if self.difference is None:
            return self.before is not None
        return self.difference < -self.tolerance - SAME

    def __str__(self) -> str:
        name = METRIC_TITLES[self.metric] + (f" σ{Sigma(self.sigma, self.unit)}" if self.sigma else "")
        if self.difference is None or self.before is None or self.now is None:
            before, now = ("undefined" if value is None else f"{value:.4f}" for value in (self.before, self.now))
            return f"{name} {before} → {now} ({self.reason})"
        between = (
            "" if self.low is None or self.high is None else f" [{fixed(self.low, 4, '+')}, {fixed(self.high, 4, '+')}]"
        )
        change = fixed(self.difference, 4, "+")
        return f"{name} {self.before:.4f} → {self.now:.4f}: {change}{between}, {self.tolerance:g} tolerated"


@dataclass(frozen=True)
class Regression:
    """Results beside a baseline.

    Attributes:
        baseline: id or name of it.
        paired: both were evaluated again on the videos that they have in common; else the numbers of a file were taken.
        videos: that count.
        changes: of each metric with a tolerance and each kind of row.
        notes: what a reader should know, a sentence each.
    """

    baseline: str
    paired: bool
    videos: int
    changes: tuple[MetricChange, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def falls(self) -> tuple[MetricChange, ...]:
        """Metrics that fell by more than their tolerance."""
        return tuple(change for change in self.changes if change.fell)

    @property
    def message(self) -> str:
        """In a sentence."""
        how = f"{'paired ' if self.paired else ''}over {self.videos} videos"
        against = f"against baseline {self.baseline} ({how})"
        told = "; ".join(map(str, self.falls or self.changes))
        return f"{'fell' if self.falls else 'no fall'} {against}: {told}"


def checked_tolerances(given: Mapping[str, float] | None) -> dict[str, float]:
    """The tolerances, :data:`TOLERANCES` if none are given.

    Raises:
        InputError: a metric is unknown, or a tolerance is no number of at least 0.
    """
    tolerances = dict(TOLERANCES if given is None else given)
    for metric, tolerance in tolerances.items():
        if metric not in METRIC_TITLES:
            raise InputError(
                f"there is no metric {metric!r} to tolerate a fall of; there are {', '.join(METRIC_TITLES)}"
            )
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise InputError(f"the tolerance {tolerance} of {metric} is no number of at least 0")
    if not tolerances:
        raise InputError("no metric has a tolerance: nothing would be checked")
    return tolerances


def against_results(
    dataset: Dataset,
    now: ResultSet,
    before: ResultSet,
    options: EvaluationOptions,
    tolerances: Mapping[str, float],
) -> Regression:
    """Beside another run or import, paired over the videos that both have.

    Raises:
        InputError: as :func:`lavad_core.evaluation.compare.compare`.
        DamagedResult: scores are gone from the store.
    """
    found = compare(dataset, now, before, options)
    changes = [
        MetricChange(metric, row.sigma, one.b, one.a, one.low, one.high, tolerance, one.reason, row.unit)
        for row in found.rows
        for metric, tolerance in tolerances.items()
        for one in [row.metrics[metric]]
    ]
    notes = [
        f"{len(names)} videos have scores in the {which} alone and are left out: {listed(names)}"
        for which, names in (("baseline", found.only_b), ("new results", found.only_a))
        if names
    ]
    notes += [f"{row.title}: now is A, the baseline is B" for row in found.rows if row.unlike]
    return Regression(before.set_id, True, found.videos, tuple(changes), tuple(notes))


def against_evaluation(now: Evaluation, before: Evaluation, name: str, tolerances: Mapping[str, float]) -> Regression:
    """Beside the numbers of an earlier evaluation. They are of its own videos: not paired.

    Args:
        now: the new one.
        before: the baseline.
        name: of the baseline, for messages.
        tolerances: of :func:`checked_tolerances`.

    Raises:
        InputError: the two are of other labels, so that nothing can be said.
    """
    ours, theirs = ({file["sha256"] for file in one.header.files} for one in (now, before))
    if ours != theirs:
        raise InputError(
            f"baseline {name!r} was evaluated against other labels ({_files(before)}) than these ({_files(now)}); evaluate it "
            "again with the same files, or name a run as baseline"
        )
    notes = []
    if before.header.scored != now.header.scored:
        notes.append(
            f"the baseline is over {before.header.scored} videos, the new results over {now.header.scored}: the numbers are "
            "not of the same frames"
        )
    earlier = {(row.name, row.sigma, row.unit): row for row in before.rows if row.ours}
    changes: list[MetricChange] = []
    for row in (row for row in now.rows if row.ours and row.name == now.rows[0].name):
        match = before.rows[0] if row is now.rows[0] else earlier.get((row.name, row.sigma, row.unit))
        if match is None:
            notes.append(f"the baseline has no row {label(row)}")
            continue
        if row.width is not None and match.width is not None and (other := unlike(row.width, match.width)):
            notes.append(f"{label(row)} is not the same smoothing as the baseline's {label(match)} ({other})")
        changes += _changes(row, match, tolerances)
    return Regression(name, False, now.header.scored, tuple(changes), tuple(notes))


def _changes(now: ScoreRow, before: ScoreRow, tolerances: Mapping[str, float]) -> list[MetricChange]:
    found = []
    for metric, tolerance in tolerances.items():
        new, old = now.metrics[metric], before.metrics[metric]
        why = new.reason or old.reason
        found.append(MetricChange(metric, now.sigma, old.value, new.value, None, None, tolerance, why, now.unit))
    return found


def _files(evaluation: Evaluation) -> str:
    return ", ".join(f"{file['name']} {file['sha256'][:12]}…" for file in evaluation.header.files)
