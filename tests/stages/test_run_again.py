"""A second run: nothing is computed twice, the plan says what is left and why, what was stopped or damaged is made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_models import FakePool

from lavad_core.errors import Interrupted, VideoRejected
from lavad_core.pipeline.execute import run_stage
from lavad_core.pipeline.pending import plan_work
from lavad_core.runs import work
from lavad_core.stages.registry import STAGES
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))


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


def test_a_second_run_computes_nothing(make_bench: Callable[..., Any], street: VideoSource) -> None:
    first = make_bench()
    first.run(first.prepare(street))
    again = make_bench()
    video = again.prepare(street)
    assert {item.state for item in plan_work(again, [video])} == {"cached"}
    assert again.run(video) == {}
    assert again.recorder.totals() == {}
    assert again.pool.captioners == {}


def test_the_plan_says_which_setting_makes_work_necessary(make_bench: Callable[..., Any], street: VideoSource) -> None:
    first = make_bench()
    first.run(first.prepare(street))
    changed = make_bench(window={"samples": 5})
    work_to_do = {item.node_id: item for item in plan_work(changed, [changed.prepare(street)]) if item.state == "run"}
    assert work_to_do["summarise"].why == "window.samples: 10 → 5"
    assert work_to_do["refine"].why.startswith("follows from")
    assert "clean" not in work_to_do
    anew = plan_work(changed, [changed.prepare(street)], refresh=True)
    assert {item.state for item in anew} == {"run"}
    assert {item.why for item in anew if item.node_id == "clean"} == {"there already; computed again as asked"}


def test_the_plan_tells_videos_of_one_content_apart_by_what_is_imported_for_them(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for name, score in (("street", 0.1), ("copy", 0.9), ("twin", 0.1)):
        (folder / f"{name}.json").write_text(json.dumps(dict.fromkeys(map(str, GRID), score)))
    resources = make_bench(imports={"scores": folder}, refine={"enabled": False}, run={"targets": ["refine"]})
    videos = [resources.prepare(VideoSource(name, street.path)) for name in ("street", "copy", "twin")]
    before = {(item.node_id, item.video): item for item in plan_work(resources, videos)}
    assert [before["score", name].state for name in ("street", "copy", "twin")] == ["run", "run", "cached"]
    assert before["probe", "copy"].why == before["score", "twin"].why == "same content as street"
    assert resources.run(videos[0]) == {}
    after = {(item.node_id, item.video): item.state for item in plan_work(resources, videos)}
    assert [after["score", name] for name in ("street", "copy", "twin")] == ["cached", "run", "cached"]


def test_work_that_was_done_when_the_run_is_stopped_is_counted(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    class Stopping(FakePool):
        def captioner(self, name: str) -> Any:
            resources.stop()
            return super().captioner(name)

    resources = make_bench(Stopping())
    video = resources.prepare(street)
    with pytest.raises(Interrupted):
        resources.run(video)
    assert resources.recorder.totals()[work.VIDEOS_DECODED] == 2, "probe's, and the one that was stopped"


@pytest.mark.parametrize("stopping", [True, False])
def test_a_decoder_that_is_killed_is_no_verdict_on_the_video(
    make_bench: Callable[..., Any], street: VideoSource, monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    """Whoever stops a run often signals all its processes: the video must not be rejected for that for ever."""

    def killed(context: Any) -> Any:
        if stopping:
            resources.stop()
            raise VideoRejected("decoder-crashed", "the decoding process closed its pipe")
        raise VideoRejected("decoder-killed", "the decoding process was ended from outside, by SIGTERM")

    resources = make_bench()
    video = resources.prepare(street)
    with monkeypatch.context() as patched:
        patched.setattr(STAGES["probe"], "run", killed)
        if stopping:
            with pytest.raises(Interrupted):
                resources.run(video)
        else:
            assert set(resources.run(video)) == {"street"}
    assert resources.store.find(resources.graph.keys(video)["probe"]) is None
    again = make_bench()
    assert again.run(video) == {}


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
