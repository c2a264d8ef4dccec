"""Scores of events: what is asked, how grid frames get their scores, and what of it is computed again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command import lavad
from support.fake_models import FakeChat, FakePool
from support.rooms import EVENTS, METHOD, four_rooms, spans
from support.video_factory import make_video

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError, VideoRejected
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.planning.rates import packaged_rates
from lavad_core.planning.survey import cost_of_videos
from lavad_core.results.open import open_results
from lavad_core.results.sent_prompts import sent_prompts
from lavad_core.runs import work
from lavad_core.runs.manifest import VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))

COARSE = [(0, 47), (48, 159), (160, 199)]
FINE = [(0, 47), (48, 95), (96, 159), (160, 199)]


def test_events_are_summarised_and_rated_and_frames_have_their_mean(
    make_bench: Callable[..., Any], rooms: VideoSource
) -> None:
    bench = make_bench(**METHOD)
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    nodes = [node.id for node in bench.graph.nodes]
    assert nodes[-5:] == ["summarise_events", "rate_events", "score_events", "refine", "detect"]
    assert {"embed_windows", "embed_summaries", "summarise", "score"} & set(nodes) == set()

    events = bench.rows(video, "find_events")
    assert (spans(events, "coarse"), spans(events, "fine")) == (COARSE, FINE)
    assert [row["left"] for row in events if row["level"] == "coarse"] == pytest.approx([1, 1, 0.685], abs=0.01)
    summaries = bench.rows(video, "summarise_events")
    assert [row["caption_frames"] for row in summaries if row["level"] == "fine"] == [
        [0, 16, 32], [48, 64, 80], [96, 112, 128, 144], [160, 176, 192]
    ]  # fmt: skip
    assert [row["summary"] for row in summaries if row["level"] == "fine"] == [
        f"first sees level {level}" for level in (3, 20, 16, 3)
    ]
    rated = bench.rows(video, "rate_events")
    assert [row["score"] for row in rated] == [0.1, 0.8, 0.1, 0.1, 1.0, 0.8, 0.1], "the fake keeps the last caption"
    scored = bench.rows(video, "score_events")
    assert [row["frame"] for row in scored] == GRID
    expected = {at: 0.1 if at < 48 or at >= 160 else 0.9 if at < 96 else 0.8 for at in GRID}
    assert {row["frame"]: row["score"] for row in scored} == pytest.approx(expected)
    at_64 = scored[4]
    assert (at_64["coarse"], at_64["fine"], at_64["reason"]) == (0.8, 1.0, "frames 48–95: first sees level 20")
    (segment,) = bench.rows(video, "detect")
    assert (segment["start_frame"], segment["end_frame"], segment["summary"]) == (48, 159, at_64["reason"])
    done = bench.recorder.totals()
    asked = bench.pool.chat_model.asked
    assert done[work.LLM_REQUESTS] == len(asked) == len(set(asked)) == 4 + 3, "of 26 for the grid's windows"


@pytest.mark.parametrize(("levels", "column"), [("coarse", "coarse"), ("fine", "fine")])
def test_one_level_alone(levels: str, column: str, make_bench: Callable[..., Any], rooms: VideoSource) -> None:
    bench = make_bench(**{**METHOD, "events": {**EVENTS, "levels": levels}})
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    assert {row["level"] for row in bench.rows(video, "find_events")} == {levels}
    rows = bench.rows(video, "score_events")
    assert [row["score"] for row in rows] == [row[column] for row in rows]
    assert {row["fine" if levels == "coarse" else "coarse"] for row in rows} == {None}


def test_a_video_without_changes_is_one_event(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    still = make_video(tmp_path / "still.mp4", frames=40, fps=10, draw=lambda at, size: four_rooms(0, size))
    bench = make_bench(**METHOD)
    video = bench.prepare(VideoSource("still", still))
    assert bench.run(video) == {}
    events = bench.rows(video, "find_events")
    assert spans(events, "coarse") == spans(events, "fine") == [(0, 39)]
    assert {row["score"] for row in bench.rows(video, "score_events")} == {0.1}
    assert bench.recorder.totals()[work.LLM_REQUESTS] == 2


def test_an_event_without_a_score_has_that_of_its_neighbours(
    make_bench: Callable[..., Any], rooms: VideoSource
) -> None:
    pool = FakePool(answers={"first sees level 20.": "I cannot say."})
    bench = make_bench(pool, **METHOD)
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    rated = bench.rows(video, "rate_events")
    assert [row["score"] for row in rated] == [0.1, 0.8, 0.1, 0.1, None, 0.8, 0.1]
    commit = bench.store.find(bench.graph.keys(video)["rate_events"])
    assert (commit.status, commit.counts["unparsed"]) == ("ok_with_gaps", 1)
    assert "1 of 7 answers held no score" in commit.message
    fine = {row["frame"]: row["fine"] for row in bench.rows(video, "score_events")}
    assert fine[48] == fine[80] == pytest.approx(0.1 + 0.7 * (71 - 23) / (127 - 23)), "between the middles"
    assert bench.store.find(bench.graph.keys(video)["score_events"]).counts["interpolated"] == 1


def test_a_level_without_scores_does_not_count(make_bench: Callable[..., Any], rooms: VideoSource) -> None:
    pool = FakePool(answers={"first sees level 16.": "No.", "first sees level 3.": "No."})
    bench = make_bench(pool, **{**METHOD, "score": {"method": "events", "reject_unparsed_fraction": 1.0}})
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    rows = bench.rows(video, "score_events")
    assert {row["coarse"] for row in rows} == {None}
    assert {row["score"] for row in rows} == {1.0}


def test_a_video_without_any_score_is_rejected(make_bench: Callable[..., Any], rooms: VideoSource) -> None:
    pool = FakePool(answers={f"first sees level {level}.": "No." for level in (3, 16, 20)})
    bench = make_bench(pool, **METHOD)
    failed = bench.run(bench.prepare(rooms))
    assert isinstance(failed["rooms"], VideoRejected)
    assert "none of 7 events of 'rooms' has a score" in str(failed["rooms"])


def test_without_summaries_the_caption_in_the_middle_is_rated(
    make_bench: Callable[..., Any], rooms: VideoSource
) -> None:
    bench = make_bench(**METHOD, summarise={"enabled": False})
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    rows = bench.rows(video, "summarise_events")
    assert [row["caption_frames"] for row in rows if row["level"] == "coarse"] == [[16], [96], [176]]
    assert bench.recorder.totals()[work.LLM_REQUESTS] == 3


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param({"events": {"peak_threshold": 0.9}}, 4, id="the events, and what is asked about them"),
        pytest.param({"events": {**EVENTS, "captions": 2}}, 3, id="captions of a summary"),
        pytest.param({"summarise": {"temperature": 0.0}}, 3, id="summaries"),
        pytest.param({"score": {"method": "events", "temperature": 0.0}}, 2, id="the scores alone"),
        pytest.param({"window": {"duration_s": 4}}, 0, id="windows: nothing"),
    ],
)
def test_one_changed_setting_runs_what_it_changes(
    change: dict[str, Any], again: int, make_bench: Callable[..., Any], rooms: VideoSource
) -> None:
    first = make_bench(**METHOD)
    assert first.run(first.prepare(rooms)) == {}
    second = make_bench(**{**METHOD, **change})
    assert second.run(second.prepare(rooms)) == {}
    made = [record.node for record in second.recorder.records if not record.cached]
    last = ["find_events", "summarise_events", "rate_events", "score_events"]
    assert made == ([*last[len(last) - again :], "refine", "detect"] if again else [])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["refine.enabled=true"], "set refine.enabled=false", id="refinement"),
        pytest.param(["semantics=reference"], "set window.sampling=grid", id="other frames"),
        pytest.param(["events.boundaries=import"], "imports.boundaries is not given", id="nothing to import"),
        pytest.param(["imports.boundaries=/b"], "'embed', and imports.boundaries is given", id="not wanted"),
    ],
)
def test_settings_that_do_not_go_together(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=["score.method=events", *overrides], environ={})


def test_events_are_shown(make_bench: Callable[..., Any], rooms: VideoSource) -> None:
    bench = make_bench(FakePool(answers={"first sees level 20.": "I cannot say."}), **METHOD)
    video = bench.prepare(rooms)
    bench.recorder = RunRecorder(bench.store.root, new_run_id(), config=public_settings(bench.config))
    with bench.recorder as recorder:
        assert bench.run(video) == {}
        recorder.finish("Completed", [VideoOutcome("rooms", video.video_id, "ok")])
    store = ("--store", str(bench.store.root))
    shown = lavad("show", "rooms", "--events", "--json", *store)
    assert shown.exit_code == 0, shown.stderr
    rows = json.loads(shown.stdout)["events"]
    assert list(rows[4].values()) == [
        "fine", 48, 95, pytest.approx(4.8), pytest.approx(9.6), None, "first sees level 20"
    ]  # fmt: skip
    assert [row["score"] for row in rows] == [0.1, 0.8, 0.1, 0.1, None, 0.8, 0.1]
    table = lavad("show", "rooms", "--events", *store)
    assert "first sees level 16" in table.stdout
    grid = json.loads(lavad("show", "rooms", "--json", *store).stdout)["grid"]
    assert grid[7]["reason"] == "frames 96–159: first sees level 16"
    assert lavad("show", "rooms", "--events", "--segments", *store).exit_code == 2


@pytest.mark.parametrize(
    ("levels", "requests", "words"),
    [
        pytest.param("both", (19, 5), "0.4 events a grid frame on XD-Violence", id="both levels"),
        pytest.param("fine", (13, 3), "0.26 events a grid frame", id="one level"),
    ],
)
def test_a_plan_estimates_the_questions(
    levels: str, requests: tuple[int, int], words: str, make_bench: Callable[..., Any], rooms: VideoSource
) -> None:
    settings = {**METHOD, "events": {**EVENTS, "levels": levels}}
    bench = make_bench(**settings)
    bare = cost_of_videos(bench.config.model_copy(update={"store": Path("nowhere")}), [rooms], packaged_rates())
    assert any(words in note for note in bare.notes), "also before there is a store"
    for known in (False, True):
        cost = cost_of_videos(bench.config, [rooms], packaged_rates())
        parts = {stage.node: stage.everything for stage in cost.stages}
        bound, expected = requests
        for node in ("summarise_events", "rate_events"):
            events = 4 if levels == "fine" else 7
            assert parts[node].work[work.LLM_REQUESTS] == bound
            assert parts[node].expected[work.LLM_REQUESTS] == (events if known else expected)
        assert any(words in note and "an estimate" in note for note in cost.notes) != known
        assert bench.run(bench.prepare(rooms)) == {}


def test_the_prompts_of_events(make_bench: Callable[..., Any], rooms: VideoSource) -> None:
    bench = make_bench(**METHOD)
    video = bench.prepare(rooms)
    bench.recorder = RunRecorder(bench.store.root, new_run_id(), config=public_settings(bench.config))
    with bench.recorder as recorder:
        assert bench.run(video) == {}
        recorder.finish("Completed", [VideoOutcome("rooms", video.video_id, "ok")])
    sent = sent_prompts(open_results(bench.store.root), "rooms", bench.store.root)
    asked = {request.messages for request in bench.pool.chat_model.asked}
    assert {prompt.messages for prompt in sent.prompts} == asked
    assert [(prompt.frame, prompt.stage) for prompt in sent.prompts][:3] == [
        (0, "summarise_events"), (0, "rate_events"), (48, "summarise_events")
    ]  # fmt: skip
    at = sent_prompts(open_results(bench.store.root), "rooms", bench.store.root, 100)
    assert [prompt.frame for prompt in at.prompts] == [48, 48, 96, 96], "the coarse event and the fine one"


class Weighing(FakeChat):
    """The brighter, the more probable its yes."""

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, request in enumerate(requests):
            if request.distribution != "free":
                yield from ((position, answer) for _, answer in super().answer([request]))
                continue
            self.asked.append(request)
            yes = int(re.findall(r"level (\d+)", request.messages[-1][1])[0]) / 26
            logs = {"YES": math.log(yes), "NO": math.log(1 - yes)}
            yield position, ChatAnswer("YES", "stop", 20, 1, logs)


def test_events_are_asked_yes_or_no(make_bench: Callable[..., Any], rooms: VideoSource) -> None:
    pool = FakePool()
    pool.chat_model = Weighing()
    score = {"method": "events", "answer": "ordinal", "thresholds": 2}
    bench = make_bench(pool, **{**METHOD, "score": score, "chat": {"kind": "python", "model": "chat.py:load"}})
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    rated = bench.rows(video, "rate_events")
    assert [row["score"] for row in rated] == pytest.approx([level / 26 for level in (3, 16, 3, 3, 20, 16, 3)])
    assert bench.recorder.totals()[work.LLM_REQUESTS] == 4 + 2 * 3
    commit = bench.store.find(bench.graph.keys(video)["rate_events"])
    assert commit.facts["order_violations"] == 0
    (planned,) = (
        stage for stage in cost_of_videos(bench.config, [rooms], packaged_rates()).stages if stage.node == "rate_events"
    )
    assert planned.everything.work[work.LLM_REQUESTS] == 2 * 19
