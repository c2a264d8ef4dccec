"""Boundaries of events that were found elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.rooms import IMPORTED, spans

from lavad_core.errors import InputError, LavadError
from lavad_core.pipeline.prepare import check_imports
from lavad_core.video.types import VideoSource

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
