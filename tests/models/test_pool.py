"""Models are loaded once, whatever the threads do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.models import Blip2Config, LocalChatConfig, OpenAICaptionerConfig, VllmChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ConfigError, InternalError, ModelError
from lavad_core.models.pool import ModelPool

THREADS = 8


class FakeModel:
    def __init__(self, name: str) -> None:
        self.name, self.closed = name, 0

    def close(self) -> None:
        self.closed += 1


class Loads:
    """Stands in for the loader: slow, counted, failing when told."""

    def __init__(self) -> None:
        self.made: list[FakeModel] = []
        self.fail: Exception | None = None
        self.attempts = 0
        self.delay_s = 0.02
        self.loading = 0
        self.most_captioners_loading = 0
        self._lock = threading.Lock()

    def __call__(self, config: Any, place: str) -> Any:
        with self._lock:
            self.attempts += 1
            self.loading += 1
            self.most_captioners_loading = max(self.loading, self.most_captioners_loading)
        time.sleep(self.delay_s)
        with self._lock:
            self.loading -= 1
            if self.fail is not None:
                raise self.fail
            model = FakeModel(place)
            self.made.append(model)
        return model


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    loads = Loads()
    monkeypatch.setattr("lavad_core.models.pool.load_model", loads)
    return loads


@pytest.fixture
def pool() -> Iterator[ModelPool]:
    pool = ModelPool(
        LavadConfig(
            captioners={
                "a": Blip2Config(model="random:blip2-opt"),
                "b": Blip2Config(model="random:blip2-t5"),
                "served": OpenAICaptionerConfig(model="m"),
            },
            chat=LocalChatConfig(model="random:llama"),
        )
    )
    yield pool
    pool.close()


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """Results or exceptions of ``work`` in threads that start together."""
    barrier = threading.Barrier(threads)

    def one(number: int) -> Any:
        barrier.wait()
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(one, range(threads)))


@pytest.mark.parametrize("role", ["captioner:a", "encoder", "chat"])
def test_threads_that_ask_at_once_share_one_load(pool: ModelPool, loads: Loads, role: str) -> None:
    def ask(_: int) -> Any:
        return pool.captioner("a") if role == "captioner:a" else getattr(pool, role)()

    results = at_once(ask)
    assert len({id(model) for model, _ in results}) == 1
    assert all(lock is pool.device_lock for _, lock in results)
    assert dict(pool.loads) == {role: 1}
    assert loads.attempts == 1


def test_a_failure_reaches_all_who_wait_and_is_not_kept(pool: ModelPool, loads: Loads) -> None:
    loads.fail, loads.delay_s = ModelError("not there"), 0.3
    results = at_once(lambda _: pool.encoder())
    assert [str(error) for error in results] == ["not there"] * THREADS
    assert loads.attempts == 1
    assert not pool.loads
    assert pool.failed_to_load("encoder")
    loads.fail = None
    model, _ = pool.encoder()
    assert not pool.failed_to_load("encoder")
    assert model is loads.made[0]
    assert (loads.attempts, pool.loads["encoder"]) == (2, 1)


def test_the_next_captioner_releases_the_one_before(pool: ModelPool, loads: Loads) -> None:
    first, _ = pool.captioner("a")
    encoder, _ = pool.encoder()
    pool.captioner("b")
    assert first.closed == 1  # type: ignore[attr-defined]
    assert encoder.closed == 0  # type: ignore[attr-defined]
    again, _ = pool.captioner("a")
    assert again is not first
    assert dict(pool.loads) == {"captioner:a": 2, "captioner:b": 1, "encoder": 1}


def test_threads_that_ask_for_different_captioners_do_not_wait_for_each_other_for_ever(
    pool: ModelPool, loads: Loads
) -> None:
    loads.delay_s = 0.005
    done = threading.Event()

    def work() -> None:
        for _ in range(5):
            results = at_once(lambda number: pool.captioner("ab"[number % 2]))
            assert not [result for result in results if isinstance(result, Exception)]
        done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert done.is_set()
    assert loads.most_captioners_loading == 1
    pool.close()
    assert all(model.closed == 1 for model in loads.made)


def test_release_waits_for_a_call_under_way(pool: ModelPool, loads: Loads) -> None:
    model, lock = pool.encoder()
    with lock:
        other = threading.Thread(target=pool.release, args=("encoder",))
        other.start()
        other.join(0.1)
        assert model.closed == 0  # type: ignore[attr-defined]
    other.join(5)
    assert model.closed == 1  # type: ignore[attr-defined]
    pool.release("encoder")
    pool.release("captioner:never loaded")
    assert model.closed == 1  # type: ignore[attr-defined]


def test_close(pool: ModelPool, loads: Loads) -> None:
    pool.captioner("a")
    pool.encoder()
    pool.chat()
    pool.close()
    assert [model.closed for model in loads.made] == [1, 1, 1]
    with pytest.raises(InternalError, match="closed"):
        pool.encoder()


def test_served_models_do_not_hold_the_device(loads: Loads) -> None:
    pool = ModelPool(
        LavadConfig(captioners={"served": OpenAICaptionerConfig(model="m")}, chat=VllmChatConfig(model="m"))
    )
    for _, lock in (pool.captioner("served"), pool.chat()):
        assert isinstance(lock, nullcontext)
    assert pool.encoder()[1] is pool.device_lock


def test_unknown_captioner(pool: ModelPool) -> None:
    with pytest.raises(ConfigError, match=r"no captioner 'c'; there are a, b, served"):
        pool.captioner("c")


def test_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random BLIP-2 by its name, through the real loader."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    pool = ModelPool(LavadConfig(captioners={"a": Blip2Config(model="random:blip2-opt", device="cpu")}))
    captioner, lock = pool.captioner("a")
    with lock:
        assert captioner.geometry.side == 56
    assert list((tmp_path / "random-models").iterdir())
    pool.close()
