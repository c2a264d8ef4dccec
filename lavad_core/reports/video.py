"""What a report shows of one video. No I/O here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lavad_core.method.detection import shown_until_s

TextKind = Literal["summary", "cleaned caption", "caption", "text"]


@dataclass(frozen=True)
class Span:
    """Frames of an event or of a found segment.

    Attributes:
        first, last: 0-based, both inclusive.
        label: kind of the event; empty for a segment.
    """

    first: int
    last: int
    label: str = ""


@dataclass(frozen=True)
class GridFrame:
    """A frame that was captioned and scored.

    Attributes:
        frame: 0-based.
        time_s: presentation time, seconds; ``frame`` where nothing tells the time.
        score: the final one, refined where the method refined it.
        raw_score: the language model's own; None where only the final one is known.
        text: what the score is of: its summary; else a caption; empty where there is none.
    """

    frame: int
    time_s: float
    score: float
    raw_score: float | None
    text: str


@dataclass(frozen=True)
class Caption:
    """A caption of a frame.

    Attributes:
        captioner: its name.
        text: what it said.
    """

    captioner: str
    text: str


@dataclass(frozen=True)
class Cleaned:
    """The caption that cleaning put at a frame.

    Attributes:
        text: the caption.
        captioner: whose; empty where that is not known.
        source_frame: of which frame; None likewise.
        similarity: to the picture, cosine; None where nothing was compared.
    """

    text: str
    captioner: str = ""
    source_frame: int | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class Neighbour:
    """A grid frame whose score went into another's refined one.

    Attributes:
        at: the frame.
        similarity: of its summary to the other's window, cosine.
    """

    at: GridFrame
    similarity: float


@dataclass(frozen=True)
class Steps:
    """How the score of a grid frame was made; each is empty or None where that is not known.

    Attributes:
        captions: of the frame, a captioner each.
        cleaned: what cleaning made of them.
        neighbours: that its score was averaged over, the most similar first.
    """

    captions: tuple[Caption, ...] = ()
    cleaned: Cleaned | None = None
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class Change:
    """A grid frame whose caption cleaning replaced.

    Attributes:
        at: the frame.
        before: the first captioner's caption of it.
        after: what is there now.
    """

    at: GridFrame
    before: Caption
    after: Cleaned


@dataclass(frozen=True)
class VideoReport:
    """One video's results.

    Attributes:
        name: of the video.
        times_s: float64 [M], presentation times of all frames, seconds, from 0; the frames' numbers where ``timed`` is false.
        interval: frames from one grid frame to the next.
        grid: of its frames, in order; at least one.
        truth: labelled events; None where the video has no labels.
        found: segments.
        threshold: that a segment reaches.
        steps: grid frame to how its score was made; of the frames that are shown.
        changes: what cleaning replaced, in order of time; None where that is not known.
        text_kind: what the grid's texts are.
        timed: whether anything tells the time.
        notes: what is absent, a sentence each.
    """

    name: str
    times_s: NDArray[np.float64] = field(repr=False)
    interval: int
    grid: tuple[GridFrame, ...] = field(repr=False)
    truth: tuple[Span, ...] | None
    found: tuple[Span, ...]
    threshold: float
    steps: Mapping[int, Steps] = field(default_factory=dict, repr=False)
    changes: tuple[Change, ...] | None = field(default=None, repr=False)
    text_kind: TextKind = "summary"
    timed: bool = True
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """M."""
        return len(self.times_s)

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
        without labels, and where nothing is labelled and nothing found."""
        if self.truth is None:
            return None
        labelled, found = _marked(self.truth, self.frames), _marked(self.found, self.frames)
        either = int((labelled | found).sum())
        return int((labelled & found).sum()) / either if either else None

    def seconds(self, span: Span) -> tuple[float, float]:
        """When a span begins and when its last frame stops being shown, cut at the video's end."""
        first, after = min(max(span.first, 0), self.frames - 1), min(max(span.last + 1, 1), self.frames)
        return float(self.times_s[first]), shown_until_s(self.times_s, after)

    def clock(self, time_s: float) -> str:
        """``1:07.3``: minutes and seconds, from an hour on with hours; the frame where nothing tells the time."""
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
        return f"{self.clock(self.end_s)}, {self.frames} frames" if self.timed else f"{self.frames} frames"

    def nearest(self, frame: int) -> GridFrame:
        """The grid frame that stands for ``frame``."""
        return self.grid[min(max(frame, 0) // self.interval, len(self.grid) - 1)]


@dataclass(frozen=True)
class KeyFrame:
    """A frame that is shown.

    Attributes:
        at: the grid frame.
        why: in a word or two.
    """

    at: GridFrame
    why: str


def key_frames(video: VideoReport, most: int = 4) -> list[KeyFrame]:
    """The peak, one frame before it was conspicuous, one inside each event and each segment, and then what is farthest from
    all of these; in order of time, no frame twice.

    Args:
        video: the video.
        most: how many.
    """
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


def _candidates(video: VideoReport) -> list[tuple[int, str]]:
    events = [((span.first + span.last) // 2, span.label or "labelled") for span in video.truth or ()]
    segments = [((span.first + span.last) // 2, "found") for span in video.found]
    begin = min((span.first for span in (*(video.truth or ()), *video.found)), default=0)
    before = [(begin // 2, "before")] if begin > 2 * video.interval else []
    return [*events[:1], *before, *events[1:], *segments]


def _marked(spans: Iterable[Span], frames: int) -> NDArray[np.bool_]:
    marked = np.zeros(frames, np.bool_)
    for span in spans:
        marked[max(span.first, 0) : max(span.last + 1, 0)] = True
    return marked
