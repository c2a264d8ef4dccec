"""What is imported is what the files say, whichever form they have."""

from __future__ import annotations

import io
import json
import math
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import small_set, video_factory
from support.small_set import FRAMES, INTERVAL, grid, score

from lavad_core.errors import InputError
from lavad_core.imports.layout import find_layout
from lavad_core.imports.per_video import ImportReport, ImportSources
from lavad_core.imports.read import read_import
from lavad_core.results.open import open_results
from lavad_core.results.record import RecordedImport, record_import
from lavad_core.results.types import CleanedCaption
from lavad_core.runs.manifest import load_run
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import verify

COUNTS: dict[str, int | None] = dict(FRAMES)


def imported(tmp_path: Path, sources: ImportSources, **given: float) -> RecordedImport:
    return record_import(tmp_path / "store", sources, small_set.dataset(tmp_path / "set"), **given)  # type: ignore[arg-type]


def test_the_authors_layout(tmp_path: Path) -> None:
    recorded = imported(tmp_path, find_layout(small_set.layout(tmp_path / "data")))
    assert recorded.report.problems == recorded.report.notes == []
    found = open_results(tmp_path / "store")
    assert (found.origin, found.names, found.unscored) == ("import", sorted(FRAMES), {})
    for name in FRAMES:
        video, texts = found.scores(name), found.texts(name)
        weights = math.exp(0.5), math.exp(-0.25)
        means = [(score(name, at) * weights[0] + 0.25 * weights[1]) / sum(weights) for at in grid(name)]
        np.testing.assert_allclose(video.scores, means, atol=1e-12)
        assert video.raw_scores is not None
        np.testing.assert_array_equal(video.raw_scores, [score(name, at, 0.3) for at in grid(name)])
        assert (video.frames, video.interval) == (FRAMES[name], INTERVAL)
        assert texts.captions == {
            f"blip2-{who}": {at: f"{who} sees {name} {at}" for at in grid(name)} for who in ("a", "b")
        }
        assert texts.cleaned == {at: CleanedCaption(f"clean {name} {at}") for at in grid(name)}
        assert texts.summaries == {at: f"summary {name} {at}" for at in grid(name)}


def test_an_import_is_listed_like_a_run_and_its_result_is_sound(tmp_path: Path) -> None:
    recorded = imported(tmp_path, ImportSources(scores=small_set.scores(tmp_path / "scores")))
    run = load_run(tmp_path / "store")
    assert (run.run_id, run.origin, run.status) == (recorded.run.run_id, "import", "Imported")
    assert [(video.name, video.status) for video in run.videos] == [(name, "ok") for name in sorted(FRAMES)]
    assert run.config["import"]["sources"]["scores"]["files"] == 4
    assert list(verify(FileStore(tmp_path / "store"))) == []


def test_the_same_files_give_the_same_digests_and_other_values_others(tmp_path: Path) -> None:
    folder = small_set.scores(tmp_path / "scores")
    first, second = (imported(tmp_path, ImportSources(scores=folder)) for _ in range(2))
    assert first.commit == second.commit
    assert first.run.run_id != second.run.run_id
    other = imported(tmp_path, ImportSources(scores=small_set.scores(tmp_path / "other", shift=0.1)))
    assert other.commit.key.fingerprint != first.commit.key.fingerprint
    with_texts = ImportSources(scores=folder, summaries=small_set.texts(tmp_path / "summaries", "x"))
    assert imported(tmp_path, with_texts).commit.key.fingerprint != first.commit.key.fingerprint


