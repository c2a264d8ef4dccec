"""Vectors as columns, and means over windows whose parts arrive one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.errors import InternalError, ModelError
from lavad_core.stages.vectors import WindowMeans, from_column, gathered, to_column, unit


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 7))
def test_a_column_gives_back_its_vectors(count: int, dimension: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, dimension)).astype(np.float32)
    np.testing.assert_array_equal(from_column(to_column(vectors)), vectors)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 7))
def test_batches_are_gathered_in_order(counts: list[int], most: int) -> None:
    rows = np.arange(2 * sum(counts), dtype=np.float32).reshape(-1, 2)
    cuts = np.cumsum([0, *counts])
    found = [block.copy() for block in gathered((rows[a:b] for a, b in itertools.pairwise(cuts)), most)]
    assert all(len(block) == most for block in found[:-1])
    assert all(0 < len(block) <= most for block in found[-1:])
    np.testing.assert_array_equal(np.concatenate([np.empty((0, 2), np.float32), *found]), rows)


in_order = st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6), max_size=12).map(lambda v: sorted(v, key=min))


@settings(deadline=None)
@given(in_order)
def test_means_come_in_order_and_count_repeats(windows: list[list[int]]) -> None:
    vectors = {part: np.array([part, part**2], np.float32) for part in range(13)}
    means = WindowMeans(windows)
    found = []
    for part, vector in vectors.items():
        means.add(part, vector)
        found += list(means.ready())
    means.finish()
    assert [position for position, _ in found] == list(range(len(windows)))
    for position, vector in found:
        np.testing.assert_allclose(vector, np.mean([vectors[part] for part in windows[position]], axis=0), rtol=1e-6)
    assert not means._vectors, "a part was kept after its last window"
    assert not means._users, "a part is remembered after its last window"


def test_windows_are_in_memory_while_they_are_open() -> None:
    taken: list[int] = []
    windows = ((taken.append(at), [at, at + 1, at + 3])[1] for at in range(1000))
    means = WindowMeans(windows)
    for part in range(1003):
        means.add(part, np.ones(1, np.float32))
        assert len(taken) <= part + 2, "one more than those that have begun"
        list(means.ready())
        assert len(means._waiting) <= 3
        assert len(means._vectors) <= 4
    means.finish()
    assert taken == list(range(1000))


def test_parts_that_no_window_has_are_not_kept() -> None:
    means = WindowMeans([[0, 9]])
    for part in range(10):
        means.add(part, np.ones(1, np.float32))
    assert set(means._vectors) == {0, 9}


def test_a_window_that_never_fills_is_our_bug() -> None:
    means = WindowMeans([[1, 2]])
    means.add(1, np.ones(2, np.float32))
    assert list(means.ready()) == []
    with pytest.raises(InternalError, match="1 windows"):
        means.finish()
    unbegun = WindowMeans([[1, 2], [3], [4]])
    unbegun.add(1, np.ones(2, np.float32))
    with pytest.raises(InternalError, match=r"3 windows .* first \(0, \[1, 2\]\)"):
        unbegun.finish()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf], ids=["zero", "NaN", "infinite"])
def test_a_vector_without_direction_is_refused(bad: float) -> None:
    vectors = np.ones((3, 2), np.float32)
    vectors[1] = bad
    with pytest.raises(ModelError, match="1 of 3"):
        unit(vectors)
