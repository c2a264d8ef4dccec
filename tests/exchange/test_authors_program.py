"""What the authors' program reads of an export, by that program's behaviour written out here, and not by our reader.

Its evaluation goes through a list of videos. For each it opens three files of the video's name, of scores, of similarities and
of the neighbours' summaries; takes the scores in the order of the file; averages those that are an object over the ranks
0 … K − 1 by the exponentials of the similarities, and takes others as they are; repeats each for its 16 frames, and cuts
them to the list's count. A file or rank that is not there ends it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import small_set
from support.command import lavad
from support.filled_store import GRID, SUMMARIES, commit, fill
from support.small_set import FRAMES, INTERVAL

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.exports.layout_writer import write_layout
from lavad_core.imports.layout import find_layout
from lavad_core.imports.per_video import ImportSources
from lavad_core.method.sampling import window_samples
from lavad_core.pipeline.resources import RunResources
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import
from lavad_core.results.types import ResultSet
from lavad_core.runs.manifest import VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages import clean, probe, refine, summarise
from lavad_core.stages.node import PreparedVideo


def their_scores(
    folder: Path, name: str, frames: int, neighbours: int = 10, kind: str = "scores/refined"
) -> list[float]:
    """Scores of every frame of a video, as the authors' program makes them."""
    scores, similar, captions = (
        json.loads((folder / place / f"{name}.json").read_text())
        for place in (kind, "similarity/clean_summary", "captions/clean_summary")
    )
    assert isinstance(captions, dict)
    found: list[float] = []
    for frame, value in scores.items():
        if isinstance(value, dict):
            ranks = [str(rank) for rank in range(neighbours)]
            weights = [math.exp(similar[frame][rank]) for rank in ranks]
            value = sum(weight * value[rank] for weight, rank in zip(weights, ranks, strict=True)) / sum(weights)
        found += [value] * INTERVAL
    assert len(found) >= frames, "its labels and scores would differ in number"
    return found[:frames]


def imported(tmp_path: Path, sources: ImportSources) -> ResultSet:
    record_import(tmp_path / "store", sources, small_set.dataset(tmp_path / "set"))
    return open_results(tmp_path / "store")


def expected(results: ResultSet, name: str) -> list[float]:
    video = results.scores(name)
    return np.repeat(video.scores, video.interval)[: video.frames].tolist()


def test_videos_with_fewer_candidates_than_neighbours_are_filled_up(tmp_path: Path) -> None:
    found = imported(tmp_path, find_layout(small_set.layout(tmp_path / "data")))
    written = write_layout(found, tmp_path / "out")
    assert written.ranks == 10
    for name, frames in FRAMES.items():
        np.testing.assert_allclose(their_scores(tmp_path / "out", name, frames), expected(found, name), atol=1e-7)


def test_the_padding_is_the_programs_own(shared: Path, tmp_path: Path) -> None:
    """The golden outputs have a video with one candidate: every file that the program wrote is written again."""
    data = shared / "golden/reference/data"
    from lavad_core.datasets.catalogue import open_dataset

    labels = open_dataset(
        "ucf-crime",
        data / "annotations/Temporal_Anomaly_Annotation_for_Testing_Videos.txt",
        data / "annotations/test.txt",
    )
    record_import(tmp_path / "store", find_layout(data), labels)
    found = open_results(tmp_path / "store")
    assert write_layout(found, tmp_path / "out").notes == ()
    for kind in ("scores/refined", "filenames/clean_summary", "similarity/clean_summary", "captions/clean_summary"):
        for path in sorted((data / kind).glob("*.json")):
            assert json.loads((tmp_path / "out" / kind / path.name).read_text()) == json.loads(path.read_text()), kind
    from sklearn.metrics import auc, roc_curve

    scores: list[float] = []
    marked: list[bool] = []
    for name, video in labels.videos.items():
        assert video.frames is not None
        scores += their_scores(tmp_path / "out", name, video.frames)
        marked += [any(first <= at <= last for first, last in video.intervals) for at in range(video.frames)]
    false, true, _ = roc_curve(marked, scores)
    assert auc(false, true) == pytest.approx(float((data / "metrics/roc_auc_nn_10.txt").read_text()), abs=1e-9)


@pytest.mark.parametrize("kind", ["scores", "raw only"])
def test_scores_without_neighbours_are_evaluated_too(kind: str, tmp_path: Path) -> None:
    scores = small_set.scores(tmp_path / "s")
    found = imported(tmp_path, ImportSources(scores=scores) if kind == "scores" else ImportSources(raw_scores=scores))
    written = write_layout(found, tmp_path / "out")
    assert written.ranks == 0
    assert "4 of 4 videos have scores whose neighbours are not known" in written.notes[0]
    folder = "scores/refined" if kind == "scores" else "scores/raw/language-model/ensemble/prompt"
    for name, frames in FRAMES.items():
        assert their_scores(tmp_path / "out", name, frames, kind=folder) == expected(found, name)
        for empty in ("similarity/clean_summary", "captions/clean_summary"):
            assert json.loads((tmp_path / "out" / empty / f"{name}.json").read_text()) == {}
    assert not (tmp_path / "out/filenames").exists()  # nothing is made up


