"""An evaluation: numbers, and everything that a reader must know to say what they are. All of it is written to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lavad_core.escape import fixed
from lavad_core.evaluation.smoothing import Sigma, Unit, Width, sigma_in_words


@dataclass(frozen=True)
class EvaluationProtocol:
    """The protocol of an evaluation, printed above every table."""

    dataset: str
    """Title of the data set."""
    adapter: str
    """Key of the data set."""
    files: tuple[Mapping[str, str], ...]
    """Role, name and SHA-256 of each file that labels come from."""
    listed: int
    """Videos of the data set."""
    scored: int
    """How many of them have scores."""
    unscored: Mapping[str, str]
    """Name to reason, for those without scores."""
    unlabelled: tuple[str, ...]
    """Names of scored videos that the data set does not have; they are left out, and counted."""
    frames: int
    """Frames of the scored videos."""
    positive: int
    """How many of these are labelled anomalous."""
    clipped_intervals: int
    """How many intervals reached past the end of their video and were cut there."""
    interval: int
    """Frames from one score to the next; the shortest where videos differ."""
    results: Mapping[str, str]
    """Id of the run or import, and its origin; ``limited`` says where not all videos belong to it."""
    average_precision: str
    """How average precision was computed, in a few words."""
    averaging: str
    """How the frames of several videos are put together, in a few words."""
    smoothing: str
    """Whether and how scores were smoothed, in a few words."""
    weighting: str
    """Weights of frames or videos, in a few words; ``none`` if all frames count the same."""
    warnings: tuple[str, ...] = ()
    """Reasons why the numbers cannot be compared with those of papers, one sentence for each."""
    intervals: str = "none"
    """How the intervals were made, in a few words."""
    reading: str = ""
    """How the data set's files were taken other than as they are published, in a few words; empty if they were not."""
    recipe: Mapping[str, str] = field(default_factory=dict)
    """How the scores were made, name to text: captioners, encoder, chat model, prompts, semantics, window, neighbours,
    switches; empty where they are not known."""
    samples: str = "unknown"
    """How many frames the windows really sampled, in a few words; ``unknown`` if the results do not say."""
    known_bad: tuple[str, ...] = ()
    """Names of those in ``unscored`` that are known to be bad for good."""

    @property
    def missing(self) -> int:
        """How many videos have no scores and are not known to be bad."""
        return len(self.unscored) - len(self.known_bad)


@dataclass(frozen=True)
class Metric:
    """A number, or why there is none."""

    value: float | None
    """The number; None where it is undefined."""
    reason: str = ""
    """Why it is undefined; empty where it is defined."""
    low: float | None = None
    """Lower end of the 95 % interval of the bootstrap over videos; None without a bootstrap."""
    high: float | None = None
    """Upper end of it; None without a bootstrap."""
    n: int | None = None
    """How many videos it is the mean of; None where it is not a mean."""

    def fixed(self, digits: int = 4) -> str:
        """The value with this many decimals; a dash where there is none."""
        return fixed(self.value, digits)

    def ends(self, digits: int = 3) -> str:
        """The interval with this many decimals; empty where there is none."""
        return "" if self.low is None or self.high is None else f"{fixed(self.low, digits)}–{fixed(self.high, digits)}"

    @property
    def number(self) -> str:
        """The value, four decimals; a dash where there is none."""
        return self.fixed()

    @property
    def interval(self) -> str:
        """``0.812–0.873``; empty where there is none."""
        return self.ends()

    def __str__(self) -> str:
        if self.value is None:
            return f"undefined: {self.reason}"
        return f"{self.number} ({self.interval})" if self.interval else self.number


SMOOTHED = "smoothed"
"""Name of the row of the final scores of a run that smooths them; those before it have rows of their own."""

METRIC_TITLES = {
    "auc": "AUC (micro)",
    "average_precision": "AP",
    "pr_auc_trapezoid": "PR-AUC (trapezoid)",
    "auc_anomalous": "AUC, anomalous videos only",
    "auc_macro": "AUC macro",
    "auc_video_max": "video-level AUC (max)",
    "auc_video_mean": "video-level AUC (mean)",
}
"""Key of each metric to its title in tables, in the order of tables."""


