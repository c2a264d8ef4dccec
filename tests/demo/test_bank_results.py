"""What a bank of the small world's sentences makes of the demonstration's encoder, on a seed that nothing was tuned on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from lavad.demo import recipe_rows as module
from lavad.demo import world
from lavad.demo.baselines import trivial_metrics
from lavad.demo.configuration import write_configuration
from lavad.demo.recipe_rows import WITH
from lavad_core.config.load import load_config
from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.local_run import score_videos
from lavad_core.results.types import ResultSet

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


def scored(output: Path, preset: str, settings: Mapping[str, Any]) -> ResultSet:
    given = {**settings, "run": {"targets": ["detect", "evaluate"]}}
    config = load_config(preset=preset, files=[output / "lavad.yaml"], settings=given, environ={})
    return score_videos(config, [output / "videos"])


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["bank", "nova", "flashback"])
def test_it_is_well_above_motion(preset: str, output: Path, motion: float) -> None:
    results = scored(output, preset, WITH[preset])
    assert results.record is not None
    assert results.record.metrics is not None
    auc = results.record.metrics["roc_auc"]
    assert auc >= motion + 0.15, (auc, motion)
    assert auc >= 0.8


DEFINITIONS = {
    "file": str(Path(module.__file__).parent / "definitions.yaml"),
    "normal": [
        "an empty street",
        "an empty yard at night",
        "a man walks",
        "a woman walks a dog",
        "a man stands in a shop",
    ],
}


@pytest.mark.slow
def test_definitions_say_which_kind_most_events_are(output: Path) -> None:
    """By kind: the part of an event's frames, of the third with the highest scores, that have its own kind. Chance is 1/8."""
    own = {"anomalous_prefix": "", "normal_prefix": ""}
    results = scored(output, "bank", {"definitions": DEFINITIONS, "bank": own})
    right = {}
    for truth in world.read_truth(output):
        for event in truth.events:
            video = results.scores(truth.name)
            assert video.kinds is not None
            inside = [at for at, frame in enumerate(video.grid.tolist()) if event.first <= frame <= event.last]
            best = sorted(inside, key=lambda at: -video.scores[at])[: max(1, len(inside) // 3)]
            right[event.kind] = sum(video.kinds[at] == event.kind for at in best) / len(best)
    assert len(right) == 8
    assert sum(share >= 0.5 for share in right.values()) >= 5, right
    assert fmean(right.values()) >= 0.6, right
