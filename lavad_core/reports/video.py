"""What a report shows of one video: scores, texts and segments from its results, beside its labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import LabelledVideo
from lavad_core.errors import InputError
from lavad_core.imports.types import Neighbours
from lavad_core.method.detection import SegmentRule, shown_until_s
from lavad_core.plain_text import number_of
from lavad_core.results.types import CleanedCaption, ScoredVideo, VideoResults, VideoTexts

TextKind = Literal["summary", "reason", "cleaned caption", "caption", "text"]


@dataclass(frozen=True)
class FrameSpan:
    """The frames of an event or of a found segment."""

    first: int
    """First frame, 0-based."""
    last: int
    """Last frame, inclusive."""
    label: str = ""
    """Kind of the event, or of the segment; empty where that is not known."""


@dataclass(frozen=True)
class GridFrame:
    """A frame that was captioned and scored."""

    frame: int
    """Number of the frame, 0-based."""
    time_s: float
    """Presentation time, seconds; ``frame`` where times are not known."""
    score: float
    """The final score, refined where the method refined it."""
    raw_score: float | None
    """The language model's own score; None where only the final one is known."""
    text: str
    """What the score was made from: its summary; otherwise a caption; empty where there is none."""
    unsmoothed: float | None = None
    """The score before it was smoothed over time; None where nothing was."""


@dataclass(frozen=True)
class Neighbour:
    """A grid frame whose score went into another's refined one."""

    at: GridFrame
    """The grid frame."""
    similarity: float
    """The cosine of its summary to the other's window, -1 … 1."""


@dataclass(frozen=True)
class ReplacedCaption:
    """A grid frame whose caption cleaning replaced."""

    at: GridFrame
    """The frame of the change."""
    captioner: str
    """Whose caption was replaced."""
    before: str
    """The caption before."""
    after: CleanedCaption
    """The caption that replaced it."""


