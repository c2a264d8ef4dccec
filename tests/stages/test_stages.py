"""All stages together, with fake models whose results can be foretold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_models import FakePool

from lavad_core.runs import work
from lavad_core.stages import clean
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))
BRIGHT = [48, 64, 80]


def test_every_stage_says_what_it_should(make_bench: Callable[..., Any], street: VideoSource) -> None:
    resources = make_bench(window={"duration_s": 4.8})
    video = resources.prepare(street)
    assert resources.run(video) == {}

    captions = resources.rows(video, "caption:second")
    assert [row["frame"] for row in captions] == GRID
    assert {row["caption"] for row in captions if row["frame"] in BRIGHT} == {"second sees level 20"}
    pool = resources.rows(video, "embed_captions")
    assert [(row["text"], row["captioner"], row["frame"]) for row in pool] == [
        ("first sees level 3", "first", 0),
        ("second sees level 3", "second", 0),
        ("first sees level 20", "first", 48),
        ("second sees level 20", "second", 48),
    ]
    for row in resources.rows(video, "clean"):
        bright = row["frame"] in BRIGHT
        assert (row["caption"], row["source_frame"]) == (
            ("first sees level 20", 48) if bright else ("first sees level 3", 0)
        )
        assert row["similarity"] == pytest.approx(1.0)
        assert row["video"] == "street"
    # A window of 4.8 s at 10 a second holds 3 grid frames: c - 24 … c + 23. The fake keeps the last caption.
    summaries = {row["frame"]: row for row in resources.rows(video, "summarise")}
    assert summaries[64]["sampled_frames"] == [48, 64, 80]
    commit = resources.store.find(resources.graph.keys(video)["summarise"])
    assert (commit.facts["window_samples"], commit.counts["short_windows"]) == ({"2": 2, "3": 11}, 13)
    assert "13 of 13 windows have fewer candidate frames than window.samples = 10" in commit.message
    assert summaries[64]["summary"] == "first sees level 20"
    assert summaries[96]["summary"] == "first sees level 3"
    scores = {row["frame"]: row for row in resources.rows(video, "score")}
    assert (scores[64]["score"], scores[64]["answer"], scores[64]["origin"]) == (1.0, "[1.0]", "said")
    assert scores[0]["score"] == 0.1
    refined = {row["frame"]: row for row in resources.rows(video, "refine")}
    assert refined[0]["score"] == pytest.approx(0.1), "its ten nearest summaries are the ten dark ones"
    assert 0.3 < refined[64]["score"] < 1.0, "three bright and seven dark ones"
    assert refined[64]["raw_score"] == 1.0
    assert len(refined[0]["neighbour_frames"]) == 10


def test_paper_semantics_encode_each_grid_frame_once_and_ask_each_thing_once(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    resources = make_bench()
    assert resources.run(resources.prepare(street)) == {}
    done = resources.recorder.totals()
    assert done[work.IMAGES_ENCODED] == resources.pool.encoder_model.images == len(GRID)
    assert done[work.CAPTIONS_MADE] == 2 * len(GRID)
    assert done[work.VIEWS_ENCODED] == 3 * resources.pool.encoder_model.clips
    asked = resources.pool.chat_model.asked
    assert done[work.LLM_REQUESTS] == len(asked) == len(set(asked))
    assert done[work.LLM_REQUESTS] + done[work.LLM_REPEATED] == 2 * len(GRID)
    assert done[work.VIDEOS_DECODED] == 2, "probe, and one pass for two captioners and the encoder"
    assert len(resources.pool.encoder_model.texts) == len(set(resources.pool.encoder_model.texts[:4])) + 2


def test_reference_semantics_encode_three_views_a_window_and_no_image_twice(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    resources = make_bench(semantics="reference", window={"constant_frame_rate": 10})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    cleaned = [row["frame"] for row in resources.rows(video, "clean")]
    assert resources.pool.encoder_model.images == len(cleaned) == len(set(cleaned)) > len(GRID)
    assert resources.recorder.totals()[work.VIEWS_ENCODED] <= 3 * len(GRID)


def test_an_encoder_without_clips_makes_windows_from_frames(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    pool = FakePool()
    resources = make_bench(pool, encoder={"kind": "clip", "model": "x"})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    assert pool.encoder_model.clips == 0
    assert pool.encoder_model.images == len(GRID)
    assert [row["frame"] for row in resources.rows(video, "embed_windows")] == GRID


@pytest.mark.parametrize("semantics", ["paper", "reference"])
@pytest.mark.parametrize("off", ["clean", "summarise", "refine"])
def test_each_component_can_be_left_out(
    make_bench: Callable[..., Any], street: VideoSource, off: str, semantics: str
) -> None:
    resources = make_bench(semantics=semantics, **{off: {"enabled": False}})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    refined = resources.rows(video, "refine")
    assert [row["frame"] for row in refined] == GRID
    if off == "clean":
        assert resources.pool.encoder_model.images == 0
        assert {row["captioner"] for row in resources.rows(video, "clean")} == {"first"}
        assert set(resources.pool.captioners) == {"first"}
    if off == "summarise":
        assert {row["summary"] for row in resources.rows(video, "summarise")} == {
            "first sees level 3",
            "first sees level 20",
        }
    if off == "refine":
        assert all(row["score"] == row["raw_score"] for row in refined)


def test_captions_that_do_not_fit_at_once_are_compared_in_passes(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_bench()
    video = whole.prepare(street)
    assert whole.run(video) == {}
    captions = len(whole.rows(video, "embed_captions"))
    assert captions > 2
    for most in (1, captions - 1, captions):
        monkeypatch.setattr(clean, "CANDIDATES_PER_PASS", most)
        parts = make_bench(store=tmp_path / f"passes-{most}")
        assert parts.run(video) == {}
        assert parts.rows(video, "clean") == whole.rows(video, "clean"), most


def test_models_go_when_their_last_stage_is_over(make_bench: Callable[..., Any], street: VideoSource) -> None:
    resources = make_bench()
    resources.run(resources.prepare(street))
    assert resources.pool.released == ["captioner:first", "captioner:second", "chat", "encoder"]
