"""Score curves on matplotlib's axes, for papers and videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lavad_core.reports.video import VideoReport

BAND = -0.09
"""Where segments are marked: a band under the curve, in units of the score."""


@dataclass(frozen=True)
class Colours:
    """Colours of a curve: anything that matplotlib understands."""

    text: str = "#333333"
    """Axes and their labels."""
    score: str = "#0b5fa5"
    """The final scores."""
    raw: str = "#8a8a8a"
    """The language model's own scores."""
    truth: str = "#f3c9a5"
    """Labelled events, shaded."""
    found: str = "#b3260f"
    """Found segments."""


def draw_curve(axes: Any, video: VideoReport, colours: Colours) -> None:
    """The scores of a video over time, with labelled events and found segments.

    A score holds from its grid frame to the next one, as the metrics take it. ``axes`` are matplotlib's.
    """
    for number, event in enumerate(video.truth or ()):
        axes.axvspan(*video.seconds(event), color=colours.truth, linewidth=0, gid=f"truth-{number}")
    axes.axhline(video.threshold, color=colours.text, linewidth=0.6, linestyle=(0, (4, 3)))
    times = [*(at.time_s for at in video.grid), video.end_s]
    raw = [at.raw_score for at in video.grid if at.raw_score is not None]
    for scores, style in (
        (raw, {"color": colours.raw, "linewidth": 0.7, "gid": "raw"}),
        ([at.score for at in video.grid], {"color": colours.score, "linewidth": 1.7, "gid": "score"}),
    ):
        if len(scores) == len(video.grid):
            axes.step(times, [*scores, scores[-1]], where="post", **style)
    for number, segment in enumerate(video.found):
        band = {"color": colours.found, "linewidth": 4, "solid_capstyle": "butt", "gid": f"found-{number}"}
        axes.plot(video.seconds(segment), [BAND, BAND], **band)
    axes.plot([video.peak.time_s], [video.peak.score], "o", color=colours.score, markersize=4)
    axes.set_xlim(0, video.end_s or 1)
    axes.set_ylim(2 * BAND, 1.05)
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    smoothed = "; scores are smoothed" if video.scored.smoothing else ""
    axes.set_xlabel(("seconds" if video.timed else "frame") + smoothed)
    axes.tick_params(colors=colours.text, length=2.5)
    axes.xaxis.label.set_color(colours.text)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(colours.text)
