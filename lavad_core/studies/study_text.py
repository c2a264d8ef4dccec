"""The table of a study as cells, and as text for papers. Numbers are in per cent, as the paper has them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lavad_core.errors import InputError
from lavad_core.escape import fixed
from lavad_core.evaluation.leaderboard import LeaderboardRow
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.plain_text import latex_table
from lavad_core.studies.study_table import MeasuredRow, StudyCell, StudyTable

DIGITS = 2


def headers(table: StudyTable) -> list[str]:
    """The name of the row, then for each metric the paper's value, ours, and two differences with an interval."""
    found = ["" if not table.stands_for else table.stands_for]
    for metric in table.metrics:
        title = METRIC_TITLES[metric]
        found += [f"{title} paper", "ours", "ours − paper", "− reference", "95 %"]
    return [*found, "videos"]


def cells(table: StudyTable) -> list[list[str]]:
    """One list of texts per row, as long as :func:`headers`."""
    return [_row(table, row) for row in table.rows]


def numbers(table: StudyTable) -> list[list[str | float]]:
    """The rows of :func:`cells` for CSV: differences are numbers, which need no mark against formulas of a spreadsheet."""
    return [[name, *(float(one) if _SIGNED.fullmatch(one) else one for one in row)] for name, *row in cells(table)]


_SIGNED = re.compile(r"[+-]\d+\.\d+")


def _row(table: StudyTable, row: MeasuredRow) -> list[str]:
    found = [title(table, row)]
    for metric in table.metrics:
        found += _cell(row.cells[metric], row)
    return [*found, "" if row.quoted else f"{row.scored} of {row.videos}" if row.partial else str(row.scored)]


def title(table: StudyTable, row: MeasuredRow) -> str:
    """The name of a row, with what must not be missed: that it is quoted, partial, or the reference."""
    marks = [row.partial] if row.partial else []
    if row.quoted:
        marks.append(", ".join(part for part in ("quoted", row.training, row.backbone) if part))
    if row.name == table.reference and not row.quoted:
        marks.append("reference")
    if len(row.runs) > 1:
        marks.append(f"mean of {len(row.runs)} runs")
    return row.name + (f" ({'; '.join(marks)})" if marks else "")


def _cell(cell: StudyCell, row: MeasuredRow) -> list[str]:
    ours = "" if row.quoted else per_cent(cell.ours)
    low, high = per_cent(cell.low, "+"), per_cent(cell.high, "+")
    interval = f"{low} … {high}" if low and high else ""
    none = "–" if cell.reason else ""
    return [
        per_cent(cell.paper), ours or none, per_cent(cell.to_paper, "+"), per_cent(cell.to_reference, "+"), interval
    ]  # fmt: skip


def per_cent(value: float | None, sign: str = "") -> str:
    """A value of 0 … 1 in per cent; empty where there is none."""
    return fixed(None if value is None else value * 100, DIGITS, sign, none="")


def caption(table: StudyTable) -> str:
    """What the table is, in a sentence."""
    stands = f"{table.stands_for}: " if table.stands_for else ""
    return f"{stands}{table.title}. {table.dataset}; per cent; intervals of the difference to the reference: {table.intervals}"


def as_markdown(table: StudyTable) -> str:
    """A table of GitHub's Markdown, with its caption and notes."""
    lines = [f"**{_markdown(caption(table))}**", "", _line(headers(table))]
    lines.append("|" + "|".join([" --- "] + [" ---: "] * (len(headers(table)) - 1)) + "|")
    lines += [_line(row) for row in cells(table)]
    return "\n".join([*lines, *(f"\n* {_markdown(note)}" for note in _notes(table))])


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(map(_markdown, texts)) + " |"


def _markdown(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#" else char for char in text)


def as_latex(table: StudyTable) -> str:
    """A ``tabular`` for booktabs, with its caption and notes as comments before it."""
    shown = headers(table)
    comments = [caption(table), *_notes(table)]
    return latex_table(shown, cells(table), right=range(1, len(shown)), comments=comments)


def _notes(table: StudyTable) -> list[str]:
    return [*table.notes, *([f"the paper's numbers: {table.source}"] if table.source else [])]


def leaderboard_rows(table: StudyTable) -> list[LeaderboardRow]:
    """The rows that were run, for a leaderboard.

    Raises:
        InputError: an earlier version recorded the table, without what makes its numbers unlike others.
    """
    rows = [row for row in table.rows if not row.quoted]
    if not all(row.protocol for row in rows):
        raise InputError(
            f"the table of study {table.study!r} does not say how its scores were made (an earlier version recorded it); run "
            "the study again: what is in the store is not computed again"
        )

    def ours(row: MeasuredRow, metric: str) -> float | None:
        return row.cells[metric].ours if metric in row.cells else None

    return [
        LeaderboardRow(
            method=f"{row.name} ({table.study})",
            source=f"{table.stands_for or table.title}, this store",
            training="",
            figures="ours",
            auc=ours(row, "auc"),
            ap=ours(row, "average_precision"),
            ap_trapezoid=ours(row, "pr_auc_trapezoid"),
            smoothing=row.protocol["smoothing"],
            labels=row.protocol["labels"],
            lookahead=row.protocol["lookahead"],
            fitted=row.protocol["fitted"],
        )
        for row in rows
    ]
