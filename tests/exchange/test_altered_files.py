"""What was changed by hand in the record of an import, or in the numbers of a baseline, is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import lavad
from support.json_files import edit
from support.small_set import dataset_files, scores

from lavad_core.errors import InputError
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.evaluation.threshold import CHOSEN_THRESHOLD
from lavad_core.results.open import open_results


def test_an_import_is_protected_likewise(tmp_path: Path) -> None:
    store = tmp_path / "store"
    options = [*dataset_files(tmp_path / "set"), "--store", str(store)]
    assert lavad("import", "--scores", str(scores(tmp_path / "a")), *options).exit_code == 0
    (record,) = (store / "runs").glob("*.json")
    edit(record, lambda record: record["videos"][0].update(status="failed", message="not liked"))
    assert open_results(store).unscored == {}
    assert lavad("store", "verify", "--store", str(store)).exit_code == 4


def test_a_baseline_that_was_changed_is_refused(tmp_path: Path) -> None:
    options = [*dataset_files(tmp_path / "set"), "--store", str(tmp_path / "store")]
    assert lavad("import", "--scores", str(scores(tmp_path / "a")), *options).exit_code == 0
    baseline = tmp_path / "baseline.json"
    made = lavad("evaluate", *options, "--resamples", "0", "--output", str(baseline))
    assert made.exit_code == 0, made.stderr
    EVALUATION.read(baseline)
    edit(baseline, lambda found: found["rows"][0]["metrics"]["auc"].update(value=0.1))
    with pytest.raises(InputError, match="was changed after it was written"):
        EVALUATION.read(baseline)


def test_a_threshold_that_was_changed_is_refused(tmp_path: Path) -> None:
    options = [*dataset_files(tmp_path / "set"), "--store", str(tmp_path / "store")]
    assert lavad("import", "--scores", str(scores(tmp_path / "a")), *options).exit_code == 0
    chosen = tmp_path / "threshold.json"
    made = lavad("threshold", "--rule", "f1", *options, "--output", str(chosen))
    assert made.exit_code == 0, made.stderr
    CHOSEN_THRESHOLD.read(chosen)
    edit(chosen, lambda found: found.update(threshold=0.01))
    with pytest.raises(InputError, match="was changed after it was written"):
        CHOSEN_THRESHOLD.read(chosen)
