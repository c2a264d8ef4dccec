"""What the method makes of the demonstration's models: results, not shapes. The seed is one that nothing was tuned on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lavad.demo import ablations as module
from lavad.demo import grammar, world
from lavad.demo.ablations import AblationRow, ablations
from lavad.demo.clip import Truth
from lavad.demo.configuration import CONFIGURATION, write_configuration
from lavad.demo.training.summaries import summary as true_summary
from lavad_core.config.load import load_config
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.discover import discover

SEED = 5
CLIPS = 16
"""Each of the eight kinds of events once."""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered clips, and the demonstration's configuration for them."""
    folder = tmp_path_factory.mktemp("demonstration")
    write_configuration(folder)
    world.write_set(folder, seed=SEED, clips=CLIPS)
    (folder / "store").mkdir()
    return folder


@pytest.fixture(scope="module")
def rows(output: Path) -> dict[str, AblationRow]:
    """The full method, and scores without a model."""
    return by_name(ablations(output, ["trivial"], lambda text: None))


def by_name(measured: list[AblationRow]) -> dict[str, AblationRow]:
    return {row.name if row.group != module.FULL else module.FULL: row for row in measured}


@pytest.fixture(scope="module")
def stored(
    output: Path, rows: dict[str, AblationRow], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Clip to stage to rows, of the full method. Segments are made here: the metrics do without."""
    bench = RunResources(load_config(files=[output / CONFIGURATION], settings={"run": {"targets": ["detect"]}}))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    videos = [bench.prepare(source) for source in discover([output / "videos"])]
    assert run_graph(bench, videos, RunRecorder(tmp_path_factory.mktemp("runs"), new_run_id(), config={})) == {}
    for video in videos:
        keys = bench.graph.keys(video)
        found[video.name] = {
            node: bench.store.read(commit, None).to_pylist()
            for node, key in keys.items()
            if (node.startswith("caption:") or node in ("clean", "summarise", "detect"))
            and (commit := bench.store.find(key)) is not None
        }
    return found


@pytest.fixture(scope="module")
def truths(output: Path) -> dict[str, Truth]:
    return {truth.name: truth for truth in world.read_truth(output)}


def test_the_method_finds_events_and_beats_what_needs_no_model(rows: dict[str, AblationRow]) -> None:
    ours = rows[module.FULL].mean("roc_auc")
    assert ours >= 0.90
    trivial = [row.mean("roc_auc") for row in rows.values() if row.group == "trivial"]
    assert len(trivial) >= 3
    assert ours >= max(trivial) + 0.10


@pytest.mark.slow  # two runs of the language model over all clips; test_ablations.py has what is exchanged
def test_captions_of_other_clips_fall_to_chance(
    output: Path, rows: dict[str, AblationRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHUFFLES", range(1))  # the demonstration's own command makes three exchanges
    measured = by_name(ablations(output, ["shuffled"], lambda text: None))
    blind = next(row for row in measured.values() if row.group == "shuffled" and "no cleaning" in row.name)
    assert abs(blind.mean("roc_auc") - 0.5) < 0.15
    assert blind.mean("roc_auc") < rows[module.FULL].mean("roc_auc") - 0.25


def test_cleaned_captions_are_right_more_often(stored: Any, truths: dict[str, Truth]) -> None:
    def right(node: str) -> float:
        return float(
            np.mean(
                [
                    grammar.act_of(row["caption"]) == grammar.act_of(truths[name].sentences[row["frame"]])
                    for name, stages in stored.items()
                    for row in stages[node]
                ]
            )
        )

    captioners = [node for node in next(iter(stored.values())) if node.startswith("caption:")]
    assert len(captioners) == 5
    raw = {node: right(node) for node in captioners}
    assert min(raw.values()) > 0.4  # they are not noise
    assert right("clean") > max(raw.values())  # than the best captioner's alone


def test_summaries_of_an_event_name_it(stored: Any, truths: dict[str, Truth]) -> None:
    named, told = [], []
    for name, stages in stored.items():
        truth = truths[name]
        for row in stages["summarise"]:
            window = [truth.sentences[frame] for frame in row["sampled_frames"]]
            acts = [grammar.act_of(sentence) for sentence in window]
            event = max(set(acts), key=acts.count)
            if event in grammar.EVENTS and acts.count(event) >= 7:
                named.append(_names(event, row["summary"]))
                told.append(_names(event, true_summary(window)))
    assert len(named) > 30
    assert all(told)  # the rule that the language model learned does
    assert np.mean(named) > 0.7


def test_a_fight_is_called_one(stored: Any, truths: dict[str, Truth]) -> None:
    (fight,) = (truth for truth in truths.values() if truth.events and truth.events[0].kind == "fight")
    middle = (fight.events[0].first + fight.events[0].last) // 2
    row = min(stored[fight.name]["summarise"], key=lambda row: abs(row["frame"] - middle))
    assert "fight" in row["summary"]


def test_segments_found_are_the_true_ones(stored: Any, truths: dict[str, Truth]) -> None:
    overlaps, false = [], 0
    for name, stages in stored.items():
        found = {
            frame for row in stages["detect"] for frame in range(row["start_frame"], row["end_frame"] + 1)
        }  # all segments of a clip together
        true = {frame for event in truths[name].events for frame in range(event.first, event.last + 1)}
        if true:
            overlaps.append(len(found & true) / len(found | true))
        false += bool(found) and not true
    assert len(overlaps) == CLIPS // 2
    assert np.mean(np.array(overlaps) >= 0.5) >= 0.75
    assert false <= 1  # of the normal clips


def _names(event: str, summary: str) -> bool:
    return any(grammar.act_of(part.strip().lower()) == event for part in summary.replace(".", ";").split(";"))
