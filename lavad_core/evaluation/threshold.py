"""A threshold that a stated rule chooses on labelled videos, and a warning where it is then evaluated on the same videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

import numpy as np

from lavad_core.datasets.label_digests import digest_of_matched_labels
from lavad_core.datasets.names import listed, match_key
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError
from lavad_core.evaluation.events import found_intervals
from lavad_core.evaluation.labelled_scores import EvaluatedVideo, LabelledScores, gather_scores
from lavad_core.evaluation.sealed_json import DocumentKind
from lavad_core.evaluation.ties import TIE, settled
from lavad_core.evaluation.types import Evaluation
from lavad_core.method.detection import SegmentRule
from lavad_core.results.types import ResultSet

STEPS = 1000
"""Number of thresholds that ``false-alarms-per-hour`` tries, from 1 down to 0: three decimals."""

ThresholdRuleName = Literal["f1", "youden", "false-alarms-per-hour"]


@dataclass(frozen=True)
class ThresholdRule:
    """How a threshold is chosen."""

    name: ThresholdRuleName
    """``f1``: the highest F1 of frames; ``youden``: the highest true minus false positive rate of frames;
    ``false-alarms-per-hour``: the lowest threshold that gives at most ``most`` segments an hour of normal video."""
    most: float | None = None
    """Most false alarms per hour, for ``false-alarms-per-hour``."""

    def __str__(self) -> str:
        return self.name if self.most is None else f"{self.name}={self.most:g}"

    @property
    def definition(self) -> str:
        """The rule in a sentence."""
        if self.name == "f1":
            return (
                "the score with the highest F1 of all frames together, with that score and higher ones anomalous; of equal "
                "ones the highest"
            )
        if self.name == "youden":
            return "the score with the highest true minus false positive rate of all frames together; of equal ones the highest"
        return (
            f"the lowest threshold, in {STEPS} steps from the highest score down, at which and above which normal videos "
            f"have at most {self.most:g} segments an hour"
        )


def parse_rule(text: str) -> ThresholdRule:
    """``f1``, ``youden`` or ``false-alarms-per-hour=X``.

    Raises:
        InputError: it is not one of them.
    """
    name, equals, number = text.partition("=")
    if name == "f1" and not equals:
        return ThresholdRule("f1")
    if name == "youden" and not equals:
        return ThresholdRule("youden")
    if name == "false-alarms-per-hour":
        try:
            most = float(number)
        except ValueError:
            most = math.nan
        if math.isfinite(most) and most >= 0:
            return ThresholdRule("false-alarms-per-hour", most)
    raise InputError(
        f"{text!r} is not a rule for a threshold; there are {', '.join(get_args(ThresholdRuleName))}=X, X at least 0 (such as "
        "false-alarms-per-hour=1)"
    )


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold, and where it comes from."""

    threshold: float
    """A score of at least this is anomalous; of the final scores, as their run left them."""
    rule: str
    """Name of the rule that chose it."""
    definition: str
    """What the rule is, as :class:`ThresholdRule` says it."""
    value: float
    """What the rule looks at, at this threshold: F1, Youden's J, or false alarms an hour."""
    dataset: str
    """Title of the data set."""
    adapter: str
    """Key of the data set."""
    files: Sequence[Mapping[str, str]]
    """Role, name and SHA-256 of the files that labels come from."""
    labels: str
    """:func:`~lavad_core.datasets.label_digests.digest_of_matched_labels` of the data set."""
    results: Mapping[str, str]
    """Id and origin of the run or import."""
    names: Sequence[str]
    """The names of the videos: those that have scores and labels."""
    frames: int
    """Frames of these videos."""
    positive: int
    """How many of these are labelled anomalous."""
    low_threshold: float | None = None
    """The lower threshold of segments. Only ``false-alarms-per-hour`` looks at segments; None if there is one
    threshold."""
    min_length: int = 1
    """Shorter segments do not count, frames."""
    max_gap: int = 0
    """Gaps up to this are closed, frames."""


def choose_threshold(
    dataset: Dataset, results: ResultSet, rule: ThresholdRule, segments: SegmentRule | None = None
) -> ChosenThreshold:
    """Choose a threshold of the final scores by a rule. Use training or validation videos: a threshold that is chosen on the
    videos it is then evaluated on has seen the answers.

    Args:
        dataset, results, rule: the labels, the scores, and how.
        segments: how segments are made, with lengths in frames; its own threshold does not count.

    Raises:
        InputError: no scored video is in the data set, the labels do not allow the rule (one kind of frames only, no normal
            video, no frame rate), or no threshold satisfies it.
        DamagedResult: scores are gone from the store.
    """
    segments = segments or SegmentRule(min_length_frames=1)
    videos = gather_scores(dataset, results)[0]
    if rule.most is None:
        threshold, value = _by_frames(videos, rule)
    else:
        threshold, value = _by_false_alarms(videos, rule.most, segments)
    return ChosenThreshold(
        threshold=threshold,
        rule=str(rule),
        definition=rule.definition,
        value=value,
        dataset=dataset.title,
        adapter=dataset.adapter,
        files=tuple(map(asdict, dataset.files)),
        labels=digest_of_matched_labels(dataset),
        results=results.reference,
        names=tuple(video.labels.name for video in videos),
        frames=sum(video.frames for video in videos),
        positive=LabelledScores(videos).positive_frames,
        low_threshold=segments.low_threshold,
        min_length=segments.min_length_frames,
        max_gap=segments.max_gap_frames,
    )


