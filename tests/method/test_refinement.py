"""Eq. 5: neighbours, their weights, and both pools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lavad_core.method import refinement
from lavad_core.method.refinement import refine, unique_pool, weighted_mean


def unit(seed: int, rows: int, dimension: int = 6) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_definition(
    windows: NDArray[np.float32], summaries: NDArray[np.float32], scores: NDArray[np.float64], kept: int
) -> tuple[list[float], list[list[int]]]:
    """Eq. 5, one window after the other."""
    refined, neighbours = [], []
    for window in windows.astype(np.float64):
        similarity = np.array([np.float32(window @ summary) for summary in summaries.astype(np.float64)])
        nearest = sorted(range(len(scores)), key=lambda k: (-similarity[k], k))[:kept]
        weights = [np.exp(np.float64(similarity[k])) for k in nearest]
        refined.append(sum(w * scores[k] for w, k in zip(weights, nearest, strict=True)) / sum(weights))
        neighbours.append(nearest)
    return refined, neighbours


def test_unique_pool() -> None:
    pool = unique_pool([0, 16, 32, 48], ["x", "y", "x", "z"])
    assert pool.texts == ("x", "y", "z")
    assert pool.first.tolist() == [0, 1, 3]
    assert pool.frames.tolist() == [0, 16, 48]
    assert pool.text_of.tolist() == [0, 1, 0, 2]


def test_unique_pool_of_nothing() -> None:
    pool = unique_pool([], [])
    assert (pool.texts, len(pool.first), len(pool.frames), len(pool.text_of)) == ((), 0, 0, 0)


def test_unique_pool_refuses_other_lengths() -> None:
    with pytest.raises(ValueError, match="1 frames but 2 summaries"):
        unique_pool([0], ["x", "y"])


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    windows=st.integers(0, 12),
    texts=st.integers(1, 12),
    repeats=st.integers(0, 12),
    neighbours=st.integers(1, 15),
    block=st.integers(1, 13),
    shared=st.booleans(),
)
def test_both_pools_are_eq_5(
    seed: int, windows: int, texts: int, repeats: int, neighbours: int, block: int, shared: bool
) -> None:
    random = np.random.default_rng(seed)
    left, right = unit(seed, windows), unit(seed + 1, texts)
    if shared:
        right[:] = right[random.integers(0, texts, texts)]  # different texts with one vector: ties
    text_of = np.concatenate([np.arange(texts), random.integers(0, texts, repeats)])
    for pool_of in (None, text_of):
        candidates = right if pool_of is None else right[pool_of]
        scores = random.choice(np.linspace(0, 1, 11), len(candidates))
        refined, indices, values = refine(left, right, scores, neighbours=neighbours, block=block, text_of=pool_of)
        assert (refined.dtype, indices.dtype, values.dtype) == (np.float64, np.int32, np.float32)
        kept = min(neighbours, len(candidates))
        assert indices.shape == values.shape == (windows, kept)
        expected, nearest = by_definition(left, candidates, scores, kept)
        assert indices.tolist() == nearest
        assert refined == pytest.approx(expected, abs=1e-12)
        assert (refined >= scores[indices].min(axis=1)).all()
        assert (refined <= scores[indices].max(axis=1)).all()
        assert (np.diff(values, axis=1) <= 0).all()


def test_a_repeated_summary_counts_once_or_as_often_as_it_is_there() -> None:
    window = np.array([[1.0, 0.0]])
    summaries = np.array([[0.8, 0.6], [0.6, 0.8]])
    pool = unique_pool([0, 16, 32], ["x", "y", "x"])
    scores = np.array([0.0, 1.0, 0.5])
    unique, owners, _ = refine(window, summaries, scores[pool.first], neighbours=3)
    every, frames, _ = refine(window, summaries, scores, neighbours=3, text_of=pool.text_of)
    assert owners.tolist() == [[0, 1]]
    assert frames.tolist() == [[0, 2, 1]]
    assert unique[0] == pytest.approx(np.exp(0.6) / (np.exp(0.8) + np.exp(0.6)))
    assert every[0] == pytest.approx((0.5 * np.exp(0.8) + np.exp(0.6)) / (2 * np.exp(0.8) + np.exp(0.6)))


def test_the_lower_of_equal_candidates_comes_first() -> None:
    summaries = np.repeat(unit(3, 1), 20, axis=0)
    _, indices, _ = refine(unit(4, 5), summaries, np.arange(20) / 20, neighbours=7)
    assert indices.tolist() == [list(range(7))] * 5


@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_equal_scores_stay_as_they_are(neighbours: int) -> None:
    refined, _, _ = refine(unit(1, 30), unit(2, 40), np.full(40, 0.1), neighbours=neighbours)
    assert (refined == 0.1).all()


def test_few_cells_at_once_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right, scores = unit(1, 30), unit(2, 40), np.random.default_rng(0).random(40)
    whole = refine(left, right, scores, neighbours=5)
    monkeypatch.setattr(refinement, "CELL_LIMIT", 100)
    for one, other in zip(whole, refine(left, right, scores, neighbours=5), strict=True):
        assert np.array_equal(one, other)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    texts=st.integers(1, 40),
    repeats=st.integers(0, 40),
    neighbours=st.integers(1, 50),
    rows=st.integers(1, 41),
    columns=st.integers(1, 41),
    shared=st.integers(1, 40),
)
def test_blocks_of_summaries_give_the_same_to_the_bit(
    seed: int, texts: int, repeats: int, neighbours: int, rows: int, columns: int, shared: int
) -> None:
    """Also where equal similarities lie in different blocks: the lower candidate wins."""
    random = np.random.default_rng(seed)
    left, right = unit(seed, 9), unit(seed + 1, texts)[random.integers(0, texts, texts) % shared]
    text_of = unique_pool(
        range(texts + repeats), [str(at) for at in random.integers(0, texts, texts + repeats)]
    ).text_of
    for pool_of in (None, text_of):
        vectors = right if pool_of is None else right[: pool_of.max() + 1]
        scores = random.random(len(vectors) if pool_of is None else len(pool_of))
        whole = refine(left, vectors, scores, neighbours=neighbours, text_of=pool_of)
        blocks = (vectors[at : at + rows] for at in range(0, len(vectors), rows))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(refinement, "COLUMN_BLOCK", columns)
            parts = refine(left, blocks, scores, neighbours=neighbours, text_of=pool_of)
        for one, other in zip(whole, parts, strict=True):
            assert np.array_equal(one, other)
            assert one.dtype == other.dtype


def test_padding_of_the_reference_has_no_weight() -> None:
    scores = np.array([[0.2, 1.0]])
    for padding in (np.finfo(np.float32).min, -np.inf):
        assert weighted_mean(scores, np.array([[0.3, padding]], np.float32)).tolist() == [0.2]


BAD = [
    ("no-summaries", np.ones((1, 3)), np.ones((0, 3)), np.ones(0), 10, "at least 1"),
    ("no-neighbours", np.ones((1, 3)), np.ones((2, 3)), np.ones(2), 0, "at least 1"),
    ("too-few-scores", np.ones((1, 3)), np.ones((2, 3)), np.ones(1), 10, "2 candidates"),
    ("nan-score", np.ones((1, 3)), np.ones((2, 3)), np.array([0, np.nan]), 10, "finite scores"),
    ("nan-window", np.full((1, 3), np.nan), np.ones((2, 3)), np.ones(2), 10, "window vectors"),
    ("nan-summary", np.ones((1, 3)), np.full((2, 3), np.nan), np.ones(2), 10, "summary vectors"),
    ("other-dimension", np.ones((1, 3)), np.ones((2, 4)), np.ones(2), 10, "dimension 3, summaries 4"),
]


@pytest.mark.parametrize(
    ("word", "text_of", "match"),
    [
        ("begins-late", [1, 0], "order of their first"),
        ("jumps", [0, 2, 1], "order of their first"),
        ("negative", [0, -1], "order of their first"),
        ("too-few-vectors", [0, 1, 2, 3], "3 candidates have vectors, .* 4"),
        ("too-many-vectors", [0, 1, 0], "3 candidates have vectors, .* 2"),
    ],
)
def test_texts_that_do_not_fit_their_candidates_are_refused(word: str, text_of: list[int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        refine(unit(1, 2), [unit(2, 3)], np.zeros(len(text_of)), neighbours=2, text_of=np.array(text_of))


@pytest.mark.parametrize(("word", "windows", "summaries", "scores", "neighbours", "match"), BAD)
def test_refine_refuses(
    word: str,
    windows: NDArray[np.float64],
    summaries: NDArray[np.float64],
    scores: NDArray[np.float64],
    neighbours: int,
    match: str,
) -> None:
    with pytest.raises(ValueError, match=match):
        refine(windows, summaries, scores, neighbours=neighbours)
