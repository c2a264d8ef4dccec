"""Cells that a spreadsheet would compute, zeros below zero, and names that are longer than a screen."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from support import small_set
from support.command import lavad
from support.filled_store import fill

from lavad.deployments.cli.terminal.text import show_csv, show_table
from lavad_core.escape import escape_cell, fixed, is_formula
from lavad_core.exports.tables import write_csv, write_json
from lavad_core.imports.per_video import ImportSources
from lavad_core.plain_text import MAX_WIDTH
from lavad_core.reports.html import LONGEST_PART, _breakable
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import

FORMULAS = {
    "plain": "=1+1", "plus": "+1", "minus": "-1", "at": "@SUM(A1)", "behind a space": " =1+1", "behind spaces": "   =1+1",
    "behind a tab": "\t=1+1", "behind a line break": "\n=1+1", "behind a carriage return": "\r=1+1",
    "behind a space that does not break": "\u00a0=1+1", "behind an ideographic space": "\u3000=1+1",
    "behind a byte order mark": "\ufeff=1+1", "behind a space without width": "\u200b=1+1",
    "behind a quote": '"=1+1', "behind a quote and a space": '" =1+1', "behind an apostrophe": "'=1+1",
    "full-width": "\uff1d1+1", "full-width plus": "\uff0b1", "full-width minus": "\uff0d1", "full-width at": "\uff20SUM",
    "small plus": "\ufe621", "small equals": "\ufe661", "superscript plus": "\u207a1", "a minus sign": "\u22121",
    "full-width behind a space": " \uff1d1", "a leading tab alone": "\tx", "a control character": "\x1b=1",
}  # fmt: skip

TEXTS = {
    "words": "a man = a woman", "a number": "1+1", "a mark in the middle": "a@b", "nothing": "", "spaces": "   ",
    "a quotation": '"he said"', "another script": "\u4e2d\u6587", "a bracket": "(=1)",
}  # fmt: skip


@pytest.mark.parametrize("word", FORMULAS)
def test_a_formula_is_text(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_formula(FORMULAS[word])
    cell = escape_cell(FORMULAS[word])
    assert isinstance(cell, str)
    assert cell.startswith("'")
    assert cell.isprintable()
    show_csv(["a"], [[FORMULAS[word]]])
    assert next(iter(list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]))[0] == cell


@pytest.mark.parametrize("word", TEXTS)
def test_a_text_stays_as_it_is(word: str) -> None:
    assert escape_cell(TEXTS[word]) == TEXTS[word]


def test_an_export_has_no_formula_and_no_zero_below_zero(tmp_path: Path) -> None:
    said = {name: dict.fromkeys(small_set.grid(name), " \uff1d1+1") for name in small_set.FRAMES}
    zero = {name: dict.fromkeys(small_set.grid(name), -0.0) for name in small_set.FRAMES}
    sources = ImportSources(
        scores=small_set.write(tmp_path / "s", zero),
        captions={" =captioner": small_set.write(tmp_path / "c", said)},
        summaries=small_set.write(tmp_path / "t", said),
    )
    record_import(tmp_path / "store", sources, small_set.dataset(tmp_path / "set"))
    found = open_results(tmp_path / "store")
    write_csv(found, tmp_path / "t.csv")
    write_json(found, tmp_path / "t.json")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert all(not is_formula(cell.removeprefix("'")) or cell.startswith("'") for row in rows for cell in row)
    assert {row[3] for row in rows[1:]} == {"0.0"}
    assert "-0.0" not in (tmp_path / "t.json").read_text()  # "-0" alone may be part of the run's id


@pytest.mark.parametrize("form", ["json", "npy", "csv", "segments"])
def test_minus_zero_is_zero_in_every_form(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in small_set.FRAMES:
        count = len(small_set.grid(name))
        if form == "npy":
            np.save(folder / f"{name}.npy", np.full(count, -0.0))
        elif form == "csv":
            (folder / f"{name}.csv").write_text("-0.0\n" * count)
        else:
            (folder / f"{name}.json").write_text(json.dumps(dict.fromkeys(small_set.grid(name), -0.0)))
    sources = ImportSources(scores=folder)
    if form == "segments":
        (tmp_path / "s.csv").write_text(
            "video,start,end,score\n" + "".join(f"{n},0,9,-0.0\n" for n in small_set.FRAMES)
        )
        sources = ImportSources(segments=tmp_path / "s.csv")
    record_import(tmp_path / "store", sources, small_set.dataset(tmp_path / "set"))
    found = open_results(tmp_path / "store")
    assert not any(np.signbit(found.scores(name).scores).any() for name in found.names)


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0, "0.000"), (-1e-9, "0.000"), (-0.0004, "0.000"), (-0.0006, "-0.001"), (0.25, "0.250")]
)
def test_a_number_that_rounds_to_zero_has_no_minus(
    value: float, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fixed(value, 3) == shown
    show_table(["a"], [[value]])
    assert capsys.readouterr().out.split() == ["a", shown]


def test_a_long_name_does_not_widen_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 251
    show_table(["video", "status", "seconds"], [[long, "ok", 1.0], ["short", "ok", 2.0]], right=(2,))
    head, first, second = capsys.readouterr().out.splitlines()
    assert long in first
    assert max(len(head), len(second)) <= MAX_WIDTH


@pytest.mark.parametrize("command", [("status",), ("status", "--all"), ("store", "ls")])
def test_tables_of_commands(command: tuple[str, ...], tmp_path: Path) -> None:
    fill(tmp_path, "x" * 251, "short")
    found = lavad(*command, "--store", str(tmp_path))
    assert found.exit_code == 0
    lines = [line for line in found.stdout.splitlines() if "x" * 251 not in line and "captioners: " not in line]
    assert max(map(len, lines)) < 251


def test_a_long_name_breaks_on_a_page() -> None:
    broken = _breakable("x" * 251 + "_short<b>")
    assert max(len(piece) for piece in broken.split("<wbr>")) <= LONGEST_PART + len("&lt;b&gt;")
    assert "<b>" not in broken.replace("<wbr>", "")
