"""What a report shows of one video. No I/O here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


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
        time_s: presentation time, seconds.
        score: refined, in [0, 1].
        raw_score: the language model's own.
        summary: what it was asked about.
    """

    frame: int
    time_s: float
    score: float
    raw_score: float
    summary: str


@dataclass(frozen=True)
class Caption:
    """A caption of the peak's frame.

    Attributes:
        captioner: its name.
        text: what it said.
    """

    captioner: str
    text: str


@dataclass(frozen=True)
class Cleaned:
    """The caption that cleaning put at the peak's frame.

    Attributes:
        text: the caption.
        captioner: whose.
        source_frame: of which frame.
        similarity: to the picture, cosine; None where nothing was compared.
    """

    text: str
    captioner: str
    source_frame: int
    similarity: float | None


@dataclass(frozen=True)
class Neighbour:
    """A grid frame whose score went into the peak's refined one.

    Attributes:
        at: the frame.
        similarity: of its summary to the peak's window, cosine.
    """

    at: GridFrame
    similarity: float


@dataclass(frozen=True)
class VideoReport:
    """One video's results.

    Attributes:
        name: of the video.
        times_s: float64 [M], presentation times of all frames, seconds, from 0.
        interval: frames from one grid frame to the next.
        grid: of its frames, in order; at least one.
        truth: labelled events; None where the video has no labels.
        found: segments.
        threshold: that a segment reaches.
        captions: of the peak's frame, a captioner each; empty where they were imported as summaries.
        cleaned: None likewise.
        neighbours: of the peak, the most similar first; empty without refinement.
    """

    name: str
    times_s: NDArray[np.float64] = field(repr=False)
    interval: int
    grid: tuple[GridFrame, ...] = field(repr=False)
    truth: tuple[Span, ...] | None
    found: tuple[Span, ...]
    threshold: float
    captions: tuple[Caption, ...] = ()
    cleaned: Cleaned | None = None
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def frames(self) -> int:
        """M."""
        return len(self.times_s)

    @property
    def end_s(self) -> float:
        """When the last frame stops being shown, seconds: after the median time of a frame."""
        step = float(np.median(np.diff(self.times_s))) if self.frames > 1 else 0.0
        return float(self.times_s[-1]) + step

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
        after = span.last + 1
        stop = float(self.times_s[after]) if after < self.frames else self.end_s
        return float(self.times_s[min(span.first, self.frames - 1)]), stop

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
        marked[span.first : span.last + 1] = True
    return marked
