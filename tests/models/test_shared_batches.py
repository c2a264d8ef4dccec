"""Batches filled from the items of several threads: which items meet, who waits for whom, and who hears of what goes wrong."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from support.stepped_sessions import PATIENCE_S, Threads, until

from lavad_core.errors import InternalError, Interrupted, ModelError
from lavad_core.models.shared_batches import Session, SharedBatches, Ticket


def found(session: Session[Any, Any], items: Iterable[int]) -> Iterator[int]:
    return (result for _, result in session.results(enumerate(items)))


class Model:
    """Doubles numbers. A negative one is refused, with all that is in its batch."""

    def __init__(self, size: int = 4) -> None:
        self.size = size
        self.batches: list[list[int]] = []
        self.at_work = 0
        self.before: Callable[[list[int]], None] = lambda batch: None

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.at_work += 1
        assert self.at_work == 1, "one batch at a time"
        try:
            self.batches.append(list(items))
            self.before(list(items))
            if bad := [item for item in items if item < 0]:
                raise ModelError(f"{len(bad)} of {len(items)} are negative")
            return [2 * item for item in items]
        finally:
            self.at_work -= 1


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


@pytest.fixture
def threads(model: Model, executor: ThreadPoolExecutor) -> Threads:
    return Threads(SharedBatches(model, lambda: model.size, patience_s=10 * PATIENCE_S), executor)


def test_one_session_has_full_batches_and_a_rest(model: Model) -> None:
    batches = SharedBatches(model, lambda: model.size)
    with batches.session() as session:
        named = session.results(zip("abcdefghij", range(10), strict=True))
        assert list(named) == list(zip("abcdefghij", range(0, 20, 2), strict=True))
    assert model.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with batches.session() as session:
        assert list(session.results([])) == []


def test_a_result_comes_out_while_items_go_in(model: Model) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            assert len(taken) == number // 4 * 4
            yield number

    with SharedBatches(model, lambda: 4).session() as session:
        taken.extend(found(session, numbers()))
    assert len(taken) == 9


def test_a_rest_waits_for_the_items_of_others(model: Model, threads: Threads) -> None:
    one, other = threads.open(), threads.open()
    kept = one.results(one.submit(1, 2, 3))
    threads.settled(one)
    assert model.batches == [], "the other can still bring an item"
    tickets = other.submit(4, 5)
    assert kept.result(PATIENCE_S) == [2, 4, 6]
    assert model.batches == [[1, 2, 3, 4]]
    kept = other.results(tickets)
    threads.settled(other)
    assert model.batches == [[1, 2, 3, 4]]
    one.close()
    assert kept.result(PATIENCE_S) == [8, 10]
    assert model.batches[1:] == [[5]]
    other.close()


def test_when_all_wait_what_is_there_is_computed(model: Model, threads: Threads) -> None:
    sessions = [threads.open() for _ in range(3)]
    tickets = [session.submit(number) for number, session in enumerate(sessions)]
    outcomes = [session.results(own) for session, own in zip(sessions, tickets, strict=True)]
    assert [future.result(PATIENCE_S) for future in outcomes] == [[0], [2], [4]]
    assert model.batches == [[0, 1, 2]]
    late = threads.open()
    assert late.results(late.do(lambda: [late.session.submit(7)]).result(PATIENCE_S)) is not None
    threads.settled(late)
    assert model.batches == [[0, 1, 2]], "the others are open, and could bring items"
    for session in (*sessions, late):
        session.close()
    assert model.batches[1:] == [[7]]


def test_a_rest_does_not_wait_for_ever_for_a_decoder_that_hangs(model: Model, executor: ThreadPoolExecutor) -> None:
    threads = Threads(SharedBatches(model, lambda: model.size, patience_s=0.01), executor)
    slow, one = threads.open(), threads.open()
    assert one.results(one.submit(1, 2)).result(PATIENCE_S) == [2, 4]
    assert model.batches == [[1, 2]]
    one.close()
    slow.close()


def test_a_session_has_no_more_items_waiting_than_it_may(model: Model, threads: Threads) -> None:
    """Where a run bounds the frames in memory, batches are as large as all of its videos make them."""
    one, other = threads.open(most=1), threads.open(most=2)
    ended = one.do(lambda: one.session.submit(1))
    threads.settled(one)
    tickets = other.submit(2)
    assert other.submit(3)
    assert not ended.exception(PATIENCE_S)
    assert model.batches == [[1, 2, 3]]
    one.close()
    assert other.results(tickets).result(PATIENCE_S) == [4]
    other.close()


def test_a_session_that_ends_takes_its_items_with_it(model: Model, threads: Threads) -> None:
    one, other = threads.open(), threads.open()
    kept = one.results(one.submit(1, 2))
    other.submit(3)
    with pytest.raises(ZeroDivisionError):
        other.do(lambda: 1 / 0).result(PATIENCE_S)
    assert kept.result(PATIENCE_S) == [2, 4]
    assert model.batches == [[1, 2]]
    one.close()


def test_an_error_strikes_the_session_whose_item_it_is(model: Model, threads: Threads) -> None:
    sessions = [threads.open() for _ in range(3)]
    tickets = [session.submit(*items) for session, items in zip(sessions, [[1], [-2], [3, 4]], strict=True)]
    outcomes = [session.results(own) for session, own in zip(sessions, tickets, strict=True)]
    assert outcomes[0].result(PATIENCE_S) == [2]
    with pytest.raises(ModelError, match="1 of 1 are negative"):
        outcomes[1].result(PATIENCE_S)
    assert outcomes[2].result(PATIENCE_S) == [6, 8]
    assert model.batches == [[1, -2, 3, 4], [1], [-2], [3, 4]]
    sessions[0].close()
    sessions[2].close()


def test_an_error_of_one_sessions_batch_is_its_own_at_once(model: Model) -> None:
    with SharedBatches(model, lambda: 4).session() as session, pytest.raises(ModelError, match="1 of 3"):
        list(found(session, [1, -1, 2]))
    assert model.batches == [[1, -1, 2]]


def test_a_stop_in_the_model_is_everybodys(model: Model, threads: Threads) -> None:
    def stop(batch: list[int]) -> None:
        raise Interrupted("stopped by the test")

    model.before = stop
    one, other = threads.open(), threads.open()
    outcomes = [one.results(one.submit(1)), other.results(other.submit(2))]
    for future in outcomes:
        with pytest.raises(Interrupted):
            future.result(PATIENCE_S)
    assert len(model.batches) == 1


def test_a_thread_that_is_ended_within_a_batch_takes_nobody_elses_items_with_it(model: Model, threads: Threads) -> None:
    def end(batch: list[int]) -> None:
        model.before = lambda batch: None
        raise KeyboardInterrupt

    model.before = end
    one, other = threads.open(), threads.open()
    kept = one.results(one.submit(1, 2))
    threads.settled(one)
    ended = other.do(lambda: [other.session.submit(item) for item in (3, 4, 5)])
    # Whichever of the two was at the batch is ended; the items of the one that is left are computed.
    if kept.exception(PATIENCE_S) is None:
        assert isinstance(ended.exception(PATIENCE_S), KeyboardInterrupt)
        assert kept.result() == [2, 4]
        assert model.batches == [[1, 2, 3, 4], [1, 2]]
        one.close()
    else:
        assert isinstance(kept.exception(), KeyboardInterrupt)
        assert other.results(ended.result(PATIENCE_S)).result(PATIENCE_S) == [6, 8, 10]
        assert model.batches == [[1, 2, 3, 4], [3, 4, 5]]
        other.close()


def test_a_run_that_is_stopped_begins_no_batch(model: Model, threads: Threads) -> None:
    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Interrupted("stopped by the test")

    one, other = threads.open(check_stop=check), threads.open(check_stop=check)
    tickets = one.submit(1, 2)
    stopping.set()
    for future in (one.results(tickets), other.do(lambda: [other.session.submit(item) for item in range(9)])):
        with pytest.raises(Interrupted):
            future.result(PATIENCE_S)
    assert model.batches == []


def test_a_size_that_shrinks_is_heeded(model: Model) -> None:
    def halve(batch: list[int]) -> None:
        model.size = 2

    model.before = halve
    with SharedBatches(model, lambda: model.size).session() as session:
        assert list(found(session, range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert model.batches == [[0, 1, 2, 3], [4, 5], [6]]


def test_items_of_one_kind_share_a_batch(model: Model) -> None:
    batches = SharedBatches(model, lambda: 3, kind_of=lambda number: number % 2)
    with batches.session() as session:
        assert list(found(session, [0, 2, 1, 4, 6, 3])) == [0, 4, 2, 8, 12, 6]
    assert model.batches == [[0, 2, 4], [1, 3], [6]]


def test_a_wrong_number_of_results_is_a_bug() -> None:
    batches = SharedBatches[int, int](lambda items: list(items)[1:], lambda: 2)
    with batches.session() as session, pytest.raises(InternalError, match="2 items gave 1 results"):
        list(found(session, [1, 2]))


def test_items_that_wait_are_few(model: Model, threads: Threads) -> None:
    """A device that is slow: the others hand over two batches and an item each, and no more."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(batch: list[int]) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    model.before = slow
    sessions = [threads.open() for _ in range(4)]
    for first, session in enumerate(sessions):
        session.do(
            lambda first=first, session=session: list(found(session.session, range(100 * first, 100 * first + 9)))
        )
    assert begun.wait(PATIENCE_S)
    batches = threads._batches
    until(batches, lambda: len(batches._waiting) == 3)
    assert 8 <= len(batches._items) <= 8 + 4
    go_on.set()
    for ended in [session.closing() for session in sessions]:
        ended.result(PATIENCE_S)
    assert sorted(number for batch in model.batches for number in batch) == [
        100 * first + number for first in range(4) for number in range(9)
    ]


