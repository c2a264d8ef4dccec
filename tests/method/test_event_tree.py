"""Events against the published trees of 240 videos, and against the tree as it is published, written out."""

from __future__ import annotations

import json
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans

from lavad_core.imports.boundaries import read_boundaries
from lavad_core.recipes.event_tree import (
    EventSpan,
    changes,
    event_of,
    fused,
    levels,
    peaks,
    scaled,
    splits,
    strong_from,
)

Node = tuple[int, int]


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Any]:
    archive = shared / "data/vadtree_msad/trees.tar.xz"
    if not archive.exists():
        pytest.skip("no ../shared/data/vadtree_msad: VADTree's own trees are not compared")
    with tarfile.open(archive) as files:
        streams = {Path(each.name).stem: files.extractfile(each) for each in files if each.isfile()}
        return {name: json.load(stream) for name, stream in streams.items() if stream is not None}


def scenes(events: list[EventSpan]) -> list[list[int]]:
    """As they are published: a part ends where the next one begins."""
    return [[one.start_frame, after.start_frame] for one, after in pairwise(events)] + [
        [events[-1].start_frame, events[-1].end_frame]
    ]


def test_the_published_trees_of_240_videos(published: dict[str, Any], tmp_path: Path) -> None:
    """Six short videos have a score for each of their frames; the published trees take the first third of these for all, and so
    does what reads the file."""
    same, nodes, one_level = {"coarse": 0, "fine": 0}, {"coarse": 0, "fine": 0}, 0
    whole = 0
    place = tmp_path / "pred.json"
    place.write_text(json.dumps(published["pred"]))
    for name, given in published["pred"].items():
        read = read_boundaries(place, name.removesuffix(".mp4"))
        at, scores, note = read.positions(given["frames"])
        whole += not note
        found = peaks(at.tolist(), scores.tolist(), given["gamma"])
        coarse, fine = levels(found, given["frames"], given["min_length"])
        for level, events in (("coarse", coarse), ("fine", fine)):
            same[level] += scenes(events) == published[f"dfs_{level}_scenes"][name]["scenes"]
            nodes[level] += len(events)
        one_level += coarse == fine
    assert same == {"coarse": 240, "fine": 240}
    assert nodes == {"coarse": 828, "fine": 2116}
    assert (one_level, whole) == (60, 234)


def tree(found: dict[int, float], last: int, shortest: int) -> tuple[list[Node], list[Node]]:
    """All nodes as they are visited, depth first and left before right; and the leaves."""
    order = sorted(found, key=lambda at: (-found[at], at))
    used: set[int] = set()
    nodes: list[Node] = []
    leaves: list[Node] = []
    stack = [(0, last)]
    while stack:
        start, end = stack.pop()
        at = next((each for each in order if each not in used and start < each < end), None)
        if at is None:
            nodes.append((start, end))
            leaves.append((start, end))
            continue
        used.add(at)
        short = at - start < shortest, end - at < shortest
        if short == (False, False):
            nodes.append((start, end))
            stack += [(at, end), (start, at)]
        elif short == (True, True):
            nodes.append((start, end))
            leaves.append((start, end))
        elif short[0] and start == 0:
            nodes += [(start, end), (start, at)]
            leaves.append((start, at))
            stack.append((at, end))
        elif short[1] and end == last:
            nodes += [(start, end), (at, end)]
            leaves.append((at, end))
            stack.append((start, at))
        else:
            stack.append((start, end))
    return nodes, sorted(leaves)


def two_lists(found: dict[int, float], last: int, shortest: int) -> tuple[list[Node], list[Node]]:
    """The coarse and the fine list, completed, as they are published."""
    nodes, leaves = tree(found, last, shortest)
    scores = found | {0: 1.0, last: 1.0}
    inner = {at: found[at] for at in sorted({at for leaf in leaves for at in leaf} - {0, last})}
    if len(set(inner.values())) < 2:
        return leaves, leaves
    model = KMeans(n_clusters=2, random_state=0, n_init=10).fit([[score] for score in inner.values()])
    strong = int(model.cluster_centers_[1, 0] > model.cluster_centers_[0, 0])
    theta = min(score for score, own in zip(inner.values(), model.labels_, strict=True) if own == strong)

    def innermost(given: list[Node]) -> list[Node]:
        return sorted(
            node for node in given if not any(o != node and node[0] <= o[0] and o[1] <= node[1] for o in given)
        )

    high = [node for node in nodes if min(scores[at] for at in node) >= theta]
    coarse, fine = innermost(high), innermost([node for node in nodes if node not in high])
    fine = [*([coarse[0]] if fine[0][0] != 0 else []), *fine, *([coarse[-1]] if fine[-1][1] != last else [])]
    gaps = [(one[1], after[0]) for one, after in pairwise(fine) if one[1] != after[0]]
    return coarse, sorted([*fine, *(node for a, b in gaps for node in coarse if a <= node[0] and node[1] <= b)])


