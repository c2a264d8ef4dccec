"""The metrics of a run's videos against the labels of its configuration, kept in the store as one result for the whole set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lavad_core.config.load import load_recorded
from lavad_core.config.schema import LavadConfig
from lavad_core.datasets.configured import configured
from lavad_core.datasets.names import NameMatch, listed, match, match_key
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.digest import digest
from lavad_core.errors import ConfigError, InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.types import Evaluation
from lavad_core.pipeline.resources import RunResources
from lavad_core.results.run import Keys, keys_of_run, keys_of_video, results_of_keys
from lavad_core.runs.manifest import SCORED, RunManifest
from lavad_core.stages.node import PreparedVideo, final_scores_node
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key, Store

STAGE = "evaluate"
VERSION = 4

SCHEMA = pa.schema(
    [
        pa.field("scores", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("n", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""One row per metric of each row of the evaluation; ``low`` and ``high`` are of the 95 % interval, ``n`` is of a mean."""

RUN_METRICS = {"roc_auc": "auc", "average_precision": "average_precision", "pr_auc_trapezoid": "pr_auc_trapezoid"}
"""Keys of the commit's facts, those that a run prints, to keys of an evaluation's row."""


def evaluate_run(
    resources: RunResources, videos: Sequence[PreparedVideo], unscored: Sequence[str] = ()
) -> Commit | None:
    """The metrics over all frames of ``videos``; None if the configuration names no labels.

    Args:
        resources: whose store holds the final scores.
        videos: those that have scores.
        unscored: names of videos of the run that have none: listed in the result, never taken for normal.

    Raises:
        InputError: the labels cannot be read, or a scored video has none.
    """
    if resources.config.evaluate.labels is None:
        return None
    every = {video.name: resources.graph.keys(video) for video in videos}
    return evaluate_keys(resources.store, resources.config, every, unscored)


def evaluate_keys(
    store: Store,
    config: LavadConfig,
    videos: Mapping[str, Keys],
    unscored: Sequence[str] = (),
    evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
) -> Commit | None:
    """As :func:`evaluate_run`, for videos of which the keys of their results are known: no model need be there.

    Args:
        store: holds the final scores.
        config: names the labels.
        videos: name to keys, of those that have scores.
        unscored: names of videos of the run that have none.
        evaluated: called with the evaluation, where the metrics are not in the store already.
    """
    wanted = _wanted(config, videos, unscored)
    if wanted is None:
        return None
    dataset, videos, unscored, names = wanted.dataset, wanted.videos, wanted.unscored, wanted.names
    key, provenance = wanted.key, wanted.provenance
    found = store.find(key)
    if found is not None:
        return found
    evaluation = evaluate(dataset, results_of_keys(store, config, videos))
    evaluated(evaluation)
    with store.writer(key, video="", schema=SCHEMA, provenance=provenance) as writer:
        writer.write(pa.Table.from_pylist(_table(evaluation), schema=SCHEMA))
        metrics, header = evaluation.rows[0].metrics, evaluation.header
        return writer.commit(
            message=metrics["auc"].reason,
            counts={
                "videos_scored": len(videos),
                "videos_expected": len(videos) + len(unscored),
                "frames": header.frames,
                "positive_frames": header.positive,
                "clipped_intervals": header.clipped_intervals,
                "labels_without_video": len(names.missing) - len(match(dataset.videos, unscored).pairs),
            },
            facts={
                **{name: metrics[key].value for name, key in RUN_METRICS.items()},
                "labels_sha256": dataset.files[0].sha256,
                "dataset": header.dataset,
                "smoothing": header.smoothing,
                "weighting": header.weighting,
                "average": header.averaging,
                "unscored": sorted(unscored),
                **({"reading": header.reading} if header.reading else {}),
            },
        )


def kept_metrics(root: Path, runs: Sequence[RunManifest], unscored: Sequence[str]) -> dict[str, Any] | None:
    """The metrics of a set of runs with one configuration, if they were made once and are kept: nothing is computed.

    Args:
        root: the store.
        runs: each with its videos.
        unscored: names of videos of the set that have no scores.

    Raises:
        InputError: the labels cannot be read, or another version recorded the runs.
        StoreError: the records cannot be read.
    """
    config = load_recorded(runs[0].config)
    keys: dict[str, Keys] = {}
    for run in runs:
        own = keys_of_run(root, run.run_id)
        scored = [video for video in run.videos if video.status in SCORED]
        keys |= {video.name: keys_of_video(own, video.video_id, video.name) for video in scored}
    wanted = _wanted(config, keys, unscored) if keys else None
    commit = None if wanted is None else FileStore(root).find(wanted.key)
    return None if commit is None else metrics_of(commit)


@dataclass(frozen=True)
class _Wanted:
    """An evaluation that is asked for."""

    key: Key
    provenance: dict[str, Any]
    dataset: Dataset
    videos: Mapping[str, Keys]
    unscored: Sequence[str]
    names: NameMatch


def _wanted(config: LavadConfig, videos: Mapping[str, Keys], unscored: Sequence[str]) -> _Wanted | None:
    labels = config.evaluate.labels
    if labels is not None and not videos:
        raise ConfigError(f"no video has scores: nothing to evaluate against {labels}")
    dataset = configured(config.evaluate)
    if dataset is None:
        return None
    unreadable = set(map(match_key, dataset.unreadable))
    unscored = [*unscored, *(name for name in videos if match_key(name) in unreadable)]
    videos = {name: videos[name] for name in sorted(videos) if match_key(name) not in unreadable}
    names = match(dataset.videos, list(videos))
    if names.extra:
        raise InputError(
            f"{labels} has no line for {len(names.extra)} of {len(videos)} scored videos, first "
            f"{listed(names.extra, names.missing)}; names must agree, without the file ending"
        )
    keys = {name: own[final_scores_node(config)] for name, own in videos.items()}
    provenance: dict[str, Any] = {
        "stage": STAGE,
        "version": VERSION,
        "dataset": dataset.adapter,
        "files": [[file.role, file.sha256] for file in dataset.files],
        "inputs": [[name, key.fingerprint] for name, key in keys.items()],
        "unscored": sorted(unscored),
        **_other_reading(dataset.reading),
    }
    key = Key(STAGE, digest([key.video_id for key in keys.values()]), digest(provenance))
    return _Wanted(key, provenance, dataset, videos, unscored, names)


def metrics_of(commit: Commit) -> dict[str, Any]:
    """The metrics of a run as its record has them, with the numbers of videos that they are over."""
    counts = ("videos_scored", "videos_expected", "labels_without_video", "clipped_intervals")
    return {name: commit.facts[name] for name in RUN_METRICS} | {name: commit.counts[name] for name in counts}


def _other_reading(reading: LabelReading) -> dict[str, int]:
    """How the files were read, where that was not the default: the same files are then other labels."""
    found = {"first_frame": reading.first_frame or 0, "frame_count_tolerance": reading.frame_count_tolerance}
    return {name: value for name, value in found.items() if value}


def _table(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {"scores": row.name, "metric": name, **asdict(metric)}
        for row in evaluation.rows
        for name, metric in row.metrics.items()
    ]
