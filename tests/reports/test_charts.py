"""Charts of pages: where things are, however long the video is; and what an import's neighbours become."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.reported import FRAME_RATE, report, video
from support.reported_set import labelled, scored

from lavad_core.datasets.types import LabelledVideo
from lavad_core.imports.types import Neighbours
from lavad_core.method.detection import SegmentRule
from lavad_core.reports.charts import WIDTH, chart, chart_point
from lavad_core.reports.video import FrameSpan, truth_of, video_report
from lavad_core.results.types import VideoResults


def visited(path: str) -> list[tuple[float, float]]:
    """The corners of a path of M, H and V."""
    x = y = 0.0
    corners = []
    for command, numbers in re.findall(r"([MHV])([\d. ]+)", path):
        values = [float(number) for number in numbers.split()]
        if command == "M":
            x, y = values
        elif command == "H":
            x = values[0]
        else:
            y = values[0]
        corners.append((x, y))
    return corners


def test_a_path_holds_each_score_for_its_time() -> None:
    shown = video()  # 750 frames: 0.1, from frame 160 0.7, from 192 0.9, from 208 0.7, from 240 0.1
    at = [WIDTH * frame / 750 for frame in (160, 192, 208, 240)]
    corners = visited(chart(shown).score)
    assert [x for x, _ in corners] == pytest.approx([0, *np.repeat(at, 2), WIDTH], abs=0.06)
    assert [y for _, y in corners] == pytest.approx([90, 90, 30, 30, 10, 10, 30, 30, 90, 90], abs=0.01)


def test_a_thinned_path_keeps_every_extreme() -> None:
    scores = np.random.default_rng(0).random(20_000) * 0.5 + 0.2
    scores[[777, 15_000]] = [1.0, 0.0]
    drawn = chart(report(scores, 16 * 20_000))
    corners = visited(drawn.score)
    assert len(corners) < 6 * WIDTH
    assert drawn.raw == ""
    for row, level in ((777, 0), (15_000, 100)):
        where = [x for x, y in corners if y == level]
        assert where
        assert where == pytest.approx([WIDTH * row / 20_000] * len(where), abs=1)


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.5, ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (50, ["0:00", "0:10", "0:20", "0:30", "0:40"]),
        (400, ["0:00", "2:00", "4:00", "6:00"]),
        (36_000, ["0:00", "2:00:00", "4:00:00", "6:00:00", "8:00:00"]),
    ],
)
def test_ticks(seconds: float, labels: list[str]) -> None:
    shown = video(frames=max(round(seconds * FRAME_RATE), 2), truth=[], found=[])
    assert [tick.label for tick in chart(shown).ticks] == labels


def test_scores_beyond_their_range_are_at_the_edge_and_marks_in_the_middle_of_their_time() -> None:
    drawn = report(np.array([-3.0] + [7.0] * 46), 750)
    assert {y for _, y in visited(chart(drawn).score)} == {0, 100}
    at = chart_point(drawn, drawn.grid[1])
    assert (at.x, at.y) == (pytest.approx(100 * 24 / 750, abs=0.01), 0)


def test_neighbours_of_an_import_are_named_where_somebody_names_them() -> None:
    own = scored(labelled("one", 1, 64), 0)
    near = Neighbours([[0.3, 0.9]] * 4, [[0.5, 0.75]] * 4, [[16, 32], [0, 48], [0, 480], [0, 16]])
    found = report(own.scores, 64, near=near)
    assert {
        at.frame: [(one.at.frame, one.at.raw_score, one.similarity) for one in found.neighbours(at)]
        for at in found.grid
    } == {
        0: [(32, 0.9, 0.75), (16, 0.3, 0.5)],
        16: [(48, 0.9, 0.75), (0, 0.3, 0.5)],
        32: [(0, 0.3, 0.5)],  # the other is of no frame that has a score
        48: [(16, 0.9, 0.75), (0, 0.3, 0.5)],
    }
    unnamed = report(own.scores, 64, near=Neighbours(near.scores, near.similarities, []))
    assert not any(unnamed.neighbours(at) for at in unnamed.grid)
    bare = video_report(VideoResults(own), None, SegmentRule())
    assert "the neighbours that scores were refined with" in bare.notes[0]


@pytest.mark.parametrize(
    ("given", "truth"),
    [
        (None, None),
        (LabelledVideo("n"), ()),
        (
            LabelledVideo("a", ("Fire", "Fight"), ((3, 5), (8, 99))),
            (FrameSpan(3, 5, "Fire, Fight"), FrameSpan(8, 99, "Fire, Fight")),
        ),
        (LabelledVideo("w", ("Fire",)), (FrameSpan(0, 39, "Fire"),)),
    ],
    ids=["not in the data set", "normal", "intervals", "labelled as a whole"],
)
def test_labels(given: LabelledVideo | None, truth: tuple[FrameSpan, ...] | None) -> None:
    assert truth_of(given, 40) == truth
