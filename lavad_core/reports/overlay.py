"""A video with its scores: below each frame the curve with the current moment, and what the score is of."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lavad_core.escape import escape
from lavad_core.method.detection import mean_rate
from lavad_core.reports.pictures import DecodableVideo
from lavad_core.reports.score_curve import Colours, draw_curve
from lavad_core.reports.video import VideoReport
from lavad_core.video.decoder import open_frames
from lavad_core.video.encode import open_writer
from lavad_core.video.geometry import target_size
from lavad_core.video.types import NATIVE, FrameRequest, Geometry, Probe

Pixels = NDArray[np.uint8]

MIN_WIDTH = 640
"""Narrower videos are enlarged: a line of text must fit below them."""

MAX_WIDTH, MAX_HEIGHT = 1280, 720
"""Larger ones are reduced: this is for looking at scores."""

TEXT_HEIGHT, CURVE_HEIGHT, EDGE = 74, 122, 4
"""Pixels of the lines of text, of the curve, and of the edge around a frame."""

AXES = (0.055, 0.31, 0.925, 0.69)
"""Place of the curve: left, bottom, width and height as parts of its picture; time and its labels are below."""

FONT_SIZE = 15
MAX_LINES = 2
"""Lines of text below the line with time and score."""

QUEUE_FRAMES = 16
"""Decoded frames that wait: 44 MB at most."""

BACK, TEXT = (24, 26, 31), (236, 234, 228)
NORMAL, ANOMALOUS = (108, 182, 245), (255, 122, 97)
COLOURS = Colours(text="#a5a8af", score="#6cb6f5", raw="#8d8a83", truth="#5a4023", found="#ff7a61")


@dataclass(frozen=True)
class OverlayLayout:
    """Sizes of an overlay, pixels; all of the whole are even, which the codec needs."""

    geometry: Geometry
    """The size at which frames are decoded."""
    frame: tuple[int, int]
    """Width and height of a frame, pixels."""
    width: int
    """Width of the whole picture, pixels."""
    height: int
    """Height of the whole picture, pixels."""


def overlay_layout(probe: Probe) -> OverlayLayout:
    """Sizes for a video."""
    width, height = probe.width, probe.height
    scale = min(max(1.0, MIN_WIDTH / width), MAX_WIDTH / width, MAX_HEIGHT / height)
    geometry = NATIVE if scale == 1 else Geometry("short_side", max(1, round(min(width, height) * scale)))
    frame = target_size(geometry, width, height)
    below = TEXT_HEIGHT + CURVE_HEIGHT
    whole = max(frame[0] + 2 * EDGE, MIN_WIDTH), frame[1] + 2 * EDGE + below
    return OverlayLayout(geometry, frame, *(pixels + pixels % 2 for pixels in whole))


def write_overlay(
    report: VideoReport, video: DecodableVideo, path: Path, progress: Callable[[int], None] = lambda frame: None
) -> None:
    """Write a video with its scores: H.264 in MP4, as many frames as the source has, each at its own time. A file at ``path``
    is replaced; ``progress`` is called with the number of each frame that is written.

    Raises:
        VideoRejected: the source is gone or has changed.
        OSError: the file cannot be written.
    """
    probe = video.probe
    sizes = overlay_layout(probe)
    strip = _Strip(report, sizes.width)
    requests = [FrameRequest(sizes.geometry, every=1)]
    begin = int(probe.pts[0])
    # 30000/1001 stays what it is; rates of time stamps that were rounded to milliseconds stay close. 25 is for one frame only.
    rate = Fraction(mean_rate(probe.times_s) or 25).limit_denominator(10_000)
    with (
        open_writer(path, sizes.width, sizes.height, probe.time_base, rate) as write,
        open_frames(video.source, requests, probe, video.limits, QUEUE_FRAMES) as frames,
    ):
        for frame in frames:
            write(_composed(sizes, frame.image, strip, frame.index), int(probe.pts[frame.index]) - begin)
            progress(frame.index)


def _composed(sizes: OverlayLayout, image: Pixels, strip: _Strip, index: int) -> Pixels:
    whole = np.empty((sizes.height, sizes.width, 3), np.uint8)
    whole[:] = BACK
    height, width = image.shape[:2]
    left = (sizes.width - width) // 2
    whole[: height + 2 * EDGE, left - EDGE : left + width + EDGE] = strip.colour(index)
    whole[EDGE : EDGE + height, left : left + width] = image
    below = height + 2 * EDGE
    whole[below : below + TEXT_HEIGHT] = strip.text(index)
    whole[below + TEXT_HEIGHT : below + TEXT_HEIGHT + CURVE_HEIGHT] = strip.curve
    column = strip.column(index)
    whole[below + TEXT_HEIGHT : below + TEXT_HEIGHT + round(CURVE_HEIGHT * AXES[3]), column : column + 2] = TEXT
    return whole


@dataclass
class _Strip:
    """What stands below the frames; the curve is drawn once, a text when it changes."""

    video: VideoReport
    width: int
    curve: Pixels = field(init=False)
    _ends: tuple[float, float] = field(init=False)
    _said: str = field(default="", init=False)
    _picture: Pixels = field(init=False)

    def __post_init__(self) -> None:
        self.curve, self._ends = _drawn(self.video, self.width)

    def colour(self, index: int) -> tuple[int, int, int]:
        """Colour of the edge of a frame."""
        return ANOMALOUS if self.video.nearest(index).score >= self.video.threshold else NORMAL

    def column(self, index: int) -> int:
        """Where a frame's moment is on the curve."""
        first, last = self._ends
        return round(first + (last - first) * float(self.video.times_s[index]) / (self.video.end_s or 1.0))

    def text(self, index: int) -> Pixels:
        """uint8 [TEXT_HEIGHT, width, 3]."""
        video, at = self.video, self.video.nearest(index)
        labelled = [span.label for span in video.truth or () if span.first <= index <= span.last]
        names = ", ".join(filter(None, labelled))
        known = [
            video.clock(float(video.times_s[index])),
            f"score {at.score:.2f}",
            *(["labelled" + (f": {names}" if names else "")] if labelled else []),
            *(["found"] if any(span.first <= index <= span.last for span in video.found) else []),
        ]
        said = "   ".join(known) + "\n" + at.text
        if said != self._said:
            self._said, self._picture = said, _written("   ".join(known), at.text, self.colour(index), self.width)
        return self._picture


