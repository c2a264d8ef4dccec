"""A stop in the middle of a batch: what was finished is stored, and not asked for again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from support.fake_models import FakeChat, FakePool

from lavad_core.errors import Interrupted
from lavad_core.models.chat.ready import ReadyAnswers
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.models.shared_batches import SharedBatches
from lavad_core.runs import work
from lavad_core.runs.recorder import StageRecord
from lavad_core.stages.asking import ask_all
from lavad_core.stages.context import StageContext
from lavad_core.video.types import VideoSource

BATCH = 16


class Batches(FakeChat):
    """Finishes 16 answers at once; the stop comes while it is at the second batch."""

    def __init__(self, stop: Callable[[], None] | None) -> None:
        super().__init__()
        self._stop = stop

    def answer(self, requests: Sequence[ChatRequest]) -> ReadyAnswers[tuple[int, ChatAnswer]]:
        return ReadyAnswers(self._rounds(list(super().answer(requests))))

    def _rounds(self, answers: list[Any]) -> Generator[list[tuple[int, ChatAnswer]], None, None]:
        for start in range(0, len(answers), BATCH):
            if start and self._stop is not None:
                self._stop()
            yield answers[start : start + BATCH]


def requests_of(count: int) -> list[ChatRequest]:
    return [ChatRequest((("system", "s"), ("user", f"level {n}")), 8, 0.0, 1.0, 0) for n in range(count)]


def test_finished_answers_are_stored_before_the_stop_is_obeyed(
    make_bench: Callable[..., Any], street: VideoSource
) -> None:
    pool = FakePool()
    resources = make_bench(pool)
    pool.chat_model = Batches(resources.stop)
    video = resources.prepare(street)
    record = StageRecord(video.name, video.video_id, "summarise", "")
    requests = requests_of(3 * BATCH)
    with pytest.raises(Interrupted):
        ask_all(StageContext(resources, video, "summarise", record), pool.chat_model, pool.lock, requests)
    assert record.work[work.LLM_REQUESTS] == 2 * BATCH, "the batch in work to its end, and none after it"
    assert record.work[work.COMPLETION_TOKENS] == 5 * 2 * BATCH

    again = make_bench(FakePool())
    record = StageRecord(video.name, video.video_id, "summarise", "")
    ask_all(StageContext(again, video, "summarise", record), again.pool.chat_model, again.pool.lock, requests)
    assert (record.work[work.LLM_CACHED], record.work[work.LLM_REQUESTS]) == (2 * BATCH, BATCH)


class Watched(FakeChat):
    """Notes whether the device is held when it is asked, and when it computes."""

    def __init__(self, held: Callable[[], bool]) -> None:
        super().__init__()
        self._held, self.seen = held, list[bool]()

    def answer(self, requests: Sequence[ChatRequest], **how: Any) -> Generator[tuple[int, ChatAnswer], None, None]:
        self.seen.append(self._held())
        for pair in super().answer(requests):
            with how.get("at_work", nullcontext)():
                self.seen.append(self._held())
            yield pair


class Sharing(Watched):
    """Its batches are filled from all videos."""

    shared_batches: SharedBatches[Any, Any] = SharedBatches(list, lambda: 2)


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        pytest.param(Sharing, [False, True, True], id="shared batches"),
        pytest.param(Watched, [True, True, True], id="one video after the other"),
    ],
)
def test_the_device_is_held_for_a_batch_where_videos_share_them(
    kind: type[Watched], seen: list[bool], make_bench: Callable[..., Any], street: VideoSource
) -> None:
    pool = FakePool()
    resources = make_bench(pool, chat={"kind": "transformers", "model": "random:llama"})
    chat = kind(pool.lock.locked)
    video = resources.prepare(street)
    record = StageRecord(video.name, video.video_id, "summarise", "")
    ask_all(StageContext(resources, video, "summarise", record), chat, pool.lock, requests_of(2))
    assert chat.seen == seen
    assert not pool.lock.locked()
    assert record.device_seconds > 0
