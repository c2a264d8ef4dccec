"""Pictures of a study for papers: curves over its axes, as the paper's Fig. 6; bars, as its Fig. 2, where it has none."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lavad_core.errors import InputError
from lavad_core.escape import escape
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.reports.plots import LEGEND_LETTERS, LINES, WIDTH, new_figure, save_figure
from lavad_core.studies.study_table import MeasuredRow, StudyTable

PANEL_HEIGHT = 2.6
"""Inches of a panel with curves or standing bars."""

BAR_HEIGHT = 0.26
"""Inches of a lying bar with its name."""

STANDING = 8
"""Most groups of bars that stand beside each other; more lie below each other, where their names have room."""

COLOURS = ("#0b5fa5", "#e08a2c", "#5a9e6f", "#8a5aa5")
"""Colours of the series, which differ in grey too."""

PAPER, INK = "#555555", "#333333"

AXES = {
    "refine.neighbours": "K, neighbours",
    "window.duration_s": "T, seconds",
    "window.samples": "N, frames of a window",
    "smooth.sigma_s": "σ of the smoothing, seconds",
}
"""What the paper, or a page, calls some settings."""

WRAP = 14
"""Letters of a line below a standing bar."""


def plot_study(table: StudyTable, path: Path) -> None:
    """Draw a table, a panel for each metric and axis: ours with the 95 % interval of the difference to the reference row, and
    the paper's values where there are any. PNG, SVG or PDF, by the ending of ``path``.

    Raises:
        InputError: another ending, or no row has a value.
        OSError: it cannot be written.
    """
    if not any(_ours(row, metric) is not None for row in table.rows for metric in table.metrics):
        raise InputError(f"study {table.study!r} has no values to plot")
    if table.axes:
        panels = [(metric, axis) for metric in table.metrics for axis in table.axes]
        figure = new_figure(path, WIDTH / 2 * len(panels), PANEL_HEIGHT)
        for axes, (metric, axis) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _curve(axes, table, metric, axis)
    else:
        groups = list(dict.fromkeys(map(_group, table.rows)))
        standing = len(groups) <= STANDING
        across, down = (1, len(table.metrics)) if standing else (len(table.metrics), 1)
        height = PANEL_HEIGHT * down if standing else BAR_HEIGHT * len(groups) + 0.8
        figure = new_figure(path, WIDTH, height)
        for axes, metric in zip(figure.subplots(down, across, squeeze=False).flat, table.metrics, strict=True):
            _bars(axes, table, metric, groups, standing=standing)
    save_figure(figure, path)


def _ours(row: MeasuredRow, metric: str) -> float | None:
    value = row.cells[metric].ours
    return None if value is None else 100 * value


def _paper(row: MeasuredRow, metric: str) -> float | None:
    value = row.cells[metric].paper
    return None if value is None else 100 * value


def _group(row: MeasuredRow) -> str:
    """The place of a row among the bars; the paper has some methods with two backbones."""
    return row.group or (f"{row.name} ({row.backbone})" if row.quoted and row.backbone else row.name)


def _reference(table: StudyTable) -> MeasuredRow:
    return next(row for row in table.rows if row.name == table.reference and not row.quoted)


def _errors(table: StudyTable, metric: str, rows: Sequence[MeasuredRow]) -> list[list[float]]:
    """How far the interval reaches below and above each value, 0 where there is none: that of the difference to the reference
    row, around the row's own value."""
    below, above = [], []
    for row in rows:
        cell = row.cells[metric]
        known = cell.low is not None and cell.high is not None and cell.to_reference is not None
        below.append(100 * max(0.0, (cell.to_reference or 0) - (cell.low or 0)) if known else 0.0)
        above.append(100 * max(0.0, (cell.high or 0) - (cell.to_reference or 0)) if known else 0.0)
    return [below, above]


