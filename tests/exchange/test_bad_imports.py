"""What is wrong with somebody else's files is said so that a user knows what to do, and does not stop the rest."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import small_set
from support.small_set import FRAMES, grid, score

from lavad_core.errors import InputError
from lavad_core.imports import found
from lavad_core.imports.layout import find_layout
from lavad_core.imports.per_video import ImportReport, ImportSources
from lavad_core.imports.read import read_import
from lavad_core.imports.segment_list import read_segments

VIDEO = "Arson001_x264"
COUNTS: dict[str, int | None] = dict(FRAMES)


def frames(*numbers: int) -> dict[int, float]:
    return dict.fromkeys(numbers, 0.5)


def array(values: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / f"{VIDEO}.json").unlink()
        np.save(folder / f"{VIDEO}.npy", np.array(values), allow_pickle=True)

    return write


def table(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / f"{VIDEO}.json").unlink()
        (folder / f"{VIDEO}.csv").write_text(text)

    return write


def twice(folder: Path) -> None:
    (folder / "again").mkdir()
    (folder / "again" / f"{VIDEO}.mp4.json").write_text(json.dumps(frames(*grid(VIDEO))))


@pytest.mark.parametrize(
    ("case", "content", "says"),
    [
        ("shorter", frames(0, 16), "is shorter than its video: its scores end at frame 16, the video has 40 frames"),
        ("longer", frames(0, 16, 32, 48), "has scores to frame 48, but the video has 40 frames"),
        ("a hole", frames(0, 32), "has no score for 1 of 3 frames of the grid of every 16 frames (first: [16])"),
        ("another interval", frames(*range(0, 40, 8)), "has a score at frame 8, which is not on the grid of every 16"),
        ("texts", {0: "a dog", 16: "a cat", 32: ""}, "the values are texts where scores are needed"),
        ("mixed", {0: "a dog", 16: 0.5, 32: 0.5}, "1 values are texts and 2 are numbers"),
        ("outside", {0: 0.5, 16: 7, 32: 0.5}, "frame 16 has the score 7, outside [0, 1]"),
        ("nothing", {}, "there are no values"),
        ("neighbours", {at: {0: 0.5} for at in grid(VIDEO)}, "their mean needs the similarities"),
        ("not JSON", b"\x89PNG", "is not UTF-8 text"),
        ("cut off", b'{"0": 0.5', "is not JSON"),
        ("two files", twice, "it has two files: 'Arson001_x264.json' and 'again/Arson001_x264.mp4.json'; keep one"),
        ("no file", None, "no file"),
        ("array of another length", array([0.5] * 7), "has 7 scores, but the video has 40 frames"),
        ("array of every frame", array([0.5] * 40), "one a frame: give --interval 1"),
        ("two-dimensional", array([[0.5, 0.5], [0.5, 0.5]]), "it has the shape (2, 2)"),
        ("array of texts", array(["a", "b"]), "is not an array of a video's scores"),
        ("pickle", array([{"a": 1}]), "is not an array of a video's scores"),
        ("not a number", array([0.5, np.nan, 0.5]), "1 of 3 scores are not in [0, 1], first at position 1: nan"),
        ("three columns", table("0,1,0.5\n"), "line 1: '0,1,0.5'; expected is one score per line"),
        ("word in a column", table("frame,score\n0,0.5\n16,high\n"), "line 3: '16,high'"),
        ("empty table", table("frame,score\n"), "has no scores"),
        ("frames out of order", table("16,0.5\n0,0.5\n"), "each above the one before"),
    ],
)
def test_a_bad_file_leaves_its_video_without_scores(case: str, content: object, says: str, tmp_path: Path) -> None:
    folder = small_set.scores(tmp_path / "scores")
    path = folder / f"{VIDEO}.json"
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif callable(content):
        content(folder)
    else:
        path.write_text(json.dumps(content))
    report = ImportReport()
    found = read_import(ImportSources(scores=folder), COUNTS, report)
    assert says in found.unscored[VIDEO], case
    assert [video.name for video in found.videos] == sorted(set(FRAMES) - {VIDEO}), case
    told = [problem for problem in report.problems if says in problem]
    assert len(told) == (0 if case == "no file" else 1), (case, report.problems)
    assert all(VIDEO in problem for problem in told)


def test_raw_scores_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    raw = small_set.scores(tmp_path / "raw")
    small_set.write(raw, {VIDEO: frames(0)})
    report = ImportReport()
    found = read_import(ImportSources(scores=small_set.scores(tmp_path / "scores"), raw_scores=raw), COUNTS, report)
    assert {video.name: video.raw_scores is None for video in found.videos} == {name: name == VIDEO for name in FRAMES}
    assert len(report.problems) == 1
    assert "is shorter than its video" in report.problems[0]


def test_what_texts_lack_is_said(tmp_path: Path) -> None:
    summaries = small_set.texts(tmp_path / "summaries", "x")
    (summaries / "Normal_Videos_003.json").unlink()
    small_set.write(summaries, {VIDEO: {0: "only this"}, "stranger": {0: "?"}})
    report = ImportReport()
    found = read_import(
        ImportSources(scores=small_set.scores(tmp_path / "scores"), summaries=summaries), COUNTS, report
    )
    assert found.videos[0].summaries == {0: "only this"}
    assert report.problems == []
    assert report.notes == [
        "summaries: 1 file belongs to none of the expected videos: 'stranger.json'",
        "summaries: none for 1 scored video: 'Normal_Videos_003'",
        "summaries: 'Arson001_x264' has 1 for 3 frames of the grid",
    ]


def test_texts_of_a_video_without_scores_are_no_strangers(tmp_path: Path) -> None:
    scores = small_set.scores(tmp_path / "scores", names=[VIDEO])
    report = ImportReport()
    read_import(ImportSources(scores=scores, summaries=small_set.texts(tmp_path / "summaries", "x")), COUNTS, report)
    assert report.problems == report.notes == []


def test_without_a_data_set_a_bad_file_is_an_unscored_video(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.linspace(0, 1, 9))
    (tmp_path / "bad.npy").write_bytes(b"no")
    found = read_import(ImportSources(scores=tmp_path), None, ImportReport())
    assert [video.name for video in found.videos] == ["good"]
    assert "is not an array of a video's scores" in found.unscored["bad"]


def test_summaries_in_place_of_scores(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of 4 videos has usable scores.*texts where scores are needed"):
        read_import(ImportSources(scores=small_set.texts(tmp_path / "texts", "x")), COUNTS, ImportReport())


@pytest.mark.parametrize(
    ("case", "place", "says"),
    [
        ("absent", lambda folder: folder / "none", "does not exist; expected is a folder or an archive"),
        ("a file", lambda folder: _written(folder / "scores.rar", b"Rar!"), "is neither a folder nor an archive"),
        ("empty folder", lambda folder: _folder(folder / "empty"), "has no file that ends in .json, .npy, .csv"),
        ("other names", lambda folder: small_set.write(folder / "o", {"x": {0: 1}}), "none of the 1 file in"),
        ("no archive", lambda folder: _written(folder / "s.tar.xz", b"not"), "cannot be read"),
        ("cut archive", lambda folder: _written(folder / "s.tar.gz", _gzipped(folder)[:90]), "cannot be read"),
        ("no zip", lambda folder: _written(folder / "s.zip", b"PK\3\4"), "cannot be read"),
    ],
)
def test_a_source_that_cannot_be_read(case: str, place: Callable[[Path], Path], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_import(ImportSources(scores=place(tmp_path)), COUNTS, ImportReport())
    assert says in str(caught.value), case


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _gzipped(folder: Path) -> bytes:
    source = small_set.scores(folder / "packed")
    with tarfile.open(folder / "whole.tar.gz", "w:gz") as archive:
        archive.add(source, "scores")
    return (folder / "whole.tar.gz").read_bytes()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_that_unpacks_to_more_than_is_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "MAX_BYTES", 20_000)
    monkeypatch.setattr(found, "MAX_UNPACKED_BYTES", 50_000)
    bomb = _written(tmp_path / f"{VIDEO}.json", b" " * 1_000_000)
    place = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(bomb, bomb.name)
    else:
        with tarfile.open(place, "w:gz") as packed:
            packed.add(bomb, bomb.name)
    assert place.stat().st_size < 20_000
    with pytest.raises(InputError, match="unpacks to more than is read"):
        read_import(ImportSources(scores=place), {VIDEO: 40}, ImportReport())


def test_more_files_than_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "MAX_FILES", 2)
    with pytest.raises(InputError, match="more than 2 files"):
        read_import(ImportSources(scores=small_set.scores(tmp_path / "scores")), COUNTS, ImportReport())


@pytest.mark.parametrize(
    ("case", "content", "says"),
    [
        ("empty", "", "is empty"),
        ("only a header", "video,start,end,score\n", "is empty"),
        ("no names of columns", "a,1,2,0.5\nb,1,2,0.5\n", "line 2: there is no video"),
        ("no score", "video,start,end\na,1,2\n", "line 2: score is 'None', not a number"),
        ("backwards", "video,start,end,score\na,9,2,1\n", "line 2: 9 to 2 is not a segment"),
        ("negative", "video,start,end,score\na,-1,2,1\n", "line 2: -1 to 2 is not a segment"),
        ("fractions of frames", "video,start,end,score\na,0.5,2,1\n", "seconds are called start_s and end_s"),
        ("a word", "video,start,end,score\na,one,2,1\n", "start is 'one', not a number"),
        ("not finite", "video,start,end,score\na,0,inf,1\n", "end is 'inf', not a number"),
        ("outside", "video,start,end,score\na,0,1,1.5\n", "the score 1.5 is outside [0, 1]"),
        ("both units", "video,start,end,start_s,end_s,score\na,0,1,0,1,1\n", "not one pair of start and end"),
        ("broken quotes", 'video,start,end,score\n"a,0,1,1\n', "unexpected end of data"),
    ],
)
def test_bad_segments(case: str, content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_segments(_written(tmp_path / "segments.csv", content.encode()))
    assert says in str(caught.value), case
    assert "segments.csv" in str(caught.value)


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2]", "[", "[" * 100_000])
def test_bad_segments_in_json(content: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not JSON|is not a list of objects"):
        read_segments(_written(tmp_path / "segments.json", content.encode()))


@pytest.mark.parametrize(
    ("case", "spoil", "says"),
    [
        ("two language models", lambda d: small_set.scores(d / "scores/raw/other"), "name one with --raw-scores"),
        ("two ensembles", lambda d: small_set.texts(d / "captions/summary/llm/c", "x"), "name one with --summaries"),
        (
            "two owners of a captioner",
            lambda d: small_set.texts(d / "captions/raw/other/blip2-a", "x"),
            "two captioners are called 'blip2-a'",
        ),
    ],
)
def test_a_layout_that_is_not_clear(case: str, spoil: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    folder = small_set.layout(tmp_path)
    spoil(folder)
    with pytest.raises(InputError) as caught:
        find_layout(folder)
    assert says in str(caught.value), case


def test_what_is_named_apart_is_not_looked_for(tmp_path: Path) -> None:
    folder = small_set.layout(tmp_path)
    other = small_set.scores(folder / "scores/raw/other")
    assert find_layout(folder, ImportSources(raw_scores=other)).raw_scores == other


def test_no_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has none of captions/raw, captions/clean"):
        find_layout(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        find_layout(tmp_path / "none")


@pytest.mark.parametrize(
    ("case", "similar", "says"),
    [
        ("absent", None, "their mean needs the similarities"),
        ("other ranks", {0: 0.5}, "frame 0 has other neighbours than its similarities"),
        ("only padding", {0: -3e38, 1: -3e38, 2: -3e38}, "the similarities of frame 0 are not cosines"),
        ("no cosines", {0: 17.0, 1: 1.0, 2: 1.0}, "the similarities of frame 0 are not cosines"),
    ],
)
def test_similarities_that_do_not_fit(case: str, similar: dict[int, float] | None, says: str, tmp_path: Path) -> None:
    folder = small_set.layout(tmp_path)
    path = folder / "similarity/clean_summary" / f"{VIDEO}.json"
    path.unlink() if similar is None else path.write_text(json.dumps(dict.fromkeys(grid(VIDEO), similar)))
    found = read_import(find_layout(folder), COUNTS, ImportReport())
    assert says in found.unscored[VIDEO], case
    assert len(found.videos) == 3


def test_scores_of_the_other_videos_are_theirs(tmp_path: Path) -> None:
    """Nothing moves up into the place of a missing video."""
    folder = small_set.scores(tmp_path / "scores", names=["a #1=b (ü)"])
    (video,) = read_import(ImportSources(scores=folder), COUNTS, ImportReport()).videos
    np.testing.assert_array_equal(video.scores, [score(video.name, at) for at in grid(video.name)])
