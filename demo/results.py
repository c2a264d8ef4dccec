"""What a finished demonstration shows: tables, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lavad.demo import world
from lavad.demo.baselines import trivial_metrics
from lavad_core.config.load import load_recorded
from lavad_core.config.schema import LavadConfig
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.errors import InputError
from lavad_core.method.detection import SegmentRule
from lavad_core.pipeline.graph import random_models
from lavad_core.plain_text import duration_text
from lavad_core.reports import html
from lavad_core.reports.pictures import DecodableVideo, VideoCard, video_card
from lavad_core.reports.video import FrameSpan, VideoReport, key_frames, video_report
from lavad_core.results import ResultSet, open_results
from lavad_core.runs.manifest import RunManifest, load_run
from lavad_core.video.types import VideoSource

PageTable = tuple[Sequence[str], Sequence[Sequence[object]], Sequence[int]]

OURS = "LAVAD"

KEY_FRAMES = 4
"""That a video's card shows."""

HEADERS = ("video", "event", "seconds", "peak", "at", "overlap", "summary at the peak")
METRIC_HEADERS = ("scores", "roc_auc", "average_precision")


@dataclass(frozen=True)
class DemoResults:
    """A finished demonstration."""

    folder: Path
    """The demonstration's output folder."""
    run: RunManifest
    """The record of the latest run."""
    results: ResultSet
    """The results of the run."""
    config: LavadConfig
    """The configuration of the run."""
    videos: tuple[VideoReport, ...]
    """The videos, by name."""
    metrics: Mapping[str, tuple[float | None, float | None]]
    """Name of what was scored to ROC AUC and average precision over all frames, None where undefined; LAVAD first."""
    frames: int
    """Frames of all videos."""
    positive: int
    """How many of these are labelled anomalous."""


def read_results(folder: Path, run: RunManifest | None = None) -> DemoResults:
    """Read a finished demonstration.

    Args:
        folder: its output.
        run: the latest if not given.

    Raises:
        InputError: it has no finished run over the clips of the folder.
        DamagedResult: a result is gone.
    """
    run = run or load_run(folder / "store")
    truths = sorted(world.read_truth(folder), key=lambda truth: truth.name)
    if run.metrics is None or {video.name for video in run.videos} != {truth.name for truth in truths}:
        raise InputError(f"run {run.run_id} in {str(folder)!r} is not one over its {len(truths)} clips, evaluated")
    results, config = open_results(folder / "store", run), load_recorded(run.config)
    videos = tuple(
        replace(
            video_report(results[truth.name], None, results.rule or SegmentRule()),
            truth=tuple(FrameSpan(event.first, event.last, event.kind) for event in truth.events),
        )
        for truth in truths
    )
    labels = np.concatenate(
        [
            labels_from_intervals([(event.first, event.last) for event in truth.events], truth.frames)[0]
            for truth in truths
        ]
    )
    found = {OURS: run.metrics, **trivial_metrics(folder, truths, labels)}
    metrics = {name: (own["roc_auc"], own["average_precision"]) for name, own in found.items()}
    return DemoResults(folder, run, results, config, videos, metrics, len(labels), int(labels.sum()))


def tables(result: DemoResults, shown: Callable[[str], str] = str) -> list[PageTable]:
    """The tables of a demonstration, as (headers, rows, columns to align to the right): one line per video, and one per metric.

    Args:
        result: the finished demonstration.
        shown: what a summary becomes, for instance a shorter one.
    """
    videos = [(*_facts(video), shown(video.peak.text)) for video in result.videos]
    metrics = [(name, *numbers) for name, numbers in result.metrics.items()]
    return [(HEADERS, videos, (2, 3, 4, 5)), (METRIC_HEADERS, metrics, (1, 2))]


def _facts(video: VideoReport) -> tuple[object, ...]:
    events = video.truth or ()
    ends = [video.seconds(event) for event in events]
    return (
        video.name,
        ", ".join(event.label for event in events) or "none",
        ", ".join(f"{begin:.1f}–{end:.1f}" for begin, end in ends),
        video.peak.score,
        f"{video.peak.time_s:.1f}",
        None if video.overlap is None else f"{video.overlap:.2f}",
    )


def write_page(result: DemoResults, path: Path) -> None:
    """Write the page of a demonstration: every video's curve and key frames, and the metrics."""
    run, random = result.run, random_models(result.config)
    with ThreadPoolExecutor(2) as threads:  # each waits for a process that decodes
        cards = list(threads.map(lambda number: card(result, number), range(len(result.videos))))
    page = html.render(
        "one_page",
        title="LAVAD on a small world",
        lead=[
            *([f"THE SCORES MEAN NOTHING: these models are random: {', '.join(random)}."] if random else []),
            "Video anomaly detection without training for the task: captioners describe one frame in 16, a language model "
            "sums up what they said within ten seconds and rates it, and each score becomes the mean over the moments that "
            "look most like it. Below is every step of it, on rendered clips whose truth is known.",
            "The models are small, were trained from nothing to see and describe this rendered world, and know no other. The "
            "numbers say that the method and this program do what they should, and nothing about real videos.",
        ],
        facts=[
            ("run", f"{run.run_id}, {run.started}, {duration_text(run.seconds)}"),
            ("captioners", ", ".join(result.config.captioners)),
            ("language model", "in process" if result.config.chat.kind == "transformers" else "served by vLLM"),
            ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
        ],
        metrics=result.metrics,
        metrics_note=f"Over {result.frames} frames of {len(result.videos)} videos, {result.positive} of them labelled; no "
        "smoothing. The other rows need no model: scores that do not beat them have shown nothing.",
        cards=cards,
    )
    path.write_text(page, encoding="utf-8")


def card(result: DemoResults, number: int) -> VideoCard:
    """A video of the demonstration with its key frames."""
    video, found = result.videos[number], result.results[result.videos[number].name]
    if found.probe is None:
        raise InputError(f"run {result.run.run_id} is an import, not one of the demonstration")
    source = VideoSource(video.name, result.folder / "videos" / f"{video.name}.mp4")
    return video_card(
        video, DecodableVideo(source, found.probe, result.config.video.limits), key_frames(video, KEY_FRAMES)
    )