def _by_frames(videos: Sequence[EvaluatedVideo], rule: ThresholdRule) -> tuple[float, float]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    labels, scores, weights = LabelledScores(videos).entries(np.concatenate([video.scores for video in videos]))
    if labels.all() or not labels.any():
        kind = "anomalous" if labels.any() else "normal"
        raise InputError(f"rule {rule}: all frames of the {len(videos)} videos are {kind}: it needs both kinds")
    if rule.name == "f1":
        precision, recall, thresholds = precision_recall_curve(labels, scores, sample_weight=weights)
        both = (precision + recall)[:-1]
        f1 = np.divide(2 * (precision * recall)[:-1], both, out=np.zeros_like(both), where=both > 0)
        best = len(f1) - 1 - int(settled(f1)[::-1].argmax())
        return float(thresholds[best]), float(f1[best])
    false, true, thresholds = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    best = int(settled(true - false).argmax())
    if not np.isfinite(thresholds[best]):
        raise InputError(f"rule {rule}: no threshold finds more of the anomalous frames than of the normal ones")
    return float(thresholds[best]), float((true - false)[best])


def _by_false_alarms(videos: Sequence[EvaluatedVideo], most: float, segments: SegmentRule) -> tuple[float, float]:
    normal = [video for video in videos if not video.is_anomalous]
    if not normal:
        raise InputError(f"none of the {len(videos)} videos is normal: false alarms an hour cannot be counted")
    without = [video.labels.name for video in normal if not video.frame_rate]
    if without:
        raise InputError(
            f"{len(without)} of {len(normal)} normal videos have no frame rate: {listed(without)}; false alarms an hour need it"
        )
    hours = sum(video.frames / video.frame_rate for video in normal if video.frame_rate) / 3600
    highest = {id(video): float(video.scores.max()) for video in normal}
    top, bottom = max(1.0, *highest.values()), min(0.0, *(float(video.scores.min()) for video in normal))
    if segments.low_threshold is not None:
        bottom = max(bottom, segments.low_threshold)
    chosen: tuple[float, float] | None = None
    for step in range(STEPS + 1):
        threshold = round(top - step * (top - bottom) / STEPS, 9)
        loud = [video for video in normal if highest[id(video)] >= threshold]
        rate = sum(len(found_intervals(video, replace(segments, threshold=threshold))) for video in loud) / hours
        if rate > most * (1 + TIE):
            break
        chosen = threshold, rate
    if chosen is None:
        raise InputError(
            f"even at the threshold {top:g} normal videos have {rate:.3g} false alarms an hour, more than {most:g}; allow "
            "more, or ask for longer segments (--min-length)"
        )
    return chosen


def threshold_warnings(chosen: ChosenThreshold, dataset: Dataset, results: ResultSet) -> tuple[str, ...]:
    """What is wrong with evaluating a threshold on a set of results, one sentence for each: it was chosen on the same videos,
    or on scores that were smoothed in another way, whose peaks are of another height."""
    other = chosen.results.get("smoothing", "")
    found = _fitted(chosen, dataset, results.names)
    if other == results.smoothing:
        return found
    words = [f"smoothed ({smoothing})" if smoothing else "not smoothed" for smoothing in (other, results.smoothing)]
    return (
        *found,
        f"the threshold {chosen.threshold:g} was chosen on scores that were {words[0]}, and these are {words[1]}: peaks have "
        "another height; choose it on scores like these (lavad threshold)",
    )


def _fitted(chosen: ChosenThreshold, dataset: Dataset, names: Sequence[str]) -> tuple[str, ...]:
    fitted = {match_key(name) for name in chosen.names}
    same = [name for name in names if match_key(name) in fitted]
    labels = chosen.labels == digest_of_matched_labels(dataset)
    if not same and not labels:
        return ()
    what = f"{len(same)} of the {len(names)} evaluated videos ({listed(same)})" if same else "the same labels"
    return (
        f"the threshold {chosen.threshold:g} was fitted on {what}: events at this threshold are not a result of a test; choose "
        "it on training or validation videos (lavad threshold)",
    )


def with_warnings(evaluation: Evaluation, warnings: Sequence[str]) -> Evaluation:
    """The evaluation, with more warnings in its header."""
    header = replace(evaluation.header, warnings=(*evaluation.header.warnings, *warnings))
    return replace(evaluation, header=header)


CHOSEN_THRESHOLD = DocumentKind(
    "threshold",
    ChosenThreshold,
    made_by="`lavad threshold --output FILE`",
    again="write it again with `lavad threshold`, or give the number with --threshold",
    max_bytes=64 * 2**20,  # a name of each video and some numbers
)
