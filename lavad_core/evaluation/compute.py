"""An evaluation from a data set and a set of results. Pure: the same labels, scores and options give the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from lavad_core.datasets.frame_counts import said_of
from lavad_core.datasets.names import NameMatch, match_key
from lavad_core.datasets.types import Dataset
from lavad_core.evaluation.bootstrap import draw_resamples
from lavad_core.evaluation.cautions import cautions
from lavad_core.evaluation.classes import class_rows
from lavad_core.evaluation.curves import curves_of
from lavad_core.evaluation.events import event_rows
from lavad_core.evaluation.frame_metrics import one_label
from lavad_core.evaluation.kinds import kind_rows
from lavad_core.evaluation.labelled_scores import EvaluatedVideo, LabelledScores, gather_scores
from lavad_core.evaluation.measure import measure, own_auc, video_scores
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.smoothing import Sigma, sigma_in_words, smoothed, width_of
from lavad_core.evaluation.ties import Array
from lavad_core.evaluation.trivial import trivial_scores
from lavad_core.evaluation.types import SMOOTHED, Curve, Evaluation, EvaluationProtocol, Metric, ScoreRow, VideoRow
from lavad_core.method.sampling import sampled
from lavad_core.results.types import ResultSet

AVERAGE_PRECISION = (
    "Σ (R_n − R_{n−1})·P_n (scikit-learn); PR-AUC (trapezoid) is what LAVAD, URF and VADTree print as AP"
)
AVERAGING = "micro: all frames of all videos together; macro is the mean over videos that have both kinds of frames"


def evaluate(dataset: Dataset, results: ResultSet, options: EvaluationOptions | None = None) -> Evaluation:
    """All metrics of a set of results against a data set's labels; smoothing, segments and bootstrap are the default ones if no
    options are given.

    Raises:
        InputError: no scored video is in the data set, the scores of one do not cover its frames or are not numbers, or σ would
            smooth once more what the run has smoothed.
        DamagedResult: scores are gone from the store.
    """
    options = options or EvaluationOptions()
    options.check_smoothing(results)
    videos, names = gather_scores(dataset, results)
    draws = draw_resamples(len(videos), options.resamples, options.seed) if options.resamples else None
    labelled = LabelledScores(videos, draws)
    rows: list[ScoreRow] = []
    roc: dict[str, Curve] = {}
    precision_recall: dict[str, Curve] = {}
    for name, scores in own_scores(videos).items():
        for sigma in (None, *options.sigmas):
            row_scores = smoothed(videos, scores, sigma)
            row, pairs = _row(labelled, name, sigma, row_scores)
            if not rows:
                final, final_pairs = row_scores, pairs
            rows.append(row)
            if (curves := curves_of(labelled, row_scores)) is not None:
                roc[row.label], precision_recall[row.label] = curves
    for name, scores in trivial_scores(labelled).items():
        rows.append(_row(labelled, name, None, scores, ours=False)[0])
    return Evaluation(
        header=_header(dataset, results, names, labelled, options),
        rows=tuple(rows),
        classes=class_rows(labelled, dataset, final, final_pairs),
        events=event_rows(labelled, options.events),
        kinds=kind_rows(labelled, dataset, options.events),
        videos=_video_rows(labelled, final, final_pairs),
        roc=roc,
        precision_recall=precision_recall,
    )


def of_results(evaluation: Evaluation, dataset: Dataset, results: ResultSet, options: EvaluationOptions) -> Evaluation:
    """The same numbers with the protocol of another set of results: the same scores by another name.

    Raises:
        InputError, DamagedResult: as :func:`evaluate`.
    """
    videos, names = gather_scores(dataset, results)
    return replace(evaluation, header=_header(dataset, results, names, LabelledScores(videos, None), options))


def own_scores(videos: Sequence[EvaluatedVideo]) -> dict[str, Array]:
    """The kinds of scores that all videos have, by the names of rows; the final ones first."""
    final = np.concatenate([video.scores for video in videos])
    unsmoothed = [video.unsmoothed for video in videos if video.unsmoothed is not None]
    smoothed_by_run = len(unsmoothed) == len(videos)  # one run's videos are, all or none
    raw = [video.raw for video in videos if video.raw is not None]
    found = {"refined" if raw else "scores": np.concatenate(unsmoothed) if smoothed_by_run else final}
    if len(raw) == len(videos):
        found["raw"] = np.concatenate(raw)
    return {SMOOTHED: final, **found} if smoothed_by_run else found


def _row(
    labelled: LabelledScores, name: str, sigma: Sigma | None, scores: Array, *, ours: bool = True
) -> tuple[ScoreRow, Array]:
    measured, pairs = measure(labelled, scores)
    metrics = {key: found.metric for key, found in measured.items()}
    if sigma is None:
        return ScoreRow(name, 0.0, metrics, ours), pairs
    return ScoreRow(name, sigma.value, metrics, ours, sigma.unit, width_of(labelled.videos, sigma)), pairs


def _header(
    dataset: Dataset, results: ResultSet, names: NameMatch, labelled: LabelledScores, options: EvaluationOptions
) -> EvaluationProtocol:
    why = {match_key(name): reason for name, reason in results.unscored.items()}
    unscored = {name: why.get(match_key(name), f"not in the {results.origin}") for name in names.missing}
    bad = set(map(match_key, results.known_bad))
    known_bad = tuple(name for name in unscored if match_key(name) in bad)
    unscored |= dataset.unreadable
    unreadable = set(map(match_key, dataset.unreadable))
    unlabelled = tuple(name for name in names.extra if match_key(name) not in unreadable)
    return EvaluationProtocol(
        dataset=dataset.title,
        adapter=dataset.adapter,
        files=tuple(map(asdict, dataset.files)),
        listed=len(dataset.videos) + len(dataset.unreadable),
        scored=len(labelled.videos),
        unscored=unscored,
        unlabelled=unlabelled,
        frames=labelled.frames,
        positive=labelled.positive_frames,
        clipped_intervals=sum(video.clipped for video in labelled.videos),
        interval=min(video.interval for video in labelled.videos),
        results=results.reference,
        average_precision=AVERAGE_PRECISION,
        averaging=AVERAGING,
        smoothing=_smoothing(options, labelled, results.smoothing),
        weighting="none",
        warnings=tuple(cautions(dataset, labelled.videos, unscored, unlabelled, len(known_bad))),
        intervals=options.intervals,
        recipe=results.recipe.lines,
        reading=said_of(dataset.reading, [video.labels.name for video in labelled.videos if video.uncovered]),
        samples=_samples(results),
        known_bad=known_bad,
    )


def _samples(results: ResultSet) -> str:
    found = results.window_samples()
    if not found:
        return "unknown" if found is None else "none: no summary was made of a window"
    return f"{sampled(found)} a window"


def _smoothing(options: EvaluationOptions, labelled: LabelledScores, by_run: str) -> str:
    own = f"by the run, {by_run}; none in the rows of its other scores" if by_run else "none"
    if not options.sigmas:
        return own
    words = [
        sigma_in_words(sigma, width_of(labelled.videos, sigma), "grid steps" if sigma.unit == "scores" else "")
        for sigma in options.sigmas
    ]
    again = ", once more" if by_run else ""
    return f"{own}; in rows with σ a Gaussian of {', '.join(words)} over each video's scores{again}"


def _video_rows(labelled: LabelledScores, scores: Array, pairs: Array) -> tuple[VideoRow, ...]:
    highest, mean = (video_scores(labelled, scores, how) for how in ("max", "mean"))
    rows = []
    for at, (video, auc) in enumerate(zip(labelled.videos, own_auc(labelled, pairs).tolist(), strict=True)):
        reason = one_label(int(labelled.positive[at]), video.frames, "frame")
        rows.append(
            VideoRow(
                name=video.labels.name,
                classes=tuple(video.labels.classes),
                frames=video.frames,
                positive=int(labelled.positive[at]),
                auc=Metric(None, reason) if reason else Metric(auc),
                max_score=float(highest[at]),
                mean_score=float(mean[at]),
            )
        )
    return tuple(rows)
