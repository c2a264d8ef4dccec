"""Every step of the method gives the outputs of the authors' program, from its captions, summaries, scores and vectors.

The vectors of frames between grid frames are not among the golden files; what cleaning chooses there is compared where
the encoder is run, in the test of the whole pipeline.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lavad_core.datasets.annotations import Annotation, read_annotations
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.evaluation.frame_metrics import frame_metrics
from lavad_core.imports.values import parse_scores, parse_texts, read_file_of
from lavad_core.method.cleaning import best_captions, unique_captions
from lavad_core.method.detection import to_frames
from lavad_core.method.refinement import refine, unique_pool, weighted_mean
from lavad_core.method.sampling import grid, window_clips, window_samples
from lavad_core.method.scoring import interpolate_missing

INTERVAL, FPS, DURATION_S, SAMPLES, NEIGHBOURS = 16, 30.0, 10.0, 10, 10
FRAMES = {"Arson901_x264": 400, "Fighting902_x264": 90, "Normal_Videos_903_x264": 333}
CAPTIONERS = ("opt-6.7b-coco", "opt-6.7b", "flan-t5-xxl", "flan-t5-xl", "flan-t5-xl-coco")
TAG = "+".join(CAPTIONERS)
CHAT = Path("llama-2-13b-chat", TAG)


@dataclass(frozen=True)
class Golden:
    """Everything about one video."""

    name: str
    frames: int
    data: Path
    vectors: dict[str, NDArray[Any]]

    @property
    def grid(self) -> NDArray[np.int64]:
        return grid(self.frames, INTERVAL)

    def nested(self, *parts: str) -> dict[int, dict[str, Any]]:
        """``{frame: {key: value}}`` of one of the program's files."""
        loaded = json.loads(self.data.joinpath(*parts, f"{self.name}.json").read_text())
        return {int(frame): found for frame, found in loaded.items()}

    def summaries(self) -> list[str]:
        return list(parse_texts(*read_file_of(self.data / "captions" / "summary" / CHAT, self.name)).values())

    def scores(self) -> NDArray[np.float64]:
        return np.array(
            list(parse_scores(*read_file_of(self.data / "scores" / "raw" / CHAT / "exp", self.name)).values())
        )

    def refine(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
        """As ``semantics: reference`` does: refined scores, neighbours as frames, similarities."""
        pool = unique_pool(self.grid, self.summaries())
        assert list(pool.texts) == self.vectors["summaries"].tolist()
        refined, indices, similarity = refine(
            self.vectors["window_embeddings"],
            self.vectors["summary_embeddings"],
            self.scores()[pool.first],
            neighbours=NEIGHBOURS,
        )
        return refined, pool.frames[indices], similarity


@pytest.fixture(params=FRAMES)
def golden(shared: Path, request: pytest.FixtureRequest) -> Golden:
    return load(shared, request.param)


def load(shared: Path, name: str) -> Golden:
    folder = shared / "golden" / "reference"
    with np.load(folder / "embeddings" / f"{name}.npz", allow_pickle=False) as arrays:
        return Golden(name, FRAMES[name], folder / "data", dict(arrays))


def test_samples_of_every_window(golden: Golden) -> None:
    found = window_samples(
        golden.grid,
        golden.frames,
        INTERVAL,
        None,
        duration_s=DURATION_S,
        samples=SAMPLES,
        sampling="any-frame",
        frame_rate=FPS,
    )
    expected = golden.nested("captions", "clean", TAG)
    assert list(expected) == golden.grid.tolist()
    assert [samples.tolist() for samples in found] == [list(map(int, window)) for window in expected.values()]


def test_a_window_is_its_first_and_last_sample(golden: Golden) -> None:
    assert golden.vectors["frame_index"].tolist() == golden.grid.tolist()
    for centre, window in golden.nested("captions", "clean", TAG).items():
        clips = window_clips(np.array(list(map(int, window))), vector="ends", clips=5)
        assert clips == [(max(centre - 150, 0), min(centre + 149, golden.frames - 1))]


def test_cleaned_captions_and_their_owners(golden: Golden) -> None:
    on_grid = set(golden.grid.tolist())
    raw = []
    for captioner in CAPTIONERS:
        folder = golden.data / "captions" / "raw" / "Salesforce" / f"blip2-{captioner}"
        captions = parse_texts(*read_file_of(folder, golden.name))
        assert list(captions) == list(range(golden.frames))  # it captions every frame, and uses the grid's
        raw.append((captioner, [(frame, text) for frame, text in captions.items() if frame in on_grid]))
    pool = unique_captions(raw)
    row_of = {text: row for row, text in enumerate(golden.vectors["captions"].tolist())}
    assert {candidate.text for candidate in pool} == set(row_of)
    for candidate in pool:
        owned = [
            (frame, captioner) for captioner, captions in raw for frame, text in captions if text == candidate.text
        ]
        assert candidate.frame == min(frame for frame, _ in owned)
        assert (candidate.frame, candidate.captioner) in owned

    vectors = golden.vectors["caption_embeddings"][[row_of[candidate.text] for candidate in pool]]
    index, similarity = best_captions(golden.vectors["image_embeddings"], vectors, block=7)
    exact = golden.vectors["image_embeddings"].astype(np.float64) @ vectors.T.astype(np.float64)
    assert similarity == pytest.approx(exact.max(axis=1), abs=1e-6)
    chosen = {frame: pool[at].text for frame, at in zip(golden.grid.tolist(), index.tolist(), strict=True)}
    compared = 0
    for window in golden.nested("captions", "clean", TAG).values():
        for frame, text in window.items():
            if int(frame) in chosen:
                assert chosen[int(frame)] == text
                compared += 1
    assert compared == {"Arson901_x264": 24, "Fighting902_x264": 6, "Normal_Videos_903_x264": 26}[golden.name]


def test_refined_neighbours_similarities_texts_and_scores(golden: Golden) -> None:
    refined, neighbours, similarity = golden.refine()
    owner_score = dict(zip(golden.grid.tolist(), golden.scores().tolist(), strict=True))
    owner_text = dict(zip(golden.grid.tolist(), golden.summaries(), strict=True))
    kept = neighbours.shape[1]
    assert kept == min(NEIGHBOURS, len(golden.vectors["summaries"]))
    names, values, texts, scores = (
        golden.nested(*parts)
        for parts in [
            ("filenames", "clean_summary"),
            ("similarity", "clean_summary"),
            ("captions", "clean_summary"),
            ("scores", "refined"),
        ]
    )
    assert list(names) == golden.grid.tolist()
    for at, frame in enumerate(golden.grid.tolist()):
        expected = [int(str(name).rpartition("/")[2]) for name in names[frame].values()]
        assert neighbours[at].tolist() == expected[:kept]
        found = np.array(list(values[frame].values()))
        assert similarity[at] == pytest.approx(found[:kept], abs=1e-4)
        assert [owner_text[k] for k in neighbours[at].tolist()] == list(texts[frame].values())[:kept]
        assert [owner_score[k] for k in neighbours[at].tolist()] == list(scores[frame].values())[:kept]
        # Ours from its own neighbours, padding and all.
        theirs = weighted_mean(np.array([list(scores[frame].values())]), found[None].astype(np.float32))
        assert refined[at] == pytest.approx(float(theirs[0]), abs=1e-4)


def test_unread_scores_were_interpolated(shared: Path) -> None:
    """Two of its raw scores are not among the 11 values: it filled them in from their neighbours."""
    video = load(shared, "Arson901_x264")
    scores: list[float | None] = video.scores().tolist()
    unread = [at for at, score in enumerate(scores) if score is not None and round(score * 10) / 10 != score]
    assert video.grid[unread].tolist() == [96, 208]
    known = [None if at in unread else score for at, score in enumerate(scores)]
    filled, missing = interpolate_missing(video.grid, known)
    assert filled == pytest.approx(video.scores(), abs=1e-12)
    assert np.flatnonzero(missing).tolist() == unread


def test_areas_under_the_curves(shared: Path) -> None:
    data = shared / "golden" / "reference" / "data"
    annotations = read_annotations(data / "annotations" / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
    assert annotations["Arson901_x264"] == Annotation("Arson", ((120, 260),))
    assert list(annotations) == list(FRAMES)
    labels, scores = [], []
    for name, frames in FRAMES.items():
        marked, clipped = labels_from_intervals(annotations[name].intervals, frames)
        assert clipped == 0
        labels.append(marked)
        scores.append(to_frames(load(shared, name).refine()[0], frames, INTERVAL, video=name))
    metrics = frame_metrics(np.concatenate(labels), np.concatenate(scores))
    for metric, file in [("roc_auc", "roc_auc_nn_10.txt"), ("pr_auc_trapezoid", "pr_auc_nn_10.txt")]:
        assert metrics[metric] == pytest.approx(float((data / "metrics" / file).read_text()), abs=1e-6)  # type: ignore[literal-required]
