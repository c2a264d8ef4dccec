"""Labels and scores of a set of videos on the grid. A score holds for up to 16 frames; how many of them are anomalous, and how
many are not, are its weights. Only the labels of one video at a time are written out frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.frame_counts import counted_frames, deviation, probable_cause
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.datasets.names import NameMatch, listed, match
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.ties import Array
from lavad_core.plain_text import first_few
from lavad_core.results.types import ResultSet, ScoredVideo
from lavad_core.video.discover import MAX_NAMED


@dataclass(frozen=True)
class EvaluatedVideo:
    """A scored video with its labels."""

    labels: LabelledVideo
    """The labels of the data set."""
    frames: int
    """How many frames count, M: the data set's number where it has one."""
    frames_scored: int
    """How many frames the results say that the video has."""
    interval: int
    """Frames from one score to the next."""
    scores: Array = field(repr=False)
    """float64, [n], the final scores."""
    raw: Array | None = field(repr=False)
    """float64, [n], the language model's own scores; None where there are none beside ``scores``."""
    positive: Array = field(repr=False)
    """float64, [n], how many frames of each score are labelled anomalous."""
    negative: Array = field(repr=False)
    """float64, [n], how many are not."""
    clipped: int
    """Intervals that reach past the end."""
    frame_rate: float | None
    """Frames per second; None where it is not known."""
    uncovered: int = 0
    """Frames that the list counts, left out by the tolerance that was given."""
    unsmoothed: Array | None = field(default=None, repr=False)
    """float64, [n], what ``scores`` were smoothed from; None where the run smoothed nothing."""
    kinds: Sequence[str] | None = field(default=None, repr=False)
    """The kind of anomaly of each score, [n]; None where scores are of no kind."""

    @property
    def is_anomalous(self) -> bool:
        """Whether the data set calls the video anomalous, even if no interval lies within its frames."""
        return self.labels.is_anomalous or bool(self.labels.classes)


@dataclass(frozen=True)
class Weights:
    """What the scores of a set are of; the scores themselves stand beside it, one array for each row."""

    video: NDArray[np.int64] = field(repr=False)
    """int64, [n], not decreasing: the video of each score."""
    positive: Array = field(repr=False)
    """float64, [n], how many frames of each score are labelled anomalous."""
    negative: Array = field(repr=False)
    """float64, [n], how many are not."""
    videos: int
    """How many videos there are."""

    def of_videos(self, frames: Array) -> Array:
        """float64, [V], the sum over each video of a number that each score has, [n]."""
        sums: Array = np.bincount(self.video, frames, self.videos).astype(np.float64)
        return sums


@dataclass(frozen=True)
class LabelledScores:
    """What all rows of an evaluation have in common."""

    videos: Sequence[EvaluatedVideo] = field(repr=False)
    """The scored videos."""
    draws: Array | None = field(default=None, repr=False)
    """float64, [R, V], how often each resample of the bootstrap draws each of the V videos; None without a
    bootstrap."""

    @cached_property
    def weights(self) -> Weights:
        """The weights of all scores, one video after the other."""
        return Weights(
            video=np.repeat(np.arange(len(self.videos)), [len(video.scores) for video in self.videos]),
            positive=np.concatenate([video.positive for video in self.videos]),
            negative=np.concatenate([video.negative for video in self.videos]),
            videos=len(self.videos),
        )

    @cached_property
    def positive(self) -> Array:
        """float64, [V], anomalous frames of each video."""
        return self.weights.of_videos(self.weights.positive)

    @cached_property
    def negative(self) -> Array:
        """float64, [V], the other frames of each video."""
        return self.weights.of_videos(self.weights.negative)

    @cached_property
    def anomalous(self) -> NDArray[np.bool_]:
        """bool, [V], as the data set calls the videos."""
        return np.array([video.is_anomalous for video in self.videos])

    @property
    def positive_frames(self) -> int:
        """Anomalous frames of all videos."""
        return round(float(self.positive.sum()))

    @property
    def frames(self) -> int:
        """All frames of all videos."""
        return round(float(self.positive.sum() + self.negative.sum()))

    def entries(self, scores: Array, kept: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.bool_], Array, Array]:
        """Labels, scores and weights for scikit-learn: a score that is of both kinds of frames comes twice.

        Args:
            scores: float64, [n].
            kept: bool, [V], videos that count; all if not given.
        """
        counts = np.ones(len(scores), bool) if kept is None else kept[self.weights.video]
        anomalous = np.flatnonzero((self.weights.positive > 0) & counts)
        other = np.flatnonzero((self.weights.negative > 0) & counts)
        at = np.concatenate([anomalous, other])
        labels = np.arange(len(at)) < len(anomalous)
        return labels, scores[at], np.where(labels, self.weights.positive[at], self.weights.negative[at])


