"""Stage 11, evaluate: the metrics of a set of videos against labels. One result for the set, not for a video."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lavad_core.datasets.annotations import Annotation, read_annotations
from lavad_core.digest import digest
from lavad_core.errors import ConfigError, DamagedResult, InputError
from lavad_core.evaluation.frames import frame_metrics, labels_from_intervals
from lavad_core.method.detection import to_frames
from lavad_core.pipeline.graph import PreparedVideo
from lavad_core.pipeline.workbench import Workbench
from lavad_core.store.types import Commit, Key

STAGE = "evaluate"
VERSION = 2

SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
METRICS = ("roc_auc", "average_precision", "pr_auc_trapezoid")


def evaluate_run(bench: Workbench, videos: Sequence[PreparedVideo], unscored: Sequence[str] = ()) -> Commit | None:
    """The micro metrics over all frames of ``videos``; None if the configuration names no labels.

    Args:
        bench: whose store holds the refined scores.
        videos: those that have scores.
        unscored: names of videos of the run that have none: listed in the result, never taken for normal.

    Raises:
        InputError: the labels cannot be read, or a scored video has none.
    """
    labels = bench.config.evaluate.labels
    if labels is None:
        return None
    if not videos:
        raise ConfigError(f"no video has scores: nothing to evaluate against {labels}")
    annotations = read_annotations(labels)
    unknown = [video.name for video in videos if video.name not in annotations]
    if unknown:
        raise InputError(
            f"{labels} has no line for {len(unknown)} of {len(videos)} scored videos, first {unknown[:5]}; "
            "names must agree, without the file ending"
        )
    videos = sorted(videos, key=lambda video: video.name)
    keys = [bench.graph.keys(video)["refine"] for video in videos]
    provenance: dict[str, Any] = {
        "stage": STAGE,
        "version": VERSION,
        "labels_sha256": hashlib.sha256(labels.read_bytes()).hexdigest(),
        "inputs": [[video.name, key.fingerprint] for video, key in zip(videos, keys, strict=True)],
        "unscored": sorted(unscored),
    }
    key = Key(STAGE, digest([key.video_id for key in keys]), digest(provenance))
    found = bench.store.find(key)
    if found is not None:
        return found
    truth, scores, clipped = _frames(bench, videos, keys, annotations)
    metrics = frame_metrics(truth, scores)
    with bench.store.writer(key, video="", schema=SCHEMA, provenance=provenance) as writer:
        columns = {"metric": list(METRICS), "value": [metrics[name] for name in METRICS]}  # type: ignore[literal-required]
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(
            message=metrics["reason"],
            counts={
                "videos_scored": len(videos),
                "videos_expected": len(videos) + len(unscored),
                "frames": metrics["frames"],
                "positive_frames": metrics["positive"],
                "clipped_intervals": clipped,
                "labels_without_video": len(annotations.keys() - {video.name for video in videos} - set(unscored)),
            },
            facts={
                **{name: metrics[name] for name in METRICS},  # type: ignore[literal-required]
                "labels_sha256": provenance["labels_sha256"],
                "smoothing": "none",
                "weighting": "none",
                "average": "micro: all frames of all videos together",
                "unscored": sorted(unscored),
            },
        )


def _frames(
    bench: Workbench, videos: Sequence[PreparedVideo], keys: Sequence[Key], annotations: dict[str, Annotation]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """Labels and scores of every frame, video after video, and how many annotated intervals were clipped."""
    truth, scores, clipped = [], [], 0
    for video, key in zip(videos, keys, strict=True):
        refined = bench.store.find(key)
        probe = bench.store.find(bench.graph.keys(video)["probe"])
        if refined is None or probe is None:
            raise DamagedResult(f"the scores of {video.name!r} are gone from the store; run again")
        frames = int(probe.facts["frames"])
        grid_scores = bench.store.read(refined, ["score"])["score"].to_numpy()
        marked, outside = labels_from_intervals(annotations[video.name].intervals, frames)
        truth.append(marked)
        scores.append(to_frames(grid_scores, frames, bench.config.video.frame_interval, video=video.name))
        clipped += outside
    return np.concatenate(truth), np.concatenate(scores), clipped
