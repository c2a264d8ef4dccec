"""Results on their way out, and back in where that is possible."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from support import small_set
from support.filled_store import EVIL, GRID, SCORES, SUMMARIES, fill
from support.small_set import FRAMES, INTERVAL, grid

from lavad_core.datasets.annotations import read_annotations
from lavad_core.errors import InputError
from lavad_core.exports.layout_writer import write_layout
from lavad_core.exports.segments import write_fiftyone, write_intervals
from lavad_core.exports.tables import write_csv, write_json, write_parquet
from lavad_core.imports.layout import find_layout
from lavad_core.imports.per_video import ImportSources
from lavad_core.method.detection import SegmentRule
from lavad_core.results.open import open_results
from lavad_core.results.record import record_import
from lavad_core.results.types import ResultSet, ScoredVideo, VideoTexts, results_of_values
from lavad_core.store.types import Commit


def imported(tmp_path: Path, sources: ImportSources) -> tuple[ResultSet, Commit]:
    recorded = record_import(tmp_path / "store", sources, small_set.dataset(tmp_path / "set"))
    found = open_results(tmp_path / "store")
    return found, recorded.commit


def sources_of(kind: str, folder: Path) -> ImportSources:
    """Imports of every kind."""
    if kind == "layout":
        return find_layout(small_set.layout(folder))
    if kind == "raw only":
        return ImportSources(raw_scores=small_set.scores(folder / "raw"))
    if kind == "segments":
        path = folder / "s.csv"
        path.write_text("video,start,end,score\n" + "".join(f"{name},3,9,0.5\n" for name in FRAMES))
        return ImportSources(segments=path)
    if kind == "arrays":
        for name, count in FRAMES.items():
            np.save(folder / f"{name}.npy", np.linspace(0, 1, count) ** 2)
        return ImportSources(scores=folder)
    return ImportSources(
        scores=small_set.scores(folder / "s"),
        raw_scores=small_set.scores(folder / "r", 0.5),
        captions={name: small_set.texts(folder / name, name) for name in ("z", "a", "m-6.7b")},
        cleaned=small_set.texts(folder / "clean", "cleaned"),
    )


@pytest.mark.parametrize("kind", ["layout", "raw only", "segments", "arrays", "texts"])
def test_the_authors_layout_and_back(kind: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    first, commit = imported(tmp_path, sources_of(kind, tmp_path / "files"))
    write_layout(first, tmp_path / "out")
    _, again = imported(tmp_path, find_layout(tmp_path / "out"))
    assert again == commit


def test_the_layout_is_the_authors(tmp_path: Path) -> None:
    given = small_set.layout(tmp_path / "data")
    found, _ = imported(tmp_path, find_layout(given))
    write_layout(found, tmp_path / "out")
    for kind in ("scores/refined", "similarity/clean_summary", "filenames/clean_summary"):
        for name in FRAMES:
            theirs = json.loads((given / kind / f"{name}.json").read_text())
            ours = json.loads((tmp_path / "out" / kind / f"{name}.json").read_text())
            assert all(list(row) == [str(rank) for rank in range(10)] for row in ours.values()), kind
            without_padding = [
                {at: {rank: row[rank] for rank in "01"} for at, row in own.items()} for own in (ours, theirs)
            ]
            assert without_padding[0] == without_padding[1], kind


def test_a_run_in_the_authors_layout(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    run = open_results(tmp_path)
    write_layout(run, tmp_path / "out")
    recorded = record_import(
        tmp_path, find_layout(tmp_path / "out"), small_set.dataset(tmp_path / "set", {"first": 40})
    )
    assert recorded.report.problems == []
    back = open_results(tmp_path)
    # The filled store's refined scores are none of its neighbours': theirs are all 0.5 on average.
    np.testing.assert_allclose(back.scores("first").scores, [0.5] * 3)
    np.testing.assert_array_equal(back.scores("first").raw_scores, [0.0, 1.0, 0.5])
    assert back.texts("first").summaries == dict(zip(GRID, SUMMARIES, strict=True))


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    fill(tmp_path, "two/videos")
    run = open_results(tmp_path)
    with pytest.raises(InputError, match=r"1 name cannot be those of files in the authors' layout: 'two/videos'"):
        write_layout(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_of_the_grid(tmp_path: Path) -> None:
    found, _ = imported(tmp_path, find_layout(small_set.layout(tmp_path / "data")))
    write_csv(found, tmp_path / "t.csv")
    write_parquet(found, tmp_path / "t.parquet")
    write_json(found, tmp_path / "t.json")
    as_csv = read_csv(tmp_path / "t.csv")
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    videos = json.loads((tmp_path / "t.json").read_text())["videos"]
    from_json = [{"video": video["video"], **row} for video in videos for row in video["rows"]]
    assert len(rows) == len(as_csv) == len(from_json) == sum(len(grid(name)) for name in FRAMES)
    at = 0
    for name in sorted(FRAMES):
        video, texts = found.scores(name), found.texts(name)
        assert video.raw_scores is not None
        for frame, score, raw in zip(grid(name), video.scores, video.raw_scores, strict=True):
            expected = {
                "video": name,
                "frame": frame,
                "time_s": frame / 30,
                "score": score,
                "raw_score": raw,
                "summary": texts.summaries[frame],
                "cleaned": texts.cleaned[frame].text,
            }
            captions = {captioner: said[frame] for captioner, said in texts.captions.items()}
            assert from_json[at] == {**expected, "captions": captions}
            said = {item["captioner"]: item["caption"] for item in rows[at]["captions"]}
            assert {**rows[at], "captions": said} == {**expected, "captions": captions}
            columns = {f"caption: {captioner}": caption for captioner, caption in captions.items()}
            assert as_csv[at] == {
                key: "" if value is None else str(value) for key, value in {**expected, **columns}.items()
            }
            at += 1


def test_reasons_of_scores_without_summaries_are_a_column(tmp_path: Path) -> None:
    video = ScoredVideo("clip", 40, INTERVAL, np.array([0.1, 0.9, 0.2]))
    found = results_of_values({"clip": video}, texts={"clip": VideoTexts(reasons={16: "a fight"})})
    write_csv(found, tmp_path / "t.csv")
    write_parquet(found, tmp_path / "t.parquet")
    write_json(found, tmp_path / "t.json")
    assert [row["reason"] for row in read_csv(tmp_path / "t.csv")] == ["", "a fight", ""]
    assert pq.read_table(tmp_path / "t.parquet")["reason"].to_pylist() == [None, "a fight", None]
    (one,) = json.loads((tmp_path / "t.json").read_text())["videos"]
    assert [row["reason"] for row in one["rows"]] == [None, "a fight", None]


def test_tables_of_frames(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    found = open_results(tmp_path)
    write_csv(found, tmp_path / "t.csv", frames=True)
    write_parquet(found, tmp_path / "t.parquet", frames=True)
    write_json(found, tmp_path / "t.json", frames=True)
    rows: list[dict[str, Any]] = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["frame"] for row in rows] == list(range(40))
    assert [row["score"] for row in rows] == [SCORES[frame // INTERVAL] for frame in range(40)]
    assert [row["time_s"] for row in rows] == [frame / 25 for frame in range(40)]
    assert [float(row["score"]) for row in read_csv(tmp_path / "t.csv")] == [row["score"] for row in rows]
    (video,) = json.loads((tmp_path / "t.json").read_text())["videos"]
    assert [{"video": "first", **row} for row in video["rows"]] == rows
    assert json.loads((tmp_path / "t.json").read_text())["unscored"].keys() == {"bad", "lost"}


def test_names_and_texts_are_escaped_in_a_spreadsheet_and_on_a_terminal(tmp_path: Path) -> None:
    fill(tmp_path, EVIL, "-1+1")
    found = open_results(tmp_path)
    write_csv(found, tmp_path / "t.csv")
    write_intervals(found, tmp_path / "t.txt", SegmentRule())
    for path in (tmp_path / "t.csv", tmp_path / "t.txt"):
        assert not {"\x1b", "\u202e"} & set(path.read_text(encoding="utf-8"))
    rows = read_csv(tmp_path / "t.csv")
    assert rows[0]["video"] == "'-1+1"
    assert rows[1]["summary"] == "'" + SUMMARIES[1]
    assert len((tmp_path / "t.txt").read_text().splitlines()) == 2


def memory(scores: list[float], frames: int, name: str = "clip", **given: Any) -> ResultSet:
    video = ScoredVideo(name, frames, INTERVAL, np.array(scores), **given)
    return results_of_values({name: video})


@pytest.mark.parametrize(
    ("case", "scores", "line", "supports"),
    [
        ("nothing", [0.0, 0.1, 0.2], "clip  Normal  -1  -1  -1  -1  ", []),
        ("to the end", [0.0, 0.1, 0.7], "clip  Anomaly  32  39  -1  -1  ", [[33, 40]]),
        ("two", [0.9, 0.1, 0.7], "clip  Anomaly  0  15  32  39  ", [[1, 16], [33, 40]]),
        ("all", [0.9, 0.5, 0.7], "clip  Anomaly  0  39  -1  -1  ", [[1, 40]]),
    ],
)
def test_segments(case: str, scores: list[float], line: str, supports: list[list[int]], tmp_path: Path) -> None:
    results = memory(scores, 40)
    write_intervals(results, tmp_path / "i.txt", SegmentRule())
    assert (tmp_path / "i.txt").read_text() == line + "\n", case
    intervals = read_annotations(tmp_path / "i.txt")["clip"].intervals
    assert [[first + 1, last + 1] for first, last in intervals] == supports
    write_fiftyone(results, tmp_path / "f", SegmentRule())
    labels = json.loads((tmp_path / "f/labels.json").read_text())
    assert labels["classes"] == ["Anomaly"]
    assert [item["support"] for item in labels["labels"]["clip"]] == supports
    assert all(item["label"] == 0 and 0 < item["confidence"] <= 1 for item in labels["labels"]["clip"])


def test_thresholds(tmp_path: Path) -> None:
    video = memory([0.3, 0.9, 0.1, 0.9], 64, frame_rate=16.0).scores("clip")

    def found(**given: float) -> list[tuple[int, int]]:
        return [(s.start_frame, s.end_frame) for s in video.segments(SegmentRule(**given))]

    assert found() == [(16, 31), (48, 63)]
    assert found(threshold=0.95) == []
    assert found(low_threshold=0.2) == [(0, 31), (48, 63)]
    assert found(max_gap_s=1) == [(16, 63)]
    assert found(min_length_s=2, low_threshold=0.2) == [(0, 31)]
    with pytest.raises(InputError, match=r"low threshold 0.6 is above the threshold 0.5"):
        found(low_threshold=0.6)
    unknown = memory([0.9], 16).scores("clip")
    with pytest.raises(InputError, match="nothing says how many frames a second 'clip' has"):
        unknown.segments(SegmentRule(min_length_s=1))


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_nothing_is_written_over(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    if kind == "file":
        target.write_text("mine")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "nowhere")
    results = memory([0.9], 16)
    for write in (
        lambda: write_csv(results, target),
        lambda: write_intervals(results, target, SegmentRule()),
        lambda: write_fiftyone(results, target, SegmentRule()),
    ):
        with pytest.raises(InputError, match="exists already and is not overwritten"):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert kind != "file" or target.read_text() == "mine"


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    wrong = memory([0.9], 40)  # one score where three are needed
    for write in (write_csv, write_parquet, write_json):
        with pytest.raises((InputError, ValueError)):
            write(wrong, tmp_path / "out", frames=True)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="there is no folder"):
        write_csv(wrong, tmp_path / "none" / "out.csv")
