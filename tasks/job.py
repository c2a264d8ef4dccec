"""What the tasks of a run share in a process: configuration, store, models, the run's record.

Tasks are given a :class:`RunRef` and look the rest up here, so that no task's parameters hold a configuration, and a
secret never leaves the process that has it in its environment. A process that does not know the run (a worker on another
machine) builds the same from what the run has recorded in the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.cache_policies import NO_CACHE

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.errors import GivenUp
from lavad_core.pipeline.look import FoundResult
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.beside import warn_of_runs_beside
from lavad_core.runs.manifest import load_run
from lavad_core.runs.recorder import Listener, RunRecorder

log = logging.getLogger("lavad_core.flow")

UNCACHED: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE}
"""Options of a task whose work is cheap and depends on what is on the disk or the server now."""

GIVE_UP_AFTER = 2
"""Videos in a row for which a service did not answer, retries included, before a stage's other videos are not tried."""


@dataclass(frozen=True)
class RunRef:
    """Names a run to its tasks."""

    run_id: str
    """Id of the run, as in ``lavad_core.runs``."""
    store: str
    """The store's folder."""
    rows: str = field(default="", compare=False)
    """Names of the rows of a study for which a result is made; empty outside of a study."""


@dataclass
class Job:
    """A run in this process."""

    resources: RunResources
    """Store, models, graph."""
    recorder: RunRecorder
    """Records what the run does."""
    refresh: bool = False
    """Whether to compute again what is in the store."""
    retry_rejected: bool = False
    """Whether to compute again what an earlier run found rejected."""
    results: dict[tuple[str, str], FoundResult] = field(default_factory=dict)
    """Node id and video to the result that its task run has just found or made. What a task returns is linked to its state by
    Prefect, and kept until the flow run ends."""
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _silent: dict[str, int] = field(default_factory=dict)
    _tries: dict[tuple[str, str], int] = field(default_factory=dict)
    _given_up: dict[str, str] = field(default_factory=dict)

    def check(self, node_id: str) -> None:
        """Raises GivenUp if trying this stage is pointless, Interrupted if the run is being stopped."""
        self.resources.check_stop()
        with self._guard:
            why = self._given_up.get(node_id)
        if why is not None:
            raise GivenUp(f"not tried, since another video's {node_id} failed: {why}")

    def give_up(self, node_id: str, why: str) -> None:
        """Do not try this stage for other videos of this run."""
        with self._guard:
            self._given_up.setdefault(node_id, why)

    def failed_tries(self, node_id: str, video: str, *, progressed: bool) -> int:
        """How many tries of a stage have failed in a row without progress, this one included.

        Args:
            progressed: the try brought something that the next one need not ask for: what is down now is another outage, and
                this is its first try.
        """
        with self._guard:
            tries = 1 if progressed else self._tries.get((node_id, video), 0) + 1
            self._tries[node_id, video] = tries
        return tries

    def service_failed(self, node_id: str, why: str) -> None:
        """Note that a service did not answer for a video, at the last try."""
        with self._guard:
            self._silent[node_id] = self._silent.get(node_id, 0) + 1
            if self._silent[node_id] >= GIVE_UP_AFTER:
                self._given_up.setdefault(node_id, why)

    def service_answered(self, node_id: str) -> None:
        """Note that it answered: failures are counted from 0 again."""
        with self._guard:
            self._silent[node_id] = 0


_jobs: dict[RunRef, Job] = {}
_jobs_guard = threading.Lock()
_listeners: list[Listener] = []


@contextmanager
def watching(listener: Listener) -> Iterator[None]:
    """Runs started within it tell ``listener`` about each stage's start and end; for progress bars."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def listeners() -> tuple[Listener, ...]:
    """Who is told about each stage's start and end."""
    return tuple(_listeners)


@contextmanager
def known(jobs: Mapping[RunRef, Job]) -> Iterator[None]:
    """Within it the tasks of this process find these."""
    with _jobs_guard:
        _jobs.update(jobs)
    try:
        yield
    finally:
        with _jobs_guard:
            for ref in jobs:
                del _jobs[ref]


@contextmanager
def open_job(
    config: LavadConfig,
    run_id: str,
    *,
    refresh: bool = False,
    retry_rejected: bool = False,
    name: str | None = None,
    alone: bool = True,
) -> Iterator[tuple[RunRef, Job]]:
    """Start recording a run and make it known to the tasks of this process. Models go at the end.

    Args:
        refresh, retry_rejected: see :class:`Job`.
        alone: whether a warning names the other runs at work on the store; those of the other shards of a set are meant to be.
    """
    ref = RunRef(run_id, str(Path(config.store).absolute()))
    settings: Mapping[str, Any] = public_settings(config)
    recorder = RunRecorder(Path(ref.store), run_id, config=settings, listeners=listeners(), name=name)
    with recorder:
        job = Job(RunResources(config, record=True, run_id=run_id), recorder, refresh, retry_rejected)
        job.resources.store.sweep()  # what dead processes left
        log.info("run %s", run_id)
        if alone:
            warn_of_runs_beside(Path(ref.store), run_id)
        try:
            with known({ref: job}):
                yield ref, job
        finally:
            job.resources.close()


def stop_jobs() -> None:
    """The stages of all runs of this process end at their next frame or answer. For signals."""
    for job in list(_jobs.values()):
        job.resources.stop()


def job_of(ref: RunRef) -> Job:
    """The run in this process; built from the run's record if it was started in another.

    Raises:
        InputError: the store knows no such run.
    """
    with _jobs_guard:
        job = _jobs.get(ref)
        if job is None:
            run = load_run(Path(ref.store), ref.run_id)
            settings = run.config
            recorder = RunRecorder(Path(ref.store), ref.run_id, config=settings, name=run.name or None)
            job = _jobs[ref] = Job(
                RunResources(load_config(settings=settings), record=True, run_id=ref.run_id), recorder
            )
    return job
