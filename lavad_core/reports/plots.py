"""Still plots for papers: scores over time with key frames (as the paper's Fig. 5 and 7), ROC, precision and recall."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from lavad_core.errors import InputError
from lavad_core.escape import escape
from lavad_core.evaluation.types import Curve
from lavad_core.reports.pictures import VideoCard
from lavad_core.reports.score_curve import Colours, draw_curve
from lavad_core.reports.video import KeyFrame, VideoReport
from lavad_core.user_files import replacing

FORMATS = (".png", ".svg", ".pdf")

DPI = 200
"""Dots per inch of PNG, and of the key frames in the other formats."""

WIDTH = 7.0
"""Inches: the two columns of a paper."""

CURVE_HEIGHT, FRAMES_HEIGHT = 1.5, 1.75
"""Inches of a video's curve, and of its key frames with their texts."""

TEXT_HEIGHT = 0.5
"""Inches of each text below a key frame."""

TEXT_LETTERS, MAX_LINES = 125, 4
"""Size of the texts under the key frames: letters beside each other over the whole width, and lines."""

TITLE_LETTERS, LEGEND_LETTERS = 90, 40
"""Letters of the name of a video and of a curve: what is longer would leave no room for the plot."""

LINES = ("-", "--", ":", "-.")
"""Curves differ in more than colour: papers are printed in grey."""

CHANCE = "#888888"


def check_format(path: Path) -> None:
    """Whether a plot can be written under this name.

    Raises:
        InputError: its ending is another.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{str(path)!r}: a plot ends in one of {', '.join(FORMATS)}")


Below = Literal["scored", "caption", "both"]
"""Which texts stand below a key frame: what was scored (its summary), the caption before that, or both."""


def plot_videos(cards: Sequence[VideoCard], path: Path, below: Below = "scored") -> None:
    """One row per video: key frames with their texts, blue where the score is below the threshold and red where it is not, and
    the curve below; the curve alone where there are no pictures. PNG, SVG or PDF, by the ending of ``path``.

    Raises:
        InputError: another ending.
        OSError: it cannot be written.
    """
    frames_height = FRAMES_HEIGHT + (TEXT_HEIGHT if below == "both" else 0.0)
    heights = [CURVE_HEIGHT + (frames_height if card.pictures else 0.0) for card in cards]
    figure = new_figure(path, WIDTH, sum(heights))
    rows = figure.subfigures(len(cards), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, card in zip(rows, cards, strict=True):
        _draw_video(row, card, frames_height, below)
    save_figure(figure, path)


def plot_rates(curves: Mapping[str, Curve], kind: Literal["roc", "pr"], path: Path, prevalence: float | None) -> None:
    """ROC, or precision and recall, of one or several kinds of scores, whose names are the legend. ``prevalence`` is the
    labelled part of all frames, the precision of chance; None draws no such line. The file is as of :func:`plot_videos`, which
    has its errors too.

    Raises:
        InputError: there is no curve, or another ending.
    """
    if not curves:
        raise InputError("there is no curve to plot: all frames are labelled the same")
    figure = new_figure(path, WIDTH / 2, WIDTH / 2)
    axes = figure.add_subplot()
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color=CHANCE, linewidth=0.7, linestyle=(0, (4, 3)), label="chance")
    elif prevalence is not None:
        axes.axhline(prevalence, color=CHANCE, linewidth=0.7, linestyle=(0, (4, 3)), label="chance")
    for number, (name, curve) in enumerate(curves.items()):
        style = {"linewidth": 1.4, "linestyle": LINES[number % len(LINES)], "gid": f"curve-{number}"}
        axes.plot(curve.x, curve.y, label=escape(name, limit=LEGEND_LETTERS), **style)
    names = ("false positive rate", "true positive rate") if kind == "roc" else ("recall", "precision")
    axes.set(xlabel=names[0], ylabel=names[1], xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    for text in axes.legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    save_figure(figure, path)


def _draw_video(row: Any, card: VideoCard, frames_height: float, texts: Below) -> None:
    video = card.video
    below = row
    if card.pictures:
        # The texts are not in the layout: without room of their own those of few or upright pictures are over the curve.
        picture_height = FRAMES_HEIGHT - TEXT_HEIGHT
        heights = (picture_height, frames_height - picture_height, CURVE_HEIGHT)
        above, _, below = row.subfigures(3, 1, height_ratios=heights)
        count = len(card.key_frames)
        for frame, place in zip(card.key_frames, above.subplots(1, count, squeeze=False)[0], strict=True):
            _draw_frame(place, video, frame, card.pictures, TEXT_LETTERS // count, texts)
    axes = below.subplots()
    draw_curve(axes, video, Colours())
    labels = ", ".join(dict.fromkeys(span.label for span in video.truth or () if span.label))
    title = escape(f"{video.name}{': ' if labels else ''}{labels}", limit=TITLE_LETTERS)
    axes.set_title(title, loc="left", fontsize=9, parse_math=False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(8)


def _draw_frame(
    place: Any, video: VideoReport, frame: KeyFrame, pictures: Mapping[int, bytes], letters: int, texts: Below
) -> None:
    at, colours = frame.at, Colours()
    place.imshow(Image.open(io.BytesIO(pictures[at.frame])))
    place.set_xticks([])
    place.set_yticks([])
    place.set_anchor("NW")
    for spine in place.spines.values():
        spine.set(color=colours.found if at.score >= video.threshold else colours.score, linewidth=2)
    place.set_title(f"{video.clock(at.time_s)}: {at.score:.2f}", fontsize=8, parse_math=False)
    said = {"scored": (at.text,), "caption": (video.caption(at.frame),), "both": (video.caption(at.frame), at.text)}[
        texts
    ]
    text = "\n\n".join(textwrap.fill(escape(one), letters, max_lines=MAX_LINES, placeholder=" …") for one in said)
    style = {"va": "top", "fontsize": 6.5, "parse_math": False}
    below = place.annotate(text, (0, 0), (0, -4), xycoords="axes fraction", textcoords="offset points", **style)
    below.set_in_layout(False)  # else a long text makes its picture small


def new_figure(path: Path, width: float, height: float) -> Any:
    """An empty figure of matplotlib, ``width`` and ``height`` in inches.

    Raises:
        InputError: ``path`` has no ending of :data:`FORMATS`.
    """
    from matplotlib.figure import Figure

    check_format(path)
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure: text stays text, and the same figure gives the same bytes.

    Raises:
        OSError: it cannot be written.
    """
    import matplotlib

    settings: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "lavad"}
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    kind = path.suffix.lower().removeprefix(".")
    with replacing(path) as draft, matplotlib.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is a box in the plot; which font has it is not ours to know.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(draft, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
