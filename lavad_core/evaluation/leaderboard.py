"""Published results on a data set and one's own, in one table that says how unlike they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal

import yaml

from lavad_core.config.header import FITTED, LOOKS_AHEAD, TO_THE_END, header_of, looks_ahead
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError
from lavad_core.escape import fixed
from lavad_core.evaluation.published import published_rows, published_sizes, published_source
from lavad_core.evaluation.types import Evaluation
from lavad_core.results.types import in_words
from lavad_core.suggest import did_you_mean

Figures = Literal["paper", "recomputed", "claim", "ours"]

NOT_KNOWN = "not known"

TABLES = ("1", "2")
"""Tables of the paper that compare methods; the others are of LAVAD alone."""

PROTOCOL = ("smoothing", "labels", "lookahead", "fitted")
"""What makes two numbers unlike: names of fields of a row."""

LAVAD_LOOKAHEAD = "whole video"
"""Cleaning and refinement draw on all of it."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One result."""

    method: str
    """The method, with what tells it from others of its name."""
    source: str
    """Where the figures come from."""
    training: str
    """How much training it needs, as the paper's tables group methods."""
    figures: Figures
    """``paper``: of the paper's table; ``recomputed`` here from published scores; ``claim``: of its authors alone; ``ours``."""
    auc: float | None
    """ROC AUC, 0 … 1; None where there is none."""
    ap: float | None
    """Average precision, 0 … 1; of a ``claim`` as its authors made it, which is not stated. None where there is none."""
    ap_trapezoid: float | None
    """Area under the precision-recall curve by trapezoids, which programs after XD-Violence's print as AP; None likewise."""
    smoothing: str
    """Whether and how scores were smoothed."""
    labels: str
    """The labels that it is over."""
    lookahead: str
    """How far ahead of its own time a score looks."""
    fitted: str
    """Constants that were chosen with the test set in sight."""
    unlike: tuple[str, ...] = ()
    """The protocol's columns in which it differs from the first of our rows, or from LAVAD's where there is none; with a
    question mark where one of both is not known. A row that has any is not to be compared without a word."""


@dataclass(frozen=True)
class Leaderboard:
    """The table of one data set."""

    dataset: str
    """Key of the data set."""
    rows: tuple[LeaderboardRow, ...]
    """The best first."""
    notes: tuple[str, ...]
    """What a reader has to know, one sentence each."""


@functools.cache
def later_methods() -> tuple[tuple[str, LeaderboardRow], ...]:
    """Key of a data set and a result on it, of methods after the paper."""
    text = files("lavad_core.evaluation").joinpath("leaderboard.yaml").read_text(encoding="utf-8")
    found = []
    for row in yaml.safe_load(text)["methods"]:
        given = {name: row[name] for name in ("method", "source", "figures", "smoothing", "lookahead", "fitted")}
        for dataset, (auc, ap) in row["numbers"].items():
            labels = "published" if row["figures"] == "recomputed" else NOT_KNOWN
            numbers: dict[str, Any] = {"auc": _part(auc), "ap": _part(ap), "ap_trapezoid": None}
            found.append((dataset, LeaderboardRow(training="training-free", labels=labels, **numbers, **given)))
    return tuple(found)


def leaderboard_datasets() -> list[str]:
    """Keys of the data sets that have published results."""
    return sorted({*(row.dataset for row in published_rows()), *(dataset for dataset, _ in later_methods())})


def leaderboard(dataset: str, own: Sequence[LeaderboardRow] = ()) -> Leaderboard:
    """The published results on a data set, and one's own among them.

    Args:
        dataset: key of its adapter.
        own: rows of :func:`own_rows`.

    Raises:
        InputError: nothing is published on it here.
    """
    known = leaderboard_datasets()
    if dataset not in known:
        raise InputError(
            f"no published results on {dataset!r} are known here; they are on {', '.join(known)}"
            + did_you_mean(dataset, known)
        )
    rows = [*own, *_of_paper(dataset), *(row for key, row in later_methods() if key == dataset)]
    reference = own[0] if own else next((row for row in rows if row.method == "LAVAD"), None)
    ordered = sorted(rows, key=functools.partial(_rank, by_ap=dataset == "xd-violence"))
    return Leaderboard(dataset, tuple(_marked(row, reference) for row in ordered), tuple(_notes(rows, own, reference)))


