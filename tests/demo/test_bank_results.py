"""What a bank of the small world's sentences makes of the demonstration's encoder, on a seed that nothing was tuned on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lavad.demo import world
from lavad.demo.baselines import trivial_metrics
from lavad.demo.configuration import write_configuration
from lavad.demo.recipe_rows import WITH
from lavad_core.config.load import load_config
from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.local_run import score_videos

CLIPS = 16
"""Each of the eight kinds of events once."""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demonstration")
    write_configuration(folder)
    world.write_set(folder, seed=5, clips=CLIPS)
    return folder


@pytest.fixture(scope="module")
def motion(output: Path) -> float:
    """ROC AUC of scores that need no model."""
    truths, given = world.read_truth(output), read_annotations(output / "labels.txt")
    labels = np.concatenate([labels_from_intervals(given[t.name].intervals, t.frames)[0] for t in truths])
    found = trivial_metrics(output, truths, labels)["motion energy"]["roc_auc"]
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["bank", "nova", "flashback"])
def test_it_is_well_above_motion(preset: str, output: Path, motion: float) -> None:
    config = load_config(
        preset=preset,
        files=[output / "lavad.yaml"],
        settings={**WITH[preset], "run": {"targets": ["detect", "evaluate"]}},
        environ={},
    )
    results = score_videos(config, [output / "videos"])
    assert results.record is not None
    assert results.record.metrics is not None
    auc = results.record.metrics["roc_auc"]
    assert auc >= motion + 0.15, (auc, motion)
    assert auc >= 0.8
