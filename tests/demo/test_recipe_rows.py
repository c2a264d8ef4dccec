"""The rows of recipes: which presets they are, on whose models, and what they took."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.small_demonstration import write_demonstration

from lavad.demo import ablations as module
from lavad.demo.ablations import AblationRow, ablations
from lavad.demo.configuration import write_configuration
from lavad.demo.recipe_rows import LEFT_OUT, WITH, RowCost, cost_of_row, recipe_rows
from lavad_core.config.load import load_config, presets
from lavad_core.studies.study_file import Study
from lavad_core.studies.study_runs import StudyBase, planned_rows
from lavad_core.video.discover import discover

ORIGINS = [name for name in presets() if load_config(preset=name).about.origin]


def test_each_recipe_has_a_row_on_the_models_of_the_demonstration_or_a_reason(tmp_path: Path) -> None:
    rows = recipe_rows()
    assert sorted([*LEFT_OUT, *(row.name for row in rows)]) == sorted(ORIGINS), "another preset: see LEFT_OUT"
    assert WITH.keys() <= {row.name for row in rows}
    study = Study(title="recipes", reference=rows[0].name, metrics=("auc",), rows=tuple(rows))
    file = write_configuration(tmp_path)
    demo = load_config(files=[file])
    for row in planned_rows("recipes", study, StudyBase(None, [file], own_preset=False)):
        (config,) = row.configs
        assert config.encoder == demo.encoder
        assert config.chat == demo.chat or "chat" in WITH[row.row.name]
        assert config.captioners == demo.captioners or "captioners" in WITH[row.row.name]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration of small random models with a recipe's row in its store."""
    return write_demonstration(tmp_path_factory.mktemp("demonstration"))


@pytest.fixture(scope="module")
def rows(output: Path) -> dict[str, AblationRow]:
    with pytest.MonkeyPatch.context() as patch:
        kept = [row for row in recipe_rows() if row.name.startswith("zero-shot")]
        patch.setattr(module, "recipe_rows", lambda: kept)
        return {row.name: row for row in ablations(output, ["methods"], lambda text: None)}


def test_a_row_costs_what_its_results_took_whoever_made_them(output: Path, rows: dict[str, AblationRow]) -> None:
    full, *others = rows.values()
    assert full.cost is not None
    assert full.cost.captions == 2 * sum(-(-frames // 16) for frames in (48, 64, 48))
    assert full.cost.requests
    frames, windows = others
    assert (frames.name, windows.name) == ("zero-shot-imagebind", "zero-shot-imagebind-video")
    for row in others:
        assert row.cost is not None
        assert (row.cost.captions, row.cost.requests) == (0, 0)
        assert full.cost.seconds is not None
        assert row.cost.seconds is not None
        assert 0 < row.cost.seconds < full.cost.seconds
    assert frames.cost is not None
    assert windows.cost is not None
    assert (frames.cost.lookahead_s, windows.cost.lookahead_s) == (0.0, 5.0)
    assert (frames.cost.seconds or 0) > 0.1, "the pass over the video counts, though the full method had made it"


def test_found_again_it_costs_the_same_and_without_records_nothing_is_known(
    output: Path, rows: dict[str, AblationRow], tmp_path: Path
) -> None:
    folder = shutil.copytree(output, tmp_path / "copy")
    (again,) = ablations(folder, [], lambda text: None)
    assert again.cost == next(iter(rows.values())).cost
    shutil.rmtree(folder / "ablations")
    (again,) = ablations(folder, [], lambda text: None)
    assert again.cost == RowCost(float("inf"), None, None, None)


def test_a_row_that_imports_values_is_looked_up_by_its_own_keys(tmp_path: Path) -> None:
    folder = write_demonstration(tmp_path)
    tags = folder / "tags.json"
    tags.write_text("{}")
    row = next(row for row in recipe_rows() if row.name == "urf")
    settings = {**row.settings, **row.runs[0], "store": str(folder / "store"), "imports": {"tags": str(tags)}}
    config = load_config(preset="tiny", settings=settings)
    assert cost_of_row(config, discover([folder / "videos"]), {}).seconds is None
