"""The table of a study from results at hand: the paper's numbers, quotes, differences, and the texts for papers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import lavad
from support.sets import random_set

from lavad_core.evaluation.leaderboard import made_by
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.published import published_rows
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.results.types import ResultSet
from lavad_core.studies import study_text
from lavad_core.studies.study_file import parse_study, shipped_studies
from lavad_core.studies.study_run import save_table
from lavad_core.studies.study_runs import StudyBase, planned_rows
from lavad_core.studies.study_table import STUDY, RowResults, StudyTable, measured_rows, notes_of, source_of

OPTIONS = EvaluationOptions(resamples=50)


def table_of(name: str, adapter: str = "own") -> StudyTable:
    """A shipped study whose every run has the same scores."""
    study = shipped_studies()[name]
    dataset, results = random_set(1, 6)
    dataset = replace(dataset, adapter=adapter)
    served = {row.chat: "http://localhost:8000/v1" for row in study.rows if row.chat}
    planned = planned_rows(name, study, StudyBase(stand_ins=served))
    rows = [
        RowResults(one.row, [] if one.row.quoted else [results], {}, at=one.at, made=made_by(one.configs))
        for one in planned
    ]
    measured = measured_rows(study, rows, dataset, 6, OPTIONS)
    return StudyTable(
        name, study.title, study.stands_for, study.reference, study.metrics, measured, dataset.title, source_of(study),
        OPTIONS.intervals, tuple(notes_of(study, measured, dataset)), "2026-01-01T00:00:00Z", 1.0, {}, {}, {}, study.axes,
        adapter,
    )  # fmt: skip


@pytest.mark.parametrize("name", [f"table{number}" for number in range(1, 9)])
def test_the_paper_s_numbers_are_printed_as_its_table_has_them(name: str) -> None:
    table = table_of(name)
    number = name.removeprefix("table")
    printed = {
        "markdown": study_text.as_markdown(table),
        "latex": study_text.as_latex(table),
        "csv": "\n".join(",".join(row) for row in study_text.cells(table)),
    }
    expected = [row for row in published_rows() if row.table == number]
    own = {row.name for row in shipped_studies()[name].rows if row.paper is None}
    rows = [row for row in table.rows if row.name not in own]
    assert [row.cells["auc"].paper for row in rows] == [row.auc for row in expected]
    if "pr_auc_trapezoid" in table.metrics:
        assert [row.cells["pr_auc_trapezoid"].paper for row in rows] == [row.ap for row in expected]
    for row in expected:
        for value in (row.auc, row.ap):
            assert value is None or all(f"{value * 100:.2f}" in text for text in printed.values())
    assert f"Table {number}" in printed["markdown"]


@pytest.mark.parametrize("name", shipped_studies())
def test_show_names_the_paper_s_table_and_prints_each_of_its_numbers_in_its_row(name: str, tmp_path: Path) -> None:
    table = table_of(name)
    save_table(tmp_path, table, "20260101T000000Z-000000")
    shown = lavad("study", "show", name, "--store", str(tmp_path))
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith(f"{table.stands_for}: {table.title}. " if table.stands_for else f"{table.title}. ")
    cells = list(
        csv.reader(io.StringIO(lavad("study", "show", name, "--store", str(tmp_path), "--format", "csv").stdout))
    )
    expected = [row for row in published_rows() if f"Table {row.table}" == table.stands_for]
    for metric, published in (("auc", "auc"), ("pr_auc_trapezoid", "ap")):
        if metric in table.metrics:
            column = cells[0].index(f"{METRIC_TITLES[metric]} paper")
            given = [getattr(row, published) for row in expected]
            own = [row.name for row in shipped_studies()[name].rows if row.paper is None]
            printed = [line[column] for line in cells[1:] if not any(line[0].startswith(row) for row in own)]
            assert printed == ["" if one is None else f"{100 * one:.2f}" for one in given]
            assert all(one is None or f"{100 * one:.2f}" in shown.stdout for one in given)


def test_ours_is_compared_with_the_paper_s_on_its_data_set_alone() -> None:
    other, same = table_of("table3"), table_of("table3", "ucf-crime")
    assert {row.cells["auc"].to_paper for row in other.rows} == {None}
    for row in same.rows:
        cell = row.cells["auc"]
        assert cell.ours is not None
        assert cell.paper is not None
        assert cell.to_paper == pytest.approx(cell.ours - cell.paper)
    assert any("not compared" in note for note in other.notes)
    assert any("not the published test set: 6 videos instead of 290" in note for note in same.notes)


def test_rows_stand_among_published_results_with_their_own_protocol(tmp_path: Path) -> None:
    save_table(tmp_path, table_of("table1", "ucf-crime"), "20260101T000000Z-000000")
    done = lavad("leaderboard", "ucf-crime", "--study", "table1", "--store", str(tmp_path), "--json")
    assert done.exit_code == 0, done.stderr
    ours = {row["method"]: row for row in json.loads(done.stdout)["rows"] if row["figures"] == "ours"}
    assert list(ours) == [f"{row.name} (table1)" for row in shipped_studies()["table1"].rows if not row.quoted]
    looked = {name: row["lookahead"] for name, row in ours.items()}
    assert looked["ZS CLIP (table1)"] == "0 s"
    assert looked["ZS ImageBind (video) (table1)"] == "5 s"
    assert looked["LAVAD (table1)"] == "whole video"
    row = ours["LAVAD (table1)"]
    assert (row["smoothing"], row["source"]) == ("none", "Table 1, this store")
    assert row["labels"].startswith("6 videos instead of 290, ")
    assert "window.duration_s" in row["fitted"]
    assert row["auc"] == table_of("table1").rows[-1].cells["auc"].ours
    assert "lookahead" in ours["LAVAD (table1)"]["unlike"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"adapter": "annotation"}, "is on 'annotation', and not on 'ucf-crime'", id="another data set"),
        pytest.param({"rows": None}, "run the study again", id="of an earlier version"),
    ],
)
def test_a_table_that_cannot_stand_among_them(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    table = table_of("table3", "ucf-crime")
    rows = tuple(replace(row, protocol={}) for row in table.rows)
    save_table(
        tmp_path, replace(table, **change | {"rows": rows} if "rows" in change else change), "20260101T000000Z-0"
    )
    done = lavad("leaderboard", "ucf-crime", "--study", "table3", "--store", str(tmp_path))
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


def test_a_difference_below_zero_is_a_number_in_csv_and_has_a_minus_sign_in_latex(tmp_path: Path) -> None:
    table = table_of("table3")
    first = table.rows[0]
    below = replace(first, cells={**first.cells, "auc": replace(first.cells["auc"], to_paper=-0.0138)})
    table = replace(table, rows=(below, *table.rows[1:]))
    save_table(tmp_path, table, "20260101T000000Z-000000")
    printed = lavad("study", "show", "table3", "--store", str(tmp_path), "--format", "csv").stdout
    headers, *rows = csv.reader(io.StringIO(printed))
    assert rows[0][headers.index("ours − paper")] == "-1.38"
    assert "& $-$1.38 &" in study_text.as_latex(table)


def test_rows_that_are_quoted_have_nothing_of_ours() -> None:
    table = table_of("table1")
    quoted = [row for row in table.rows if row.quoted]
    assert len(quoted) == len(table.rows) - len(shipped_studies()["table1"].rows)
    assert {row.cells["auc"].ours for row in quoted} == {None}
    assert not any(row.partial for row in quoted)
    assert "CLIP-TSA (quoted, weakly-supervised, ViT)" in [study_text.title(table, row) for row in table.rows]


def test_equal_scores_differ_by_nothing() -> None:
    for row in table_of("table4").rows:
        cell = row.cells["auc"]
        if row.name != "impersonation":
            assert (cell.to_reference, cell.low, cell.high) == (0, 0, 0)


def test_a_row_without_any_video_has_no_numbers_and_says_so() -> None:
    text = {"title": "x", "reference": "all", "metrics": ["auc"], "rows": [{"name": "all"}, {"name": "none"}]}
    study = parse_study(yaml.safe_dump(text), "x.yaml")
    dataset, results = random_set(1, 4)
    nothing = ResultSet("", "run", [], {}, results.recipe, results.opened)
    failed = dict.fromkeys(results.names, "it is damaged")
    rows = [RowResults(study.rows[0], [results], {}), RowResults(study.rows[1], [nothing], failed)]
    measured = measured_rows(study, rows, dataset, 4, OPTIONS)
    assert (measured[1].partial, measured[1].cells["auc"].ours) == ("partial: 0 of 4 videos", None)
    assert measured[1].cells["auc"].reason == "no video has scores"
    (note,) = notes_of(study, measured, dataset)
    assert note.endswith("it is damaged")


def test_a_table_is_read_as_it_was_written() -> None:
    table = table_of("table7")
    assert STUDY.parse(STUDY.text(table)) == table


def test_every_metric_has_a_column() -> None:
    table = table_of("table5")
    headers = study_text.headers(table)
    assert len(headers) == 2 + 5 * 2
    assert all(any(METRIC_TITLES[metric] in header for header in headers) for metric in table.metrics)
    assert all(len(row) == len(headers) for row in study_text.cells(table))


def test_names_are_inert_in_markdown_and_latex() -> None:
    table = table_of("table4")
    row = replace(table.rows[0], name="a|b_50% & <c>\\")
    table = replace(table, rows=(row, *table.rows[1:]))
    assert r"a\|b\_50% & \<c\>\\" in study_text.as_markdown(table)
    assert r"a|b\_50\% \& <c>\textbackslash{}" in study_text.as_latex(table)