def _curve(axes: Any, table: StudyTable, metric: str, axis: str) -> None:
    reference = _reference(table)
    others = [other for other in table.axes if other != axis]
    rows = sorted(
        (
            row
            for row in table.rows
            if _ours(row, metric) is not None and all(row.at[one] == reference.at[one] for one in others)
        ),
        key=lambda row: row.at[axis],
    )
    at = [row.at[axis] for row in rows]
    style = {"color": COLOURS[0], "marker": "o", "markersize": 4, "linewidth": 1.4, "elinewidth": 0.8, "capsize": 2}
    values = [_ours(row, metric) for row in rows]
    axes.errorbar(at, values, yerr=_errors(table, metric, rows), label="ours", **style)[0].set_gid("ours")
    published = [(row.at[axis], value) for row in rows if (value := _paper(row, metric)) is not None]
    if published:
        axes.plot(*zip(*published, strict=True), color=PAPER, linestyle=LINES[1], marker="D", markersize=3, label="paper",
                  gid="paper")  # fmt: skip
        axes.legend(fontsize=8, frameon=False)
    if reference in rows:
        axes.plot(
            [reference.at[axis]], [_ours(reference, metric)], "o", color=COLOURS[0], markersize=7, gid="reference"
        )
    axes.set_xticks(sorted({*at}), [f"{value:g}" for value in sorted({*at})])
    axes.set_xlabel(AXES.get(axis, axis), fontsize=9, parse_math=False)
    axes.set_ylabel(_title(metric), fontsize=9)
    _plain(axes)


def _bars(axes: Any, table: StudyTable, metric: str, groups: Sequence[str], *, standing: bool) -> None:
    series = list(dict.fromkeys(row.series for row in table.rows if not row.quoted))
    width = 0.8 / len(series)
    draw, error = (axes.bar, "yerr") if standing else (axes.barh, "xerr")
    published: list[tuple[float, float]] = []
    for number, name in enumerate(series):
        rows = [row for row in table.rows if row.series == name]
        places = [groups.index(_group(row)) + (number - (len(series) - 1) / 2) * width for row in rows]
        published += [
            (place, value)
            for place, row in zip(places, rows, strict=True)
            if (value := _paper(row, metric)) is not None
        ]
        own = [(place, row) for place, row in zip(places, rows, strict=True) if _ours(row, metric) is not None]
        bars = draw(
            [place for place, _ in own],
            [_ours(row, metric) for _, row in own],
            width * 0.92,
            color=COLOURS[number % len(COLOURS)],
            label=escape(name, limit=LEGEND_LETTERS) or "ours",
            error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": INK},
            **{error: _errors(table, metric, [row for _, row in own])},
        )
        for bar, (_, row) in zip(bars, own, strict=True):
            bar.set_gid(f"bar-{table.rows.index(row)}")
    if published:
        places_, values = zip(*published, strict=True)
        points = (places_, values) if standing else (values, places_)
        axes.plot(*points, "D", color=PAPER, markeredgecolor="white", markersize=5, label="paper", gid="paper")
    names = [escape(group, limit=LEGEND_LETTERS) for group in groups]
    if standing:
        axes.set_xticks(range(len(groups)), [textwrap.fill(name, WRAP) for name in names], fontsize=7, parse_math=False)
        axes.set_ylabel(_title(metric), fontsize=9)
        axes.set_ylim(0, 104)
    else:
        axes.set_yticks(range(len(groups)), names, fontsize=7, parse_math=False)
        axes.set_xlabel(_title(metric), fontsize=9)
        axes.set_xlim(0, 104)
        axes.set_ylim(len(groups) - 0.4, -0.6)
    if len(series) > 1 or published:
        for text in axes.legend(
            fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=8
        ).get_texts():
            text.set_parse_math(False)
    _plain(axes)


def _title(metric: str) -> str:
    return f"{METRIC_TITLES[metric]}, per cent"


def _plain(axes: Any) -> None:
    axes.tick_params(colors=INK, length=2.5, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