@dataclass(frozen=True)
class ScoreRow:
    """One kind of scores."""

    name: str
    """``refined`` and ``raw``, or ``scores`` where the results have only one kind, after :data:`SMOOTHED` ones; for a row
    without a model ``video-label oracle``, ``constant`` or ``clip-centre prior``."""
    sigma: float
    """The sigma of the smoothing, in ``unit``; 0 where nothing is smoothed."""
    metrics: Mapping[str, Metric]
    """The metrics, by the keys of :data:`METRIC_TITLES`."""
    ours: bool = True
    """Whether the row is of the evaluated results."""
    unit: Unit = "scores"
    """The unit of ``sigma``: ``scores`` (grid steps), ``frames`` or ``s``."""
    width: Width | None = None
    """σ in every unit; None where nothing is smoothed, and in evaluations of earlier versions."""

    @property
    def smoothing(self) -> Sigma | None:
        """The Gaussian's width as it was given; None where nothing is smoothed."""
        return Sigma(self.sigma, self.unit) if self.sigma else None

    @property
    def label(self) -> str:
        """The name of the row in tables and of its curves: ``refined``, ``refined σ10 (160 frames, 5.33 s)``."""
        return f"{self.name} σ{sigma_in_words(self.smoothing, self.width)}" if self.smoothing else self.name


@dataclass(frozen=True)
class ClassRow:
    """The metrics of one class. A video of several classes counts for each of them."""

    name: str
    """The name of the class."""
    videos: int
    """Scored videos of the class."""
    positive: int
    """Their frames labelled anomalous."""
    within: Mapping[str, Metric]
    """``auc`` and ``average_precision`` over the frames of the class's videos."""
    with_normal: Mapping[str, Metric]
    """The same metrics over these and all normal videos."""
    normal_videos: int
    """How many normal videos there are."""


@dataclass(frozen=True)
class EventRow:
    """Segments against annotated intervals at one threshold and one temporal IoU; each interval is found at most once."""

    threshold: float
    """The threshold: frames with a score of at least this are in a segment."""
    iou: float
    """The temporal IoU from which a segment finds an interval, 0 … 1."""
    annotated: int
    """How many intervals are annotated."""
    found: int
    """How many segments there are."""
    matched: int
    """How many intervals are found by a segment."""
    precision: Metric
    """Part of the segments that find an interval."""
    recall: Metric
    """Part of the intervals that are found."""
    f1: Metric
    """Harmonic mean of precision and recall."""
    false_alarms_per_hour: Metric
    """Segments in normal videos, per hour of normal video; undefined without a frame rate."""


@dataclass(frozen=True)
class KindRow:
    """Segments of a kind against the intervals of videos of the class that has its name, at one threshold."""

    name: str
    """The kind that the scores name, or the class of the labels."""
    threshold: float
    """The threshold: frames with a score of at least this are in a segment."""
    annotated: int
    """How many intervals the videos of the class have."""
    found: int
    """How many segments are of the kind."""
    matched: int
    """How many of the intervals are found by a segment of the kind."""
    precision: Metric
    """Part of the kind's segments that find an interval of the class."""
    recall: Metric
    """Part of the class's intervals that are found by a segment of the kind."""


@dataclass(frozen=True)
class VideoRow:
    """The numbers of one video."""

    name: str
    """Name of the video."""
    classes: tuple[str, ...]
    """Classes of its anomalies; empty for a normal video."""
    frames: int
    """How many frames it has, by its labels."""
    positive: int
    """How many of these are labelled anomalous."""
    auc: Metric
    """ROC AUC over the video's frames."""
    max_score: float
    """Highest score of its grid."""
    mean_score: float
    """Mean score of its grid."""


@dataclass(frozen=True)
class Curve:
    """A curve of a row, thinned to a few hundred points, which look the same."""

    x: tuple[float, ...] = field(repr=False)
    """False positive rate, or recall; 0 … 1."""
    y: tuple[float, ...] = field(repr=False)
    """True positive rate, or precision; 0 … 1."""


@dataclass(frozen=True)
class Evaluation:
    """All metrics of a set of results. ``rows[0]`` is that of the final scores, as their run left them."""

    header: EvaluationProtocol
    """The protocol."""
    rows: tuple[ScoreRow, ...]
    """The rows of metrics, the results' own first."""
    classes: tuple[ClassRow, ...]
    """One row per class of anomalies."""
    events: tuple[EventRow, ...]
    """One row per threshold and IoU."""
    videos: tuple[VideoRow, ...]
    """One row per scored video."""
    roc: Mapping[str, Curve] = field(default_factory=dict)
    """ROC curve of each of the results' own rows, by :attr:`ScoreRow.label`; lacks those that are undefined."""
    precision_recall: Mapping[str, Curve] = field(default_factory=dict)
    """Precision-recall curve of each, likewise."""
    kinds: tuple[KindRow, ...] = ()
    """One row per threshold and kind, where scores name the kind of anomaly and labels have classes."""
