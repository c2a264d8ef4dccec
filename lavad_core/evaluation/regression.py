"""Whether results are worse than those of a baseline by more than is tolerated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError
from lavad_core.escape import fixed
from lavad_core.evaluation.compare import Difference, compare_results, difference
from lavad_core.evaluation.measure import Measured
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.smoothing import Sigma, unlike
from lavad_core.evaluation.ties import SAME
from lavad_core.evaluation.types import METRIC_TITLES, Evaluation
from lavad_core.plain_text import number_of
from lavad_core.results.types import ResultSet

TOLERANCES: Mapping[str, float] = {"auc": 0.005, "average_precision": 0.005}
"""Metric to how much it may fall: half a point, since the answers of a sampled language model are not the same in every run."""


@dataclass(frozen=True)
class MetricChange:
    """A metric now and before."""

    metric: str
    """Key of :data:`METRIC_TITLES`."""
    smoothing: Sigma | None
    """The smoothing of the row; None where nothing is smoothed."""
    difference: Difference
    """Now (A) minus before (B), with its interval where both were evaluated on the same videos."""
    tolerance: float
    """How much the metric may fall."""
    baseline_low: float | None = None
    """Lower end of the baseline's own 95 % interval, where the baseline is a file that has it."""

    @property
    def below_interval(self) -> bool:
        """Whether it fell by more than chance explains: the paired difference's interval is below 0; beside a file, the metric
        is below the interval of the file's."""
        now, high = self.difference.a, self.difference.high
        if now is None or self.difference.difference is None:
            return self.fell
        if self.baseline_low is not None:
            high = now - self.baseline_low
        return high is not None and high < -SAME

    @property
    def fell(self) -> bool:
        """Whether it fell by more than the tolerance, or is undefined now and was not before."""
        if self.difference.difference is None:
            return self.difference.b is not None
        return self.difference.difference < -self.tolerance - SAME

    def __str__(self) -> str:
        now, before, changed = self.difference.a, self.difference.b, self.difference.difference
        name = METRIC_TITLES[self.metric] + (f" σ{self.smoothing}" if self.smoothing else "")
        if now is None or before is None or changed is None:
            first, second = (fixed(value, none="undefined") for value in (before, now))
            return f"{name} {first} → {second} ({self.difference.reason})"
        interval = f" ({self.difference.interval})" if self.difference.interval else ""
        return (
            f"{name} {fixed(before)} → {fixed(now)}: {fixed(changed, sign='+')}{interval}, {self.tolerance:g} tolerated"
        )


@dataclass(frozen=True)
class Regression:
    """Results beside a baseline."""

    baseline: str
    """Id or name of the baseline."""
    paired: bool
    """Whether both were evaluated again on the videos that they have in common; otherwise the numbers of a file
    were taken."""
    videos: int
    """How many videos count."""
    changes: tuple[MetricChange, ...]
    """The changes of each metric with a tolerance and each kind of row."""
    notes: tuple[str, ...] = field(default=())
    """What a reader should know, one sentence for each."""

    @property
    def falls(self) -> tuple[MetricChange, ...]:
        """Metrics that fell by more than their tolerance."""
        return tuple(change for change in self.changes if change.fell)

    @property
    def message(self) -> str:
        """The outcome in a sentence."""
        how = f"{'paired ' if self.paired else ''}over {number_of(self.videos, 'video')}"
        against = f"against baseline {self.baseline} ({how})"
        told = "; ".join(map(str, self.falls or self.changes))
        return f"{'fell' if self.falls else 'no fall'} {against}: {told}"


def checked_tolerances(given: Mapping[str, float] | None) -> dict[str, float]:
    """The tolerances, :data:`TOLERANCES` if none are given.

    Raises:
        InputError: a metric is unknown, or a tolerance is not a number of at least 0.
    """
    tolerances = dict(TOLERANCES if given is None else given)
    for metric, tolerance in tolerances.items():
        if metric not in METRIC_TITLES:
            raise InputError(
                f"there is no metric {metric!r} to tolerate a fall of; there are {', '.join(METRIC_TITLES)}"
            )
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise InputError(f"the tolerance {tolerance} of {metric} is not a number of at least 0")
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
    """Compare with another run or import, paired over the videos that both have.

    Raises:
        InputError: as :func:`lavad_core.evaluation.compare.compare_results`.
        DamagedResult: scores are gone from the store.
    """
    found = compare_results(dataset, now, before, options)
    changes = [
        MetricChange(metric, row.smoothing, row.metrics[metric], tolerance)
        for row in found.rows
        for metric, tolerance in tolerances.items()
    ]
    notes = [
        f"{number_of(len(names), 'video', 'have')} scores in the {which} alone, and no part in this: {listed(names)}"
        for which, names in (("baseline", found.only_b), ("new results", found.only_a))
        if names
    ]
    notes += [f"{row.title}: now is A, the baseline is B" for row in found.rows if row.unlike]
    notes += _other_smoothing(now.reference, before.reference)
    return Regression(before.set_id, True, found.videos, tuple(changes), tuple(notes))


def against_evaluation(now: Evaluation, before: Evaluation, name: str, tolerances: Mapping[str, float]) -> Regression:
    """Compare with the numbers of an earlier evaluation, which messages call ``name``. They are over its own videos, and not
    paired: a file has no resamples.

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
            f"the baseline is over {number_of(before.header.scored, 'video')}, the new results over {now.header.scored}: the "
            "numbers are not of the same frames"
        )
    notes += _other_smoothing(now.header.results, before.header.results)
    earlier = {(row.name, row.sigma, row.unit): row for row in before.rows if row.ours}
    changes: list[MetricChange] = []
    for row in (row for row in now.rows if row.ours and row.name == now.rows[0].name):
        match = before.rows[0] if row is now.rows[0] else earlier.get((row.name, row.sigma, row.unit))
        if match is None:
            notes.append(f"the baseline has no row {row.label}")
            continue
        if row.width is not None and match.width is not None and (other := unlike(row.width, match.width)):
            notes.append(f"{row.label} is not the same smoothing as the baseline's {match.label} ({other})")
        changes += [
            MetricChange(
                metric,
                row.smoothing,
                difference(*(Measured(one.metrics[metric].value, one.metrics[metric].reason) for one in (row, match))),
                tolerance,
                match.metrics[metric].low,
            )
            for metric, tolerance in tolerances.items()
        ]
    return Regression(name, False, now.header.scored, tuple(changes), tuple(notes))


def _other_smoothing(now: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """A sentence where the runs behind two references smoothed their scores in different ways."""
    own, other = now.get("smoothing", "not at all"), before.get("smoothing", "not at all")
    if own == other:
        return []
    return [f"scores are smoothed by the run: now {own}, the baseline's {other}; the numbers are of other curves"]


def _files(evaluation: Evaluation) -> str:
    return ", ".join(f"{file['name']} {file['sha256'][:12]}…" for file in evaluation.header.files)