@pytest.mark.parametrize("shortest", [1, 2, 5, 9])
def test_the_tree_written_out(shortest: int) -> None:
    draw = np.random.default_rng(shortest)
    cut = plain = 0
    for _ in range(60):
        frames = int(draw.integers(2, 60))
        scores = np.round(draw.random(frames) ** 2, int(draw.integers(1, 3))).tolist()  # many are equal
        found = peaks(range(frames), scores, float(draw.choice([0.0, 0.3, 0.5])))
        coarse, fine = two_lists(found, frames - 1, shortest)
        own = levels(found, frames, shortest)
        assert [tuple(each) for each in scenes(own[0])] == coarse
        assert [tuple(each) for each in scenes(own[1])] == fine
        cut += len(fine) <= len(found)
        plain += coarse == fine
    assert plain < 60
    assert (cut > 0) == (shortest > 1), "short parts came up"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([0.9, 0.1, 0.1, 0.9], [], id="the ends are none"),
        pytest.param([0.0, 0.5, 0.0, 0.39, 0.0], [1], id="below the threshold"),
        pytest.param([0.0, 0.5, 0.5, 0.5, 0.0], [1, 2, 3], id="a plateau has several"),
        pytest.param([0.5, 0.5, 0.5, 0.6], [1], id="a plateau at the beginning, and a rise"),
        pytest.param([0.0, 0.4, 0.0], [1], id="just the threshold"),
        pytest.param([], [], id="nothing"),
        pytest.param([1.0], [], id="one picture"),
    ],
)
def test_peaks(scores: list[float], expected: list[int]) -> None:
    frames = [16 * at for at in range(len(scores))]
    assert peaks(frames, scores, 0.4) == {16 * at: scores[at] for at in expected}


@pytest.mark.parametrize(
    ("found", "shortest", "expected"),
    [
        pytest.param({10: 0.5, 50: 0.9, 90: 0.6}, 20, [10, 50, 90], id="short at both ends of the video"),
        pytest.param({5: 0.5, 10: 0.9}, 20, [10], id="what is short at the beginning is cut no more"),
        pytest.param({95: 0.5, 90: 0.9}, 20, [90], id="what is short at the end is cut no more"),
        pytest.param({40: 0.9, 45: 0.8, 70: 0.7}, 20, [40, 70], id="short inside: that peak is none"),
        pytest.param({40: 0.9, 60: 0.8, 50: 0.7}, 20, [40, 60], id="both short: it stays whole"),
        pytest.param({41: 0.5, 40: 0.5}, 20, [40], id="of equal ones the first"),
        pytest.param({41: 0.5, 40: 0.5}, 1, [40, 41], id="neighbours"),
    ],
)
def test_splits_with_a_least_length(found: dict[int, float], shortest: int, expected: list[int]) -> None:
    assert splits(found, 101, shortest) == expected


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([], None, id="nothing is cut"),
        pytest.param([0.5, 0.5], None, id="all alike"),
        pytest.param([0.5, 0.9], 0.9, id="two"),
        pytest.param([0.4, 0.9, 0.45, 0.8, 0.5], 0.8, id="two groups"),
    ],
)
def test_the_stronger_group(scores: list[float], expected: float | None) -> None:
    assert strong_from(scores) == expected


def test_levels_and_their_confidences() -> None:
    coarse, fine = levels({20: 0.9, 40: 0.4, 60: 0.8}, 100)
    assert coarse == [EventSpan(0, 19, 1.0, 0.9), EventSpan(20, 59, 0.9, 0.8), EventSpan(60, 99, 0.8, 1.0)]
    assert [(one.start_frame, one.end_frame) for one in fine] == [(0, 19), (20, 39), (40, 59), (60, 99)]
    assert levels({}, 1) == ([EventSpan(0, 0, 1.0, 1.0)],) * 2


def test_changes_of_pictures() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-0.6, 0.8]], np.float32)
    np.testing.assert_allclose(changes(vectors), [0, 1, 0.2], atol=1e-6)
    assert scaled(changes(vectors)).tolist() == [0, 1, 0.2]
    still = vectors[[0, 0, 0]] + np.float32(1e-6)
    assert scaled(changes(still)).tolist() == [0, 0], "noise is no event"
    assert changes(vectors[:1]).tolist() == scaled(changes(vectors[:1])).tolist() == []


def test_frames_have_the_mean_of_their_events() -> None:
    """As it is published, with weights of a half: coarse parts with both their ends, the later over the earlier; fine parts
    without their last frame, and the last value once more."""
    coarse, fine = levels({20: 0.9, 40: 0.4, 60: 0.8, 61: 0.5}, 100)
    draw = np.random.default_rng(0)
    scores = {"coarse": draw.random(len(coarse)), "fine": draw.random(len(fine))}
    by_coarse = np.full(100, np.nan)
    for (start, end), score in zip(scenes(coarse), scores["coarse"], strict=True):
        by_coarse[start : end + 1] = score
    by_fine = [
        score for (start, end), score in zip(scenes(fine), scores["fine"], strict=True) for _ in range(start, end)
    ]
    expected = 0.5 * by_coarse + 0.5 * np.array([*by_fine, by_fine[-1]])
    frames = np.arange(100)
    own = [
        scores[level][event_of([one.start_frame for one in events], frames)]
        for level, events in (("coarse", coarse), ("fine", fine))
    ]
    np.testing.assert_array_equal(fused(*own), expected)
    np.testing.assert_array_equal(fused(None, own[1]), own[1])
