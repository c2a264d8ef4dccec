"""Several videos ask the model in this process at once, and share its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from support.local_chat import SCENES, answers_of, score_of, summary_of

from lavad_core.errors import DeviceOutOfMemory, Interrupted, ModelError, RequestRejected
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.models.shared_batches import Ticket

pytestmark = pytest.mark.usefixtures("one_thread")

PATIENCE_S = 60


class Asked:
    """A thread that asks, and what it was given before it ended."""

    def __init__(self, chat: LocalChat, requests: list[ChatRequest], **options: Any) -> None:
        self._chat, self._requests, self._options = chat, requests, options
        self.given: dict[int, ChatAnswer] = {}

    def __call__(self) -> None:
        for number, answer in self._chat.answer(self._requests, **self._options):
            self.given[number] = answer


@contextmanager
def at_once(chat: LocalChat, *asked: Asked) -> Iterator[list[Future[None]]]:
    """Each in a thread. None of their batches is computed before it is full: another session is open, and idle."""
    assert chat.shared_batches is not None
    with ThreadPoolExecutor(len(asked)) as threads, chat.shared_batches.session():
        yield [threads.submit(each) for each in asked]


@pytest.fixture
def batches(model: LocalChat, monkeypatch: pytest.MonkeyPatch) -> list[list[ChatRequest]]:
    """The requests of each batch of four, which are shared as on a GPU."""
    seen: list[list[ChatRequest]] = []
    outcomes = model._outcomes

    def noted(items: Sequence[Any]) -> Any:
        seen.append([item.request for item in items])
        return outcomes(items)

    monkeypatch.setattr(model._batcher, "batch_size", 4)
    monkeypatch.setattr(model, "_outcomes", noted)
    assert model.shared_batches is None
    monkeypatch.setattr(model, "shared_batches", model._new_batches())
    # A batch that waits for others waits as long as it takes, on a busy machine, too.
    monkeypatch.setattr(model.shared_batches, "_patience_s", PATIENCE_S)
    return seen


def test_requests_of_several_threads_share_batches(model: LocalChat, batches: list[list[ChatRequest]]) -> None:
    one = [summary_of(SCENES[0], temperature=0.9, seed=1), score_of(SCENES[1], distribution=True), score_of(SCENES[2])]
    other = [summary_of(SCENES[3], temperature=0.9, seed=2), score_of(SCENES[1])]
    third = [score_of(SCENES[3], temperature=1.0), summary_of(SCENES[4]), summary_of(SCENES[0])]
    expected = [[answer.text for answer in answers_of(model, requests)] for requests in (one, other, third)]
    batches.clear()
    entered: list[int] = []

    @contextmanager
    def at_work() -> Iterator[None]:
        entered.append(len(batches))
        yield

    asked = [Asked(model, requests, at_work=at_work) for requests in (one, other, third)]
    with at_once(model, *asked) as ends:
        for end in ends:
            end.result(PATIENCE_S)
    assert [[each.given[number].text for number in sorted(each.given)] for each in asked] == expected
    assert [len(batch) for batch in batches] == [4, 4]
    assert entered == [0, 1], "the device is held for each batch"
    assert any(len({(request in one, request in other) for request in batch}) > 1 for batch in batches)


@pytest.mark.parametrize(
    ("refused", "word"),
    [
        pytest.param(summary_of("a dog. " * 1500), "exceed the model's context", id="prompt-too-long"),
        pytest.param(score_of("a dog.", max_tokens=2), "max_tokens 2 ended the answer", id="too-short-for-a-choice"),
    ],
)
def test_a_request_that_is_refused_is_its_own_videos_error(
    model: LocalChat, batches: list[list[ChatRequest]], refused: ChatRequest, word: str
) -> None:
    good = [score_of(scene) for scene in SCENES[:3]]
    expected = answers_of(model, good)
    bad, other = Asked(model, [score_of(SCENES[3]), refused]), Asked(model, good)
    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(bad), threads.submit(other)]
        with pytest.raises(RequestRejected, match=word):
            ends[0].result(PATIENCE_S)
        ends[1].result(PATIENCE_S)
    assert [other.given[number] for number in range(3)] == expected


def test_an_interrupt_gives_each_thread_what_is_finished(
    model: LocalChat, batches: list[list[ChatRequest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = summary_of(SCENES[0], max_tokens=60)
    requests = [[score_of(SCENES[0]), score_of(SCENES[1])], [score_of(SCENES[2]), long]]
    expected = [answers_of(model, [each for each in own if each is not long]) for own in requests]
    batches.clear()
    forward, steps = model._model.forward, []

    def counted(**arguments: Any) -> Any:
        steps.append(1)
        if len(steps) == 12:
            model.interrupt()
        return forward(**arguments)

    monkeypatch.setattr(model._model, "forward", counted)
    asked = [Asked(model, own) for own in requests]
    try:
        with at_once(model, *asked) as ends:
            ends[0].result(PATIENCE_S)  # all of its were finished
            with pytest.raises(Interrupted):
                ends[1].result(PATIENCE_S)
    finally:
        model._stopping.clear()
    assert [list(each.given.values()) for each in asked] == expected
    assert len(batches) == 1
    assert len(steps) == 12


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda model, monkeypatch: model._stopping.set(), id="the model is interrupted"),
        pytest.param(lambda model, monkeypatch: None, id="the caller is stopped"),
    ],
)
def test_after_a_stop_nothing_is_begun(
    model: LocalChat, batches: list[list[ChatRequest]], monkeypatch: pytest.MonkeyPatch, stop: Callable[..., None]
) -> None:
    def check_stop() -> None:
        raise Interrupted("made by the test")

    stop(model, monkeypatch)
    try:
        options = {} if model._stopping.is_set() else {"check_stop": check_stop}
        with pytest.raises(Interrupted):
            list(model.answer([summary_of(SCENES[0])], **options))
    finally:
        model._stopping.clear()
    assert batches == []
    assert model.shared_batches is not None
    assert not model.shared_batches._items


def test_memory_that_runs_out_in_a_common_batch(
    model: LocalChat, batches: list[list[ChatRequest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request alone that does not fit is the error of its video."""
    forward, longest = model._model.forward, summary_of(" ".join(5 * SCENES))
    limit = len(model._render(longest.messages))

    def small(input_ids: torch.Tensor, **more: Any) -> Any:
        if input_ids.shape[1] >= limit:
            raise torch.OutOfMemoryError("pretended")
        return forward(input_ids=input_ids, **more)

    expected = answers_of(model, [score_of(SCENES[1]), score_of(SCENES[2])])
    batches.clear()
    monkeypatch.setattr(model._model, "forward", small)
    asked = [Asked(model, [score_of(SCENES[1]), score_of(SCENES[2])]), Asked(model, [score_of(SCENES[0]), longest])]
    with at_once(model, *asked) as ends:
        with pytest.raises(DeviceOutOfMemory, match="one of the requests alone"):
            ends[1].result(PATIENCE_S)
        ends[0].result(PATIENCE_S)
    assert [asked[0].given[number] for number in range(2)] == expected


