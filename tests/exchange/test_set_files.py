"""One file with the scores of all videos, as VADTree, CoReVAD and others publish them; and Probe-VAD's published figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import small_set
from support.command import lavad
from support.small_set import FRAMES

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.imports.per_video import ImportReport, ImportSources
from lavad_core.imports.read import read_import
from lavad_core.imports.types import ImportedSet
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import

VIDEO = "Arson001_x264"
COUNTS: dict[str, int | None] = dict(FRAMES)


def tree(name: str, refined: bool = True) -> dict[str, Any]:
    """VADTree's ranges of a video, which share their ends: the second half scores more. A thought goes with each."""
    half, last = FRAMES[name] // 2, FRAMES[name] - 1
    thought = "Okay.\n</think>\n\n[0.2]"
    if refined:
        return {f"0, {half}": [0.25, 0.2, thought], f"{half}, {last}": [0.75, 0.9, thought]}
    return {f"0, {half}": [0.2, thought], f"{half}, {last}": [0.9, thought]}


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def read(**sources: Any) -> tuple[ImportedSet, ImportReport]:
    report = ImportReport()
    return read_import(ImportSources(**sources), COUNTS, report), report


def test_ranges_of_vadtree(tmp_path: Path) -> None:
    document = {"config": {"think": True}, "vid_score": {f"{name}.mp4": tree(name) for name in FRAMES}, "args_dict": {}}
    path = written(tmp_path / "refine.json", document)
    found, report = read(scores=path, raw_scores=path)
    assert report.problems == []
    assert found.interval == 1
    for video in found.videos:
        half = FRAMES[video.name] // 2
        assert video.scores is not None
        assert video.raw_scores is not None
        assert video.scores[:half].tolist() == [0.25] * half
        # The shared end is the later segment's.
        assert video.scores[half:].tolist() == [0.75] * (video.frames - half)
        assert video.raw_scores[half - 1 : half + 1].tolist() == [0.2, 0.9]


@pytest.mark.parametrize(
    ("word", "write"), [("sorted keys", "{0}, {1}"), ("brackets", "({0}, {1})"), ("no comma", "{0}-{1}")]
)
def test_ranges_in_another_order_and_writing(word: str, write: str, tmp_path: Path) -> None:
    """Sorted as texts "10, …" stands before "2, …"."""
    bounds = {name: [0, 2, 10, count - 1] for name, count in FRAMES.items()}
    each = {
        name: {write.format(*own[at : at + 2]): [(at + 1) / 10, 0.0, "x"] for at in (0, 2, 1)}
        for name, own in bounds.items()
    }
    found, report = read(scores=written(tmp_path / "s.json", {"vid_score": each}))
    assert report.problems == [], word
    for video in found.videos:
        assert video.scores is not None
        assert video.scores.tolist() == [0.1] * 2 + [0.2] * 8 + [0.3] * (video.frames - 10)


def test_ranges_before_refinement(tmp_path: Path) -> None:
    path = written(tmp_path / "raw.json", {"vid_score": {f"{name}.mp4": tree(name, refined=False) for name in FRAMES}})
    found, _ = read(raw_scores=path)
    assert found.videos[0].raw_scores is not None
    assert (found.videos[0].raw_scores[0], found.videos[0].raw_scores[-1]) == (0.2, 0.9)


@pytest.mark.parametrize("under", [True, False])
def test_a_score_for_each_frame(under: bool, tmp_path: Path) -> None:
    each = {f"{name}.mp4": np.linspace(0, 1, count).round(4).tolist() for name, count in FRAMES.items()}
    path = written(tmp_path / "ense.json", {"vid_score": each} if under else each)
    found, report = read(scores=path)
    assert (report.problems, found.interval) == ([], 1)
    for video in found.videos:
        assert video.scores is not None
        np.testing.assert_array_equal(video.scores, each[f"{video.name}.mp4"])


