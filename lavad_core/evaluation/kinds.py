"""Segments of a kind of anomaly against the labels' classes, where both are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lavad_core.datasets.types import Dataset
from lavad_core.evaluation.events import IOUS, annotated_intervals, found_segments, matches, overlap, share_of
from lavad_core.evaluation.labelled_scores import LabelledScores
from lavad_core.evaluation.types import KindRow
from lavad_core.method.detection import SegmentRule

LEAST_IOU = IOUS[0]
"""Temporal intersection over union from which a segment finds an interval."""


def kind_rows(labelled: LabelledScores, dataset: Dataset, rules: Sequence[SegmentRule]) -> tuple[KindRow, ...]:
    """A row for each rule and each class or kind, over the unsmoothed final scores; none where the labels name no classes, or
    the scores of a video no kind. A kind is the class of the same name, whatever its case, spaces and hyphens."""
    if not dataset.classes or any(video.kinds is None for video in labelled.videos):
        return ()
    return tuple(row for rule in rules for row in _rows(labelled, dataset, rule))


def _rows(labelled: LabelledScores, dataset: Dataset, rule: SegmentRule) -> Iterator[KindRow]:
    found: list[list[tuple[str, tuple[int, int]]]] = []
    named = {_folded(name): name for name in dataset.classes}
    for video in labelled.videos:
        kinds = video.kinds or ()
        own = [(kinds[one.peak_frame // video.interval], one) for one in found_segments(video, rule)]
        named = {_folded(kind): kind for kind, _ in own} | named
        found.append([(_folded(kind), (one.start_frame, one.end_frame)) for kind, one in own])
    for kind, name in sorted(named.items()):
        annotated = [
            annotated_intervals(video) if kind in map(_folded, video.labels.classes) else []
            for video in labelled.videos
        ]
        of_kind = [[span for its, span in own if its == kind] for own in found]
        matched = np.array(
            [matches(overlap(*both), LEAST_IOU) for both in zip(of_kind, annotated, strict=True)], np.float64
        )
        true, own_count = (np.array([len(spans) for spans in each], np.float64) for each in (annotated, of_kind))
        yield KindRow(
            name=name,
            threshold=rule.threshold,
            annotated=int(true.sum()),
            found=int(own_count.sum()),
            matched=int(matched.sum()),
            precision=share_of(labelled, matched, own_count, "no segment of the kind was found").metric,
            recall=share_of(labelled, matched, true, "no interval of the class is annotated").metric,
        )


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
