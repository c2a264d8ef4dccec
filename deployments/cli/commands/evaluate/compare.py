"""``lavad compare``: two runs or imports, or one against the numbers of the paper."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.commands.evaluate.evaluate import show_header
from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.options.dataset import LabelGroup
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.metrics import AnswerGroup, ProtocolGroup
from lavad.deployments.cli.terminal.text import escape, show, show_table
from lavad_core.escape import fixed
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from lavad_core.evaluation.compare import Comparison, Difference
    from lavad_core.evaluation.published import PublishedComparison


@guarded
@grouped
def compare(
    *,
    sets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B",
            help="Two runs or imports, by id or name; with --published one, or none for the latest.",
            autocompletion=complete.results,
        ),
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="Against the numbers of the paper's tables.")] = False,
    labels: LabelGroup,
    protocol: ProtocolGroup,
    answer: AnswerGroup,
    store: options.StoreFolder = None,
) -> None:
    """Say whether B is better than A: each metric's difference over the videos that both have, with its interval."""
    from lavad_core.evaluation.compare import compare_results as compared
    from lavad_core.evaluation.compute import evaluate
    from lavad_core.evaluation.options import EvaluationOptions
    from lavad_core.evaluation.published import against_published
    from lavad_core.results.open import open_results

    given = sets or []
    if published and len(given) > 1:
        raise typer.BadParameter(f"{len(given)} sets were given; --published takes one", param_hint="A B")
    if not published and len(given) != 2:
        raise typer.BadParameter(
            f"{len(given)} sets were given; give two ids (`lavad status --all`), or --published", param_hint="A B"
        )
    if published and protocol.sigma:
        raise typer.BadParameter("published numbers are compared unsmoothed", param_hint="--sigma")
    dataset = labels.dataset()
    root = options.store_root(store)
    if published:
        own = evaluate(dataset, open_results(root, given[0] if given else None), EvaluationOptions(resamples=0))
        beside = against_published(own)
        if answer.wants_tables(_document("published-comparison", {"header": asdict(own.header), **asdict(beside)})):
            show_header(own.header)
            _show_published(beside)
        return
    first, second = (open_results(root, name) for name in given)
    comparison = compared(dataset, first, second, protocol.options())
    if answer.wants_tables(_document("comparison", asdict(comparison))):
        _show_comparison(comparison)


def _document(name: str, values: dict[str, object]) -> str:
    return json.dumps({"format": f"lavad-{name}", "version": 1, **values}, indent=1, allow_nan=False) + "\n"


def _show_comparison(comparison: Comparison) -> None:
    from lavad_core.evaluation.types import METRIC_TITLES
    from lavad_core.results.types import in_words

    for name, one in (("A", comparison.a), ("B", comparison.b)):
        show(f"{name}: {escape(in_words(one))}")
    show(
        f"over {number_of(comparison.videos, 'video')} of {escape(comparison.dataset)} that both have, "
        f"{number_of(comparison.frames, 'frame')}, "
        f"{comparison.positive} of them anomalous; A alone has {len(comparison.only_a)}, B alone {len(comparison.only_b)}"
    )
    if comparison.reading:
        show(f"read as: {escape(comparison.reading)}")
    show(f"intervals: {escape(comparison.intervals)}, the same resamples for both")
    _show_recipes(comparison)
    for row in comparison.rows:
        show("")
        show_table(
            (row.title, "A", "B", "A − B", "95 %", "P(B better)"),
            [(title, *_cells(row.metrics[key])) for key, title in METRIC_TITLES.items()],
            right=range(1, 6),
        )
        for reason in dict.fromkeys(found.reason for found in row.metrics.values() if found.reason):
            show(f"–: {escape(reason)}")


def _show_recipes(comparison: Comparison) -> None:
    """How both were made, and what differs."""
    both = {name: text for name, text in comparison.recipe_a.items() if comparison.recipe_b.get(name) == text}
    for name, text in both.items():
        show(f"both: {escape(name)}: {escape(text)}")
    if comparison.differs:
        show("")
        show_table(("differs", "A", "B"), comparison.differs)
    elif comparison.recipe_a:
        show("nothing that results depend on differs between A and B")


def _cells(found: Difference) -> tuple[str, ...]:
    better = fixed(found.b_better, 3, none="")
    return fixed(found.a), fixed(found.b), fixed(found.difference, sign="+"), found.interval, better


def _show_published(beside: PublishedComparison) -> None:
    auc, area = beside.ours.metrics["auc"].value, beside.ours.metrics["pr_auc_trapezoid"].value
    show("")
    show(f"ours: {escape(beside.ours.name)}, AUC {fixed(auc)}, AP as published (trapezoid) {fixed(area)}")
    show_table(
        ("table", "training", "method", "backbone", "AUC", "ours −", "AP", "ours −"),
        [
            (
                found.row.table,
                found.row.training,
                found.row.method,
                found.row.backbone,
                fixed(found.row.auc),
                fixed(found.auc, sign="+"),
                fixed(found.row.ap),
                fixed(found.ap, sign="+"),
            )
            for found in beside.rows
        ],
        right=range(4, 8),
    )
    for note in beside.notes:
        show(f"note: {escape(note)}")
    show(f"source: {escape(beside.source)}")
