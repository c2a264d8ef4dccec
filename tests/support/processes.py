"""Tests in several processes (``-n``, by pytest-xdist): which go together, how many processes, how many threads in each."""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest

BYTES_PER_PROCESS = 3 << 30
"""Of a process with its models, its Prefect server and the programs that its tests start."""

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # before PyTorch is imported: it would take every core in each process
    _threads = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _threads)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """``-n auto``: one process per core, as far as there is memory for them."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // BYTES_PER_PROCESS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay in one process, as what they share is made once per process; so do all tests with vLLM, since a
    server takes much memory. They go in the order of collection: the first folders have the longest tests."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "vllm" if "vllm" in file else file

    config.option.loadscopereorder = False
    return Scheduling(config, log)
