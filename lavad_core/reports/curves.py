"""Score curves, drawn by matplotlib: on axes, or as SVG for a page.

An SVG's colours are variables of the page's style sheet, so that they follow light and dark.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

from lavad_core.reports.video import VideoReport

BAND = -0.09
"""Where segments are marked: a band under the curve, in units of the score."""


@dataclass(frozen=True)
class Colours:
    """Of a curve; anything that matplotlib understands.

    Attributes:
        text: axes and their labels. score: refined. raw: the language model's. truth: labelled events, shaded. found: segments.
    """

    text: str = "#333333"
    score: str = "#0b5fa5"
    raw: str = "#8a8a8a"
    truth: str = "#f3c9a5"
    found: str = "#b3260f"


_VARIABLES = Colours("#010101", "#020202", "#030303", "#040404", "#050505")
"""Stand-ins in an SVG, each replaced by the page's variable of the field's name."""

SIZE_INCHES = (5.2, 1.9)
"""Of an SVG. At 350 pixels, a narrow phone's card, its labels are still 9 pixels high."""


def draw_curve(axes: Any, video: VideoReport, colours: Colours) -> None:
    """The scores of a video over time, with labelled events and found segments.

    A score holds from its grid frame to the next one, as the metrics take it.

    Args:
        axes: matplotlib's.
        video: the video.
        colours: to draw in.
    """
    for number, event in enumerate(video.truth or ()):
        axes.axvspan(*video.seconds(event), color=colours.truth, linewidth=0, gid=f"truth-{number}")
    axes.axhline(video.threshold, color=colours.text, linewidth=0.6, linestyle=(0, (4, 3)))
    times = [*(at.time_s for at in video.grid), video.end_s]
    for scores, style in (
        ([at.raw_score for at in video.grid], {"color": colours.raw, "linewidth": 0.7, "gid": "raw"}),
        ([at.score for at in video.grid], {"color": colours.score, "linewidth": 1.7, "gid": "score"}),
    ):
        axes.step(times, [*scores, scores[-1]], where="post", **style)
    for number, segment in enumerate(video.found):
        band = {"color": colours.found, "linewidth": 4, "solid_capstyle": "butt", "gid": f"found-{number}"}
        axes.plot(video.seconds(segment), [BAND, BAND], **band)
    axes.plot([video.peak.time_s], [video.peak.score], "o", color=colours.score, markersize=4)
    axes.set_xlim(0, video.end_s or 1)
    axes.set_ylim(2 * BAND, 1.05)
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.set_xlabel("seconds")
    axes.tick_params(colors=colours.text, length=2.5)
    axes.xaxis.label.set_color(colours.text)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(colours.text)


def curve_svg(video: VideoReport, prefix: str) -> str:
    """The curve as an SVG element for a page: no header, no size, colours as CSS variables.

    Args:
        video: the video.
        prefix: of the ids in it, which are the page's; letters, digits and hyphens.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text stays text: it is small, and it can be read out.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.size": 10}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        FigureCanvasSVG(figure)
        draw_curve(figure.add_subplot(), video, _VARIABLES)
        file = io.StringIO()
        # No metadata: its licence and date are noise, its addresses look like references.
        figure.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return _for_page(file.getvalue(), prefix)


def _for_page(svg: str, prefix: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r"<(metadata|style)[ >].*?</\1>", "", svg, flags=re.DOTALL
    )  # its style is for all elements of the page
    svg = re.sub(r"font-family: [^;]*; ", "", svg)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true" focusable="false">', svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|xlink:href=")#', rf"\1#{prefix}-", svg).replace("xlink:href", "href")
    for name, stand_in in vars(_VARIABLES).items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return re.sub(r"\n\s*", "\n", svg).strip()
