"""The table of a study: each row's metrics beside the paper's, and beside those of the reference row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from lavad_core.datasets.frame_counts import said_of
from lavad_core.datasets.types import Dataset
from lavad_core.evaluation.bootstrap import draw_resamples
from lavad_core.evaluation.compare import Difference, difference
from lavad_core.evaluation.compute import own_scores
from lavad_core.evaluation.labelled_scores import EvaluatedVideo, LabelledScores, gather_scores
from lavad_core.evaluation.leaderboard import NOT_KNOWN, labels_in_words
from lavad_core.evaluation.measure import Measured, measure
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.published import PublishedRow, published_sizes, published_source
from lavad_core.evaluation.sealed_json import DocumentKind
from lavad_core.plain_text import first_few, number_of
from lavad_core.results.types import ResultSet
from lavad_core.studies.study_file import Study, StudyRow

PUBLISHED_AS: Mapping[str, str] = {"auc": "auc", "pr_auc_trapezoid": "ap"}
"""Metric to the paper's: what programs after XD-Violence's print as AP is the area by trapezoids."""


@dataclass(frozen=True)
class StudyCell:
    """One metric of a row."""

    paper: float | None
    """The paper's value, 0 … 1; None where it has none."""
    ours: float | None
    """Ours, 0 … 1; None where it is undefined, or the row is quoted."""
    reason: str = ""
    """Why ours is undefined; empty where it is defined."""
    to_paper: float | None = None
    """Ours less the paper's; None where one is missing, or they are of other data sets."""
    to_reference: float | None = None
    """Ours less the reference row's, over the videos that both have; None where one is undefined, and in the reference row."""
    low: float | None = None
    """Lower end of the 95 % interval of ``to_reference`` by the paired bootstrap; None without one."""
    high: float | None = None
    """Upper end of it; None without one."""


@dataclass(frozen=True)
class MeasuredRow:
    """A row with its metrics."""

    name: str
    """What the row is."""
    training: str
    """How much training the paper's row needs, as its table calls it; empty where it has none."""
    backbone: str
    """The backbone of the paper's row; empty where it has none."""
    quoted: bool
    """Whether only the paper's numbers are there: nothing was run."""
    cells: Mapping[str, StudyCell]
    """Metric to its values."""
    runs: tuple[Mapping[str, float | None], ...] = ()
    """The metrics of each run; the row is their mean."""
    scored: int = 0
    """Videos that the row is over."""
    videos: int = 0
    """Videos of the study that have labels. More than ``scored``: the row is partial."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Name of a video to why it has no scores in a run of the row."""
    known_bad: tuple[str, ...] = ()
    """Those of ``failed`` that are known to be bad."""
    group: str = ""
    """Name of the group of bars to which it belongs; empty for one of its own."""
    series: str = ""
    """What bars of its colour are; empty where all are alike."""
    at: Mapping[str, float] = field(default_factory=dict)
    """Axis of the study to its value."""
    protocol: Mapping[str, str] = field(default_factory=dict)
    """``smoothing``, ``labels``, ``lookahead`` and ``fitted``, as a leaderboard has them; empty for a row that is quoted."""

    @property
    def partial(self) -> str:
        """``partial: 23 of 24 videos``; empty if the row is over all, or quoted."""
        known = f", {len(self.known_bad)} known to be bad" if self.known_bad else ""
        return f"partial: {self.scored} of {self.videos} videos{known}" if self.scored < self.videos else ""


