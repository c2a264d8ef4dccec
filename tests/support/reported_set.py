"""A made-up set of results with labels, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lavad_core.datasets.types import Dataset, LabelledVideo, SourceFile
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.smoothing import Sigma
from lavad_core.evaluation.types import Evaluation
from lavad_core.reports.reported_set import ReportedSet
from lavad_core.results.types import CleanedCaption, ResultSet, ScoredVideo, VideoTexts, results_of_values
from lavad_core.video.types import VideoSource

INTERVAL, FRAME_RATE = 16, 30.0


def labelled(name: str, number: int, frames: int, kind: str = "Fire") -> LabelledVideo:
    """Every second video has an event, a quarter of its length long and a quarter from its beginning."""
    if number % 2 == 0:
        return LabelledVideo(name, frames=frames)
    return LabelledVideo(name, (kind,), ((frames // 4, frames // 2 - 1),), frames)


def scored(video: LabelledVideo, seed: int) -> ScoredVideo:
    """Higher within the labelled intervals, and never the same twice in a row."""
    frames = video.frames or 0
    grid = np.arange(0, frames, INTERVAL)
    inside = np.zeros(len(grid), bool)
    for first, last in video.intervals:
        inside |= (grid >= first) & (grid <= last)
    noise = np.random.default_rng(seed).random(len(grid)) * 0.4
    raw = np.round(noise + 0.5 * inside, 1)
    return ScoredVideo(video.name, frames, INTERVAL, noise + 0.5 * inside, raw)


def texts(video: LabelledVideo, text: str = "A person walks") -> VideoTexts:
    """Of one captioner, cleaned to something else on every second grid frame."""
    grid = range(0, video.frames or 0, INTERVAL)
    return VideoTexts(
        {"one": {frame: f"{text}, at {frame}" for frame in grid}},
        {at: CleanedCaption(f"{text}{' or runs' if at % (2 * INTERVAL) else ''}, at {at}") for at in grid},
        dict.fromkeys(grid, f"Summary: {text}"),
    )


def made_set(
    names: list[str], frames: int = 640, text: str = "A person walks", unscored: Mapping[str, str] | None = None
) -> tuple[Dataset, ResultSet]:
    """Labels and results of videos; ``unscored`` ones have labels only."""
    videos = {name: labelled(name, number, frames + 16 * number, text) for number, name in enumerate(names)}
    listed = videos | {name: LabelledVideo(name, frames=frames) for name in unscored or {}}
    dataset = Dataset("own", "A made-up set", listed, (SourceFile("annotation", text, "0" * 64),), FRAME_RATE)
    results = results_of_values(
        {name: scored(video, number) for number, (name, video) in enumerate(videos.items())},
        "20260101T000000000-abcdef",
        "import",
        unscored or {},
        {name: texts(video, text) for name, video in videos.items()},
    )
    return dataset, results


def source_of(
    results: ResultSet, dataset: Dataset | None, folder: Path, videos: Mapping[str, VideoSource] | None = None
) -> ReportedSet:
    """With digests of files kept in the folder."""
    return ReportedSet(results, dataset, videos or {}, folder)


def evaluated(dataset: Dataset, results: ResultSet) -> Evaluation:
    """With smoothing and a small bootstrap."""
    return evaluate(dataset, results, EvaluationOptions(sigmas=(Sigma(2.0),), resamples=20))