def test_the_clock_is_at_work_during_batches_alone(model: Model) -> None:
    now: list[str] = []

    @contextmanager
    def at_work() -> Iterator[None]:
        now.append("begin")
        yield
        now.append("end")

    model.before = lambda batch: now.append(str(len(batch)))
    with SharedBatches(model, lambda: 2).session(at_work=at_work) as session:
        assert list(found(session, range(3))) == [0, 2, 4]
    assert now == ["begin", "2", "end", "begin", "1", "end"]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_threads_do_each_gets_its_own(seed: int) -> None:
    """Sessions of any length that open at any moment, some of which end early; nobody waits for ever."""
    chance = random.Random(seed)
    model = Model(chance.choice([1, 3, 8]))
    kinds = chance.choice([1, 1, 2])
    batches = SharedBatches(model, lambda: model.size, kind_of=lambda number: number % kinds)
    lengths = [chance.choice([0, 1, 5, 20, 50]) for _ in range(40)]
    quits = [chance.random() < 0.2 for _ in lengths]

    def video(number: int) -> list[int]:
        with batches.session() as session:
            results = []
            for result in found(session, range(1000 * number, 1000 * number + lengths[number])):
                results.append(result)
                if quits[number] and len(results) == 3:
                    break
            return results

    with ThreadPoolExecutor(chance.choice([2, 6])) as executor:
        futures = [executor.submit(video, number) for number in range(len(lengths))]
        for number, future in enumerate(futures):
            whole = [2 * (1000 * number + item) for item in range(lengths[number])]
            assert future.result(PATIENCE_S) == (whole[:3] if quits[number] else whole)
    assert not batches._open
    assert not batches._items


def test_alike_sizes_make_a_batch_with_the_oldest_item() -> None:
    batches = SharedBatches(Model(), lambda: 3, size_of=abs)
    with batches.session() as session:
        waiting = [Ticket(session, size, None) for size in (5, 90, 7, 88, 4, 6)]
        batches._items.extend(waiting[:2])
        assert not batches._full()
        batches._items.extend(waiting[2:])
        assert [ticket._item for ticket in batches._full()] == [5, 4, 6]
        batches._items.popleft()
        assert [ticket._item for ticket in batches._full()] == [90, 88, 7]
