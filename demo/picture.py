"""From a finished demonstration to the README: its picture, and what the command prints.

Usage: python -m lavad.demo.picture build/demo
"""

from __future__ import annotations

import argparse
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from PIL import Image

from lavad.demo.results import DemoResults, card, read_results, tables
from lavad_core.plain_text import aligned
from lavad_core.reports.pictures import VideoCard
from lavad_core.reports.score_curve import Colours, draw_curve

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- demo:begin -->\n", "<!-- demo:end -->"
TEXT_WIDTH = 28
"""Characters of a line under a key frame."""


def main() -> None:
    """Write docs/images/demo.png and the README's block."""
    parser = argparse.ArgumentParser(description="The README's picture and result of the demonstration.")
    parser.add_argument("output", type=Path, help="as given to `lavad demo`; stands in the printed result")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs/images/demo.png")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    given = parser.parse_args()
    result = read_results(given.output.absolute())
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    figure = draw_picture([card(result, number) for number in chosen_clips(result)])
    figure.savefig(given.picture, dpi=110, facecolor="white")
    given.readme.write_text(
        with_block(given.readme.read_text(encoding="utf-8"), printed(result, given.output)), "utf-8"
    )


def chosen_clips(result: DemoResults) -> list[int]:
    """The clips with an event whose segments overlap it best, least, and in the middle: not the best three."""
    events = [number for number, video in enumerate(result.videos) if video.truth]
    events.sort(key=lambda number: -(result.videos[number].overlap or 0.0))
    return sorted({events[0], events[len(events) // 2], events[-1]}, key=events.index)


def draw_picture(cards: Sequence[VideoCard]) -> Figure:
    """One row per clip: its curve, and its key frames with their summaries; then what the colours mean."""
    figure = Figure(figsize=(11, 2.6 * len(cards) + 0.4), layout="constrained")
    parts = figure.subfigures(len(cards) + 1, 1, squeeze=False, height_ratios=(*[2.6] * len(cards), 0.4))
    *rows, last = parts[:, 0]
    for row, shown in zip(rows, cards, strict=True):
        _draw_card(row, shown)
    colours = Colours()
    marks = [
        Line2D([], [], color=colours.score, linewidth=1.7, label="score, refined"),
        Line2D([], [], color=colours.raw, linewidth=0.7, label="the language model's own score"),
        Patch(color=colours.truth, label="what really happens"),
        Line2D([], [], color=colours.found, linewidth=4, label="found"),
    ]
    last.legend(handles=marks, loc="center", ncols=len(marks), frameon=False, fontsize=9)
    return figure


def _draw_card(row: SubFigure, shown: VideoCard) -> None:
    video = shown.video
    ((left, right),) = row.subfigures(1, 2, squeeze=False, width_ratios=(5, 7))
    axes = left.subplots()
    draw_curve(axes, video, Colours())
    events = ", ".join(span.label for span in video.truth or ())
    axes.set_title(
        f"{video.name}: {events}, overlap {video.overlap or 0:.2f}", loc="left", fontsize=10, parse_math=False
    )
    for frame, place in zip(shown.key_frames, right.subplots(1, len(shown.key_frames), squeeze=False)[0], strict=True):
        place.imshow(Image.open(io.BytesIO(shown.pictures[frame.at.frame])))
        place.set_axis_off()
        place.set_anchor("N")
        title = f"{frame.at.time_s:.0f} s{', ' + frame.why if frame.why else ''}: {frame.at.score:.2f}"
        place.set_title(title, fontsize=8.5, parse_math=False)
        below = place.annotate(
            _wrapped(frame.at.text),
            (0, 0),
            xycoords="axes fraction",
            xytext=(0, -4),
            textcoords="offset points",
            va="top",
            fontsize=7.5,
            parse_math=False,
        )
        below.set_in_layout(False)  # else a long text makes its picture small


def _wrapped(text: str) -> str:
    return textwrap.fill(text, TEXT_WIDTH, max_lines=5, placeholder=" …")


def printed(result: DemoResults, output: Path) -> str:
    """What `lavad demo` prints to a file."""
    shown = [aligned(headers, rows, right=right) for headers, rows, right in tables(result)]
    return "\n\n".join([*shown, f"page: {output / 'demo.html'}"])


def with_block(readme: str, text: str) -> str:
    """The README with ``text`` as the code block between its markers.

    Raises:
        ValueError: it has no markers.
    """
    begin, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    return f"{readme[:begin]}```\n{text.rstrip()}\n```\n{readme[end:]}"


if __name__ == "__main__":
    main()
