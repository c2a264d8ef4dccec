"""Eq. 2: the pool of captions and the nearest caption of an image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lavad_core.method.cleaning import Candidate, best_captions, unique_captions
from lavad_core.method.similarity import COLUMN_BLOCK, similarities

POOLS = [
    ("nothing", [], []),
    ("one", [("a", [(0, "x")])], [Candidate("x", "a", 0)]),
    (
        "first-frame-owns",
        [("a", [(0, "x"), (16, "y"), (32, "x")])],
        [Candidate("x", "a", 0), Candidate("y", "a", 16)],
    ),
    ("first-captioner-owns", [("b", [(0, "x")]), ("a", [(0, "x")])], [Candidate("x", "b", 0)]),
    (
        "frame-before-captioner",
        [("a", [(0, "y"), (16, "x")]), ("b", [(0, "x"), (16, "z")])],
        [Candidate("y", "a", 0), Candidate("x", "b", 0), Candidate("z", "b", 16)],
    ),
    ("frames-out-of-order", [("a", [(16, "x"), (0, "x")])], [Candidate("x", "a", 0)]),
    ("empty-left-out", [("a", [(0, ""), (16, " \n"), (32, "x")])], [Candidate("x", "a", 32)]),
    ("all-empty", [("a", [(0, "")]), ("b", [(0, "")])], []),
    (
        "exact-text",
        [("a", [(0, "A dog"), (16, "a dog"), (32, "a dog ")])],
        [Candidate("A dog", "a", 0), Candidate("a dog", "a", 16), Candidate("a dog ", "a", 32)],
    ),
]


@pytest.mark.parametrize(("word", "captions", "expected"), POOLS)
def test_unique_captions(
    word: str, captions: list[tuple[str, list[tuple[int, str]]]], expected: list[Candidate]
) -> None:
    assert unique_captions(captions) == expected


def test_a_captioner_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        unique_captions([("a", []), ("a", [])])


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", " ", "x", "y", "z", "w"])), max_size=10), max_size=4
    )
)
def test_every_text_is_owned_once_by_its_earliest_frame(captions: list[list[tuple[int, str]]]) -> None:
    named = [(str(number), items) for number, items in enumerate(captions)]
    pool = unique_captions(named)
    texts = {text for items in captions for _, text in items if text.strip()}
    assert sorted(candidate.text for candidate in pool) == sorted(texts)
    for candidate in pool:
        owners = [(frame, name) for name, items in named for frame, text in items if text == candidate.text]
        assert (candidate.frame, candidate.captioner) == min(owners)
    places = [(candidate.frame, candidate.captioner) for candidate in pool]
    assert places == sorted(places)


def unit(seed: int, rows: int, dimension: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(0, 40),
    captions=st.integers(1, 40),
    block=st.integers(1, 50),
)
def test_blocks_do_not_matter(seed: int, images: int, captions: int, block: int) -> None:
    left, right = unit(seed, images, 5), unit(seed + 1, captions, 5)
    right = np.concatenate([right, right])  # every maximum appears twice
    index, similarity = best_captions(left, right, block)
    assert (index.dtype, similarity.dtype) == (np.int64, np.float32)
    expected = (left.astype(np.float64) @ right.T.astype(np.float64)).astype(np.float32)
    assert (index < captions).all()
    if images:
        assert np.array_equal(index, expected.argmax(axis=1))
        assert np.array_equal(similarity, expected.max(axis=1))
    parts = [left[at : at + 3] for at in range(0, images, 3)]
    again = best_captions(iter(parts), right, block)
    assert np.array_equal(index, again[0])
    assert np.array_equal(similarity, again[1])


def test_the_first_of_equal_captions_wins_across_blocks() -> None:
    captions = np.repeat(unit(1, 1, 64), 2 * COLUMN_BLOCK + 3, axis=0)
    index, _ = best_captions(unit(2, 9, 64), captions, block=4)
    assert index.tolist() == [0] * 9


def test_similarities_of_equal_vectors_are_equal_wherever_they_stand() -> None:
    captions = np.repeat(unit(1, 1, 1024), 101, axis=0)
    found = similarities(unit(2, 7, 1024), captions)
    assert (found == found[:, :1]).all()


BAD = [
    ("empty-pool", np.ones((1, 3)), np.ones((0, 3)), "no caption to choose from"),
    ("nan-image", np.full((1, 3), np.nan), np.ones((1, 3)), "image vectors: 1 of 1 rows"),
    ("infinite-caption", np.ones((1, 3)), np.array([[1, 1, 1], [1, np.inf, 1]]), "caption vectors: 1 of 2 rows"),
    ("other-dimension", np.ones((1, 3)), np.ones((1, 4)), "dimension 3, captions 4"),
    ("one-axis", np.ones(3), np.ones((1, 3)), "image vectors: floats of shape"),
    ("integers", np.ones((1, 3), dtype=int), np.ones((1, 3)), "image vectors: floats of shape"),
]


@pytest.mark.parametrize(("word", "images", "captions", "match"), BAD)
def test_best_captions_refuses(
    word: str, images: NDArray[np.float64], captions: NDArray[np.float64], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        best_captions(images, captions)


def test_a_block_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 row"):
        best_captions(np.ones((1, 3)), np.ones((1, 3)), 0)
