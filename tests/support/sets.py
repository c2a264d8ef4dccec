"""Small data sets and results for tests of the evaluation, and large made-up ones."""

from __future__ import annotations

import numpy as np

from lavad_core.datasets.types import Dataset, LabelledVideo, SourceFile
from lavad_core.evaluation.labelled_scores import EvaluatedVideo, evaluated_video
from lavad_core.evaluation.ties import Array
from lavad_core.results.types import ResultSet, ScoredVideo, results_of_values

INTERVAL = 16


def dataset(*videos: LabelledVideo, frame_rate: float | None = None, notes: tuple[str, ...] = ()) -> Dataset:
    return Dataset(
        "own",
        "Own",
        {video.name: video for video in videos},
        (SourceFile("annotation", "labels.csv", "ab" * 32),),
        frame_rate,
        notes,
    )


def scored(name: str, frames: int, scores: list[float], interval: int = INTERVAL, raw: bool = False) -> ScoredVideo:
    values = np.array(scores, np.float64)
    return ScoredVideo(name, frames, interval, values, 1 - values if raw else None)


def results(*videos: ScoredVideo, **unscored: str) -> ResultSet:
    return results_of_values({video.name: video for video in videos}, set_id="made", unscored=unscored)


def random_set(
    seed: int, videos: int, *, most_frames: int = 400, levels: int | None = 11, raw: bool = True
) -> tuple[Dataset, ResultSet]:
    """Videos of different lengths, about half of them anomalous, with scores that know a little of the labels.

    Args:
        seed: of everything.
        videos: how many.
        most_frames: of a video.
        levels: of the scores; None for continuous ones.
        raw: whether there are raw scores too.
    """
    random = np.random.default_rng(seed)
    labelled, found = [], []
    for number in range(videos):
        name, frames = f"v{number:03d}", int(random.integers(1, most_frames + 1))
        intervals = []
        if random.random() < 0.5:
            for _ in range(int(random.integers(1, 4))):
                first = int(random.integers(0, frames))
                intervals.append((first, first + int(random.integers(0, frames))))
        classes = (("Fire", "Fight")[number % 2],) if intervals else ()
        labelled.append(LabelledVideo(name, classes, tuple(sorted(intervals)), frames))
        near = np.zeros(frames)
        for first, last in intervals:
            near[first : last + 1] = 0.3
        scores = np.clip(random.random(-(-frames // INTERVAL)) * 0.7 + near[::INTERVAL], 0, 1)
        if levels is not None:
            scores = np.round(scores * (levels - 1)) / (levels - 1)
        found.append(ScoredVideo(name, frames, INTERVAL, scores, random.permutation(scores) if raw else None, 25.0))
    return dataset(*labelled), results(*found)


def expanded(videos: list[EvaluatedVideo], counts: Array | None = None) -> tuple[Array, Array, Array]:
    """Labels, scores and video of every frame, with nothing left to weights; videos as often as ``counts`` says."""
    labels, scores, owners = [], [], []
    for number, video in enumerate(videos):
        marked = np.zeros(video.frames)
        for first, last in video.labels.intervals:
            marked[first : last + 1] = 1
        for _ in range(1 if counts is None else int(counts[number])):
            labels.append(marked)
            scores.append(np.repeat(video.scores, video.interval)[: video.frames])
            owners.append(np.full(video.frames, number))
    return np.concatenate(labels), np.concatenate(scores), np.concatenate(owners)


def gathered(data: Dataset, found: ResultSet) -> list[EvaluatedVideo]:
    return [evaluated_video(labels, found.scores(name)) for name, labels in data.videos.items()]
