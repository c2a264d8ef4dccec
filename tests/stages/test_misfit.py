"""A model that is held to the choices and wanted to say something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from support.fake_models import FakeChat, FakePool

from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.runs import work
from lavad_core.video.types import VideoSource


class Begins(FakeChat):
    """Knows about each second answer what it would have begun with."""

    def __init__(self, outside: float) -> None:
        super().__init__()
        self._outside = outside

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, answer in super().answer(requests):
            known = requests[position].choices is not None and position % 2 == 0
            yield position, replace(answer, outside=self._outside, follow_ups=1) if known else answer


@pytest.mark.parametrize(
    ("outside", "limit", "said"),
    [
        pytest.param(0.965, 0.5, "96.5% of what chat model", id="it would have said something else"),
        pytest.param(0.2, 0.5, "", id="it fits"),
        pytest.param(0.2, 0.1, "20.0% of what chat model", id="a limit of one's own"),
    ],
)
def test_a_misfit_is_said_and_recorded(
    make_bench: Callable[..., Any], street: VideoSource, outside: float, limit: float, said: str
) -> None:
    pool = FakePool()
    pool.chat_model = Begins(outside)
    resources = make_bench(pool, score={"max_outside": limit})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    commit = resources.store.find(resources.graph.keys(video)["score"])
    assert said in commit.message
    assert bool(said) is bool(commit.message)
    assert commit.status == "ok", "the scores are what was asked for"
    assert not said or "score.max_outside" in commit.message
    asked = len({request for request in pool.chat_model.asked if request.choices is not None})
    assert commit.counts["looked_outside"] > 0
    assert commit.facts["outside"] == pytest.approx(outside)
    values = {row["outside"] for row in resources.rows(video, "score")}
    assert values <= {None, outside}
    assert outside in values
    assert resources.recorder.totals()[work.LLM_FOLLOW_UPS] == (asked + 1) // 2


def test_where_nobody_looked_nothing_is_said(make_bench: Callable[..., Any], street: VideoSource) -> None:
    resources = make_bench()
    video = resources.prepare(street)
    assert resources.run(video) == {}
    commit = resources.store.find(resources.graph.keys(video)["score"])
    assert (commit.message, commit.counts["looked_outside"], dict(commit.facts)) == ("", 0, {})
