"""A captioner that says nothing, or the same of everything, is named: beside others nobody would miss it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_models import FakeCaptioner, FakePool, level_of
from support.video_factory import make_video

from lavad_core.models.protocols import Image
from lavad_core.video.types import VideoSource


class Says(FakeCaptioner):
    def __init__(self, name: str, say: Callable[[int], str]) -> None:
        super().__init__(name)
        self._say = say

    def caption(self, images: Sequence[Image]) -> list[str]:
        return [self._say(level_of(image)) for image in images]


@pytest.mark.parametrize(
    ("say", "status", "words", "warned"),
    [
        pytest.param(lambda level: "", "ok_with_gaps", "13 of 13 captions are empty", True, id="nothing"),
        pytest.param(lambda level: " \n", "ok_with_gaps", "13 of 13 captions are empty", True, id="spaces"),
        pytest.param(
            lambda level: "!!!!", "ok_with_gaps", "and 13 have no letter or digit", True, id="the first token"
        ),
        pytest.param(
            lambda level: "" if level > 9 else "dark", "ok_with_gaps", "3 of 13 captions are empty", False, id="partly"
        ),
        pytest.param(lambda level: "a a a", "ok_with_gaps", "all 13 captions are 'a a a'", True, id="always the same"),
        pytest.param(lambda level: f"level {level}", "ok", "", False, id="as it should"),
        pytest.param(lambda level: "一只狗" if level > 9 else "夜", "ok", "", False, id="another script"),
    ],
)
def test_it_is_named(
    make_bench: Callable[..., Any],
    street: VideoSource,
    caplog: pytest.LogCaptureFixture,
    say: Callable[[int], str],
    status: str,
    words: str,
    warned: bool,
) -> None:
    pool = FakePool()
    pool.captioners["second"] = Says("second", say)
    resources = make_bench(pool)
    video = resources.prepare(street)
    with caplog.at_level(logging.WARNING):
        assert resources.run(video) == {}
    keys = resources.graph.keys(video)
    commit, other = (resources.store.find(keys[f"caption:{name}"]) for name in ("second", "first"))
    assert (commit.status, other.status, other.message) == (status, "ok", "")
    assert words in commit.message
    assert not words or commit.message.startswith("captioner second: ")
    assert bool(caplog.records) is warned
    assert not warned or "captioner second" in caplog.text


def test_one_caption_of_a_still_picture_is_no_fault(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    pool = FakePool()
    resources = make_bench(pool)
    path = make_video(
        tmp_path / "still.mp4", frames=160, fps=10, draw=lambda index, size: np.full((*size[::-1], 3), 90, np.uint8)
    )
    video = resources.prepare(VideoSource("still", path))
    pool.captioners["first"] = Says("first", lambda level: "a street")
    assert resources.run(video) == {}
    assert resources.store.find(resources.graph.keys(video)["caption:first"]).status == "ok"
