"""What something takes in wall time, processor time and memory, beside a Prefect server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

BUSY_PERCENT = 10.0
"""Of a core; a server without runs needs less."""

COLUMNS = f"{'videos':>8}  {'run':16}{'ms':>9}{'own CPU ms':>12}{'server ms':>12}{'memory MB':>12}"


def in_turn(sizes: list[int], rounds: int) -> Iterator[tuple[int, int]]:
    """The number of the round and a size, each size once a round, every other round backwards: what drifts meets all alike."""
    for number in range(rounds):
        for size in sizes if number % 2 == 0 else reversed(sizes):
            yield number, size


@dataclass(frozen=True)
class RunsCost:
    """What something took, for each of its results."""

    ms: float
    """Wall time, milliseconds."""
    own_cpu_ms: float
    """Processor time of this process, milliseconds."""
    server_cpu_ms: float
    """That of the Prefect server, milliseconds."""
    memory_mb: float
    """By how much this process's resident memory grew in all, MB."""

    def show(self, videos: int, what: str) -> RunsCost:
        """Print it as a row."""
        numbers = f"{self.ms:9.2f}{self.own_cpu_ms:12.2f}{self.server_cpu_ms:12.2f}{self.memory_mb:12.0f}"
        print(f"{videos:8}  {what:16}{numbers}", flush=True)
        return self


def typical(costs: list[RunsCost]) -> RunsCost:
    """The medians of several measurements; of memory the most, since what has grown once is used again."""
    times = (median(getattr(cost, name) for cost in costs) for name in ("ms", "own_cpu_ms", "server_cpu_ms"))
    return RunsCost(*times, max(cost.memory_mb for cost in costs))


def settled() -> None:
    """Wait until the server has written down what it was told: it goes on after a run has ended."""
    servers = psutil.Process().children(recursive=True)
    while any(server.cpu_percent(interval=1.0) > BUSY_PERCENT for server in servers):
        pass


def cost_of(work: Callable[[], Any], results: int) -> RunsCost:
    """Do something, and say what it took for each of so many results."""
    own = psutil.Process()
    servers = own.children(recursive=True)

    def server_s() -> float:
        return sum(sum(server.cpu_times()[:2]) for server in servers if server.is_running())

    memory, start, cpu, of_server = own.memory_info().rss, time.perf_counter(), time.process_time(), server_s()
    work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    settled()
    grown = (own.memory_info().rss - memory) / 1e6
    return RunsCost(*(1000 * value / results for value in (seconds, cpu, server_s() - of_server)), grown)


@contextmanager
def server(home: Path) -> Iterator[None]:
    """A Prefect server, as a run of the command line has it."""
    from lavad.deployments.prefect_server import private_server
    from lavad.deployments.prefect_settings import using_api

    with private_server(lambda text: None, home=home) as url, using_api(url, private=True):
        yield