def packed(folder: Path, target: Path) -> Path:
    """An archive of a folder, the files one folder down, beside some that are none of ours."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, f"inner/{path.name}")
            archive.writestr("__MACOSX/inner/._Arson001_x264.json", b"\0\5")
        return target
    kind = {".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2", ".tar": "w"}[target.suffix]
    with tarfile.open(target, kind) as archive:  # type: ignore[call-overload]
        archive.add(folder, "inner")
        link = tarfile.TarInfo("inner/link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        outside = tarfile.TarInfo("../../outside.json")
        outside.size = 2
        archive.addfile(outside, io.BytesIO(b"{}"))
    return target


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip"])
def test_an_archive_is_as_its_folder(ending: str, tmp_path: Path) -> None:
    folder = small_set.scores(tmp_path / "scores")
    plain = imported(tmp_path, ImportSources(scores=folder))
    from_archive = imported(tmp_path, ImportSources(scores=packed(folder, tmp_path / f"scores{ending}")))
    assert from_archive.commit == plain.commit
    assert not (tmp_path.parent / "outside.json").exists()


def test_arrays_of_frames_and_of_the_grid(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    for number, (name, count) in enumerate(FRAMES.items()):
        values = np.linspace(0, 1, count)
        if number:
            np.save(folder / f"{name}.npy", values.astype(np.float32)[np.newaxis])
        else:
            (folder / f"{name}.csv").write_text(
                "frame,score\r\n" + "".join(f"{i},{v}\r\n" for i, v in enumerate(values))
            )
    report = ImportReport()
    found = read_import(ImportSources(scores=folder), COUNTS, report)
    assert (found.interval, found.unscored, report.problems) == (1, {}, [])
    for video in found.videos:
        assert video.scores is not None
        np.testing.assert_allclose(video.scores, np.linspace(0, 1, FRAMES[video.name]), atol=1e-7)
    on_grid = tmp_path / "grid"
    on_grid.mkdir()
    for name in FRAMES:
        np.save(on_grid / f"{name}.npy", np.array([score(name, at) for at in grid(name)]))
    as_json = read_import(ImportSources(scores=small_set.scores(tmp_path / "json")), COUNTS, ImportReport())
    as_array = read_import(ImportSources(scores=on_grid), COUNTS, ImportReport())
    assert as_array.interval == INTERVAL
    for one, other in zip(as_json.videos, as_array.videos, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("csv", "video,start,end,score\r\nArson001_x264.mp4,4,9,0.5\r\nArson001_x264,8,99,0.75\r\na #1=b (ü),,,\r\n"),
        (
            "csv",
            "\ufeffname, start_s, end_s, score\nArson001_x264,0.4,1.0,0.5\nArson001_x264,0.8,9,0.75\na #1=b (ü),,,\n",
        ),
        (
            "json",
            json.dumps(
                [
                    {"video": "Arson001_x264", "start_frame": 4, "end_frame": 9, "score": 0.5},
                    {"video": "Arson001_x264", "start_frame": 8, "end_frame": 50, "score": 0.75},
                    {"video": "a #1=b (ü)", "start_frame": None, "end_frame": None},
                ]
            ),
        ),
    ],
)
def test_segments(form: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / f"segments.{form}"
    path.write_bytes(content.encode())
    report = ImportReport()
    found = read_import(ImportSources(segments=path), COUNTS, report, frame_rate=10)
    assert found.interval == 1
    first, second = found.videos
    np.testing.assert_array_equal(first.scores, [0] * 4 + [0.5] * 4 + [0.75] * 32)
    np.testing.assert_array_equal(second.scores, [0] * 33)
    assert found.unscored == dict.fromkeys(["Normal_Videos_003", "Arson004"], "no file")
    assert report.notes == ["segments: 1 reach beyond the end of their video and were cut there"]


def test_segments_in_seconds_need_a_rate(tmp_path: Path) -> None:
    path = tmp_path / "segments.csv"
    path.write_text("video,start_s,end_s,score\nArson001_x264,0,1,1\n")
    with pytest.raises(InputError, match="give --frame-rate"):
        read_import(ImportSources(segments=path), COUNTS, ImportReport())


def test_names_match_without_ending_in_any_order_and_form_of_unicode(tmp_path: Path) -> None:
    names = {
        "Arson001_x264.MP4": "Arson001_x264",
        "a #1=b (u\u0308)": "a #1=b (ü)",
        "Normal_Videos_003": "Normal_Videos_003",
        "Arson004": "Arson004",
    }
    values = {written: {at: score(name, at) for at in grid(name)} for written, name in names.items()}
    found = read_import(ImportSources(scores=small_set.write(tmp_path / "scores", values)), COUNTS, ImportReport())
    assert [video.name for video in found.videos] == sorted(FRAMES)


def test_without_a_data_set_videos_are_those_that_have_scores(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "own.npy", np.linspace(0, 1, 50))
    found = read_import(ImportSources(scores=folder), None, ImportReport())
    assert [(video.name, video.frames) for video in found.videos] == [("own", 50)]
    with pytest.raises(InputError, match="nothing says how many frames it has; give a list"):
        read_import(ImportSources(scores=small_set.scores(tmp_path / "json")), None, ImportReport())


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(os.fsdecode(os.fsencode(folder) + b"/\xffa.npy"), np.linspace(0, 1, 50))
    record_import(tmp_path / "store", ImportSources(scores=folder), None)
    assert open_results(tmp_path / "store").names == ["\\udcffa"]


def test_frame_counts_of_videos(tmp_path: Path) -> None:
    """Where no list has them; a video that is none leaves its scores out."""
    videos = tmp_path / "videos"
    videos.mkdir()
    video_factory.make_video(videos / "own.mp4", frames=40)
    (videos / "broken.mp4").write_bytes(b"no video")
    values = {name: dict.fromkeys((0, 16, 32), 0.5) for name in ("own", "broken")}
    folder = small_set.write(tmp_path / "scores", values)
    recorded = record_import(tmp_path / "store", ImportSources(scores=folder), None, videos=videos)
    found = open_results(tmp_path / "store")
    assert (found.names, found.scores("own").frames) == (["own"], 40)
    assert "nothing says how many frames it has" in found.unscored["broken"]
    assert recorded.report.problems[0].startswith("videos: 'broken' cannot be read")


def test_raw_scores_alone_are_the_scores(tmp_path: Path) -> None:
    imported(tmp_path, ImportSources(raw_scores=small_set.scores(tmp_path / "scores")))
    video = open_results(tmp_path / "store").scores("Arson001_x264")
    assert video.raw_scores is None
    np.testing.assert_array_equal(video.scores, [score("Arson001_x264", at) for at in grid("Arson001_x264")])
