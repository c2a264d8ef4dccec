"""Pictures of studies: curves over an axis, and bars."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.command import lavad
from test_study_tables import table_of

from lavad_core.errors import ConfigError, InputError
from lavad_core.studies.study_file import shipped_studies
from lavad_core.studies.study_plot import AXES, plot_study
from lavad_core.studies.study_run import save_table
from lavad_core.studies.study_runs import StudyBase, planned_rows
from lavad_core.studies.study_table import StudyTable


def drawn(table: StudyTable, folder: Path) -> str:
    plot_study(table, folder / "x.svg")
    return (folder / "x.svg").read_text()


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_has_a_picture_of_its_kind(name: str, tmp_path: Path) -> None:
    table = table_of(name)
    svg = drawn(table, tmp_path)
    own = [number for number, row in enumerate(table.rows) if not row.quoted]
    if table.axes:
        assert svg.count('id="ours"') == len(table.metrics) * len(table.axes)
        assert all(f">{AXES[axis]}<" in svg for axis in table.axes)
    else:
        assert all(svg.count(f'id="bar-{number}"') == len(table.metrics) for number in own)
    assert ('id="paper"' in svg) == bool(table.stands_for.startswith("Table"))
    plot_study(table, tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").width >= 700


def test_a_curve_leaves_out_what_differs_on_another_axis(tmp_path: Path) -> None:
    table = table_of("table8")
    assert {row.at["window.duration_s"] for row in table.rows} == {2.5, 5, 10, 20}
    ticks = [re.findall(r">([\d.]+)<", part) for part in drawn(table, tmp_path).split('id="axes_')[1:]]
    assert [("2.5" in one, "20" in one) for one in ticks] == [(True, True), (False, True)]


def test_rows_of_a_group_stand_together_in_the_colours_of_their_series(tmp_path: Path) -> None:
    table = table_of("table4")
    rows = [
        replace(row, group=f"prompt {number // 2}", series=("$one$", "two_b")[number % 2])
        for number, row in enumerate(table.rows)
    ]
    svg = drawn(replace(table, rows=tuple(rows)), tmp_path)
    assert all(svg.count(f">{name}<") == 1 for name in ("prompt 0", "prompt 1", "$one$", "two_b", "paper"))


def test_the_same_study_is_the_same_bytes(tmp_path: Path) -> None:
    assert drawn(table_of("table6"), tmp_path) == drawn(table_of("table6"), tmp_path)


def test_without_a_value_nothing_is_drawn(tmp_path: Path) -> None:
    table = table_of("table3")
    bare = [
        replace(row, cells={key: replace(cell, ours=None) for key, cell in row.cells.items()}) for row in table.rows
    ]
    with pytest.raises(InputError, match="'table3' has no values to plot"):
        plot_study(replace(table, rows=tuple(bare)), tmp_path / "x.svg")


def test_an_axis_is_a_setting_with_a_number() -> None:
    study = shipped_studies()["fig6"].model_copy(update={"axes": ("refine.enabled",)})
    with pytest.raises(ConfigError, match=r"'refine\.enabled' is not a setting with a number"):
        planned_rows("mine", study, StudyBase())


def test_a_curve_over_the_smoothing_begins_at_scores_that_are_not_smoothed() -> None:
    rows = planned_rows("smoothing", shipped_studies()["smoothing"], StudyBase())
    assert [row.at["smooth.sigma_s"] for row in rows] == [0.0, 0.5, 1.0, 2.0, 5.333, 10.0]
    assert {row.configs[0].smooth.kind for row in rows[1:]} == {"gaussian"}
    assert rows[0].configs[0].smooth.kind == "none"


def test_the_command_draws_the_latest_table(tmp_path: Path) -> None:
    store = tmp_path / "store"
    save_table(store, table_of("fig6"), "20260101T000000Z-000000")
    for kind in ("svg", "png"):
        done = lavad(
            "study", "show", "fig6", "--store", str(store), "--format", kind, "--output", str(tmp_path / f"x.{kind}")
        )
        assert done.exit_code == 0, done.stderr
        assert (tmp_path / f"x.{kind}").stat().st_size > 5000


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--format", "svg"], id="no file"),
        pytest.param(["--format", "svg", "--output", "x.png"], id="another ending"),
        pytest.param(["--output", "x.svg"], id="no picture"),
    ],
)
def test_a_picture_is_a_file_of_its_kind(arguments: list[str], tmp_path: Path) -> None:
    done = lavad("study", "show", "fig6", "--store", str(tmp_path), *arguments)
    assert done.exit_code == 2
    assert "--output FILE." in done.stderr
    assert "goes to stdout" in " ".join(done.stderr.split())
