"""The results of a set of videos as everything that reads them sees them: evaluation, exports, pages, commands. No I/O here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError
from lavad_core.imports.types import Neighbours
from lavad_core.imports.values import Nested
from lavad_core.method.detection import Segment, SegmentRule, segments, shown_until_s
from lavad_core.method.sampling import nearest_rows
from lavad_core.runs.manifest import Origin, RunManifest, VideoOutcome
from lavad_core.video.types import Probe

Text = TypeVar("Text")

NEIGHBOURS = "the neighbours that scores were refined with"
"""What pages call :attr:`VideoResults.neighbours`."""


@dataclass(frozen=True)
class ScoredVideo:
    """The scores of one video."""

    name: str
    """The name that the user or a list gives it, without the ending of a video file."""
    frames: int
    """How many frames the video has, M."""
    interval: int
    """Frames from one grid frame to the next; scores are those of frames 0, interval, …."""
    scores: NDArray[np.float64] = field(repr=False)
    """float64 [⌈M / interval⌉]: the final ones, refined where the method refined them, smoothed where the run smoothed them."""
    raw_scores: NDArray[np.float64] | None = field(default=None, repr=False)
    """float64, the same shape: the language model's own; None if there are none beside ``scores``."""
    frame_rate: float | None = None
    """Mean frames per second; None where it is not known."""
    times_s: NDArray[np.float64] | None = field(default=None, repr=False)
    """float64 [M], presentation times, seconds; None where only a rate is known, or nothing."""
    refined: bool = True
    """False where ``scores`` are known to be the language model's own, before any smoothing."""
    unsmoothed: NDArray[np.float64] | None = field(default=None, repr=False)
    """float64, the same shape: what ``scores`` were smoothed from; None where the run smoothed nothing."""
    smoothing: str = ""
    """How the run smoothed them, in a few words; empty where it did not."""
    kinds: Sequence[str] | None = field(default=None, repr=False)
    """The kind of anomaly that each grid frame would be, [⌈M / interval⌉]; None where scores are of no kind."""

    @property
    def grid(self) -> NDArray[np.int64]:
        """Frames that the scores are of, int64 [⌈M / interval⌉]."""
        return np.arange(0, self.frames, self.interval, dtype=np.int64)

    @property
    def own_scores(self) -> NDArray[np.float64] | None:
        """The language model's own scores, beside the final ones or in their place; None where none were given."""
        if self.refined:
            return self.raw_scores
        return self.scores if self.unsmoothed is None else self.unsmoothed

    def kind_of(self, segment: Segment) -> str | None:
        """The kind of anomaly at a segment's peak; None where scores are of no kind."""
        return None if self.kinds is None else self.kinds[segment.peak_frame // self.interval]

    def seconds(self, frames: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64] | None:
        """When frames are shown, float64 [n], seconds; None where that is not known. M itself is when the last one stops."""
        if self.times_s is not None:
            return np.append(self.times_s, shown_until_s(self.times_s, self.frames))[frames]
        return None if self.frame_rate is None else np.asarray(frames) / self.frame_rate

    def segments(self, rule: SegmentRule) -> list[Segment]:
        """The anomalous segments, in order of time. Where times are not known, seconds are numbers of frames.

        Raises:
            InputError: the rule has lengths and nothing says how long a frame is.
        """
        times = self.times_s
        if times is None:
            if self.frame_rate is None and (rule.min_length_s or rule.max_gap_s):
                raise InputError(
                    f"nothing says how many frames a second {self.name!r} has: no length in seconds can be asked for"
                )
            times = np.arange(self.frames) / (self.frame_rate or 1.0)
        return segments(self.scores, self.grid, self.frames, self.interval, times, rule)


@dataclass(frozen=True)
class CleanedCaption:
    """The caption that cleaning put at a frame."""

    text: str
    """The caption."""
    captioner: str = ""
    """Name of the captioner; empty where it is not known."""
    source_frame: int | None = None
    """The frame that it was made of; None where that is not known."""
    similarity: float | None = None
    """Cosine similarity to the picture; None where nothing was compared."""


@dataclass(frozen=True)
class VideoTexts:
    """The texts of one video; each is empty where there is none."""

    captions: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Captioner to grid frame to its caption."""
    cleaned: Mapping[int, CleanedCaption] = field(default_factory=dict)
    """Grid frame to the caption that cleaning put there. Where other frames than the grid's were cleaned, it is that of
    the nearest."""
    summaries: Mapping[int, str] = field(default_factory=dict)
    """Grid frame to summary."""
    reasons: Mapping[int, str] = field(default_factory=dict)
    """Grid frame to the reason of its score, where scores are made without summaries (``score.method``)."""


@dataclass(frozen=True)
class Recipe:
    """How the scores of a set were made (``results.recipe``)."""

    lines: Mapping[str, str] = field(default_factory=dict)
    """Name to text, for people: captioners, encoder, chat model, prompts, semantics, window, neighbours, switches."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Everything that a result depends on, for comparisons; the lines where nothing else is known."""


class VideoResults:
    """The results of one video. Each part is read from the store when it is asked for, and kept as long as this object is.

    This class has what can be said from scores and texts alone, which is all that an import has; a video of a run knows
    more. Each part raises DamagedResult where the run or import had it and it is gone from the store.

    Attributes:
        name: the video's.
        outcome: how its run or import ended for it; None for values at hand.
    """

    def __init__(self, scores: ScoredVideo, texts: VideoTexts | None = None) -> None:
        self.name = scores.name
        self.outcome: VideoOutcome | None = None
        self._scores = scores
        self._texts = texts or VideoTexts()

    @property
    def scores(self) -> ScoredVideo:
        """The scores."""
        return self._scores

    @property
    def captions(self) -> Mapping[str, Mapping[int, str]]:
        """Captioner to grid frame to its caption; empty where there is none."""
        return self._texts.captions

    @property
    def cleaned(self) -> Mapping[int, CleanedCaption]:
        """Grid frame to the caption that cleaning put there; empty where there is none."""
        return self._texts.cleaned

    @property
    def summaries(self) -> Mapping[int, str]:
        """Grid frame to summary; empty where there is none."""
        return self._texts.summaries

    @property
    def reasons(self) -> Mapping[int, str]:
        """Grid frame to the reason of its score, where scores are made without summaries; otherwise empty."""
        return self._texts.reasons

    @property
    def texts(self) -> VideoTexts:
        """Captions, cleaned captions, summaries and reasons together."""
        return VideoTexts(self.captions, self.cleaned, self.summaries, self.reasons)

    @property
    def rescoring(self) -> Mapping[str, Any]:
        """What became of a second rating (:mod:`lavad_core.stages.rescore`): ``why`` in words, ``rescored``, ``tags``, and the
        extremes by which it was decided; empty where there was none."""
        return {}

    @property
    def has_scores(self) -> bool:
        """Whether there is anything to show."""
        return True

    @property
    def windows(self) -> Nested[str]:
        """Grid frame to the cleaned captions of its window, by frame; empty where none were given."""
        return {}

    @property
    def neighbours(self) -> Neighbours | None:
        """The scores that the refined ones are averages of; None where there was no refinement, or they are not known."""
        return None

    @property
    def probe(self) -> Probe | None:
        """What decoding the whole video found; None for an import, which decodes nothing."""
        return None

    @property
    def events(self) -> pa.Table | None:
        """The events that the scores of frames are made of: columns ``level``, ``start_frame``, ``end_frame`` (inclusive),
        ``start_s``, ``end_s``, ``score`` (null where the language model gave none), ``summary``. None for any other way to
        scores."""
        return None

    def segments(self, rule: SegmentRule | None = None) -> pa.Table | None:
        """The anomalous segments: columns ``segment``, ``start_frame``, ``end_frame`` (inclusive), ``start_s``, ``end_s``,
        ``peak_score``, ``peak_frame``, and ``summary`` (and ``caption``, where it is known) at the peak.

        Args:
            rule: how scores become segments where none are stored. A run has its own rule; an import has none, and takes
                the default if None.

        Returns:
            None if a run was not to make segments.
        """
        found, said = self.scores.segments(rule or SegmentRule()), self.summaries
        ends = [self.scores.seconds([one.start_frame, one.end_frame + 1]) for one in found]
        columns = {
            "segment": list(range(len(found))),
            "start_frame": [one.start_frame for one in found],
            "end_frame": [one.end_frame for one in found],
            "start_s": [None if at is None else float(at[0]) for at in ends],
            "end_s": [None if at is None else float(at[1]) for at in ends],
            "peak_score": [one.peak_score for one in found],
            "peak_frame": [one.peak_frame for one in found],
            "summary": [said.get(one.peak_frame) for one in found],
        }
        return pa.table(columns)

    @property
    def segment_count(self) -> int | None:
        """How many :meth:`segments` there are; None if a run was not to make any."""
        return len(self.scores.segments(SegmentRule()))

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known in numbers, as JSON's types: of the video, its highest score, and the rule of its segments."""
        scored, peak = self.scores, int(self.scores.scores.argmax())
        return {
            "frame_interval": scored.interval,
            "frames": scored.frames,
            "frame_rate": scored.frame_rate,
            "peak_score": float(scored.scores[peak]),
            "peak_frame": int(scored.grid[peak]),
            "threshold": SegmentRule().threshold,
        }

    @property
    def window_samples(self) -> Mapping[int, int] | None:
        """Number of samples to how many windows have it; empty if no window was sampled, None where that is not known."""
        return None

    @cached_property
    def absent(self) -> Mapping[str, str]:
        """Parts that these results do not have, by their names in a sentence, to the reason (empty where that is not known)."""
        near = self.neighbours
        there = {
            "captions": any(self.captions.values()),
            "cleaned captions": bool(self.cleaned),
            "summaries": bool(self.summaries),
            "raw scores": self.scores.own_scores is not None,
            NEIGHBOURS: near is not None and bool(near.frames),
        }
        return {part: self._why_absent(part) for part, found in there.items() if not found}

    def _why_absent(self, part: str) -> str:
        return ""


def in_words(reference: Mapping[str, str]) -> str:
    """A :attr:`ResultSet.reference` as text: ``run 20260101T000000000-abcdef``."""
    limited = f", {reference['limited']}" if "limited" in reference else ""
    smoothed = f", smoothed by the run: {reference['smoothing']}" if "smoothing" in reference else ""
    return f"{reference['origin']} {reference['id']}{limited}{smoothed}"


@dataclass(frozen=True)
class ResultSet:
    """The results of a run of this program, of an import, or of values at hand: :func:`lavad_core.results.open_results`.

    ``results[name]`` opens a video, of which nothing else is kept in memory: going through 800 videos takes no more than one.
    """

    set_id: str
    """Id of the run or import, as ``lavad status`` lists it."""
    origin: Origin
    """Where the scores come from: ``run`` or ``import``."""
    names: Sequence[str] = field(repr=False)
    """The names of the scored videos, sorted."""
    unscored: Mapping[str, str] = field(repr=False)
    """Videos that should have scores and have none, with the reason in a few words."""
    recipe: Recipe = field(repr=False)
    """How the scores were made."""
    opened: Callable[[str], VideoResults] = field(repr=False)
    """Opens the results of a video by its name."""
    config: LavadConfig | None = field(default=None, repr=False)
    """The configuration of a run, as its results were made with it; None for an import."""
    record: RunManifest | None = field(default=None, repr=False)
    """The record of the run or import; None for values at hand."""
    known_bad: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of :attr:`unscored` that a person has acknowledged as bad for good."""

    def __getitem__(self, name: str) -> VideoResults:
        """The results of a video: of one of :attr:`names`, or of another video of a run, as far as it got.

        Raises:
            KeyError: the run or import had no such video.
        """
        return self.opened(name)

    def scores(self, name: str) -> ScoredVideo:
        """The scores of one of :attr:`names`.

        Raises:
            DamagedResult: they are gone from the store.
        """
        return self[name].scores

    def texts(self, name: str) -> VideoTexts:
        """The texts of one of :attr:`names`; errors as :meth:`scores`."""
        return self[name].texts

    @property
    def reference(self) -> Mapping[str, str]:
        """What the set is, for documents: ``id`` and ``origin``, ``limited`` where not all videos belong to it, and
        ``smoothing`` where its scores are smoothed."""
        more = {"limited": "" if self.record is None else self.record.limited, "smoothing": self.smoothing}
        return {"id": self.set_id, "origin": self.origin, **{name: text for name, text in more.items() if text}}

    @property
    def smoothing(self) -> str:
        """How the run smoothed its scores, in a few words; empty where it did not, and for an import."""
        return "" if self.config is None else self.config.smooth.in_words

    @property
    def rule(self) -> SegmentRule | None:
        """The rule of a run's segments; None for an import, which has none of its own."""
        return None if self.config is None else SegmentRule(**self.config.detect.model_dump())

    def window_samples(self) -> Mapping[int, int] | None:
        """Number of samples to how many windows of all videos have it; empty if no window was sampled, None where a result
        does not say it."""
        found: Counter[int] = Counter()
        for name in self.names:
            own = self[name].window_samples
            if own is None:
                return None
            found.update(own)
        return found


def nearest_texts(texts: Mapping[int, Text], grid: Sequence[int]) -> dict[int, Text]:
    """For each frame of ``grid`` the text of the nearest frame that has one; of two equally near the earlier. At least one
    frame must have one."""
    frames = sorted(texts)
    rows = nearest_rows(np.array(frames, np.int64), np.array(grid, np.int64))
    return {frame: texts[frames[row]] for frame, row in zip(grid, rows.tolist(), strict=True)}


def results_of_values(
    videos: Mapping[str, ScoredVideo],
    set_id: str = "",
    origin: Origin = "import",
    unscored: Mapping[str, str] | None = None,
    texts: Mapping[str, VideoTexts] | None = None,
) -> ResultSet:
    """Values at hand as a set of results.

    Args:
        videos: name to scores.
        set_id, origin, unscored: as :class:`ResultSet` has them.
        texts: name to texts, of the videos that have any.
    """
    said = texts or {}
    return ResultSet(
        set_id,
        origin,
        sorted(videos),
        unscored or {},
        Recipe(),
        lambda name: VideoResults(videos[name], said.get(name)),
    )
