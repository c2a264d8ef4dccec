"""Windows that end at their frame."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from lavad_core.method.sampling import window_samples

SAMPLINGS: list[Literal["grid", "any-frame"]] = ["grid", "any-frame"]


@pytest.mark.parametrize("frame_rate", [None, 30.0], ids=["time stamps", "constant rate"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_window_of_the_past_is_as_long_and_ends_at_its_frame(
    sampling: Literal["grid", "any-frame"], frame_rate: float | None
) -> None:
    centres, times = np.arange(0, 1000, 16), np.arange(1000) / 30
    found = [
        window_samples(
            centres,
            1000,
            16,
            times,
            duration_s=10.0,
            samples=1000,
            sampling=sampling,
            frame_rate=frame_rate,
            align=align,
        )
        for align in ("centred", "past")
    ]
    step = 16 if sampling == "grid" else 1
    for centre, past in zip(centres.tolist(), found[1], strict=True):
        first = max(centre - 299, 0)
        assert past.tolist() == list(range(-(-first // step) * step, centre + 1, step))
    inner = slice(19, 40)  # away from both ends
    lengths = [samples.lengths[inner] for samples in found]
    assert np.abs(lengths[0] - lengths[1]).max() <= (1 if sampling == "grid" else 0)


def test_one_frame_has_a_window_of_the_past() -> None:
    (found,) = window_samples(
        np.array([0]), 1, 16, np.zeros(1), duration_s=9, samples=10, sampling="grid", frame_rate=None, align="past"
    )
    assert found.tolist() == [0]