def own_rows(evaluation: Evaluation) -> list[LeaderboardRow]:
    """The final scores of an evaluation, unsmoothed and smoothed, named by their run or import."""
    header, final = evaluation.header, evaluation.rows[0].name
    found = {"videos": header.scored, "frames": header.frames, "positive": header.positive}
    labels = labels_in_words(header.adapter, found, header.reading)
    switches = header.recipe.get("switches", "")
    whole = "clean on" in switches or "refine on" in switches
    lookahead = LAVAD_LOOKAHEAD if whole else _ahead(header.recipe.get(LOOKS_AHEAD, NOT_KNOWN))
    rows = []
    for row in evaluation.rows:
        if row.name != final:
            continue
        numbers = {key: row.metrics[key].value for key in ("auc", "average_precision", "pr_auc_trapezoid")}
        steps = (header.results.get("smoothing", ""), row.label.removeprefix(row.name).strip())
        smoothing = ", then ".join(filter(None, steps)) or "none"
        rows.append(
            LeaderboardRow(
                method=in_words({name: text for name, text in header.results.items() if name != "smoothing"}),
                source="this store",
                training="",
                figures="ours",
                auc=numbers["auc"],
                ap=numbers["average_precision"],
                ap_trapezoid=numbers["pr_auc_trapezoid"],
                smoothing=smoothing,
                labels=labels,
                lookahead=lookahead,
                fitted=header.recipe.get(FITTED, NOT_KNOWN),
            )
        )
    return rows


def made_by(configs: Sequence[LavadConfig]) -> dict[str, str]:
    """How the scores of a row's runs are made: the protocol's columns but for the labels."""
    known = [
        {
            "smoothing": config.smooth.in_words or "none",
            "lookahead": _ahead(looks_ahead(config)),
            "fitted": header_of(config).get(FITTED, NOT_KNOWN),
        }
        for config in configs
    ]
    return {name: " or ".join(dict.fromkeys(one[name] for one in known)) for name in PROTOCOL if name != "labels"}


def _ahead(text: str) -> str:
    return LAVAD_LOOKAHEAD if text == TO_THE_END else text


def labels_in_words(adapter: str, found: Mapping[str, int], reading: str) -> str:
    """Which labels numbers are over.

    Args:
        adapter: key of the data set.
        found: how many ``videos``, ``frames`` and ``positive`` frames were scored.
        reading: what the user said about the files; empty if nothing.
    """
    sizes = published_sizes(adapter) if any(row.dataset == adapter for row in published_rows()) else {}
    others = [f"{found[what]} {what} instead of {size}" for what, size in sizes.items() if found[what] != size]
    return ", ".join(others) or ("published" if sizes and not reading else reading or NOT_KNOWN)


def _part(per_cent: float | None) -> float | None:
    return None if per_cent is None else round(per_cent / 100, 6)


def _of_paper(dataset: str) -> Iterator[LeaderboardRow]:
    for row in published_rows():
        if row.dataset != dataset or row.table not in TABLES:
            continue
        ours = row.method == "LAVAD"
        yield LeaderboardRow(
            method=f"{row.method} ({row.backbone})" if row.backbone and not ours else row.method,
            source=f"{published_source()}, Table {row.table}",
            training=row.training,
            figures="paper",
            auc=row.auc,
            ap=None,
            ap_trapezoid=row.ap,
            smoothing="none" if ours else NOT_KNOWN,
            labels="published" if ours else NOT_KNOWN,
            lookahead=LAVAD_LOOKAHEAD if ours else NOT_KNOWN,
            fitted="T, N and prompts: ablations are on the test set" if ours else NOT_KNOWN,
        )


