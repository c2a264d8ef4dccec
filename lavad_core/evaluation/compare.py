"""Whether B is better than A. Both are measured on the same resamples of the videos that both have, so that what is hard
for both does not count as doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lavad_core.datasets.frame_counts import said_of
from lavad_core.datasets.names import match
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError
from lavad_core.escape import fixed
from lavad_core.evaluation.bootstrap import draw_resamples, interval
from lavad_core.evaluation.compute import own_scores
from lavad_core.evaluation.labelled_scores import EvaluatedVideo, LabelledScores, evaluated_video
from lavad_core.evaluation.measure import Measured, measure
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.smoothing import Sigma, Unit, Width, sigma_in_words, smoothed, unlike, width_of
from lavad_core.evaluation.ties import SAME
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.results.recipe import recipe_differences
from lavad_core.results.types import ResultSet


@dataclass(frozen=True)
class Difference:
    """One metric of both sets."""

    a: float | None
    """The metric of A; None where undefined."""
    b: float | None
    """The metric of B; None where undefined."""
    difference: float | None
    """A − B, in the metric's unit."""
    low: float | None
    """Lower end of the difference's 95 % interval by the paired bootstrap; None without a bootstrap."""
    high: float | None
    """Upper end of it; None without a bootstrap."""
    b_better: float | None
    """Part of the resamples in which B is higher, equal ones (:data:`lavad_core.evaluation.ties.SAME`) half: the
    probability that B is better."""
    reason: str = ""
    """Why a metric is undefined; empty if both are defined."""

    @property
    def interval(self) -> str:
        """``+0.0123 … +0.0456``, the two ends with their signs; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{fixed(self.low, sign='+')} … {fixed(self.high, sign='+')}"


@dataclass(frozen=True)
class ComparedRow:
    """The metrics of both sets' final scores, with one smoothing."""

    sigma: float
    """The sigma of the smoothing, in ``unit``; 0 where nothing is smoothed."""
    metrics: Mapping[str, Difference]
    """The metrics, by the keys of :data:`lavad_core.evaluation.types.METRIC_TITLES`."""
    unit: Unit = "scores"
    """The unit of ``sigma``: ``scores`` (grid steps), ``frames`` or ``s``."""
    width_a: Width | None = None
    """A's σ in every unit; None where nothing is smoothed."""
    width_b: Width | None = None
    """B's σ in every unit; None where nothing is smoothed."""
    unlike: str = ""
    """How the two σ differ, in a few words: the row does not compare the same smoothing. Empty if it does."""

    @property
    def smoothing(self) -> Sigma | None:
        """The Gaussian's width as it was given; None where nothing is smoothed."""
        return Sigma(self.sigma, self.unit) if self.sigma else None

    @property
    def title(self) -> str:
        """The name of the row in tables."""
        if self.smoothing is None:
            return "unsmoothed"
        if not self.unlike:
            return f"σ{sigma_in_words(self.smoothing, self.width_a)}"
        return f"σ{self.smoothing}: NOT THE SAME SMOOTHING in A and B ({self.unlike})"


@dataclass(frozen=True)
class Comparison:
    """Two sets of results on the same videos."""

    dataset: str
    """Title of the data set."""
    a: Mapping[str, str]
    """Id and origin of set A."""
    b: Mapping[str, str]
    """Id and origin of set B; with ``limited`` where not all videos belong to a set."""
    videos: int
    """Videos of the data set that both have scores of; nothing else counts."""
    frames: int
    """Frames of these videos."""
    positive: int
    """How many of these are labelled anomalous."""
    only_a: tuple[str, ...]
    """Names of the data set's videos that only A has scores of."""
    only_b: tuple[str, ...]
    """Names of the data set's videos that only B has scores of."""
    intervals: str
    """How the intervals were made, in a few words."""
    rows: tuple[ComparedRow, ...] = field(repr=False)
    """The compared rows, the unsmoothed one first."""
    differs: tuple[tuple[str, str, str], ...] = ()
    """Name, A's text and B's text of each line of the recipes in which they differ."""
    recipe_a: Mapping[str, str] = field(default_factory=dict)
    """How A's scores were made, name to text."""
    recipe_b: Mapping[str, str] = field(default_factory=dict)
    """How B's scores were made, name to text."""
    reading: str = ""
    """How the data set's files were taken other than as they are published; empty if they were not."""


