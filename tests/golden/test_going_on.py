"""A run that goes on from the authors' files, from any step of the method."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support import golden_set

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.datasets.catalogue import open_dataset
from lavad_core.errors import LavadError
from lavad_core.exports.layout_writer import write_layout
from lavad_core.imports.layout import find_layout
from lavad_core.imports.run_settings import run_settings
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import
from lavad_core.results.types import ResultSet, VideoTexts
from lavad_core.runs import work
from lavad_core.runs.manifest import VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.discover import discover

RANDOM_CHAT = {"kind": "transformers", "model": "random:llama", "device": "cpu", "batch_size": 16}


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "golden/reference/data"


@pytest.fixture(scope="module")
def frames(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in golden_set.extract_frames(shared, tmp_path_factory.mktemp("frames"))]


@dataclass
class Finished:
    results: ResultSet
    roles: set[str]
    done: dict[str, int]
    failed: dict[str, LavadError]


def run(shared: Path, frames: list[str], store: Path, settings: str, **changes: Any) -> Finished:
    """A run with settings of ``lavad import --settings``, the golden encoder, and ``changes``."""
    golden = golden_set.settings(shared, store)
    tree = {**yaml.safe_load(settings), "store": str(store), "encoder": golden["encoder"], **changes}
    resources = RunResources(load_config(settings=tree, environ={}))
    videos = [resources.prepare(source) for source in discover(frames)]
    with RunRecorder(store, new_run_id(), config=public_settings(resources.config)) as recorder:
        failed = run_graph(resources, videos, recorder)
        recorder.finish("Completed", [VideoOutcome(video.name, video.video_id, "ok") for video in videos])
        resources.close()
        results = open_results(store, recorder.run_id)
        return Finished(results, set(resources.graph.identities), recorder.totals(), failed)


@pytest.fixture(scope="module")
def imported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """The authors' files as they are."""
    store = tmp_path_factory.mktemp("imported")
    return again(data, data, store)


def again(layout: Path, data: Path, store: Path) -> ResultSet:
    annotations = data / "annotations"
    labels = annotations / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    recorded = record_import(store, find_layout(layout), open_dataset("ucf-crime", labels, annotations / "test.txt"))
    assert recorded.report.problems == []
    return open_results(store, recorded.run.run_id)


def said(texts: VideoTexts) -> tuple[Any, ...]:
    """What the texts say. A run knows that its cleaned captions were imported; an import does not know whose they are."""
    return texts.captions, {at: caption.text for at, caption in texts.cleaned.items()}, texts.summaries


def authors(folder: Path, name: str) -> dict[int, Any]:
    (path,) = folder.rglob(f"{name}.json")
    return {int(key): value for key, value in json.loads(path.read_text()).items()}


@pytest.mark.slow
def test_from_captions_only(shared: Path, data: Path, frames: list[str], tmp_path: Path) -> None:
    short = {"total_tokens": 256, "min_answer_tokens": 24}
    found = run(
        shared,
        frames,
        tmp_path,
        run_settings(data, "captions"),
        semantics="reference",
        chat=RANDOM_CHAT,
        summarise=short,
        score={"answer": "choice", "max_answer_tokens": 16},
    )
    assert found.failed == {}
    assert found.roles == {"encoder", "chat"}
    assert found.done.get(work.CAPTIONS_MADE, 0) == 0
    assert found.done[work.LLM_REQUESTS] > 0
    assert found.results.names == sorted(golden_set.NAMES)
    for name in golden_set.NAMES:
        video, texts = found.results.scores(name), found.results.texts(name)
        assert texts.captions.keys() == set(golden_set.CAPTIONERS)
        assert texts.summaries.keys() == texts.cleaned.keys() == set(video.grid.tolist())
        theirs = authors(data / "captions/clean", name)
        ours = found.results[name].windows
        assert {at: list(window) for at, window in ours.items()} == {
            at: [int(frame) for frame in window] for at, window in theirs.items()
        }
        said = [(text, theirs[at][str(frame)]) for at, window in ours.items() for frame, text in window.items()]
        assert np.mean([own == other for own, other in said]) > 0.99  # but for captions that are equally near


def test_from_scores_refinement_needs_no_language_model(
    shared: Path, data: Path, frames: list[str], tmp_path: Path, imported: ResultSet
) -> None:
    found = run(shared, frames, tmp_path, run_settings(data, "scores"))
    assert found.failed == {}
    assert found.roles == {"encoder"}
    assert found.done.get(work.LLM_REQUESTS, 0) == 0
    for name in golden_set.NAMES:
        own, theirs = found.results.scores(name), imported.scores(name)
        np.testing.assert_array_equal(own.raw_scores, theirs.raw_scores)
        np.testing.assert_allclose(own.scores, theirs.scores, atol=1e-4)
        assert said(found.results.texts(name)) == said(imported.texts(name))
    write_layout(found.results, tmp_path / "out")
    back = again(tmp_path / "out", data, tmp_path / "store")
    for name in golden_set.NAMES:
        np.testing.assert_array_equal(back.scores(name).scores, found.results.scores(name).scores)
        assert said(back.texts(name)) == said(found.results.texts(name))


def test_from_scores_and_captions_without_summaries(
    shared: Path, data: Path, frames: list[str], tmp_path: Path
) -> None:
    """Where nobody summarised, refinement goes by the cleaned captions, and there is still no language model."""
    tree = yaml.safe_load(run_settings(data, "scores"))
    del tree["imports"]["summaries"], tree["imports"]["cleaned"]
    found = run(shared, frames, tmp_path, yaml.safe_dump(tree), summarise={"enabled": False})
    assert found.failed == {}
    assert found.roles == {"encoder"}
    for name in golden_set.NAMES:
        raw = authors(data / "scores/raw", name)
        np.testing.assert_array_equal(found.results.scores(name).raw_scores, list(raw.values()))
        assert found.results[name].neighbours is not None


def test_from_refined_scores_only_segments_are_made(
    shared: Path, data: Path, frames: list[str], tmp_path: Path, imported: ResultSet
) -> None:
    found = run(shared, frames, tmp_path, run_settings(data))
    assert found.failed == {}
    assert found.roles == set()
    assert found.done == {work.VIDEOS_DECODED: 3}
    for name in golden_set.NAMES:
        own, theirs = found.results.scores(name), imported.scores(name)
        np.testing.assert_array_equal(own.scores, theirs.scores)
        np.testing.assert_array_equal(own.raw_scores, theirs.raw_scores)
        assert said(found.results.texts(name)) == said(imported.texts(name))


def test_cleaned_captions_of_other_frames_than_the_windows_need(
    shared: Path, data: Path, frames: list[str], tmp_path: Path
) -> None:
    found = run(shared, frames, tmp_path, run_settings(data), semantics="paper")
    assert found.failed.keys() == set(golden_set.NAMES)
    message = str(found.failed[golden_set.NAMES[0]])
    assert "captions/clean" in message
    assert "frames of 'Arson901_x264' that need one (first: [48, 64, 96" in message
