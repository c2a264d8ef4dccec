"""Captions of a chat model: refused, cut and thought ones are counted by kind; the other frames have theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from support.fake_models import FakeCaptioner, FakePool, level_of

from lavad_core.models.protocols import ChatAnswer, Image
from lavad_core.video.types import VideoSource


class Answering(FakeCaptioner):
    """Refuses bright images, is cut off at dark ones."""

    def answers(self, images: Sequence[Image]) -> list[ChatAnswer]:
        cut = ChatAnswer("<think>Dark?</think>A yard at night. A m", "length", 0, 0)
        return [ChatAnswer("", "refused", 0, 0) if level_of(image) > 10 else cut for image in images]


class Thinking(FakeCaptioner):
    """A captioner of the user's own that gives its thoughts as captions."""

    def caption(self, images: Sequence[Image]) -> list[str]:
        return [f"<think>[0.9]</think>{caption}" for caption in super().caption(images)]


class Pool(FakePool):
    def captioner(self, name: str) -> tuple[Any, Any]:
        made = {"first": Answering, "second": Thinking}[name](name)
        return self.captioners.setdefault(name, made), self.lock


def test_captions_of_a_chat_model(make_bench: Callable[..., Any], street: VideoSource) -> None:
    resources = make_bench(Pool(), run={"targets": ["caption"]})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    commit = resources.store.find(resources.graph.keys(video)["caption:first"])
    assert {key: commit.counts[key] for key in ("empty", "refused", "truncated", "only_thought")} == {
        "empty": 3,
        "refused": 3,
        "truncated": 10,
        "only_thought": 0,
    }
    assert commit.status == "ok_with_gaps"
    assert "3 of 13 captions are empty (3 refused by the model or a content filter)" in commit.message
    assert "10 of 13 captions are cut off; raise its max_new_tokens" in commit.message
    assert {row["caption"] for row in resources.rows(video, "caption:first")} == {"", "A yard at night."}
    assert {row["caption"] for row in resources.rows(video, "caption:second")} == {
        "second sees level 3",
        "second sees level 20",
    }