def gather_scores(dataset: Dataset, results: ResultSet) -> tuple[list[EvaluatedVideo], NameMatch]:
    """The scored videos of a data set, in its order, and which names were matched.

    Raises:
        InputError: none of the scored videos is in the data set, two of them have the same name, or the scores of one do
            not cover its frames.
        DamagedResult: scores are gone from the store.
    """
    names = match(dataset.videos, results.names, f"{results.origin} {results.set_id!r}")
    if not names.pairs:
        if not results.names:
            raise InputError(f"{results.origin} {results.set_id!r} has no scored video: there is nothing to evaluate")
        raise InputError(
            f"none of the {len(results.names)} scored videos of {results.origin} {results.set_id!r} is among the "
            f"{len(dataset.videos)} of {dataset.title}: {listed(results.names, dataset.videos)}; names must agree, without the "
            "ending of a video file"
        )
    scores = {name: results.scores(scored) for name, scored in names.pairs.items()}
    tolerance = dataset.reading.frame_count_tolerance
    check_counts([(dataset.videos[name], scored) for name, scored in scores.items()], tolerance)
    return [
        evaluated_video(dataset.videos[name], scores[name], dataset.frame_rate, tolerance) for name in scores
    ], names


def check_counts(videos: Sequence[tuple[LabelledVideo, ScoredVideo]], tolerance: int) -> None:
    """Check that the scores of all videos cover the frames of the list. All are looked at together: one video alone would not
    show whether the list is wrong.

    Raises:
        InputError: those of several do not; names them, and says which of the two is probably wrong.
    """
    found = []
    for labels, scored in videos:
        if labels.frames is not None and not _one_beyond(labels.frames, scored):
            off = deviation(labels.name, labels.frames, len(scored.scores), scored.interval)
            if off is not None and abs(off.uncovered) > tolerance:
                found.append(off)
    if len(found) > 1:
        found.sort(key=lambda one: -abs(one.uncovered))
        shown = first_few(found, MAX_NAMED, lambda one: f"{one.name!r} ({one.frames} frames, {one.scores} scores)")
        raise InputError(
            f"the scores of {len(found)} of {len(videos)} videos do not cover its frames as the data set's list has them: "
            f"{shown}; {probable_cause(found)}"
        )


def _one_beyond(frames: int, scored: ScoredVideo) -> bool:
    """Whether there is just one score too many, for frames that only the decoder found and the list does not count."""
    needed = -(-frames // scored.interval)
    return len(scored.scores) == -(-scored.frames // scored.interval) == needed + 1


def evaluated_video(
    labels: LabelledVideo, scored: ScoredVideo, frame_rate: float | None = None, tolerance: int = 0
) -> EvaluatedVideo:
    """A video's scores with the labels of its frames.

    Args:
        labels, scored: the data set's labels, and the results.
        frame_rate: per second, where the results have none.
        tolerance: frames by which the list may count too many.

    Raises:
        InputError: it has no frames, more or fewer scores than grid frames, or a score that is not a number. What is missing
            is never made up.
    """
    frames = scored.frames if labels.frames is None else labels.frames
    listed_frames = frames
    if labels.frames is not None and not _one_beyond(frames, scored):
        frames = counted_frames(frames, len(scored.scores), scored.interval, tolerance)
    if frames < 1:
        raise InputError(f"video {labels.name!r} has {frames} frames; check the frame count of the data set's list")
    starts = np.arange(0, frames, scored.interval)
    scores = _covering(labels, scored, len(starts), "scores", scored.scores)
    raw, unsmoothed = (
        None if curve is None else _covering(labels, scored, len(starts), what, curve)
        for what, curve in (("raw scores", scored.raw_scores), ("unsmoothed scores", scored.unsmoothed))
    )
    marked, clipped = labels_from_intervals(labels.intervals, frames)
    positive = np.add.reduceat(marked, starts, dtype=np.float64)
    return EvaluatedVideo(
        labels=labels,
        frames=frames,
        frames_scored=scored.frames,
        interval=scored.interval,
        scores=scores,
        raw=raw,
        positive=positive,
        negative=np.diff(starts, append=frames) - positive,
        clipped=clipped,
        frame_rate=scored.frame_rate or frame_rate,
        uncovered=listed_frames - frames,
        unsmoothed=unsmoothed,
        kinds=None if scored.kinds is None else scored.kinds[: len(starts)],
    )


def _covering(labels: LabelledVideo, scored: ScoredVideo, needed: int, what: str, scores: Array) -> Array:
    """The scores of a video's frames. A missing score is never made up, and two scores too many are of another video."""
    own = -(-scored.frames // scored.interval)
    if len(scores) != needed and not (len(scores) == own == needed + 1):
        if labels.frames is None:
            counted, frames, cause = "the results have", scored.frames, "score the video again"
        else:
            counted, frames = "the data set's list has", labels.frames
            off = deviation(labels.name, frames, len(scores), scored.interval)
            cause = "score the video again, or check the list's frame count" if off is None else probable_cause([off])
            if own == len(scores):
                cause = f"the results themselves count {scored.frames} frames. {cause}"
        raise InputError(
            f"video {labels.name!r}: {len(scores)} {what} do not cover its frames: {counted} {frames}, of which every "
            f"{scored.interval}th makes {needed} scores; {cause}"
        )
    if not np.isfinite(scores).all():
        raise InputError(
            f"video {labels.name!r}: {np.count_nonzero(~np.isfinite(scores))} of its {what} are not finite numbers"
        )
    return scores[:needed]
