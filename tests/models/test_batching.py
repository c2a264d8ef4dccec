"""Batches that halve, and the words for devices and precisions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.errors import DeviceOutOfMemory, InternalError, ModelError
from lavad_core.models.batching import Batcher, is_out_of_memory, largest_fitting
from lavad_core.models.devices import free, resolve_device, resolve_dtype

CPU = torch.device("cpu")


class Device:
    """Squares numbers, at most ``room`` at once."""

    def __init__(self, room: int, error: BaseException | None = None) -> None:
        self.room = room
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes: list[int] = []

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.sizes.append(len(batch))
        if len(batch) > self.room:
            raise self.error
        return [number * number for number in batch]


@settings(deadline=None)  # the machine may be busy
@given(count=st.integers(0, 60), batch_size=st.integers(1, 70), room=st.integers(1, 70))
def test_same_results_with_and_without_room(count: int, batch_size: int, room: int) -> None:
    logging.disable(logging.WARNING)
    try:
        # Collecting garbage takes 0.1 s each time; that it is done is tested below.
        with mock.patch("lavad_core.models.batching.free"):
            check_same_results(count, batch_size, room)
    finally:
        logging.disable(logging.NOTSET)


def check_same_results(count: int, batch_size: int, room: int) -> None:
    items = list(range(count))
    device = Device(room)
    batcher = Batcher(batch_size, CPU)
    assert batcher.run(items, device) == [number * number for number in items]
    assert all(size <= batch_size for size in device.sizes)
    failures = [size for size in device.sizes if size > room]
    assert len(failures) <= 7, "each failure halves the batch, so there are few"
    before = len(device.sizes)
    batcher.run(items, device)
    assert all(size <= room for size in device.sizes[before:]), "the smaller size is kept"


def test_halves_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    batcher = Batcher(16, CPU, what="images")
    with mock.patch("lavad_core.models.batching.free") as free_memory:
        assert batcher.run(range(20), Device(3)) == [number * number for number in range(20)]
    assert free_memory.call_count == 3, "once before each smaller batch"
    assert batcher.batch_size == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "16 images at once; going on with 8" in caplog.text


def test_one_item_alone_does_not_fit() -> None:
    with pytest.raises(DeviceOutOfMemory, match=r"one of the images alone.*choose another `device`"):
        Batcher(8, CPU, what="images").run(range(8), Device(0))


def test_rows_of_an_array_are_results() -> None:
    rows = Batcher(2, CPU).run(range(5), lambda batch: list(np.full((len(batch), 3), batch[0], dtype=np.float32)))
    assert [row.tolist() for row in rows] == [[0.0] * 3, [0.0] * 3, [2.0] * 3, [2.0] * 3, [4.0] * 3]


def test_a_wrong_number_of_results_is_a_bug() -> None:
    with pytest.raises(InternalError, match="2 items gave 1 results"):
        Batcher(2, CPU).run([1, 2], lambda batch: [0])
    with pytest.raises(InternalError, match="not at least 1"):
        Batcher(0, CPU)


class Other(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(torch.OutOfMemoryError("x"), True, id="accelerator's allocator"),
        pytest.param(MemoryError(), True, id="host memory"),
        pytest.param(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True, id="torch on a CPU"),
        pytest.param(RuntimeError("the word memory"), False, id="another error that talks of memory"),
        pytest.param(Other("DefaultCPUAllocator: can't allocate memory"), False, id="somebody's own class"),
        pytest.param(ValueError("DefaultCPUAllocator: can't allocate memory"), False, id="another class"),
    ],
)
def test_what_out_of_memory_is(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
    if not expected:
        with pytest.raises(type(error)):
            Batcher(2, CPU).run([1, 2], Device(0, error))


def test_the_cpu_allocators_own_error_is_recognised() -> None:
    def work(batch: Sequence[int]) -> list[int]:
        if len(batch) > 1:
            torch.empty(2**60, dtype=torch.uint8)  # more than any address space, so nothing is really allocated
        return list(batch)

    assert Batcher(4, CPU).run([1, 2, 3], work) == [1, 2, 3]


def test_devices() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    free(CPU)


@pytest.mark.parametrize(
    "text", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:٣", "cpu:0", "meta", "CUDA", "cuda:99999"]
)
def test_unknown_devices(text: str) -> None:
    with pytest.raises(ModelError, match="give"):
        resolve_device(text)


def test_precisions() -> None:
    gpu = torch.device("cuda", 0)
    assert resolve_dtype("auto", CPU, torch.float16) is torch.float32
    assert resolve_dtype("auto", gpu, torch.float16) is torch.float16
    assert resolve_dtype("auto", gpu, torch.bfloat16) is torch.bfloat16
    assert resolve_dtype("bfloat16", CPU, torch.float16) is torch.bfloat16
    with pytest.raises(ModelError, match="int8"):
        resolve_dtype("int8", CPU, torch.float16)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("each", "base", "room", "size"),
    [
        pytest.param(0.02, 0.5, 60.0, 256, id="much room"),
        pytest.param(0.02, 0.5, 7.03, 256, id="just enough"),  # 80 % of it are 5.62
        pytest.param(0.02, 0.5, 7.01, 128, id="a little too small"),
        pytest.param(0.5, 0.1, 8.0, 8, id="large items"),
        pytest.param(0.0, 0.1, 1.0, 256, id="no growth"),
        pytest.param(5.0, 0.1, 1.0, 1, id="not even one, which is then tried"),
    ],
)
def test_auto_is_the_largest_that_fits(each: float, base: float, room: float, size: int) -> None:
    asked: list[int] = []

    def peak(count: int) -> int:
        asked.append(count)
        return int((base + each * count) * GIB)

    assert largest_fitting(peak, int(room * GIB)) == size
    assert asked == [2, 4]


def test_auto_where_two_are_too_many() -> None:
    def peak(count: int) -> int:
        raise torch.OutOfMemoryError("made by the test")

    assert largest_fitting(peak, GIB) == 1


def test_a_filled_batch_halves_though_few_items_are_in_it() -> None:
    sizes: list[int] = []
    batcher = Batcher(16, CPU, what="images", fixed=True)

    def work(batch: Sequence[int]) -> list[int]:
        sizes.append(batcher.shape(len(batch)))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("made by the test")
        return list(batch)

    with mock.patch("lavad_core.models.batching.free"):
        logging.disable(logging.WARNING)
        try:
            assert batcher.run(range(3), work) == [0, 1, 2]
        finally:
            logging.disable(logging.NOTSET)
    assert sizes == [16, 8, 4, 2, 2]
