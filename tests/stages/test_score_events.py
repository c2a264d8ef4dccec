"""Scores of events: what is asked, how grid frames get their scores, and what of it is computed again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.command import lavad
from support.fake_models import FakePool
from support.video_factory import make_video

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError, InputError, LavadError, VideoRejected
from lavad_core.pipeline.prepare import check_imports
from lavad_core.planning.rates import packaged_rates
from lavad_core.planning.survey import cost_of_videos
from lavad_core.results.open import open_results
from lavad_core.results.sent_prompts import sent_prompts
from lavad_core.runs import work
from lavad_core.runs.manifest import VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import VideoSource

EVENTS = {"peak_threshold": 0.05}
METHOD: dict[str, Any] = {"score": {"method": "events"}, "events": EVENTS}
IMPORTED: dict[str, Any] = {"score": {"method": "events"}, "events": {"boundaries": "import"}}
GRID = list(range(0, 200, 16))

COARSE = [(0, 47), (48, 159), (160, 199)]
FINE = [(0, 47), (48, 95), (96, 159), (160, 199)]


def four_rooms(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark, bright from frame 48, a little less bright from 96, and dark from 160: the second change is the least."""
    level = 35 if index < 48 else 205 if index < 96 else 165 if index < 160 else 35
    return np.full((size[1], size[0], 3), level, np.uint8)


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    path = make_video(tmp_path_factory.mktemp("videos") / "rooms.mp4", frames=200, fps=10, draw=four_rooms)
    return VideoSource("rooms", path)


def spans(rows: list[dict[str, Any]], level: str) -> list[tuple[int, int]]:
    return [(row["start_frame"], row["end_frame"]) for row in rows if row["level"] == level]


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


PUBLISHED = {"pred": [0.9, 0.1, 0.5, 0.1, 0.8, 0.1], "frames": 200, "fps": 10.0}
"""At frames 0, 39, 79, 119, 159 and 199: boundaries at 79 and 159."""


@pytest.mark.parametrize("form", ["a folder", "one file", "by frame"])
def test_imported_boundaries(form: str, make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path) -> None:
    place = tmp_path / ("all.json" if form == "one file" else "")
    by_frame = {"0": 0.9, "39": 0.1, "79": 0.5, "119": 0.1, "159": 0.8, "199": 0.1}
    given = {"rooms.mp4": PUBLISHED, "other.mp4": {}} if form == "one file" else PUBLISHED
    (place if form == "one file" else tmp_path / "rooms.json").write_text(
        json.dumps(by_frame if form == "by frame" else given)
    )
    bench = make_bench(**IMPORTED, imports={"boundaries": place})
    check_imports(bench.config)
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    events = bench.rows(video, "find_events")
    assert spans(events, "coarse") == [(0, 158), (159, 199)]
    assert spans(events, "fine") == [(0, 78), (79, 158), (159, 199)]
    assert [row["right"] for row in events if row["level"] == "fine"] == [0.5, 0.8, 1.0]


def test_a_file_of_vadtree_is_read_as_its_program_reads_it(
    make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path
) -> None:
    """A score for each frame, of which the first ones are taken for all: only in files that are its own."""
    own = {"pred": [*[0.0] * 9, 0.9, *[0.0] * 89, 0.8, *[0.0] * 100], "frames": 200, "fps": 20.0}
    found = []
    for given in (own, own | {"gamma": 0.4}):
        (tmp_path / "rooms.json").write_text(json.dumps(given))
        bench = make_bench(**IMPORTED, imports={"boundaries": tmp_path})
        video = bench.prepare(rooms)
        assert bench.run(video) == {}
        found.append(spans(bench.rows(video, "find_events"), "fine"))
    assert found[0] == [(0, 8), (9, 98), (99, 199)]
    assert found[1][0] == (0, 17), "of 100 positions over 200 frames"
    commit = bench.store.find(bench.graph.keys(video)["find_events"])
    assert "holds 200 boundary scores; the first 100 count" in commit.message


