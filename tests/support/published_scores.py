"""Scores that other projects published: read from their archives, smoothed as a run would smooth them, and measured."""

from __future__ import annotations

import functools
import json
import tarfile
from pathlib import Path, PurePath

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from lavad_core.config.smooth_fields import SmoothConfig
from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.evaluation.labelled_scores import LabelledScores, evaluated_video
from lavad_core.evaluation.ties import Array
from lavad_core.results.types import ScoredVideo
from lavad_core.stages.smooth import smoothed_scores

INTERVAL, RATE = 16, 30.0


@functools.cache
def published_scores(archive: Path) -> dict[str, Array]:
    """Video to its grid scores. The archive also holds prompts and lists."""
    found = {}
    with tarfile.open(archive) as files:
        for member in files:
            stream = files.extractfile(member) if member.name.endswith(".json") else None
            values = json.load(stream) if stream is not None else None
            if isinstance(values, dict) and all(key.isdigit() for key in values):
                found[PurePath(member.name).stem] = np.array(list(values.values()), np.float64)
    return found


@functools.cache
def published_labels(data: Path, name: str) -> Dataset:
    """The labels of UCF-Crime, and of MSAD as Probe-VAD reads them: from the wrong frame on."""
    if name == "ucf-crime":
        folder = data / "ucf_crime"
        return open_dataset(name, folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt", folder / "test.txt")
    folder = data / "probe_vad" / "msad_annotations"
    return open_dataset(
        name, folder / "temporal_annotations.txt", folder / "test.txt", reading=LabelReading(first_frame=0)
    )


def smoothed_figures(labels: Dataset, scores: dict[str, Array], smooth: SmoothConfig) -> tuple[float, float]:
    """AUC and AP in per cent of scores that go through the stage's arithmetic."""
    videos = []
    for name, video in labels.videos.items():
        frames = video.frames or 0
        grid = np.arange(0, frames, INTERVAL)
        own = smoothed_scores(smooth, scores[name][: len(grid)], grid, frames, INTERVAL / RATE)
        videos.append(evaluated_video(video, ScoredVideo(name, frames, INTERVAL, own, frame_rate=RATE)))
    marked, values, weights = LabelledScores(videos).entries(np.concatenate([video.scores for video in videos]))
    return (
        100 * roc_auc_score(marked, values, sample_weight=weights),
        100 * average_precision_score(marked, values, sample_weight=weights),
    )
