"""docs/first-look.ipynb runs: on a small stand-in, and on the demonstration where `make demo` has made it, as CI does."""

from __future__ import annotations

import ast
import json
import tarfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from support.command import REPOSITORY

NOTEBOOK = json.loads((REPOSITORY / "docs" / "first-look.ipynb").read_text(encoding="utf-8"))
KEPT = REPOSITORY / "tests" / "kept_store" / "kept.tar.gz"
LABELS = "crossing Collision 16 30 -1 -1\nhalle_ü Normal -1 -1 -1 -1\nsequence Fire 12 23 -1 -1\n"
DEMONSTRATION = REPOSITORY / "build" / "demo"
PLACES = ["stand-in", *(["demonstration"] if (DEMONSTRATION / "demo.html").exists() else [])]
"""The demonstration is removed by whoever wants it again, and then the stand-in alone is looked at."""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """The kept store as if it were a demonstration's."""
    folder = tmp_path / "build" / "demo"
    folder.mkdir(parents=True)
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    (folder / "labels.txt").write_text(LABELS, encoding="utf-8")
    # Its latest results are an import, which has no texts; what is looked at is a run.
    imported = max((folder / "store" / "runs").iterdir()).stem
    for path in (folder / "store" / "runs").glob(f"{imported}.*"):
        path.unlink()
    return tmp_path


def run(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """What the names are when the last cell has run, with what each cell shows in ``shown``."""
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        tree = ast.parse("".join(cell["source"]), cell["id"])
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell["id"], "exec"), names)  # the notebook's own code
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), cell["id"], "eval"), names))
    return {**names, "shown": shown}


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_runs(
    place: str, stand_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(stand_in if place == "stand-in" else REPOSITORY / "docs")
    plt.switch_backend("agg")
    try:
        found = run([cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"])
    finally:
        plt.close("all")
    said = capsys.readouterr().out
    assert "videos with scores" in said
    assert all(kind in said for kind in ("caption", "cleaned", "summary"))
    metrics, what_if = found["metrics"], found["what_if"]
    assert isinstance(metrics, pd.DataFrame)
    assert 0 <= metrics["refined"]["auc"] <= 1
    assert what_if["anomalous videos found"].is_monotonic_decreasing
    if place == "demonstration":
        assert metrics["refined"]["auc"] > 0.95
        assert what_if["anomalous videos found"][0.5] == 12


def test_it_is_kept_without_results_and_without_paths_of_a_machine() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