def test_a_few_frames_more_or_less_are_the_same_video(
    make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path
) -> None:
    (tmp_path / "rooms.json").write_text(json.dumps({**PUBLISHED, "frames": 199}))
    bench = make_bench(**IMPORTED, imports={"boundaries": tmp_path})
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    assert spans(bench.rows(video, "find_events"), "fine") == [(0, 78), (79, 158), (159, 199)]
    commit = bench.store.find(bench.graph.keys(video)["find_events"])
    assert "counts 199 frames, and this video has 200" in commit.message


def test_an_event_between_two_grid_frames_is_not_asked_about(
    make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path
) -> None:
    (tmp_path / "rooms.json").write_text(json.dumps({"0": 0, "99": 0.9, "103": 0.9, "120": 0}))
    bench = make_bench(**IMPORTED, imports={"boundaries": tmp_path})
    video = bench.prepare(rooms)
    assert bench.run(video) == {}
    assert spans(bench.rows(video, "find_events"), "fine") == [(0, 98), (99, 102), (103, 199)]
    rows = [row for row in bench.rows(video, "rate_events") if row["level"] == "fine"]
    assert [row["answer"] is None for row in rows] == [False, True, False]
    commit = bench.store.find(bench.graph.keys(video)["rate_events"])
    assert (commit.status, commit.counts["unparsed"]) == ("ok", 0)
    assert bench.store.find(bench.graph.keys(video)["summarise_events"]).status == "ok"


def test_other_boundaries_are_other_results(make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path) -> None:
    bench = make_bench(**IMPORTED, imports={"boundaries": tmp_path})
    keys = []
    for score in (0.5, 0.6):
        (tmp_path / "rooms.json").write_text(json.dumps({"0": 0, "99": score, "120": 0}))
        keys.append(bench.graph.keys(bench.prepare(rooms)))
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {
        "find_events", "summarise_events", "rate_events", "score_events", "refine", "detect"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            {**PUBLISHED, "frames": 184}, "of a video of 184 frames, and this one has 200", id="another length"
        ),
        pytest.param({**PUBLISHED, "frames": 3}, "pred holds 6 scores for 3 frames", id="more scores than frames"),
        pytest.param({**PUBLISHED, "frames": "many"}, "frames 'many' is not a number of frames", id="no length"),
        pytest.param({"pred": [2.0], "frames": 200}, "'2.0' is not a score in", id="no score"),
        pytest.param({"pred": {}, "frames": 200}, "no list of scores", id="no list"),
        pytest.param({"7": 0.5, "200": 0.1}, "a score of frame 200, and the video has 200 frames", id="beyond the end"),
        pytest.param({"7": 1.5}, "frame 7", id="by frame, no score"),
    ],
)
def test_boundaries_that_cannot_be_used(
    content: Any, message: str, make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path
) -> None:
    (tmp_path / "rooms.json").write_text(json.dumps(content))
    bench = make_bench(**IMPORTED, imports={"boundaries": tmp_path})
    try:
        error: LavadError = bench.run(bench.prepare(rooms))["rooms"]
    except InputError as early:
        error = early
    assert isinstance(error, InputError)
    assert message in str(error)
    assert "rooms.json" in str(error)


def test_a_video_that_the_file_does_not_have(
    make_bench: Callable[..., Any], rooms: VideoSource, tmp_path: Path
) -> None:
    (tmp_path / "all.json").write_text(json.dumps({"other.mp4": PUBLISHED}))
    bench = make_bench(**IMPORTED, imports={"boundaries": tmp_path / "all.json"})
    with pytest.raises(InputError, match="has no video 'rooms'"):
        bench.prepare(rooms)
    (tmp_path / "all.json").unlink()
    with pytest.raises(InputError, match="neither a folder nor"):
        check_imports(bench.config)


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
