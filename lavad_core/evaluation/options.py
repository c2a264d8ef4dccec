"""The options of an evaluation. The unsmoothed, unweighted rows are always there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.errors import InputError
from lavad_core.evaluation.smoothing import Sigma, checked_sigma
from lavad_core.method.detection import SegmentRule
from lavad_core.results.types import ResultSet

MAX_RESAMPLES = 100_000


@dataclass(frozen=True)
class EvaluationOptions:
    """How results are evaluated. A value that is given twice counts once.

    Raises:
        InputError: a value is out of its range.
    """

    sigmas: tuple[Sigma, ...] = ()
    """Widths of Gaussian smoothing over the grid scores of a video (``scipy.ndimage.gaussian_filter1d`` with its default
    boundary). Each gives rows of its own beside the unsmoothed ones."""
    events: tuple[SegmentRule, ...] = (SegmentRule(),)
    """Rules by which scores become the segments that are compared with annotated intervals. Each gives rows of its own. There
    are no time stamps here: lengths are in frames."""
    resamples: int = 1000
    """How many times the bootstrap draws the videos; 0 for no intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
    smooth_again: bool = False
    """Whether ``sigmas`` may smooth scores that their run has smoothed already."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", tuple(dict.fromkeys(map(checked_sigma, self.sigmas))))
        object.__setattr__(self, "events", tuple(dict.fromkeys(self.events)))
        if any(rule.min_length_s or rule.max_gap_s for rule in self.events):
            raise InputError(
                "an evaluation does not know the times of frames: give lengths and gaps of events in frames"
            )
        if not 0 <= self.resamples <= MAX_RESAMPLES or self.seed < 0:
            raise InputError(
                f"{self.resamples} resamples with seed {self.seed}: give 0 (no intervals) to {MAX_RESAMPLES}, and a seed of at "
                "least 0"
            )

    def check_smoothing(self, *sets: ResultSet) -> None:
        """
        Raises:
            InputError: scores of a set are smoothed already, and would be once more.
        """
        for results in sets:
            if results.smoothing and self.sigmas and not self.smooth_again:
                raise InputError(
                    f"the scores of {results.origin} {results.set_id!r} are smoothed already ({results.smoothing}): σ "
                    f"{self.sigmas[0]} would smooth them twice; leave it out, or say that it is meant: `lavad evaluate "
                    "--smooth-again`, whose --output other commands take"
                )

    @property
    def intervals(self) -> str:
        """How intervals are computed, in a few words."""
        if not self.resamples:
            return "none"
        return f"95 %, bootstrap over videos, {self.resamples} resamples, seed {self.seed}"


def event_rules(
    thresholds: Sequence[float] = (), low_threshold: float | None = None, min_length: int = 1, max_gap: int = 0
) -> tuple[SegmentRule, ...]:
    """A rule for each threshold, 0.5 if there is none, with lengths in frames."""
    return tuple(
        SegmentRule(float(threshold), low_threshold, min_length_frames=min_length, max_gap_frames=max_gap)
        for threshold in thresholds or (SegmentRule.threshold,)
    )
