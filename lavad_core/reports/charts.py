"""The geometry of charts on pages: SVG paths in a box that the page stretches to any width, and where their labels go.

Numbers only: the templates write the elements, in colours that follow light and dark. Charts for papers are matplotlib's
(:mod:`lavad_core.reports.score_curve`); drawn here they are readable at 390 pixels as at 1280, and 800 pages take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lavad_core.evaluation.types import Curve
from lavad_core.reports.video import FrameSpan, GridFrame, VideoReport

WIDTH, HEIGHT = 1000, 100
"""Width and height of the box of a curve over time; the score 0 is at its bottom, 1 at its top."""

SPARK_WIDTH = 120
"""Width of the small curve in a row of a table."""

TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000)
"""Seconds between marks of the time axis."""

MAX_TICKS = 6
"""Clock times that fit beside each other on a phone."""


@dataclass(frozen=True)
class Bar:
    """A span of time on the axis, in the box's units."""

    x: float
    """Where it begins."""
    width: float
    """How wide it is."""


@dataclass(frozen=True)
class Tick:
    """A label of an axis."""

    percent: float
    """Where it is, percent of the axis."""
    label: str
    """The clock time there."""


@dataclass(frozen=True)
class Chart:
    """The scores of a video over time."""

    width: int
    """The width of its box; HEIGHT is its height."""
    score: str = field(repr=False)
    """``d`` of the path of the final scores."""
    raw: str = field(repr=False)
    """``d`` of the path of the language model's own scores; empty where they are not known."""
    truth: tuple[Bar, ...]
    """Labelled events."""
    found: tuple[Bar, ...]
    """Found segments."""
    threshold_y: float
    """Height of the threshold, in the box's units from the top."""
    ticks: tuple[Tick, ...]
    """The ticks of the time axis."""


def chart(video: VideoReport, width: int = WIDTH) -> Chart:
    """Draw a video's scores in a box; a curve with more steps than its ``width`` is thinned to the range of each unit."""
    scale = width / (video.end_s or 1.0)
    begins = np.array([at.time_s for at in video.grid]) * scale
    raw = [at.raw_score for at in video.grid if at.raw_score is not None]
    return Chart(
        width=width,
        score=_steps(begins, np.array([at.score for at in video.grid]), width),
        raw=_steps(begins, np.array(raw), width) if len(raw) == len(video.grid) else "",
        truth=_bars(video, video.truth or (), scale),
        found=_bars(video, video.found, scale),
        threshold_y=_y(video.threshold),
        ticks=_ticks(video),
    )


@dataclass(frozen=True)
class ChartPoint:
    """A point of a chart."""

    x: float
    """From the left, percent of the box's width."""
    y: float
    """From the top, percent of its height."""


def chart_point(video: VideoReport, at: GridFrame) -> ChartPoint:
    """Where a scored frame is on its video's chart: in the middle of the time that its score holds for."""
    first, last = video.seconds(FrameSpan(at.frame, at.frame + video.interval - 1))
    return ChartPoint(round(50 * (first + last) / (video.end_s or 1.0), 2), _y(at.score))


def curve_path(curve: Curve) -> str:
    """``d`` of a path of a curve of rates, in a box of 100 x 100."""
    points = (f"{100 * x:.2f} {100 - 100 * y:.2f}" for x, y in zip(curve.x, curve.y, strict=True))
    return "M" + "L".join(points)


def _y(score: float) -> float:
    """A score outside [0, 1], which an import may have, is drawn at the edge."""
    return round(HEIGHT * (1 - min(max(score, 0.0), 1.0)), 1)


def _bars(video: VideoReport, spans: Sequence[FrameSpan], scale: float) -> tuple[Bar, ...]:
    ends = [video.seconds(span) for span in spans]
    return tuple(Bar(round(first * scale, 1), round(max((last - first) * scale, 0.5), 1)) for first, last in ends)


def _steps(begins: NDArray[np.float64], scores: NDArray[np.float64], width: int) -> str:
    """A path that holds each score from where it begins to where the next one does."""
    levels = np.round(HEIGHT * (1 - np.clip(scores, 0, 1)), 1)
    if len(levels) <= width:
        visits = [(begin, [level]) for begin, level in zip(begins.tolist(), levels.tolist(), strict=True)]
    else:
        first = np.flatnonzero(np.diff(begins.astype(np.int64), prepend=-1))
        lowest, highest = np.minimum.reduceat(levels, first), np.maximum.reduceat(levels, first)
        last = levels[np.append(first[1:], len(levels)) - 1]
        ranges = np.stack([levels[first], lowest, highest, last], axis=1).tolist()
        visits = list(zip(begins[first].tolist(), ranges, strict=True))
    at = visits[0][1][0]
    parts = [f"M0 {at:g}"]
    for begin, there in visits:
        moves = [level for before, level in pairwise([at, *there]) if level != before]
        if moves:
            parts.append(f"H{begin:.1f}" + "".join(f"V{level:g}" for level in moves))
            at = moves[-1]
    return "".join(parts) + f"H{width}"


def _ticks(video: VideoReport) -> tuple[Tick, ...]:
    end = video.end_s
    if not end:
        return ()
    if video.timed:
        step = next((step for step in TICK_STEPS if end / step <= MAX_TICKS), TICK_STEPS[-1] * 4)
        label = _clock if step >= 1 else "{:g}".format
    else:
        steps = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
        step = float(next(step for step in steps if end / step <= MAX_TICKS))
        label = "{:.0f}".format
    return tuple(
        Tick(round(100 * at / end, 2), label(at)) for at in np.arange(0, end * 0.97, step).tolist()
    )  # none where it would stick out


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
