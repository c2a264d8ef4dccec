"""``lavad leaderboard``: published results on a data set, with one's own among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.options.dataset import Labels, ListFile
from lavad.deployments.cli.options.metrics import Sigmas, sigmas
from lavad.deployments.cli.options.shown import writing
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say, show, show_csv, show_table
from lavad_core.escape import escape_markdown
from lavad_core.location import shown

if TYPE_CHECKING:
    from lavad_core.evaluation.leaderboard import Leaderboard, LeaderboardRow
    from lavad_core.evaluation.types import Evaluation

NUMBERS = (1, 2, 3)
"""Columns of numbers."""

Format = Literal["table", "markdown", "latex", "csv", "json", "html"]


@guarded
def leaderboard(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="ucf-crime, xd-violence or msad: the key of a data set.")
    ],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            "--evaluation",
            help="A file of `lavad evaluate --output`; may be repeated.",
            metavar="FILE",
            parser=options.place,
        ),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="A run or an import, by id or name, with --labels; may be repeated. With --labels alone it is the latest.",
            metavar="RUN",
            autocompletion=complete.results,
        ),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help="A study, by name or file: the rows of its latest table in the store; may be repeated.",
            metavar="NAME",
            autocompletion=complete.studies,
        ),
    ] = None,
    labels: Labels = None,
    list_: ListFile = None,
    sigma: Sigmas = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File of the page, for --format html.", metavar="FILE", parser=options.place
        ),
    ] = None,
    store: options.StoreFolder = None,
    json_: options.AsJson = False,
) -> None:
    """Print what is published on a data set, with your own results among it, each with the protocol that it was made by."""
    from lavad_core.evaluation import leaderboard as boards

    if (output is not None) != (format_ == "html"):
        raise typer.BadParameter("a page is a file: --format html --output FILE.html")
    if run and labels is None:
        raise typer.BadParameter("runs are evaluated on labels: give --labels, and --list where the data set has one")
    runs: Sequence[str | None] = run or ([None] if labels is not None and not (evaluation or study) else [])
    evaluated = _evaluated(dataset, evaluation or [], runs, labels, list_, sigma, store)
    own = [row for one in evaluated for row in boards.own_rows(one)]
    board = boards.leaderboard(dataset, [*own, *_of_studies(dataset, study or [], store)])
    warnings = dict.fromkeys(f"of yours: {text}" for one in evaluated for text in one.header.warnings)
    board = replace(board, notes=(*board.notes, *warnings))
    if json_ or format_ == "json":
        show_document("leaderboard", asdict(board))
        return
    if output is not None:
        from lavad_core.remote_files import written
        from lavad_core.reports.site import leaderboard_page

        with writing(), written(output, "replace") as file:
            file.write_text(leaderboard_page(board), encoding="utf-8")
        show(f"page: {escape(shown(output))}")
        return
    _print(board, format_)


def _evaluated(
    dataset: str,
    files: list[Path],
    runs: Sequence[str | None],
    labels: Path | None,
    list_: Path | None,
    sigma: list[str] | None,
    store: Path | None,
) -> list[Evaluation]:
    from lavad_core.datasets.check import of_another_data_set
    from lavad_core.datasets.configured import open_labels
    from lavad_core.errors import InputError
    from lavad_core.evaluation.compute import evaluate
    from lavad_core.evaluation.options import EvaluationOptions
    from lavad_core.evaluation.sealed_json import EVALUATION
    from lavad_core.plain_text import first_few
    from lavad_core.results.open import open_results

    found = []
    for file in files:
        read = EVALUATION.read(file)
        if read.header.adapter != dataset:
            raise InputError(f"{str(file)!r} is an evaluation on {read.header.adapter!r}, and not on {dataset!r}")
        found.append(read)
    if runs:
        opened = open_labels(labels, dataset, list_)
        if of_another_data_set(opened):
            raise InputError(
                f"labels {str(labels)!r} are not of {dataset!r}: their classes are {first_few(opened.classes)}; its figures "
                "are of other videos"
            )
        chosen = EvaluationOptions(sigmas(sigma), resamples=0)
        for name in runs:
            found.append(evaluate(opened, open_results(options.store_root(store), name), chosen))
    return found


def _of_studies(dataset: str, studies: Sequence[str], store: Path | None) -> list[LeaderboardRow]:
    from lavad_core.errors import InputError
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_run import saved_table
    from lavad_core.studies.study_text import leaderboard_rows

    found = []
    for name in studies:
        table = saved_table(options.store_root(store), find_study(name)[0])
        rows = leaderboard_rows(table)
        if table.adapter != dataset:
            raise InputError(f"the table of study {table.study!r} is on {table.adapter!r}, and not on {dataset!r}")
        found += rows
    return found


def _print(board: Leaderboard, format_: str) -> None:
    from lavad_core.evaluation.leaderboard import FOLDED, HEADERS, cells, folded
    from lavad_core.plain_text import latex_table

    rows = [cells(row) for row in board.rows]
    short, footnotes = folded(board)
    if format_ == "csv":
        show_csv(HEADERS, rows)
    elif format_ == "markdown":
        show(f"| {' | '.join(HEADERS)} |\n|{' --- |' * len(HEADERS)}")
        for row in rows:
            show(f"| {' | '.join(escape_markdown(cell) for cell in row)} |")
    elif format_ == "latex":
        show(latex_table(FOLDED, short, right=NUMBERS, comments=[*footnotes, *board.notes]))
        return
    else:
        show_table(FOLDED, short, right=NUMBERS)
        for footnote in footnotes:
            show(escape(footnote))
    for note in board.notes:
        (say if format_ == "csv" else show)(escape(note) if format_ != "markdown" else f"\n* {escape_markdown(note)}")