def test_frames_to_scores_in_one_file(tmp_path: Path) -> None:
    each = {name: {at: small_set.score(name, at) for at in small_set.grid(name)} for name in FRAMES}
    texts = {name: {at: f"at {at}" for at in small_set.grid(name)} for name in FRAMES}
    found, report = read(
        scores=written(tmp_path / "s.json", each), captions={"one": written(tmp_path / "c.json", texts)}
    )
    by_folder, _ = read(
        scores=small_set.scores(tmp_path / "folder"), captions={"one": small_set.write(tmp_path / "t", texts)}
    )
    assert (report.problems, report.notes, found.interval) == ([], [], 16)
    for own, other in zip(found.videos, by_folder.videos, strict=True):
        np.testing.assert_array_equal(own.scores, other.scores)
        assert own.captions == other.captions


def test_answers_of_corevad(tmp_path: Path) -> None:
    """A sentence for every 30 frames, which begins with the label."""
    counts = {"Arson001_x264": 95, "Normal_Videos_003": 30}
    said = {
        "Arson001_x264": [
            "Normal scenes. A man.",
            "Anomalous scenes. A fire.",
            " anomalous scenes. Smoke.",
            "Normal scenes.",
        ],
        "Normal_Videos_003": ["Normal scenes. Nothing."],
    }
    path = written(tmp_path / "VLM_responses_LRC.json", said)
    report = ImportReport()
    found = read_import(ImportSources(raw_scores=path, captions={"CoReVAD": path}), dict(counts), report)
    assert (report.problems, found.interval) == ([], 30)
    video = found.videos[0]
    assert video.raw_scores is not None
    assert video.raw_scores.tolist() == [0, 1, 1, 0]
    assert video.captions["CoReVAD"] == dict(zip((0, 30, 60, 90), said["Arson001_x264"], strict=True))


WRONG: dict[str, tuple[Any, str]] = {
    "a hole": ({"0, 10": 0.5, "12, 39": 0.5}, "1 frame is in no range, the first is 11"),
    "shorter": ({"0, 30": 0.5}, "31 scores, but the video has 40 frames"),
    "a range that ends before it begins": ({"0, 39": 0.5, "9, 3": 0.5}, "is not a segment"),
    "a range of terabytes": ({"0, 999999999999": 0.5}, "is not a segment of a video of at most 20000000 frames"),
    "no answer": ({"0, 20": [-1, "?"], "20, 39": [0.5, ""]}, "has -1, which is not a score"),
    "text alone": ({"0, 39": ["?"]}, "has '?' where a score is needed"),
    "text where the refined score is": ({"0, 39": ["-1", 0.5, "?"]}, "has '-1' where a score is needed"),
    "an empty list": ({"0, 39": []}, "has no score"),
    "outside": ({"0, 39": 7}, "40 of 40 scores are not in [0, 1]"),
    "a word": ({"0, 39": {"score": 1}}, "where a score is needed"),
    "true": ([True] * 40, "where a score is needed"),
    "null": ([None] * 40, "where a score is needed"),
    "another word at the beginning": (["Strange scenes. x"] * 2, "neither a score nor begins with"),
    "mixed keys": ({"0, 10": 0.5, "16": 0.5}, "is not a frame number"),
    "nothing": ({}, "there are no values"),
    "no frames": ([], "has 0 scores"),
}