def _rank(row: LeaderboardRow, by_ap: bool) -> tuple[bool, float]:
    ap = row.ap_trapezoid if row.ap is None else row.ap
    value = ap if by_ap else row.auc
    return value is None, -(value if value is not None else row.auc or 0.0)


def _marked(row: LeaderboardRow, reference: LeaderboardRow | None) -> LeaderboardRow:
    if reference is None or row is reference:
        return row
    return replace(row, unlike=tuple(_unlike(row, reference)))


def _unlike(row: LeaderboardRow, reference: LeaderboardRow) -> Iterator[str]:
    for name in PROTOCOL:
        one, other = getattr(row, name), getattr(reference, name)
        if NOT_KNOWN in (one, other):
            yield f"{name}?"
        elif one != other:
            yield name


def _notes(
    rows: Sequence[LeaderboardRow], own: Sequence[LeaderboardRow], reference: LeaderboardRow | None
) -> Iterator[str]:
    if reference is not None:
        yield (
            f"unlike, or ≠: the columns in which a row differs from {'the first of ours' if own else 'LAVAD as published'}, "
            "with ? where one of both is not known; the order of such rows says nothing"
        )
    if any(row.figures == "claim" for row in rows):
        yield (
            "a claim stands in its paper alone, and how its AP was made is not stated; recomputed figures were worked out here "
            "from scores that the authors published"
        )
    if any(row.figures == "paper" and row.ap_trapezoid is not None for row in rows):
        yield (
            "the paper's AP is the area by trapezoids, as the programs behind it work it out; average precision is another "
            "number on scores with few values"
        )
    if not own:
        yield "none of your results are in it: give --labels, with --run or for the latest run, --evaluation or --study"


FOLDED = ("method", "AUC", "AP", "AP trap.", "figures", "smoothing", "labels", "look-ahead", "fitted", "from")
"""Columns of :func:`folded`."""

ROOM = 11
"""Characters of a cell of the protocol; a longer text stands below the table."""

UNLIKE = " ≠"
"""Mark of a protocol's cell that differs."""


def folded(board: Leaderboard) -> tuple[list[list[str]], list[str]]:
    """The rows for a terminal or a page of paper, as long as :data:`FOLDED`, and their footnotes: long texts, and where each
    row is from, by number. What differs from the row that the others are compared with is marked."""
    notes: dict[str, int] = {}

    def note(text: str) -> str:
        return f"[{notes.setdefault(text, len(notes) + 1)}]"

    def protocol(row: LeaderboardRow, name: str) -> str:
        text: str = getattr(row, name)
        if text == NOT_KNOWN:
            return "?"
        mark = UNLIKE if name in row.unlike else ""
        return (text if len(text) <= ROOM else note(text)) + mark

    rows = []
    for row in board.rows:
        method, *numbers = cells(row)[:4]
        own = [protocol(row, name) for name in PROTOCOL]
        rows.append([method, *numbers, row.figures, *own, note(f"{row.training or 'your own'}; {row.source}")])
    return rows, [f"[{number}] {text}" for text, number in notes.items()]


HEADERS = (
    "method", "AUC", "AP", "AP (trapezoid)", "figures", "training", "smoothing", "labels", "look-ahead", "fitted on test",
    "unlike", "source",
)  # fmt: skip


def cells(row: LeaderboardRow) -> list[str]:
    """The texts of a row, as long as :data:`HEADERS`; numbers in per cent, as papers have them."""
    numbers = [
        fixed(None if value is None else 100 * value, 2, none="") for value in (row.auc, row.ap, row.ap_trapezoid)
    ]
    protocol = [getattr(row, name) for name in PROTOCOL]
    return [row.method, *numbers, row.figures, row.training, *protocol, ", ".join(row.unlike), row.source]
