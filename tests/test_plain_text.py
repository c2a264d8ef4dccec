"""Numbers of things, as people read them."""

from __future__ import annotations

import pytest

from lavad_core.plain_text import number_of


@pytest.mark.parametrize(
    ("count", "thing", "words"),
    [
        pytest.param(0, "video", "0 videos", id="none"),
        pytest.param(1, "video", "1 video", id="one"),
        pytest.param(2, "video", "2 videos", id="two"),
        pytest.param(1, "pass", "1 pass", id="one pass"),
        pytest.param(3, "pass", "3 passes", id="passes"),
    ],
)
def test_one_thing_has_no_plural(count: int, thing: str, words: str) -> None:
    assert number_of(count, thing) == words
