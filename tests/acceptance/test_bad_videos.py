"""A folder with good and bad files: the good ones are scored, each other one has its status and reason everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from support.video_factory import make_audio, make_video
from support.whole_runs import finish

from lavad_core.runs.manifest import list_runs, load_run

EXPECTED = {
    "good-1": ("ok", ""),
    "good-2": ("ok", ""),
    "one-frame": ("ok", ""),
    "cut-stream": ("ok_with_gaps", "gaps"),
    "truncated": ("rejected", "format"),
    "zero": ("rejected", "empty"),
    "playlist": ("rejected", "format"),
    "sound": ("rejected", "no-video"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    videos = folder / "videos"
    videos.mkdir()
    make_video(videos / "good-1.mp4", frames=40, fps=10)
    make_video(videos / "good-2.mkv", frames=56, fps=10)
    make_video(videos / "one-frame.mp4", frames=1)
    whole = make_video(folder / "whole.mp4", frames=90, fps=10).read_bytes()
    (videos / "truncated.mp4").write_bytes(whole[: len(whole) // 2])  # its index was at the end
    stream = make_video(folder / "whole.avi", frames=90, fps=10).read_bytes()
    (videos / "cut-stream.avi").write_bytes(stream[: len(stream) * 2 // 3])  # its header announces 90 frames
    (videos / "zero.mp4").touch()
    (videos / "playlist.mp4").write_text("ffconcat version 1.0\nfile good-1.mp4\n")
    make_audio(videos / "sound.mp4")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path, prefect_server: str) -> dict[str, str]:
    environment = {"PREFECT_API_URL": prefect_server}
    arguments = ["run", str(folder / "videos"), "--preset", "tiny", "--store", str(folder / "store"), "--plain"]
    assert finish(arguments, environment, folder / "log") == 1, (folder / "log").read_text()[-3000:]
    return environment


def test_every_video_has_its_status_and_reason(folder: Path, run: dict[str, str]) -> None:
    found = {video.name: (video.status, video.reason) for video in load_run(folder / "store").videos}
    assert found == EXPECTED


def test_status_prints_them(folder: Path, run: dict[str, str]) -> None:
    log = folder / "status"
    finish(["status", "--store", str(folder / "store"), "--json"], run, log)
    printed = json.loads(log.read_text())
    assert {video["name"]: (video["status"], video["reason"]) for video in printed["videos"]} == EXPECTED
    assert all(video["message"] for video in printed["videos"] if video["status"] != "ok")


def test_the_artifact_of_the_run_shows_them(folder: Path, run: dict[str, str], prefect_server: str) -> None:
    answer = httpx.post(
        f"{prefect_server}/artifacts/filter", json={"artifacts": {"type": {"any_": ["table"]}}}, timeout=30
    )
    tables = [json.loads(artifact["data"]) for artifact in answer.json()]
    rows = next(table for table in tables if any("playlist" in str(row) for row in table))
    text = {name: next(str(row) for row in rows if name in str(row)) for name in EXPECTED}
    for name, (status, reason) in EXPECTED.items():
        assert status.replace("_", " ") in text[name]
        assert reason in text[name]


def test_the_flow_run_is_red_and_named(folder: Path, run: dict[str, str], prefect_server: str) -> None:
    answer = httpx.post(
        f"{prefect_server}/flow_runs/filter",
        json={"flow_runs": {"state": {"name": {"any_": ["PartiallyFailed"]}}}},
        timeout=30,
    )
    assert any(state["state_type"] == "FAILED" for state in answer.json())


def test_retry_does_only_the_failed_ones(folder: Path, run: dict[str, str]) -> None:
    before = list_runs(folder / "store")
    assert finish(["retry", "--store", str(folder / "store"), "--plain"], run, folder / "retry") == 1
    (new,) = set(list_runs(folder / "store")) - set(before)
    tried = {video.name for video in load_run(folder / "store", new).videos}
    assert tried == {name for name, (status, _) in EXPECTED.items() if status == "rejected"}


def test_a_repaired_video_is_scored_by_retry(folder: Path, run: dict[str, str]) -> None:
    make_video(folder / "videos" / "zero.mp4", frames=40, fps=10)
    finish(["retry", "--store", str(folder / "store"), "--plain"], run, folder / "retry-2")
    found = {video.name: video.status for video in load_run(folder / "store").videos}
    assert found["zero"] == "ok"


def test_resources_are_in_the_manifest(folder: Path, run: dict[str, str]) -> None:
    first = load_run(folder / "store", min(list_runs(folder / "store")))
    assert {"probe", "clean", "refine", "detect"} <= set(first.stages)
    for name, totals in first.stages.items():
        # What an earlier stage made with its own result is found, and takes nothing.
        assert totals.seconds > 0 or not totals.done, name
        assert totals.peak_rss_bytes > 50 * 2**20 or not totals.done, name
    assert first.peak_rss_bytes < 3 * 2**30