def compare_results(
    dataset: Dataset, a: ResultSet, b: ResultSet, options: EvaluationOptions | None = None
) -> Comparison:
    """The metrics of two sets of results, and their differences.

    Args:
        dataset: the labels.
        a, b: the scores.
        options: as for :func:`lavad_core.evaluation.compute.evaluate`; thresholds do not matter here.

    Raises:
        InputError: an option is out of its range, no video of the data set has scores in both, the two have other frames
            of one video, or scores do not cover a video's frames.
        DamagedResult: scores are gone from the store.
    """
    options = options or EvaluationOptions()
    options.check_smoothing(a, b)
    with_a, with_b = (match(dataset.videos, one.names, f"{one.origin} {one.set_id!r}").pairs for one in (a, b))
    common = [name for name in with_a if name in with_b]
    if not common:
        raise InputError(
            f"no video of {dataset.title} has scores in both {a.set_id!r} ({len(with_a)} of its videos) and "
            f"{b.set_id!r} ({len(with_b)}); names must agree, without the ending of a video file"
        )
    tolerance = dataset.reading.frame_count_tolerance
    ours, theirs = (
        [
            evaluated_video(dataset.videos[name], one.scores(names[name]), dataset.frame_rate, tolerance)
            for name in common
        ]
        for one, names in ((a, with_a), (b, with_b))
    )
    _same_frames(ours, theirs, a.set_id, b.set_id)
    draws = draw_resamples(len(common), options.resamples, options.seed) if options.resamples else None
    labelled, others = LabelledScores(ours, draws), LabelledScores(theirs, draws)
    rows = []
    for sigma in (None, *options.sigmas):
        first, second = (
            measure(one, smoothed(one.videos, next(iter(own_scores(one.videos).values())), sigma))[0]
            for one in (labelled, others)
        )
        metrics = {key: difference(first[key], second[key]) for key in METRIC_TITLES}
        if sigma is None:
            rows.append(ComparedRow(0.0, metrics))
            continue
        own, other = width_of(ours, sigma), width_of(theirs, sigma)
        rows.append(ComparedRow(sigma.value, metrics, sigma.unit, own, other, unlike(own, other)))
    return Comparison(
        dataset=dataset.title,
        a=a.reference,
        b=b.reference,
        videos=len(common),
        frames=labelled.frames,
        positive=labelled.positive_frames,
        only_a=tuple(name for name in dataset.videos if name in with_a and name not in with_b),
        only_b=tuple(name for name in dataset.videos if name in with_b and name not in with_a),
        intervals=options.intervals,
        rows=tuple(rows),
        differs=recipe_differences(a.recipe, b.recipe),
        recipe_a=a.recipe.lines,
        recipe_b=b.recipe.lines,
        reading=said_of(dataset.reading, [video.labels.name for video in ours if video.uncovered]),
    )


def difference(a: Measured, b: Measured) -> Difference:
    """A − B of one metric, with its interval where both have resamples."""
    if a.value is None or b.value is None:
        return Difference(a.value, b.value, None, None, None, None, a.reason or b.reason)
    low = high = better = None
    if a.samples is not None and b.samples is not None:
        samples = a.samples - b.samples
        low, high = interval(samples)
        if low is not None:
            defined = samples[np.isfinite(samples)]
            better = float((defined < -SAME).mean() + (np.abs(defined) <= SAME).mean() / 2)
    return Difference(a.value, b.value, a.value - b.value, low, high, better)


def _same_frames(ours: Sequence[EvaluatedVideo], theirs: Sequence[EvaluatedVideo], a: str, b: str) -> None:
    for one, other in zip(ours, theirs, strict=True):
        if one.frames != other.frames:
            raise InputError(
                f"video {one.labels.name!r} has {one.frames} frames in {a!r} and {other.frames} in {b!r}: they are not of the "
                "same video; a list with frame counts (--list) says which is right"
            )