@dataclass(frozen=True)
class StudyTable:
    """A study that was run: its table, and how it came about."""

    study: str
    """Name of the study."""
    title: str
    """What the table is about."""
    stands_for: str
    """The paper's table or figure; empty for a study of one's own."""
    reference: str
    """Name of the row that the others are compared with."""
    metrics: tuple[str, ...]
    """Keys of the columns."""
    rows: tuple[MeasuredRow, ...]
    """The rows, quoted ones included."""
    dataset: str
    """Title of the data set."""
    source: str
    """Where the paper's numbers come from; empty where there are none."""
    intervals: str
    """How the intervals were made, in a few words."""
    notes: tuple[str, ...]
    """What a reader should know, one sentence for each."""
    started: str
    """When the study was begun, ISO 8601, UTC."""
    seconds: float
    """How long it took."""
    work: Mapping[str, int]
    """Counted work (:mod:`lavad_core.runs.work`), zeros left out."""
    loads: Mapping[str, int]
    """Role to how often a model of it was loaded."""
    results: Mapping[str, int]
    """``made`` and ``found``: results of a stage for a video."""
    axes: tuple[str, ...] = ()
    """Settings over which pictures draw curves; bars without any."""
    adapter: str = ""
    """Key of the data set; empty in a table that an earlier version recorded."""

    @property
    def partial(self) -> bool:
        """Whether a row lacks videos that are not known to be bad."""
        return any(row.scored + len(row.known_bad) < row.videos for row in self.rows)


STUDY = DocumentKind(
    "study",
    StudyTable,
    made_by="`lavad study run`",
    again="run the study again: what is in the store is not computed again",
    max_bytes=64 * 2**20,
)


@dataclass(frozen=True)
class RowResults:
    """What there is to be measured of a row."""

    row: StudyRow
    """The row."""
    runs: Sequence[ResultSet]
    """The results of each run; none for a row that is quoted."""
    failed: Mapping[str, str]
    """Name of a video to why it has no scores in a run of the row."""
    known_bad: tuple[str, ...] = ()
    """Those of ``failed`` that are known to be bad."""
    at: Mapping[str, float] = field(default_factory=dict)
    """Axis of the study to its value."""
    made: Mapping[str, str] = field(default_factory=dict)
    """The protocol of its scores: ``smoothing``, ``lookahead`` and ``fitted``."""


def measured_rows(
    study: Study, rows: Sequence[RowResults], dataset: Dataset, videos: int, options: EvaluationOptions
) -> tuple[MeasuredRow, ...]:
    """All rows of the table, those that the study quotes from the paper first.

    Args:
        study: whose rows they are.
        rows: their results, in the study's order.
        dataset: the labels.
        videos: how many of the study's videos have labels.
        options: the bootstrap; smoothing and segments do not matter here.

    Raises:
        InputError: scores do not cover a video's frames.
        DamagedResult: scores are gone from the store.
    """
    measures = {one.row.name: _Measures(one, dataset, options, study.metrics) for one in rows}
    reference = measures[study.reference]
    alike = any(row.dataset == dataset.adapter for row in study.published)
    found = [_quoted(study, row.method, row) for row in study.published if row.training in study.quotes]
    for one in rows:
        published = study.published_row(one.row)
        if one.row.quoted:
            assert published is not None  # checked with the file
            found.append(_quoted(study, one.row.name, published))
            continue
        own = measures[one.row.name]
        beside = None if own is reference else own.against(reference)
        alone = own.mean(own.names)
        cells = {}
        for metric in study.metrics:
            paper, ours = _paper(published, metric), alone[metric].value
            differs = None if beside is None else beside[metric]
            cells[metric] = StudyCell(
                paper=paper,
                ours=ours,
                reason=alone[metric].reason,
                to_paper=ours - paper if alike and ours is not None and paper is not None else None,
                to_reference=None if differs is None else differs.difference,
                low=None if differs is None else differs.low,
                high=None if differs is None else differs.high,
            )
        found.append(
            MeasuredRow(
                name=one.row.name,
                training="" if published is None else published.training,
                backbone="" if published is None else published.backbone,
                quoted=False,
                cells=cells,
                runs=tuple({metric: run[metric].value for metric in study.metrics} for run in own.each(own.names)),
                scored=len(own.names),
                videos=videos,
                failed=one.failed,
                known_bad=one.known_bad,
                group=one.row.group or "",
                series=one.row.series,
                at=one.at,
                protocol={**one.made, "labels": own.labels(dataset)},
            )
        )
    return tuple(found)