def _drawn(video: VideoReport, width: int) -> tuple[Pixels, tuple[float, float]]:
    """The curve, uint8 [CURVE_HEIGHT, width, 3], and the columns of its first and last moment."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, CURVE_HEIGHT / 100), dpi=100, facecolor=_hex(BACK))
    canvas: Any = FigureCanvasAgg(figure)
    axes: Any = figure.add_axes(AXES, facecolor=_hex(BACK))
    draw_curve(axes, video, COLOURS)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(axes.get_xlabel(), fontsize=8, labelpad=1)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
    first, last = (float(axes.transData.transform((at, 0))[0]) for at in (0, video.end_s or 1.0))
    return pixels, (first, last)


def _written(known: str, text: str, colour: tuple[int, int, int], width: int) -> Pixels:
    picture = Image.new("RGB", (width, TEXT_HEIGHT), BACK)
    draw = ImageDraw.Draw(picture)
    draw.text((12, 5), escape(known), fill=colour, font=_font("DejaVuSans-Bold.ttf"))
    letters = int((width - 24) / (FONT_SIZE * 0.58))
    lines = textwrap.wrap(escape(text), letters, max_lines=MAX_LINES, placeholder=" …")
    for number, line in enumerate(lines):
        draw.text((12, 27 + 21 * number), line, fill=TEXT, font=_font("DejaVuSans.ttf"))
    return np.asarray(picture)


@cache
def _font(name: str) -> ImageFont.FreeTypeFont:
    """One that comes with matplotlib, so that it is there on every machine."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), FONT_SIZE)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