@dataclass(frozen=True)
class VideoReport:
    """One video's results beside its labels."""

    scored: ScoredVideo = field(repr=False)
    """Its scores, for at least one frame."""
    texts: VideoTexts = field(repr=False)
    """The texts of the video."""
    near: Neighbours | None = field(repr=False)
    """The scores that its refined scores average; None where they are not known."""
    truth: tuple[FrameSpan, ...] | None
    """Labelled events; None where the video has no labels."""
    found: tuple[FrameSpan, ...]
    """The segments that were found."""
    threshold: float
    """A score of at least this is in a segment."""
    notes: tuple[str, ...] = ()
    """What is missing, one sentence for each."""
    rescoring: str = ""
    """Why it was or was not rated a second time; empty where no second rating was made."""

    @property
    def name(self) -> str:
        """The video's."""
        return self.scored.name

    @property
    def interval(self) -> int:
        """Frames from one grid frame to the next."""
        return self.scored.interval

    @property
    def timed(self) -> bool:
        """Whether anything tells the time."""
        return self.scored.times_s is not None or bool(self.scored.frame_rate)

    @cached_property
    def times_s(self) -> NDArray[np.float64]:
        """float64 [M], presentation times of all frames, seconds, from 0; the frames' numbers where times are not known."""
        if self.scored.times_s is not None:
            return self.scored.times_s
        return np.arange(self.frames) / (self.scored.frame_rate or 1.0)

    @cached_property
    def grid(self) -> tuple[GridFrame, ...]:
        """The scored frames, in order."""
        texts, frames = self._shown[1], self.scored.grid
        raw_scores, unsmoothed = (
            [None] * len(frames) if curve is None else curve.tolist()
            for curve in (self.scored.own_scores, self.scored.unsmoothed)
        )
        numbers = (frames.tolist(), self.times_s[frames].tolist(), self.scored.scores.tolist(), raw_scores, unsmoothed)
        return tuple(
            GridFrame(frame, time_s, score, own, texts.get(frame, ""), before)
            for frame, time_s, score, own, before in zip(*numbers, strict=True)
        )

    @property
    def text_kind(self) -> TextKind:
        """What the grid's texts are."""
        return self._shown[0]

    @property
    def _shown(self) -> tuple[TextKind, Mapping[int, str]]:
        """The texts nearest to what the scores were made from."""
        if self.texts.summaries and (reasons := self.texts.reasons):
            return "summary", {at: f"{text} ({reasons.get(at, '')})" for at, text in self.texts.summaries.items()}
        if self.texts.summaries:
            return "summary", self.texts.summaries
        if self.texts.reasons:
            return "reason", self.texts.reasons
        if self.texts.cleaned:
            return "cleaned caption", {frame: caption.text for frame, caption in self.texts.cleaned.items()}
        captions = next(filter(None, self.texts.captions.values()), None)
        return ("caption", captions) if captions else ("text", {})

    def caption(self, frame: int) -> str:
        """The caption before the summary: the cleaned one, otherwise that of the first captioner; empty without one."""
        if frame in self.texts.cleaned:
            return self.texts.cleaned[frame].text
        return next(iter(self.captions(frame).values()), "")

    def captions(self, frame: int) -> Mapping[str, str]:
        """Captioner to its caption of a grid frame, in the order of the configuration."""
        return {name: said[frame] for name, said in self.texts.captions.items() if frame in said}

    def neighbours(self, at: GridFrame) -> list[Neighbour]:
        """The frames that a refined score was averaged over, the most similar first; empty where that is not known."""
        if self.near is None or not self.near.frames:
            return []
        row = at.frame // self.interval
        found = [
            Neighbour(replace(self.nearest(frame), raw_score=score), alike)
            for frame, score, alike in zip(
                self.near.frames[row], self.near.scores[row], self.near.similarities[row], strict=True
            )
            if self.nearest(frame).frame == frame  # somebody else's file may name others
        ]
        return sorted(found, key=lambda one: -one.similarity)

    @cached_property
    def changes(self) -> tuple[ReplacedCaption, ...] | None:
        """What cleaning replaced, in order of time; None where there are no captions from before and after it."""
        cleaned = self.texts.cleaned
        both = [at for at in self.grid if at.frame in cleaned and self.captions(at.frame)]
        if not both:
            return None
        made = (ReplacedCaption(at, *next(iter(self.captions(at.frame).items())), cleaned[at.frame]) for at in both)
        return tuple(change for change in made if change.before != change.after.text)

    @property
    def frames(self) -> int:
        """M."""
        return self.scored.frames

    @property
    def end_s(self) -> float:
        """When the last frame stops being shown, seconds: after the median time of a frame."""
        return shown_until_s(self.times_s, self.frames)

    @property
    def peak(self) -> GridFrame:
        """The first grid frame with the highest score."""
        return max(self.grid, key=lambda at: at.score)

    @property
    def overlap(self) -> float | None:
        """Frames that are labelled and found, as a part of those that are one of both (intersection over union); None
        without labels, and where nothing is labelled and nothing was found."""
        if self.truth is None:
            return None
        labelled, found = _marked(self.truth, self.frames), _marked(self.found, self.frames)
        either = int((labelled | found).sum())
        return int((labelled & found).sum()) / either if either else None

    def seconds(self, span: FrameSpan) -> tuple[float, float]:
        """When a span begins and when its last frame stops being shown, cut at the video's end."""
        first, after = min(max(span.first, 0), self.frames - 1), min(max(span.last + 1, 1), self.frames)
        return float(self.times_s[first]), shown_until_s(self.times_s, after)

    def clock(self, time_s: float) -> str:
        """``1:07.3``: minutes and seconds, from an hour on with hours; the frame where times are not known."""
        if not self.timed:
            return f"frame {time_s:.0f}"
        tenths = round(time_s * 10)
        minutes, rest = divmod(tenths, 600)
        hours, minutes = divmod(minutes, 60)
        ahead = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
        return f"{ahead}:{rest // 10:02d}.{rest % 10}"

    @property
    def length(self) -> str:
        """How long it is, in words."""
        frames = number_of(self.frames, "frame")
        return f"{self.clock(self.end_s)}, {frames}" if self.timed else frames

    def nearest(self, frame: int) -> GridFrame:
        """The grid frame that stands for ``frame``."""
        return self.grid[min(max(frame, 0) // self.interval, len(self.grid) - 1)]


def video_report(
    video: VideoResults, labelled: LabelledVideo | None, rule: SegmentRule, frame_rate: float | None = None
) -> VideoReport:
    """What a report shows of a scored video; ``frame_rate``, per second, is the data set's, where the results do not tell.

    Raises:
        DamagedResult: a result is gone from the store.
    """
    scored, segments = video.scores, video.segments(rule)
    if scored.frame_rate is None:
        scored = replace(scored, frame_rate=frame_rate)
    kept = ["start_frame", "end_frame", *(["kind"] if segments is not None and "kind" in segments.column_names else [])]
    found = [] if segments is None else segments.select(kept).to_pylist()
    lacking = ", ".join(f"{part} ({why})" if why else part for part, why in video.absent.items())
    report = VideoReport(
        scored=scored,
        texts=video.texts,
        near=video.neighbours,
        truth=truth_of(labelled, scored.frames),
        found=tuple(FrameSpan(*span.values()) for span in found),
        threshold=rule.threshold,
        notes=(
            *((f"Scores are smoothed over time: {scored.smoothing}.",) if scored.smoothing else ()),
            *((f"Not in these results: {lacking}.",) if lacking else ()),
        ),
        rescoring=video.rescoring.get("why", ""),
    )
    if report.timed:
        return report
    return replace(
        report, notes=(*report.notes, "Nothing tells the time of the frames: moments are the numbers of frames.")
    )


def truth_of(video: LabelledVideo | None, frames: int) -> tuple[FrameSpan, ...] | None:
    """The labelled events of a video of M ``frames``; None for one that the data set does not have. A video that has a class
    and no intervals is labelled as a whole."""
    if video is None:
        return None
    label = ", ".join(video.classes)
    whole = ((0, frames - 1),) if video.classes and not video.intervals else ()
    return tuple(FrameSpan(first, last, label) for first, last in (*video.intervals, *whole))


@dataclass(frozen=True)
class KeyFrame:
    """A grid frame that is shown."""

    at: GridFrame
    """The grid frame."""
    why: str
    """Why it is shown, in a word or two."""


def key_frames(video: VideoReport, most: int = 4) -> list[KeyFrame]:
    """The peak, one frame before it was conspicuous, one inside each event and each segment, and then what is farthest from
    all of these, ``most`` together; in order of time, no frame twice."""
    chosen = {video.peak.frame: KeyFrame(video.peak, "peak")}
    for frame, why in _candidates(video):
        at = video.nearest(frame)
        if len(chosen) < most and all(abs(at.frame - other) > video.interval for other in chosen):
            chosen[at.frame] = KeyFrame(at, why)
    while len(chosen) < min(most, len(video.grid)):
        free = [at for at in video.grid if at.frame not in chosen]
        far = max(free, key=lambda at: min(abs(at.frame - other) for other in chosen))
        chosen[far.frame] = KeyFrame(far, "")
    return [chosen[frame] for frame in sorted(chosen)]


MOST_FRAMES = 8
"""Frames beside each other that still have room for their texts."""


def frames_at(video: VideoReport, moments: Sequence[str]) -> list[KeyFrame]:
    """The scored frames that stand for some moments, in order of time, no frame twice.

    Args:
        moments: as :meth:`VideoReport.clock` writes them (``1:07.3``), in seconds (``67.3``), or numbers of frames (``1010f``).

    Raises:
        InputError: a text is not a moment, a moment is behind the video's end, or there are more than :data:`MOST_FRAMES`.
    """
    if len(moments) > MOST_FRAMES:
        raise InputError(f"{len(moments)} frames are asked for; at most {MOST_FRAMES} have room beside each other")
    found = {(at := video.nearest(_frame_at(video, moment))).frame: KeyFrame(at, "chosen") for moment in moments}
    return [found[frame] for frame in sorted(found)]


def _frame_at(video: VideoReport, moment: str) -> int:
    match = _MOMENT.fullmatch(moment.strip())
    if match is None:
        raise InputError(f"{moment!r} is not a moment: give seconds (67.3), a time (1:07.3), or a frame (1010f)")
    if match["frame"] is not None:
        frame, end = int(match["frame"]), video.frames
    elif not video.timed:
        raise InputError(f"{moment!r}: the times of the frames of {video.name!r} are not known: give a frame (1010f)")
    else:
        seconds = sum(float(part) * 60**power for power, part in enumerate(reversed(moment.strip().split(":"))))
        frame = int(np.searchsorted(video.times_s, seconds + 0.05, side="right")) - 1  # a clock has tenths
        end = video.frames if seconds <= video.end_s else frame
    if frame >= end:
        raise InputError(f"{moment!r} is behind the end of {video.name!r} ({video.length})")
    return max(frame, 0)


_MOMENT = re.compile(r"(?P<frame>\d{1,9})f|(?:\d{1,3}:)?(?:\d{1,3}:)?\d{1,6}(?:\.\d{1,6})?")


def _candidates(video: VideoReport) -> list[tuple[int, str]]:
    events = [((span.first + span.last) // 2, span.label or "labelled") for span in video.truth or ()]
    segments = [((span.first + span.last) // 2, "found") for span in video.found]
    begin = min((span.first for span in (*(video.truth or ()), *video.found)), default=0)
    before = [(begin // 2, "before")] if begin > 2 * video.interval else []
    return [*events[:1], *before, *events[1:], *segments]


def _marked(spans: Iterable[FrameSpan], frames: int) -> NDArray[np.bool_]:
    marked = np.zeros(frames, np.bool_)
    for span in spans:
        marked[max(span.first, 0) : max(span.last + 1, 0)] = True
    return marked
