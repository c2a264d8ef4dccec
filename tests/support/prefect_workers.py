"""Workers of a Prefect server, as processes that can be killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from support.command import REPOSITORY


@contextmanager
def workers(pools: Mapping[str, str], environment: Mapping[str, str], log: Path) -> Iterator[dict[str, psutil.Popen]]:
    """Process workers that take one flow run at a time; at the end they are killed with what they started.

    Args:
        pools: name of a worker to its work pool.
        environment: of the workers and their flow runs.
        log: where all of them write.

    Yields:
        name to process.
    """
    command = [sys.executable, "-m", "prefect", "worker", "start", "--limit", "1", "--type", "process", "--pool"]
    with log.open("ab") as output:
        started = {
            name: psutil.Popen(
                [*command, pool, "--name", name],
                env={**environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
                cwd=REPOSITORY,
                stdout=output,
                stderr=output,
            )
            for name, pool in pools.items()
        }
    try:
        yield started
    finally:
        for worker in started.values():
            kill_family(worker)


def kill_family(process: psutil.Popen) -> None:
    """SIGKILL to a process and all below it, as when its machine is lost."""
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()