@pytest.mark.parametrize("word", WRONG)
def test_a_bad_video_does_not_stop_the_others(word: str, tmp_path: Path) -> None:
    value, says = WRONG[word]
    good = {name: np.full(count, 0.5).tolist() for name, count in FRAMES.items()}
    found, report = read(scores=written(tmp_path / "s.json", {**good, VIDEO: value}))
    assert says in found.unscored[VIDEO]
    assert [video.name for video in found.videos] == sorted(set(FRAMES) - {VIDEO})
    assert any(VIDEO in problem and says in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "has no videos"),
        ("{}", "has no videos"),
        ('{"0": 0.5, "16": 0.5}', "a file of one video belongs into a folder"),
        ('{"vid_score": {}}', "has no videos"),
        ('{"a": 0.5}', "is not a video with values"),
        ('{"a": {"0": 1}, "a": {"0": 1}}', "has the key 'a' twice"),
        ("{", "is not JSON"),
    ],
)
def test_what_is_no_such_file(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read(scores=tmp_path / "s.json")
    assert says in str(caught.value)


@pytest.mark.parametrize("form", ["scores", "segments"])
def test_a_frame_count_of_terabytes_ends_no_import(form: str, tmp_path: Path) -> None:
    """A list gives it: nothing is allocated, and the other videos go on."""
    if form == "scores":
        sources = ImportSources(scores=small_set.scores(tmp_path / "s"))
    else:
        (tmp_path / "s.csv").write_text("video,start,end,score\n" + "".join(f"{name},0,9,0.5\n" for name in FRAMES))
        sources = ImportSources(segments=tmp_path / "s.csv")
    found = read_import(sources, {**COUNTS, VIDEO: 10**13}, ImportReport())
    assert "at most 20000000 are read" in found.unscored[VIDEO]
    assert len(found.videos) == len(FRAMES) - 1


def test_the_command_takes_it(tmp_path: Path) -> None:
    path = written(tmp_path / "refine.json", {"vid_score": {f"{name}.mp4": tree(name) for name in FRAMES}})
    options = [*small_set.dataset_files(tmp_path / "set"), "--store", str(tmp_path / "store")]
    made = lavad("import", "--scores", str(path), "--raw-scores", str(path), *options, "--json")
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["interval"] == 1
    assert lavad("evaluate", *options, "--resamples", "0").exit_code == 0


def test_the_published_tree_of_msad_is_read(shared: Path, tmp_path: Path) -> None:
    """The segments of 240 videos; their scores are not among the data, so each gets one that its place gives."""
    import tarfile

    archive = shared / "data/vadtree_msad/trees.tar.xz"
    if not archive.exists():
        pytest.skip("no ../shared/data/vadtree_msad: VADTree's own segments are not read")
    with tarfile.open(archive) as files:
        stream = files.extractfile("dfs_coarse_scenes.json")
        assert stream is not None
        scenes = json.load(stream)
    scored = {
        name: {f"{first}, {last}": [at % 10 / 10, ""] for at, (first, last) in enumerate(video["scenes"])}
        for name, video in scenes.items()
    }
    counts: dict[str, int | None] = {name.removesuffix(".mp4"): video["frames"] for name, video in scenes.items()}
    found = read_import(
        ImportSources(scores=written(tmp_path / "s.json", {"vid_score": scored})), counts, report := ImportReport()
    )
    assert (report.problems, len(found.videos)) == ([], 240)


@pytest.mark.parametrize(
    ("archive", "figures"),
    [
        ("ucf_crime_scores", {0: (0.8482, 0.3765), 10: (0.8627, 0.3948)}),
        ("ucf_crime_direct_11class_likelihood_promptfix", {10: (0.8443, 0.4026)}),
        ("ucf_crime_direct_generation", {10: (0.7020, 0.2423)}),
        ("ucf_crime_caption_e0_likelihood_stride16", {10: (0.8028, 0.3257)}),
    ],
)
def test_published_figures_of_probe_vad(
    archive: str, figures: dict[int, tuple[float, float]], shared: Path, tmp_path: Path
) -> None:
    data, ucf = shared / "data/probe_vad" / f"{archive}.tar.xz", shared / "data/ucf_crime"
    if not data.exists():
        pytest.skip("no ../shared/data/probe_vad: its figures are not compared")
    labels = open_dataset("ucf-crime", ucf / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt", ucf / "test.txt")
    recorded = record_import(tmp_path / "store", ImportSources(scores=data), labels)
    assert recorded.report.problems == []
    found = evaluate(labels, open_results(tmp_path / "store"), EvaluationOptions((10,), resamples=0))
    for row in found.rows:
        if row.ours and row.sigma in figures:
            auc, average = figures[int(row.sigma)]
            assert row.metrics["auc"].value == pytest.approx(auc, abs=5.1e-5)
            assert row.metrics["average_precision"].value == pytest.approx(average, abs=5.1e-5)
