"""Vectors as columns, and means over windows whose parts arrive one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.errors import InternalError, ModelError
from lavad_core.stages.vectors import WindowMeans, from_column, to_column, unit


@given(st.integers(1, 9), st.integers(1, 7))
def test_a_column_gives_back_its_vectors(count: int, dimension: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, dimension)).astype(np.float32)
    np.testing.assert_array_equal(from_column(to_column(vectors)), vectors)


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6), max_size=12))
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


def test_a_window_that_never_fills_is_our_bug() -> None:
    means = WindowMeans([[1, 2]])
    means.add(1, np.ones(2, np.float32))
    assert list(means.ready()) == []
    with pytest.raises(InternalError, match="1 windows"):
        means.finish()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf], ids=["zero", "NaN", "infinite"])
def test_a_vector_without_direction_is_refused(bad: float) -> None:
    vectors = np.ones((3, 2), np.float32)
    vectors[1] = bad
    with pytest.raises(ModelError, match="1 of 3"):
        unit(vectors)
