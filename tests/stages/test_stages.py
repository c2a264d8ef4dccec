"""All stages together, with fake models whose results can be foretold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_models import FakePool

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError, Interrupted, VideoRejected
from lavad_core.pipeline.execute import run_stage
from lavad_core.pipeline.pending import plan
from lavad_core.runs import work
from lavad_core.stages import clean
from lavad_core.stages.asking import seed_of
from lavad_core.stages.registry import STAGES
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))
BRIGHT = [48, 64, 80]


def test_every_stage_says_what_it_should(make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = make_bench(window={"duration_s": 4.8})
    video = bench.prepare(street)
    assert bench.run(video) == {}

    captions = bench.rows(video, "caption:second")
    assert [row["frame"] for row in captions] == GRID
    assert {row["caption"] for row in captions if row["frame"] in BRIGHT} == {"second sees level 20"}
    pool = bench.rows(video, "embed_captions")
    assert [(row["text"], row["captioner"], row["frame"]) for row in pool] == [
        ("first sees level 3", "first", 0),
        ("second sees level 3", "second", 0),
        ("first sees level 20", "first", 48),
        ("second sees level 20", "second", 48),
    ]
    for row in bench.rows(video, "clean"):
        bright = row["frame"] in BRIGHT
        assert (row["caption"], row["source_frame"]) == (
            ("first sees level 20", 48) if bright else ("first sees level 3", 0)
        )
        assert row["similarity"] == pytest.approx(1.0)
        assert row["video"] == "street"
    # A window of 4.8 s at 10 a second holds 3 grid frames: c - 24 … c + 23. The fake keeps the last caption.
    summaries = {row["frame"]: row for row in bench.rows(video, "summarise")}
    assert summaries[64]["sampled_frames"] == [48, 64, 80]
    commit = bench.store.find(bench.graph.keys(video)["summarise"])
    assert (commit.facts["window_samples"], commit.counts["short_windows"]) == ({"2": 2, "3": 11}, 13)
    assert "13 of 13 windows have fewer candidate frames than window.samples = 10" in commit.message
    assert summaries[64]["summary"] == "first sees level 20"
    assert summaries[96]["summary"] == "first sees level 3"
    scores = {row["frame"]: row for row in bench.rows(video, "score")}
    assert (scores[64]["score"], scores[64]["answer"], scores[64]["origin"]) == (1.0, "[1.0]", "said")
    assert scores[0]["score"] == 0.1
    refined = {row["frame"]: row for row in bench.rows(video, "refine")}
    assert refined[0]["score"] == pytest.approx(0.1), "its ten nearest summaries are the ten dark ones"
    assert 0.3 < refined[64]["score"] < 1.0, "three bright and seven dark ones"
    assert refined[64]["raw_score"] == 1.0
    assert len(refined[0]["neighbour_frames"]) == 10


def test_paper_semantics_encode_each_grid_frame_once_and_ask_each_thing_once(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    bench = make_bench()
    assert bench.run(bench.prepare(street)) == {}
    done = bench.recorder.totals()
    assert done[work.IMAGES_ENCODED] == bench.pool.encoder_model.images == len(GRID)
    assert done[work.CAPTIONS_MADE] == 2 * len(GRID)
    assert done[work.VIEWS_ENCODED] == 3 * bench.pool.encoder_model.clips
    asked = bench.pool.chat_model.asked
    assert done[work.LLM_REQUESTS] == len(asked) == len(set(asked))
    assert done[work.LLM_REQUESTS] + done[work.LLM_REPEATED] == 2 * len(GRID)
    assert done[work.VIDEOS_DECODED] == 1 + 2 + 1, "probe, two captioners, one pass of the encoder"
    assert len(bench.pool.encoder_model.texts) == len(set(bench.pool.encoder_model.texts[:4])) + 2


def test_reference_semantics_encode_three_views_a_window_and_no_image_twice(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    bench = make_bench(semantics="reference", window={"constant_frame_rate": 10})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    cleaned = [row["frame"] for row in bench.rows(video, "clean")]
    assert bench.pool.encoder_model.images == len(cleaned) == len(set(cleaned)) > len(GRID)
    assert bench.recorder.totals()[work.VIEWS_ENCODED] <= 3 * len(GRID)


def test_computing_again_encodes_each_view_once(make_bench: Callable[..., Any], street: VideoSource) -> None:
    first = make_bench()
    video = first.prepare(street)
    assert first.run(video) == {}
    again = make_bench()
    for node in again.graph.nodes:
        with again.recorder.stage(video.name, video.video_id, node.id) as record:
            run_stage(again, video, node.id, record, refresh=True)
        assert not record.cached
    for counter in (work.IMAGES_ENCODED, work.VIEWS_ENCODED, work.CAPTIONS_MADE):
        assert again.recorder.totals()[counter] == first.recorder.totals()[counter], counter


def test_an_encoder_without_clips_makes_windows_from_frames(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    pool = FakePool()
    bench = make_bench(pool, encoder={"kind": "clip", "model": "x"})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    assert pool.encoder_model.clips == 0
    assert pool.encoder_model.images == len(GRID)
    assert [row["frame"] for row in bench.rows(video, "embed_windows")] == GRID


@pytest.mark.parametrize("semantics", ["paper", "reference"])
@pytest.mark.parametrize("off", ["clean", "summarise", "refine"])
def test_each_component_can_be_left_out(
    make_bench: Callable[..., Any], street: VideoSource, off: str, semantics: str
) -> None:
    bench = make_bench(semantics=semantics, **{off: {"enabled": False}})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    refined = bench.rows(video, "refine")
    assert [row["frame"] for row in refined] == GRID
    if off == "clean":
        assert bench.pool.encoder_model.images == 0
        assert {row["captioner"] for row in bench.rows(video, "clean")} == {"first"}
        assert set(bench.pool.captioners) == {"first"}
    if off == "summarise":
        assert {row["summary"] for row in bench.rows(video, "summarise")} == {
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


def test_a_second_run_computes_nothing(make_bench: Callable[..., Any], street: VideoSource) -> None:
    first = make_bench()
    first.run(first.prepare(street))
    again = make_bench()
    video = again.prepare(street)
    assert {item.state for item in plan(again, [video])} == {"cached"}
    assert again.run(video) == {}
    assert again.recorder.totals() == {}
    assert again.pool.captioners == {}


def test_the_plan_says_which_setting_makes_work_necessary(make_bench: Callable[..., Any], street: VideoSource) -> None:
    first = make_bench()
    first.run(first.prepare(street))
    changed = make_bench(window={"samples": 5})
    work_to_do = {item.node_id: item for item in plan(changed, [changed.prepare(street)]) if item.state == "run"}
    assert work_to_do["summarise"].why == "window.samples: 10 → 5"
    assert work_to_do["refine"].why.startswith("follows from")
    assert "clean" not in work_to_do
    anew = plan(changed, [changed.prepare(street)], refresh=True)
    assert {item.state for item in anew} == {"run"}
    assert {item.why for item in anew if item.node_id == "clean"} == {"there already; computed again as asked"}


def test_the_plan_tells_videos_of_one_content_apart_by_what_is_imported_for_them(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for name, score in (("street", 0.1), ("copy", 0.9), ("twin", 0.1)):
        (folder / f"{name}.json").write_text(json.dumps(dict.fromkeys(map(str, GRID), score)))
    bench = make_bench(imports={"scores": folder}, refine={"enabled": False}, run={"targets": ["refine"]})
    videos = [bench.prepare(VideoSource(name, street.path)) for name in ("street", "copy", "twin")]
    before = {(item.node_id, item.video): item for item in plan(bench, videos)}
    assert [before["score", name].state for name in ("street", "copy", "twin")] == ["run", "run", "cached"]
    assert before["probe", "copy"].why == before["score", "twin"].why == "same content as street"
    assert bench.run(videos[0]) == {}
    after = {(item.node_id, item.video): item.state for item in plan(bench, videos)}
    assert [after["score", name] for name in ("street", "copy", "twin")] == ["cached", "run", "cached"]


def test_work_that_was_done_when_the_run_is_stopped_is_counted(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    class Stopping(FakePool):
        def captioner(self, name: str) -> Any:
            bench.stop()
            return super().captioner(name)

    bench = make_bench(Stopping())
    video = bench.prepare(street)
    with pytest.raises(Interrupted):
        bench.run(video)
    assert bench.recorder.totals()[work.VIDEOS_DECODED] == 2, "probe's, and the one that was stopped"


@pytest.mark.parametrize("stopping", [True, False])
def test_a_decoder_that_is_killed_is_no_verdict_on_the_video(
    make_bench: Callable[..., Any], street: VideoSource, monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    """Whoever stops a run often signals all its processes: the video must not be rejected for that for ever."""

    def killed(context: Any) -> Any:
        if stopping:
            bench.stop()
            raise VideoRejected("decoder-crashed", "the decoding process closed its pipe")
        raise VideoRejected("decoder-killed", "the decoding process was ended from outside, by SIGTERM")

    bench = make_bench()
    video = bench.prepare(street)
    with monkeypatch.context() as patched:
        patched.setattr(STAGES["probe"], "run", killed)
        if stopping:
            with pytest.raises(Interrupted):
                bench.run(video)
        else:
            assert set(bench.run(video)) == {"street"}
    assert bench.store.find(bench.graph.keys(video)["probe"]) is None
    again = make_bench()
    assert again.run(video) == {}


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
    bench = make_bench(window={"duration_s": 4.8})
    assert bench.run(bench.prepare(street)) == {}
    asked = bench.pool.chat_model.asked
    assert len({request.seed for request in asked}) == len(set(asked)) > 2


def test_answers_survive_so_that_a_killed_summary_stage_resumes(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    first = make_bench()
    video = first.prepare(street)
    first.run(video)
    for node_id in ("summarise", "score"):
        commit = first.store.find(first.graph.keys(video)[node_id])
        first.store.discard(commit)
    again = make_bench()
    assert again.run(video) == {}
    assert again.pool.chat_model.asked == []
    assert again.recorder.totals()[work.LLM_CACHED] > 0


def test_a_damaged_input_is_made_again(make_bench: Callable[..., Any], street: VideoSource) -> None:
    first = make_bench()
    video = first.prepare(street)
    first.run(video)
    clean = first.store.find(first.graph.keys(video)["clean"])
    (part,) = first.store.paths(clean)
    before = part.read_bytes()
    part.write_bytes(before[:100] + bytes([before[100] ^ 1]) + before[101:])
    again = make_bench(summarise={"separator": " / "})  # reads the damaged result
    assert again.run(video) == {}
    assert part.read_bytes() == before


@pytest.mark.parametrize("answer", ["I cannot", "[1.5]", "[nan]", "", "0.5", "[0.2"], ids=repr)
def test_an_unusable_answer_is_interpolated_and_counted(
    make_bench: Callable[..., Any], street: VideoSource, answer: str
) -> None:
    pool = FakePool(answers={"first sees level 20.": answer})
    bench = make_bench(pool, score={"answer": "free-text"}, window={"duration_s": 4.8})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    commit = bench.store.find(bench.graph.keys(video)["score"])
    assert commit.status == "ok_with_gaps"
    assert commit.counts["unparsed"] > 0
    assert {row["origin"] for row in bench.rows(video, "score")} == {"said", "interpolated"}
    assert {row["score"] for row in bench.rows(video, "score")} == {0.1}


def test_a_video_without_any_score_is_rejected_once(make_bench: Callable[..., Any], street: VideoSource) -> None:
    answers = {"first sees level 20.": "no", "first sees level 3.": "no"}
    bench = make_bench(FakePool(answers=answers), score={"answer": "free-text"})
    video = bench.prepare(street)
    rejection = bench.run(video)["street"]
    assert isinstance(rejection, VideoRejected)
    assert rejection.reason == "no-scores"
    twin = bench.prepare(VideoSource("twin", street.path))
    assert {item.video for item in plan(bench, [video, twin]) if item.state == "rejected"} == {"street", "twin"}
    again = make_bench(FakePool(answers=answers), score={"answer": "free-text"})
    assert again.run(video)["street"].reason == "no-scores"
    assert again.recorder.totals() == {}, "the rejection is a result and is not worked out again"


def test_the_expected_score_is_the_mean_under_the_models_probabilities(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    bench = make_bench(score={"expected": True})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    assert [row["score"] for row in bench.rows(video, "score")] == pytest.approx([0.5] * len(GRID))


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
    bench = make_bench(imports={"summaries": texts, "scores": scores}, run={"targets": ["detect"]})
    video = bench.prepare(street)
    failed = bench.run(video)
    assert bench.pool.chat_model.asked == []
    if missing:
        assert isinstance(failed["street"], InputError)
        assert "[192]" in str(failed["street"])
    else:
        assert failed == {}
        assert {row["origin"] for row in bench.rows(video, "score")} == {"imported"}


def test_models_go_when_their_last_stage_is_over(make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = make_bench()
    bench.run(bench.prepare(street))
    assert bench.pool.released == ["captioner:first", "captioner:second", "chat", "encoder"]


def test_segments_have_the_summary_at_their_peak(make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = make_bench(window={"duration_s": 4.8}, refine={"enabled": False}, detect={"threshold": 0.5})
    video = bench.prepare(street)
    bench.run(video)
    (segment,) = bench.rows(video, "detect")
    assert (segment["start_frame"], segment["peak_score"], segment["summary"]) == (32, 1.0, "first sees level 20")
    assert segment["start_s"] == pytest.approx(3.2), "the window of frame 32 reaches into the bright part"
    cleaned = {row["frame"]: row["caption"] for row in bench.rows(video, "clean")}
    assert segment["caption"] == cleaned[segment["peak_frame"]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"window": {"sampling": "any-frame", "frame_rate": "native"}}, 1),
        ({"clean": {"enabled": False}}, 1),
        ({"detect": {"threshold": 0.5, "min_length_s": 60.0}}, 0),
    ],
    ids=["the nearest cleaned frame's", "cleaning switched off", "no segment"],
)
def test_a_segment_has_the_caption_that_cleaning_left_at_its_peak(
    make_bench: Callable[..., Any], street: VideoSource, settings: dict[str, Any], expected: int
) -> None:
    bench = make_bench(refine={"enabled": False}, **settings)
    video = bench.prepare(street)
    assert bench.run(video) == {}
    found = bench.rows(video, "detect")
    assert len(found) == expected
    cleaned = {row["frame"]: row["caption"] for row in bench.rows(video, "clean")}
    for row in found:
        nearest = min(cleaned, key=lambda frame: (abs(frame - row["peak_frame"]), frame))
        assert row["caption"] == cleaned[nearest]


def test_imported_summaries_have_no_captions_to_show(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    for folder in (texts := tmp_path / "texts", scores := tmp_path / "scores"):
        folder.mkdir()
    (texts / "street.json").write_text(json.dumps({str(frame): f"level {frame}" for frame in GRID}))
    (scores / "street.json").write_text(json.dumps({str(frame): 0.9 for frame in GRID}))
    bench = make_bench(imports={"summaries": texts, "scores": scores}, run={"targets": ["detect"]})
    assert not bench.graph.has("clean")
    video = bench.prepare(street)
    assert bench.run(video) == {}
    (row,) = bench.rows(video, "detect")
    assert (row["summary"], row["caption"]) == ("level 0", None)
