"""Segments above a threshold against annotated intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lavad_core.datasets.types import Interval
from lavad_core.evaluation.bootstrap import ratio
from lavad_core.evaluation.labelled_scores import EvaluatedVideo, LabelledScores
from lavad_core.evaluation.measure import Measured
from lavad_core.evaluation.ties import Array, settled
from lavad_core.evaluation.types import EventRow
from lavad_core.method.detection import Segment, SegmentRule, segments

IOUS = (0.1, 0.3, 0.5)
"""Least temporal intersection over union of a segment and the interval that it finds."""


def event_rows(labelled: LabelledScores, rules: Sequence[SegmentRule]) -> tuple[EventRow, ...]:
    """A row for each rule and each of :data:`IOUS`, over the unsmoothed final scores."""
    annotated = [annotated_intervals(video) for video in labelled.videos]
    true, rows = _counts(annotated), []
    for rule in rules:
        found = [found_intervals(video, rule) for video in labelled.videos]
        own, alarms = _counts(found), _false_alarms(labelled, found)
        overlaps = [overlap(*both) for both in zip(found, annotated, strict=True)]
        for iou in IOUS:
            matched = np.array([matches(overlaps_of, iou) for overlaps_of in overlaps], np.float64)
            nothing = "nothing is annotated and nothing was found"
            rows.append(
                EventRow(
                    threshold=rule.threshold,
                    iou=iou,
                    annotated=int(true.sum()),
                    found=int(own.sum()),
                    matched=int(matched.sum()),
                    precision=share_of(labelled, matched, own, "no segment was found").metric,
                    recall=share_of(labelled, matched, true, "no interval is annotated").metric,
                    f1=share_of(labelled, 2 * matched, own + true, nothing).metric,
                    false_alarms_per_hour=alarms.metric,
                )
            )
    return tuple(rows)


def annotated_intervals(video: EvaluatedVideo) -> list[Interval]:
    """A video's labels, cut to its frames; an interval past its end is left out."""
    return [(first, min(last, video.frames - 1)) for first, last in video.labels.intervals if first < video.frames]


def found_intervals(video: EvaluatedVideo, rule: SegmentRule) -> list[Interval]:
    """First and last frame of a video's segments."""
    return [(segment.start_frame, segment.end_frame) for segment in found_segments(video, rule)]


def found_segments(video: EvaluatedVideo, rule: SegmentRule) -> list[Segment]:
    """A video's segments, with numbers of frames as seconds. A score equal to the threshold but for rounding reaches it."""
    threshold, low = settled(np.array([rule.threshold, rule.low])).tolist()
    return segments(
        settled(video.scores),
        np.arange(0, video.frames, video.interval),
        video.frames,
        video.interval,
        np.arange(video.frames, dtype=np.float64),  # frames have no times here, and no rule asks for them
        replace(rule, threshold=threshold, low_threshold=low),
    )


def overlap(found: Sequence[Interval], annotated: Sequence[Interval]) -> Array:
    """Temporal intersection over union of each pair, float64, [found, annotated]; ends are inclusive."""
    own, true = np.array(found).reshape(-1, 2, 1), np.array(annotated).reshape(-1, 2).T[np.newaxis]
    common = np.minimum(own[:, 1], true[:, 1]) - np.maximum(own[:, 0], true[:, 0]) + 1
    lengths = (own[:, 1] - own[:, 0] + 1) + (true[:, 1] - true[:, 0] + 1)
    common = np.maximum(common, 0).astype(np.float64)
    shared: Array = common / (lengths - common)
    return shared


def matches(overlaps: Array, iou: float) -> int:
    """The most intervals that can be found if a segment finds at most one and an interval is found at most once."""
    enough = overlaps >= iou
    if not enough.any():
        return 0
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(enough, maximize=True)
    return int(enough[rows, columns].sum())


def _counts(intervals: Sequence[Sequence[Interval]]) -> Array:
    return np.array([len(own) for own in intervals], np.float64)


def share_of(labelled: LabelledScores, part: Array, whole: Array, reason: str) -> Measured:
    """A ratio of sums over the videos."""
    if not whole.sum():
        return Measured(None, reason)
    samples = None if labelled.draws is None else ratio(labelled.draws @ part, labelled.draws @ whole)
    return Measured(float(part.sum() / whole.sum()), "", samples)


def _false_alarms(labelled: LabelledScores, found: Sequence[Sequence[Interval]]) -> Measured:
    normal = ~labelled.anomalous
    if not normal.any():
        return Measured(None, "there is no normal video")
    rates = [video.frame_rate for video, counts in zip(labelled.videos, normal, strict=True) if counts]
    known = [rate for rate in rates if rate]
    if len(known) < len(rates):
        return Measured(None, f"{len(rates) - len(known)} of {len(rates)} normal videos have no frame rate")
    hours = np.zeros(len(normal))
    hours[normal] = labelled.negative[normal] / np.array(known) / 3600
    return share_of(labelled, _counts(found) * normal, hours, "normal videos take no time")
