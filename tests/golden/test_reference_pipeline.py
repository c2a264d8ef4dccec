"""``semantics: reference`` gives what the authors' program gave, through the pipeline's own stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import golden_set

from lavad_core.config.schema import LavadConfig
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.run_metrics import evaluate_run
from lavad_core.runs import work
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.node import PreparedVideo
from lavad_core.stages.vectors import from_column
from lavad_core.video.discover import discover


class Run:
    """A finished run of the golden set from its frames."""

    def __init__(self, shared: Path, folder: Path) -> None:
        self.golden = shared / "golden/reference"
        self.resources = RunResources(LavadConfig(**golden_set.settings(shared, folder / "store")))
        sources = discover([str(path) for path in golden_set.extract_frames(shared, folder)])
        self.videos = [self.resources.prepare(source) for source in sources]
        self.recorder = RunRecorder(self.resources.store.root, new_run_id(), config={})
        assert run_graph(self.resources, self.videos, self.recorder) == {}

    def table(self, video: PreparedVideo, node_id: str) -> dict[str, list[Any]]:
        commit = self.resources.store.find(self.resources.graph.keys(video)[node_id])
        assert commit is not None
        return self.resources.store.read(commit).to_pydict()

    def vectors(self, video: PreparedVideo, node_id: str) -> np.ndarray:
        commit = self.resources.store.find(self.resources.graph.keys(video)[node_id])
        assert commit is not None
        return from_column(self.resources.store.read(commit, ["vector"])["vector"])

    def authors(self, kind: str, video: PreparedVideo) -> dict[int, Any]:
        (path,) = (self.golden / "data" / kind).rglob(f"{video.name}.json")
        return {int(key): value for key, value in json.loads(path.read_text()).items()}


@pytest.fixture(scope="module")
def run(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(shared, tmp_path_factory.mktemp("golden"))


@pytest.fixture(params=golden_set.NAMES)
def video(request: pytest.FixtureRequest, run: Run) -> PreparedVideo:
    return next(video for video in run.videos if video.name == request.param)


def test_cleaned_captions_are_the_authors(run: Run, video: PreparedVideo) -> None:
    ours = run.table(video, "clean")
    text_of = dict(zip(ours["frame"], ours["caption"], strict=True))
    similarity_of = dict(zip(ours["frame"], ours["similarity"], strict=True))
    pool = run.table(video, "embed_captions")["text"]
    captions = run.vectors(video, "embed_captions")
    images = dict(zip(run.table(video, "embed_frames")["frame"], run.vectors(video, "embed_frames"), strict=True))
    compared = 0
    for window in run.authors("captions/clean", video).values():
        for frame, text in ((int(key), value) for key, value in window.items()):
            compared += 1
            if text_of[frame] != text:  # allowed only where the two best are closer than 1e-5
                theirs = float(images[frame] @ captions[pool.index(text)])
                assert similarity_of[frame] - theirs < 1e-5
    assert compared >= 10


def test_refined_scores_neighbours_and_similarities_are_the_authors(run: Run, video: PreparedVideo) -> None:
    ours = run.table(video, "refine")
    scores, similarities = run.authors("scores/refined", video), run.authors("similarity", video)
    sources = run.authors("filenames", video)
    raw = run.authors("scores/raw", video)
    for row, frame in enumerate(ours["frame"]):
        real = [key for key, value in similarities[frame].items() if value > -1e30]  # the rest is padding
        np.testing.assert_allclose(
            ours["neighbour_similarities"][row], [similarities[frame][key] for key in real], atol=1e-4
        )
        theirs = [int(sources[frame][key].rsplit("/", 1)[1]) for key in real]
        if ours["neighbour_frames"][row] != theirs:  # only among equal similarities
            np.testing.assert_allclose(
                sorted(ours["neighbour_similarities"][row]), sorted(similarities[frame][key] for key in real), atol=1e-5
            )
        assert [raw[at] for at in ours["neighbour_frames"][row]] == pytest.approx([scores[frame][key] for key in real])


def test_embeddings_are_the_authors(run: Run, video: PreparedVideo) -> None:
    theirs = np.load(run.golden / f"embeddings/{video.name}.npz")
    found = {name: theirs[name] for name in theirs.files}
    assert found, "no arrays"
    windows = run.vectors(video, "embed_windows")
    window = next(value for name, value in found.items() if "window" in name)
    np.testing.assert_allclose(windows, window / np.linalg.norm(window, axis=1, keepdims=True), atol=1e-4)


def test_auc_is_the_authors(run: Run) -> None:
    commit = evaluate_run(run.resources, run.videos)
    assert commit is not None
    metrics = run.golden / "data/metrics"
    assert commit.facts["roc_auc"] == pytest.approx(float((metrics / "roc_auc_nn_10.txt").read_text()), abs=1e-6)
    assert commit.facts["pr_auc_trapezoid"] == pytest.approx(
        float((metrics / "pr_auc_nn_10.txt").read_text()), abs=1e-6
    )


def test_work_is_what_the_method_needs(run: Run) -> None:
    done = run.recorder.totals()
    centres = sum(len(run.table(video, "refine")["frame"]) for video in run.videos)
    distinct = sum(len(run.table(video, "embed_frames")["frame"]) for video in run.videos)
    assert done[work.IMAGES_ENCODED] == distinct, "an image was encoded twice"
    assert done[work.VIEWS_ENCODED] <= 3 * centres, "more than 3 views a window"
    assert done.get(work.CAPTIONS_MADE, 0) == done.get(work.LLM_REQUESTS, 0) == 0
    assert done[work.VIDEOS_DECODED] == 2 * len(run.videos), "probe, and one pass for frames and windows"
