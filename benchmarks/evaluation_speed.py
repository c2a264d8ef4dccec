"""Time and memory of evaluating 800 videos with 2,335,801 frames (the sizes of XD-Violence's test set, synthetic scores),
against the same metrics worked out from frames that are written out, in the same run.

The baseline is what a script with scikit-learn does: labels and scores of every frame in two arrays, the metrics of all frames,
and the bootstrap by putting the frames of each resample together and working the metrics out again. Of its bootstrap some
resamples are measured, and the rest is taken to take as long.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import scipy  # noqa: E402
import sklearn  # noqa: E402
from scipy.ndimage import gaussian_filter1d  # noqa: E402
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score  # noqa: E402

from lavad_core.datasets.intervals import labels_from_intervals  # noqa: E402
from lavad_core.datasets.types import Dataset, LabelledVideo  # noqa: E402
from lavad_core.evaluation.compute import evaluate  # noqa: E402
from lavad_core.evaluation.options import EvaluationOptions  # noqa: E402
from lavad_core.evaluation.ties import settled  # noqa: E402
from lavad_core.results.types import ResultSet, ScoredVideo, results_of_values  # noqa: E402

VIDEOS, ANOMALOUS, FRAMES, INTERVAL = 800, 500, 2_335_801, 16
CLASSES = ("B1", "B2", "B4", "B5", "B6", "G")
SIGMA = 10.0


def made() -> tuple[Dataset, ResultSet]:
    """As many videos, frames and classes as XD-Violence; refined scores that are all different, raw ones of 11 values."""
    random = np.random.default_rng(0)
    shares = random.lognormal(0, 0.8, VIDEOS)
    lengths = np.maximum((shares / shares.sum() * FRAMES).astype(int), INTERVAL)
    lengths[0] += FRAMES - lengths.sum()
    labels, videos = {}, {}
    for number, frames in enumerate(lengths.tolist()):
        name, intervals = f"video_{number:03d}", []
        if number < ANOMALOUS:
            edges = np.sort(random.choice(frames, 2 * int(random.integers(1, 5)), replace=False)).tolist()
            intervals = list(zip(edges[::2], edges[1::2], strict=True))
        labels[name] = LabelledVideo(name, (CLASSES[number % 6],) if intervals else (), tuple(intervals), frames)
        marked, _ = labels_from_intervals(intervals, frames)
        raw = np.clip(np.round(10 * random.beta(1 + 2 * marked[::INTERVAL], 3)) / 10, 0, 1)
        refined = gaussian_filter1d(raw, 1.0) + 1e-6 * random.random(len(raw))
        videos[name] = ScoredVideo(name, frames, INTERVAL, refined, raw, 24.0)
    return Dataset("xd-violence", "synthetic", labels, ()), results_of_values(videos)


def ours(resamples: int) -> dict[str, Any]:
    """The whole evaluation: four own rows, three trivial ones, classes, events, curves."""
    dataset, results = made()
    start = time.perf_counter()
    found = evaluate(dataset, results, EvaluationOptions(sigmas=(SIGMA,), resamples=resamples))
    seconds = time.perf_counter() - start
    own = [row.metrics for row in found.rows if row.ours]
    return {
        "seconds": seconds,
        "frames": found.header.frames,
        "values": [
            [
                metrics[key].value
                for key in ("auc", "average_precision", "pr_auc_trapezoid", "auc_anomalous", "auc_macro")
            ]
            for metrics in own
        ],
    }


def baseline(resamples: int, measured: int) -> dict[str, Any]:
    """The same four rows of metrics from frames written out; no trivial rows, classes, events or curves."""
    dataset, results = made()
    start = time.perf_counter()
    values, resampling_s = [], 0.0
    for kind in ("scores", "raw_scores"):
        for sigma in (0.0, SIGMA):
            labels, scores = [], []
            for name, video in dataset.videos.items():
                one = results.scores(name)
                grid = getattr(one, kind)
                grid = gaussian_filter1d(grid, sigma) if sigma else grid
                labels.append(labels_from_intervals(video.intervals, one.frames)[0])
                scores.append(np.repeat(grid, INTERVAL)[: one.frames])
            if sigma:  # scores that rounding alone sets apart are one score, as in the evaluation
                ends = np.cumsum([len(frames) for frames in scores])[:-1]
                scores = np.split(settled(np.concatenate(scores)), ends)
            values.append(row(labels, scores))
            before = time.perf_counter()
            random = np.random.default_rng(0)
            for _ in range(measured):
                chosen = random.integers(0, len(labels), len(labels))
                row([labels[one] for one in chosen], [scores[one] for one in chosen])
            resampling_s += time.perf_counter() - before
    once_s = time.perf_counter() - start - resampling_s
    return {"seconds": once_s + resampling_s / max(measured, 1) * resamples, "once": once_s, "values": values}


def row(labels: list[np.ndarray], scores: list[np.ndarray]) -> list[float]:
    """The metrics of one row over videos, frame by frame."""
    every, all_scores = np.concatenate(labels), np.concatenate(scores)
    precision, recall, _ = precision_recall_curve(every, all_scores)
    pairs = list(zip(labels, scores, strict=True))
    anomalous = [pair for pair in pairs if pair[0].any()]
    return [
        roc_auc_score(every, all_scores),
        average_precision_score(every, all_scores),
        auc(recall, precision),
        roc_auc_score(*(np.concatenate(part) for part in zip(*anomalous, strict=True))),
        float(np.mean([roc_auc_score(*pair) for pair in anomalous if not pair[0].all()])),
    ]


def apart(function: Callable[..., dict[str, Any]], *arguments: int) -> dict[str, Any]:
    """Run in a process of its own, so that its peak of memory is its own too."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_noted, (function, arguments))


def _noted(function: Callable[..., dict[str, Any]], arguments: tuple[int, ...]) -> dict[str, Any]:
    found = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return {**found, "peak_mb": peak * (1 if sys.platform == "darwin" else 1024) / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument(
        "--measured", type=int, default=2, help="resamples of the baseline that are really run, for each row"
    )
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}")
    mine = apart(ours, given.resamples)
    theirs = apart(baseline, given.resamples, given.measured)
    difference = np.abs(np.array(mine["values"]) - np.array(theirs["values"])).max()
    print(
        f"{VIDEOS} videos, {mine['frames']} frames, {given.resamples} resamples; largest difference {difference:.1e}\n"
    )
    print("what                                    seconds  peak MB  times faster")
    print(f"evaluate, all of it                    {mine['seconds']:8.2f} {mine['peak_mb']:8.0f}")
    print(f"frames written out, without bootstrap  {theirs['once']:8.2f} {theirs['peak_mb']:8.0f}")
    print(
        f"frames written out, with bootstrap     {theirs['seconds']:8.0f} {theirs['peak_mb']:8.0f} "
        f"{theirs['seconds'] / mine['seconds']:13.0f}"
    )
    print(f"\nthe last line is estimated from {given.measured} of {given.resamples} resamples a row")
    if difference > 1e-12:
        raise SystemExit("the two do not give the same numbers")


if __name__ == "__main__":
    main()
