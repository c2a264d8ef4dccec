"""What makes the numbers no comparison with those of papers, one sentence for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset
from lavad_core.evaluation.labelled_scores import EvaluatedVideo
from lavad_core.plain_text import number_of

NORMALISED = 0.9
"""Smallest share of videos with scores from exactly 0 to exactly 1 at which the set looks normalised video by video."""

MIN_VIDEOS = 5
"""Fewest videos from which that can be concluded."""


def cautions(
    dataset: Dataset,
    videos: Sequence[EvaluatedVideo],
    unscored: Mapping[str, str],
    unlabelled: Sequence[str],
    known_bad: int = 0,
) -> Iterator[str]:
    """The warnings of an evaluation, those about the data set's own files first; ``known_bad`` of ``unscored`` are known to
    be bad."""
    is_ucf_crime = dataset.adapter == "ucf-crime"  # on which these costs were measured
    yield from dataset.notes
    if unscored:
        known = f" ({known_bad} known to be bad)" if known_bad else ""
        listed_videos = len(dataset.videos) + len(dataset.unreadable)
        yield (
            f"{len(unscored)} of {listed_videos} videos have no scores{known}: {listed(list(unscored))}; a metric over a "
            "part of a data set is not that data set's"
        )
    scored_classes = {name for video in videos for name in video.labels.classes}
    if missing := [name for name in dataset.classes if name not in scored_classes]:
        known_cost = "; with one class less its AUC is up to 4 points higher" if is_ucf_crime else ""
        yield f"no video of {listed(missing)} has scores: a metric without a class is another one{known_cost}"
    if unlabelled:
        scored = number_of(len(unlabelled), "scored video", "are")
        yield f"{scored} not in the data set and left out: {listed(unlabelled, unscored)}"
    if others := [video.labels.name for video in videos if video.frames != video.frames_scored]:
        yield (
            f"{number_of(len(others), 'video', 'have')} another frame count in the results than in the data set's list, which "
            f"is used: {listed(others)}"
        )
    if bare := [video.labels.name for video in videos if video.labels.classes and not video.labels.intervals]:
        alone = number_of(len(bare), "video", "have")
        yield f"{alone} a class but no interval, so that all frames count as normal: {listed(bare)}"
    if len({video.interval for video in videos}) > 1:
        yield "not all videos have the same number of frames from one score to the next; σ means another time in each"
    with_raw = sum(video.raw is not None for video in videos)
    if 0 < with_raw < len(videos):
        yield f"only {with_raw} of {len(videos)} videos have raw scores beside the refined ones; there is no raw row"
    varied = [video.scores for video in videos if np.ptp(video.scores) > 0]
    whole = sum(float(scores.min()) == 0 and float(scores.max()) == 1 for scores in varied)
    if len(varied) >= MIN_VIDEOS and whole >= NORMALISED * len(videos):
        yield (
            "the scores of nearly every video go from exactly 0 to exactly 1, as if they were normalised video by video; that "
            "gives every normal video a frame as anomalous as any"
            + (", and costs the AUC more than 10 points" if is_ucf_crime else ", and lowers the AUC")
        )