def test_neighbours_without_summaries(tmp_path: Path) -> None:
    layout = find_layout(small_set.layout(tmp_path / "data"))
    found = imported(tmp_path, ImportSources(**{**layout.__dict__, "summaries": None}))
    written = write_layout(found, tmp_path / "out")
    assert "4 of 4 videos have neighbours without summaries" in written.notes[0]
    name = "Arson004"
    np.testing.assert_allclose(their_scores(tmp_path / "out", name, FRAMES[name]), expected(found, name), atol=1e-7)
    assert json.loads((tmp_path / "out/captions/clean_summary" / f"{name}.json").read_text()) == {}


@pytest.mark.parametrize(("given", "ranks"), [(3, 10), (12, 12)])
def test_more_neighbours_than_the_program_looks_at(given: int, ranks: int, tmp_path: Path) -> None:
    layout = small_set.layout(tmp_path / "data")
    each = {n: {at: {k: k / given for k in range(given)} for at in small_set.grid(n)} for n in FRAMES}
    small_set.write(layout / "scores/refined", each)
    small_set.write(layout / "similarity/clean_summary", each)
    named = {n: {at: dict.fromkeys(range(given), f"{n}/{at}") for at in small_set.grid(n)} for n in FRAMES}
    small_set.write(layout / "filenames/clean_summary", named)
    options = [*small_set.dataset_files(tmp_path / "set"), "--store", str(tmp_path / "store")]
    assert lavad("import", "--layout", str(layout), *options).exit_code == 0
    made = lavad("export", "authors", str(tmp_path / "out"), "--store", str(tmp_path / "store"))
    assert f"needs --num_neighbors {ranks}" in made.stderr
    results = open_results(tmp_path / "store")
    for name, frames in FRAMES.items():
        np.testing.assert_allclose(
            their_scores(tmp_path / "out", name, frames, ranks), expected(results, name), atol=1e-7
        )


def test_neighbours_of_a_run_have_their_summaries(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    run = open_results(tmp_path)
    write_layout(run, tmp_path / "out")
    said = json.loads((tmp_path / "out/captions/clean_summary/first.json").read_text())
    assert said["16"] == {str(rank): SUMMARIES[min(rank, 2)] for rank in range(10)}
    named = json.loads((tmp_path / "out/filenames/clean_summary/first.json").read_text())
    assert named["0"] == {str(rank): f"first/{GRID[min(rank, 2)]}" for rank in range(10)}
    assert their_scores(tmp_path / "out", "first", 40) == pytest.approx([0.5] * 40)


def run_from_summaries(root: Path, more: list[str], frames: int = 400) -> tuple[ResultSet, dict[int, str]]:
    """A run with imported summaries: its own record does not say which frames a window has."""
    given = ["imports.summaries=/somewhere", "run.targets=[clean,detect]", f"store={root}", *more]
    config = load_config(preset="tiny", overrides=given, environ={})
    resources = RunResources(config)
    video = PreparedVideo("a", "/nowhere.mp4", "file", "1" * 32, {"summarise": "0" * 64})
    times = [at / 25 for at in range(frames)]
    grid = list(range(0, frames, INTERVAL))
    any_frame = config.window.sampling == "any-frame"
    cleaned = {at: f"frame {at}" for at in (range(frames) if any_frame else grid)}
    numbers = list(range(frames))
    timeline = {"frame": numbers, "pts": numbers, "time_s": times, "decoded": [True] * frames, "packet": numbers}
    made = {"frame": list(cleaned), "caption": list(cleaned.values())}
    unknown: dict[str, list[Any]] = {
        field.name: ["" if pa.types.is_string(field.type) else 0] * len(cleaned)
        for field in clean.SCHEMA if field.name not in made
    }  # fmt: skip
    said = {
        "frame": grid, "summary": ["x"] * len(grid), "sampled_frames": [[]] * len(grid), "captions_left_out": [0] * len(grid),
    }  # fmt: skip
    refined: dict[str, Any] = {
        "frame": grid, "time_s": [times[at] for at in grid], "score": [0.5] * len(grid), "raw_score": [0.5] * len(grid),
        "neighbour_frames": [[at] for at in grid], "neighbour_similarities": [[0.1]] * len(grid),
    }  # fmt: skip
    with RunRecorder(root, new_run_id(), config=public_settings(config)) as recorder:
        commit(resources, recorder, video, "probe", probe.SCHEMA, timeline, frames=frames, duration_s=times[-1])
        commit(resources, recorder, video, "clean", clean.SCHEMA, {**made, **unknown})
        commit(resources, recorder, video, "summarise", summarise.SCHEMA, said)
        commit(resources, recorder, video, "refine", refine.SCHEMA, refined)
        recorder.finish("ok", [VideoOutcome("a", video.video_id, "ok")])
    results = open_results(root)
    return results, cleaned


@pytest.mark.parametrize("sampling", ["any-frame", "grid"])
def test_cleaned_captions_are_in_their_own_windows(sampling: str, tmp_path: Path) -> None:
    results, cleaned = run_from_summaries(tmp_path, [f"window.sampling={sampling}", "window.frame_rate=native"])
    assert results.config is not None
    window = results.config.window
    samples = window_samples(
        np.arange(0, 400, INTERVAL), 400, INTERVAL, np.arange(400) / 25,
        duration_s=window.duration_s, samples=window.samples, sampling=window.sampling, frame_rate=None,
    )  # fmt: skip
    found = results["a"].windows
    assert found == {
        centre: {frame: cleaned[frame] for frame in frames.tolist()}
        for centre, frames in zip(range(0, 400, INTERVAL), samples, strict=True)
    }
    assert any(len(own) > 1 for own in found.values())