class Elsewhere:
    """Batches that other threads compute while this one is at something else: it finds some done, and some with an error."""

    def __init__(self, results: list[ChatAnswer | ModelError], *, at_last: bool) -> None:
        """``at_last``: they are done when a result is waited for; otherwise when the last is submitted."""
        self._results, self._at_last = results, at_last
        self._tickets: list[Ticket[Any, Any]] = []

    @contextmanager
    def session(self, **_: Any) -> Iterator[Elsewhere]:
        yield self

    def submit(self, item: Any) -> Ticket[Any, Any]:
        self._tickets.append(Ticket(self, item, None))  # type: ignore[arg-type]
        if not self._at_last and len(self._tickets) == len(self._results):
            self._settle()
        return self._tickets[-1]

    def result(self, ticket: Ticket[Any, Any]) -> Any:
        self._settle()
        return ticket.outcome()

    def _settle(self) -> None:
        for ticket, result in zip(self._tickets, self._results, strict=True):
            ticket._settle(*((None, result) if isinstance(result, Exception) else (result, None)))


@pytest.mark.parametrize("at_last", [False, True], ids=["while it submits", "while it waits"])
@pytest.mark.parametrize("bad", [0, 2], ids=["the oldest", "a later one"])
def test_an_error_of_one_batch_does_not_take_the_answers_of_another_with_it(
    model: LocalChat, monkeypatch: pytest.MonkeyPatch, at_last: bool, bad: int
) -> None:
    results: list[ChatAnswer | ModelError] = [ChatAnswer(str(number), "stop", 1, 1) for number in range(3)]
    results[bad] = ModelError("made by the test")
    monkeypatch.setattr(model, "shared_batches", Elsewhere(results, at_last=at_last))
    asked = Asked(model, [score_of(SCENES[0], seed=seed) for seed in range(3)])
    with pytest.raises(ModelError, match="made by the test"):
        asked()
    assert sorted(asked.given) == [number for number in range(3) if number != bad]


def test_on_a_gpu_batches_are_shared(model: LocalChat) -> None:
    on_gpu = LocalChat(model._model, model._tokenizer, torch.device("cuda", 0), 4, model._template, folds=False)
    assert on_gpu.shared_batches is not None


def test_on_a_cpu_a_videos_batches_are_the_same_whoever_else_asks(model: LocalChat) -> None:
    """To the last digit: a run gives the same bytes again."""
    assert model.shared_batches is None
    seen: list[list[ChatRequest]] = []
    outcomes = model._outcomes
    requests = [score_of(scene, distribution=True) for scene in (*SCENES, "a man.", "a dog runs.", "a car.", "a cat.")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            model, "_outcomes", lambda items: seen.append([item.request for item in items]) or outcomes(items)
        )
        answers = model.answer(requests)
        assert next(answers)
        assert [len(batch) for batch in seen] == [4], "no second batch before the first is taken"
        list(answers)
    assert [len(batch) for batch in seen] == [4, 4, 1]
    said = [request for batch in seen for request in batch]
    assert said == sorted(requests, key=lambda request: len(model._render(request.messages)))
