"""What is asked of the chat model with which seeds, what its answers become, and scores that are imported instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_models import FakePool

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError, VideoRejected
from lavad_core.pipeline.pending import plan_work
from lavad_core.stages.asking import seed_of
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))


def test_each_window_has_its_own_draw_and_equal_requests_have_one() -> None:
    """With one seed for all, alike windows would err alike, and the mean over K of them would average nothing out."""
    config = LavadConfig()
    seeds = {seed_of(config, [("system", "P"), ("user", f"window {number}")]) for number in range(200)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    again = seed_of(config, (("system", "P"), ("user", "window 7")))
    assert again in seeds
    other = LavadConfig(chat={"seed": 1})  # type: ignore[arg-type]
    assert seed_of(other, [("system", "P"), ("user", "window 7")]) not in seeds


def test_the_requests_of_both_stages_have_seeds_of_their_own(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    resources = make_bench(window={"duration_s": 4.8})
    assert resources.run(resources.prepare(street)) == {}
    asked = resources.pool.chat_model.asked
    assert len({request.seed for request in asked}) == len(set(asked)) > 2


@pytest.mark.parametrize("answer", ["I cannot", "[1.5]", "[nan]", "", "0.5", "[0.2"], ids=repr)
def test_an_unusable_answer_is_interpolated_and_counted(
    make_bench: Callable[..., Any], street: VideoSource, answer: str
) -> None:
    pool = FakePool(answers={"first sees level 20.": answer})
    resources = make_bench(pool, score={"answer": "free-text"}, window={"duration_s": 4.8})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    commit = resources.store.find(resources.graph.keys(video)["score"])
    assert commit.status == "ok_with_gaps"
    assert commit.counts["unparsed"] > 0
    assert {row["origin"] for row in resources.rows(video, "score")} == {"said", "interpolated"}
    assert {row["score"] for row in resources.rows(video, "score")} == {0.1}


def test_a_video_without_any_score_is_rejected_once(make_bench: Callable[..., Any], street: VideoSource) -> None:
    answers = {"first sees level 20.": "no", "first sees level 3.": "no"}
    resources = make_bench(FakePool(answers=answers), score={"answer": "free-text"})
    video = resources.prepare(street)
    rejection = resources.run(video)["street"]
    assert isinstance(rejection, VideoRejected)
    assert rejection.reason == "no-scores"
    twin = resources.prepare(VideoSource("twin", street.path))
    assert {item.video for item in plan_work(resources, [video, twin]) if item.state == "rejected"} == {
        "street",
        "twin",
    }
    again = make_bench(FakePool(answers=answers), score={"answer": "free-text"})
    assert again.run(video)["street"].reason == "no-scores"
    assert again.recorder.totals() == {}, "the rejection is a result and is not worked out again"


def test_the_expected_score_is_the_mean_under_the_models_probabilities(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    resources = make_bench(score={"expected": True})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    assert [row["score"] for row in resources.rows(video, "score")] == pytest.approx([0.5] * len(GRID))


@pytest.mark.parametrize("missing", [False, True], ids=["whole", "a frame missing"])
def test_imported_scores_need_no_language_model(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path, missing: bool
) -> None:
    texts, scores = tmp_path / "texts", tmp_path / "scores"
    texts.mkdir()
    scores.mkdir()
    frames = GRID[:-1] if missing else GRID
    (texts / "street.json").write_text(json.dumps({str(frame): f"sees {frame}" for frame in GRID}))
    (scores / "street.json").write_text(json.dumps({str(frame): frame / 200 for frame in frames}))
    resources = make_bench(imports={"summaries": texts, "scores": scores}, run={"targets": ["detect"]})
    video = resources.prepare(street)
    failed = resources.run(video)
    assert resources.pool.chat_model.asked == []
    if missing:
        assert isinstance(failed["street"], InputError)
        assert "[192]" in str(failed["street"])
    else:
        assert failed == {}
        assert {row["origin"] for row in resources.rows(video, "score")} == {"imported"}
