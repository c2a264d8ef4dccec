"""A run as a set of results."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.filled_store import EVIL, FRAMES, GRID, INTERVAL, SCORES, SUMMARIES, fill

from lavad_core.config.load import load_config
from lavad_core.errors import DamagedResult, InputError
from lavad_core.method.detection import mean_rate
from lavad_core.results.find import scored_name
from lavad_core.results.open import chosen_run, open_results
from lavad_core.results.run import RunVideo, keys_of_run, keys_of_video, results_of_keys
from lavad_core.results.types import NEIGHBOURS, ScoredVideo
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder, now_text
from lavad_core.runs.records import StageRecord
from lavad_core.runs.video_list import save_sources
from lavad_core.store.files import FileStore
from lavad_core.video.types import VideoSource


def test_scores_and_texts_of_a_run(tmp_path: Path) -> None:
    run_id, _ = fill(tmp_path, "second", EVIL, "first")
    found = open_results(tmp_path)
    assert (found.set_id, found.origin) == (run_id, "run")
    assert found.names == sorted(["first", "second", EVIL])
    assert found.unscored == {
        "bad": "rejected: no-video: an audio file",
        "lost": "failed: ServiceUnavailable: no connection",
    }
    video = found.scores(EVIL)
    assert (video.frames, video.interval, video.frame_rate) == (FRAMES, INTERVAL, pytest.approx(25))
    np.testing.assert_array_equal(video.scores, SCORES)
    np.testing.assert_array_equal(video.raw_scores, [0.0, 1.0, 0.5])
    np.testing.assert_array_equal(video.grid, GRID)
    np.testing.assert_array_equal(video.times_s, np.arange(FRAMES) / 25)
    assert found.window_samples() is None  # these commits are of a version that did not note it
    texts = found.texts(EVIL)
    assert texts.summaries == dict(zip(GRID, SUMMARIES, strict=True))
    assert (texts.captions, texts.cleaned) == ({}, {})


def test_scores_that_were_not_refined_have_no_others_beside_them(tmp_path: Path) -> None:
    fill(tmp_path, "first", more=("refine.enabled=false",))
    assert open_results(tmp_path).scores("first").raw_scores is None


def test_the_parts_of_a_video(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    video = open_results(tmp_path)["first"]
    assert video.has_scores
    assert video.outcome is not None
    assert (video.outcome.status, video.name) == ("ok", "first")
    assert video.neighbours is not None
    assert (video.neighbours.frames, video.neighbours.scores) == ([GRID] * 3, [[0.0, 1.0, 0.5]] * 3)
    found = video.segments()
    assert found is not None
    assert found.select(["start_frame", "end_frame", "summary"]).to_pylist() == [
        {"start_frame": 16, "end_frame": 31, "summary": SUMMARIES[1]}
    ]
    assert video.segment_count == 1
    assert (video.facts["frames"], video.facts["peak_frame"]) == (FRAMES, 16)
    assert video.absent == {"captions": "", "cleaned captions": ""}  # its commits are gone, and nothing tells why


@pytest.mark.parametrize(
    ("setting", "part", "why"),
    [
        pytest.param("refine.enabled=false", NEIGHBOURS, "refine.enabled was false", id="off"),
        pytest.param("imports.refined=/somewhere", "captions", "not needed: refined imported", id="imported"),
    ],
)
def test_what_a_run_lacks_has_a_reason(setting: str, part: str, why: str, tmp_path: Path) -> None:
    config = load_config(preset="tiny", overrides=[f"store={tmp_path}", setting], environ={})
    assert RunVideo(FileStore(tmp_path), "a", {}, config)._why_absent(part) == why


def test_a_rejected_video_can_be_opened_and_has_no_scores(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    found = open_results(tmp_path)
    assert not found["bad"].has_scores
    with pytest.raises(DamagedResult, match="there are no scores for 'bad' in this run"):
        _ = found["bad"].scores
    with pytest.raises(KeyError):
        found["nobody"]


def test_results_of_a_run_that_nobody_recorded(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    recorded = open_results(tmp_path)
    assert recorded.config is not None
    every = keys_of_run(tmp_path, recorded.set_id).items()
    (keys,) = (keys for (_, name), keys in every if name and "refine" in keys)
    found = results_of_keys(FileStore(tmp_path), recorded.config, {"first": keys})
    assert (found.names, found.rule) == (["first"], recorded.rule)
    np.testing.assert_array_equal(found.scores("first").scores, SCORES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("a", "1", id="with imported values of its own"),
        pytest.param("b", "2", id="with others"),
        pytest.param("c", "2", id="not computed"),
    ],
)
def test_videos_of_one_content_have_results_of_their_own(name: str, expected: str, tmp_path: Path) -> None:
    run_id = new_run_id()
    with RunRecorder(tmp_path, run_id, config={}) as recorder:
        for own, digit in (("a", "1"), ("b", "2")):
            recorder.found([StageRecord(own, "d" * 64, "refine", now_text(), digit * 64)])
    assert keys_of_video(keys_of_run(tmp_path, run_id), "d" * 64, name)["refine"].fingerprint == expected * 64


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("frist", "did you mean 'first'?", id="near"),
        pytest.param("bad", ": rejected: no-video: an audio file", id="without-scores"),
        pytest.param("something else", "; it has 1 video", id="far"),
    ],
)
def test_a_name_without_scores(name: str, says: str, tmp_path: Path) -> None:
    fill(tmp_path, "first")
    found = open_results(tmp_path)
    assert scored_name(found, "first") == "first"
    with pytest.raises(InputError, match=re.escape(says)):
        scored_name(found, name)


def test_seconds_of_frames_by_time_stamps_by_a_rate_or_not_at_all() -> None:
    timed = ScoredVideo("a", 3, 1, np.zeros(3), times_s=np.array([0.0, 0.5, 2.0]))
    assert timed.seconds([0, 2, 3]).tolist() == [0.0, 2.0, 3.0]  # type: ignore[union-attr]
    assert ScoredVideo("a", 3, 1, np.zeros(3), frame_rate=2.0).seconds([0, 3]).tolist() == [0.0, 1.5]  # type: ignore[union-attr]
    assert ScoredVideo("a", 3, 1, np.zeros(3)).seconds([0]) is None


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        pytest.param([0.0, 0.5, 1.0], 2.0, id="steady"),
        pytest.param([0.0, 0.1, 1.0], 2.0, id="variable"),
        pytest.param([0.0], None, id="one-frame"),
    ],
)
def test_the_frame_rate_is_the_mean(times: list[float], rate: float | None) -> None:
    assert mean_rate(np.array(times)) == rate


def test_a_run_that_was_not_to_score(tmp_path: Path) -> None:
    run_id, _ = fill(tmp_path, "first", more=("run.targets=[summarise]",))
    found = open_results(tmp_path, run_id)
    assert found.names == []
    assert found.unscored["first"] == "the run was not to score it"


def test_a_retry_is_about_the_whole_set(tmp_path: Path) -> None:
    first, _ = fill(tmp_path, "a", "b")
    second, _ = fill(tmp_path, "c")
    save_sources(tmp_path, second, [VideoSource("c", Path("/c.mp4"))], {VideoSource("a", Path("/a.mp4")): first})
    found = open_results(tmp_path)
    assert found.names == ["a", "c"]
    np.testing.assert_array_equal(found.scores("a").scores, SCORES)
    assert found["a"].facts == open_results(tmp_path, first)["a"].facts
    assert open_results(tmp_path, first).names == ["a", "b"]


def test_what_is_gone_is_said(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    (commit,) = (tmp_path / "probe").rglob("commit.json")
    commit.unlink()
    found = open_results(tmp_path)
    with pytest.raises(DamagedResult, match="the result of probe for 'first' is gone"):
        found.scores("first")


def test_an_unknown_run(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    with pytest.raises(InputError, match="`lavad status --all` lists them"):
        open_results(tmp_path, "20200101T000000000-000000")


def test_the_latest_is_the_latest_that_has_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_id, _ = fill(tmp_path, "first")
    assert chosen_run(tmp_path, None).run_id == run_id
    assert not caplog.records
    with RunRecorder(tmp_path, going := new_run_id(), config={}):
        assert open_results(tmp_path).set_id == run_id
        assert f"run {going} is still going; the latest that has ended is taken: {run_id}" in caplog.text
        caplog.clear()
        assert open_results(tmp_path, going).set_id == going
        assert f"run {going} is still going: results are of the videos that are done" in caplog.text


def test_where_no_run_has_ended_it_is_said(tmp_path: Path) -> None:
    going = new_run_id()
    said = pytest.raises(InputError, match=f"no run that has ended: {going} is still going")
    with RunRecorder(tmp_path, going, config={}), said:
        open_results(tmp_path)
    with pytest.raises(InputError, match="has no runs yet"):
        open_results(tmp_path / "other")