def notes_of(study: Study, rows: Sequence[MeasuredRow], dataset: Dataset) -> Iterator[str]:
    """What a reader of the table should know."""
    partial: dict[str, list[str]] = {}
    for row in rows:
        if row.partial:
            name, why = next(iter(row.failed.items()), ("", "no reason is known"))
            first = why if name in why else f"{name!r}: {why}"
            partial.setdefault(f"{row.partial}, first {first}", []).append(row.name)
    for what, names in partial.items():
        yield f"{first_few(names, show=repr)}: {what}"
    if study.table is None:
        return
    (adapter,) = {row.dataset for row in study.published}
    if dataset.adapter != adapter:
        yield (
            f"{study.stands_for} is of {adapter}, and these are other videos ({dataset.title}): the paper's numbers stand "
            "beside ours, and are not compared with them"
        )
        return
    expected, scored = published_sizes(adapter).get("videos"), max((row.scored for row in rows), default=0)
    if expected is not None and scored != expected:
        yield f"not the published test set: {number_of(scored, 'video')} instead of {expected}"


def source_of(study: Study) -> str:
    """Where the paper's numbers come from; empty for a study without any."""
    return published_source() if study.table else ""


def _quoted(study: Study, name: str, row: PublishedRow) -> MeasuredRow:
    cells = {metric: StudyCell(_paper(row, metric), None) for metric in study.metrics}
    return MeasuredRow(name, row.training, row.backbone, True, cells)


def _paper(row: PublishedRow | None, metric: str) -> float | None:
    if row is None or metric not in PUBLISHED_AS:
        return None
    value: float | None = getattr(row, PUBLISHED_AS[metric])
    return value


class _Measures:
    """The metrics of one row, over the videos that all its runs have."""

    def __init__(
        self, results: RowResults, dataset: Dataset, options: EvaluationOptions, metrics: Sequence[str]
    ) -> None:
        self._options, self._metrics = options, metrics
        # No video with scores is a row without numbers here, and an error where a run alone is evaluated.
        gathered = [gather_scores(dataset, run)[0] if run.names else [] for run in results.runs]
        self._runs = [{video.labels.name: video for video in videos} for videos in gathered]
        self.names = [name for name in dataset.videos if self._runs and all(name in run for run in self._runs)]
        self._known: dict[tuple[str, ...], list[dict[str, Measured]]] = {}

    def each(self, names: Sequence[str]) -> list[dict[str, Measured]]:
        """The metrics of each run over these videos."""
        key = tuple(names)
        if key not in self._known:
            self._known[key] = [self._measured([run[name] for name in names]) for run in self._runs]
        return self._known[key]

    def mean(self, names: Sequence[str]) -> dict[str, Measured]:
        """The mean of the runs."""
        each = self.each(names)
        return {metric: _mean([run[metric] for run in each]) for metric in self._metrics}

    def against(self, other: _Measures) -> dict[str, Difference]:
        """Less those of another row, over the videos that both have."""
        names = [name for name in self.names if name in other.names]
        ours, theirs = self.mean(names), other.mean(names)
        return {metric: difference(ours[metric], theirs[metric]) for metric in self._metrics}

    def labels(self, dataset: Dataset) -> str:
        """The labels that the row is over."""
        if not self.names:
            return NOT_KNOWN
        labelled = LabelledScores([self._runs[0][name] for name in self.names], None)
        found = {"videos": len(self.names), "frames": labelled.frames, "positive": labelled.positive_frames}
        uncovered = [video.labels.name for video in labelled.videos if video.uncovered]
        return labels_in_words(dataset.adapter, found, said_of(dataset.reading, uncovered))

    def _measured(self, videos: Sequence[EvaluatedVideo]) -> dict[str, Measured]:
        if not videos:
            return dict.fromkeys(self._metrics, Measured(None, "no video has scores"))
        resamples, seed = self._options.resamples, self._options.seed
        labelled = LabelledScores(videos, draw_resamples(len(videos), resamples, seed) if resamples else None)
        return measure(labelled, next(iter(own_scores(videos).values())))[0]


def _mean(runs: Sequence[Measured]) -> Measured:
    undefined = next((run for run in runs if run.value is None), None)
    if undefined is not None:
        return Measured(None, undefined.reason)
    samples = [run.samples for run in runs if run.samples is not None]
    return Measured(
        fmean(run.value for run in runs if run.value is not None),
        "",
        np.mean(samples, axis=0) if len(samples) == len(runs) else None,
    )
