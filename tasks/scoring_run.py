"""A run over a set of videos, step by step; the flows say in which order the steps are taken."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import get_current_settings
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from lavad.tasks import artifacts, ending_events, run_evaluation, videos
from lavad.tasks.ending import LAST_TRIES_AGAIN, begun, decided, hurry
from lavad.tasks.flow_run import name_flow_run
from lavad.tasks.found_artifacts import Found, found_in
from lavad.tasks.job import Job, RunRef, open_job
from lavad.tasks.stage_task import bind
from lavad.tasks.stages import STAGE_TASKS
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import VideoRejected
from lavad_core.local_run import STOPPED, check_ahead
from lavad_core.pipeline.ledger import ENDINGS, Ledger, run_ending
from lavad_core.pipeline.look import FoundResult
from lavad_core.pipeline.pace import workers_of
from lavad_core.runs.known_bad import is_known
from lavad_core.runs.manifest import RunManifest
from lavad_core.runs.recorder import now_text
from lavad_core.runs.records import StageRecord
from lavad_core.stages.node import Node, PreparedVideo
from lavad_core.store.types import Key
from lavad_core.video.types import VideoSource

log = logging.getLogger("lavad_core.flow")

T = TypeVar("T")

STOP_WAIT_S = 12.0
"""How long a stopped run waits for the stages in progress to end at their next frame or answer; the whole has 30 s."""


class Workers(ThreadPoolTaskRunner[Any]):
    """Prefect's thread pool, whose end does not wait for ever for threads that do not come back."""

    def ended(self, sent: Iterable[PrefectFuture[Any]]) -> Iterator[PrefectFuture[Any]]:
        """All task runs that are on their way, each when it has ended. Behind the last, what Prefect keeps about them goes."""
        yield from as_completed(list(sent))
        self._cancel_events.clear()

    def cancel_all(self) -> None:
        """Start nothing more, and wait :data:`STOP_WAIT_S` for what is running."""
        executor, self._executor = self._executor, None
        for event in self._cancel_events.values():
            event.set()
        if executor is None:
            return
        executor.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + STOP_WAIT_S
        for thread in list(executor._threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))


class Scoring:
    """One run. Steps: :meth:`take`, :meth:`stage` for each of :attr:`nodes`, :meth:`evaluate`, :meth:`finish`."""

    def __init__(self, run: RunRef, job: Job, workers: Workers) -> None:
        self.run = run
        self._job = job
        self._workers = workers
        self._ledger = Ledger([])
        self._keys: dict[str, dict[str, Key]] = {}
        self._there: dict[str, dict[str, FoundResult]] = {}
        self._metrics: dict[str, Any] | None = None
        self._evaluation_failed = ""
        self._manifest: RunManifest | None = None
        self._progress = artifacts.Progress(0)

    @property
    def nodes(self) -> Sequence[Node]:
        """The stages that the configuration needs, so ordered that each model is loaded once."""
        return self._job.resources.graph.nodes

    def take(self, sources: Sequence[VideoSource]) -> None:
        """Learn the content of the videos, and with it the key of every result, before anything is computed."""
        self._ledger = Ledger(sources)
        check_ahead(self._job.resources, sources)
        for name, prepared in videos.prepare_videos(self.run, quoted(list(sources))).items():
            if isinstance(prepared, PreparedVideo):
                self._ledger.entries[name].video = prepared
            else:
                self._failed(name, prepared)
        # In the user's order, so that which of two equal videos is computed is the same each time.
        for source in sources:
            if (video := self._ledger.entries[source.name].video) is not None:
                self._ledger.prepared(video)
        self._keys = {video.name: self._job.resources.graph.keys(video) for video in self._ledger.live}
        if not self._job.refresh:
            self._there = videos.look_for_results(self.run, quoted(self._keys))
        self._progress = artifacts.Progress(len(self.nodes) * len(self._ledger.live))
        self._progress.start()

    def stage(self, node: Node) -> None:
        """One stage over all videos that are still in the chain; then its model goes, if no later stage uses it.

        What was in the store when the run began is noted all at once; what was not has a task run for each video.
        """
        task = bind(STAGE_TASKS[node.stage], self._job.resources.config.run)
        live = self._ledger.live
        self._progress.stage(node.id, len(live))
        self._found(node, [video for video in live if node.id in self._there.get(video.name, ())])
        sent: dict[PrefectFuture[Any], PreparedVideo] = {
            self._workers.submit(task, {"run": quoted(self.run), "video": quoted(video), "node_id": node.id}): video
            for video in live
            if node.id not in self._there.get(video.name, ())
        }
        for future in self._workers.ended(sent):
            self._collect(node, sent[future], future)
        self._job.resources.release_after(node.id)
        if node is self.nodes[-1]:
            self._ledger.all_stages_done()

    def _found(self, node: Node, there: Sequence[PreparedVideo]) -> None:
        records = []
        for video in there:
            result = self._there[video.name][node.id]
            records.append(found_record(video, node.id, result))
            if result.status == "rejected":
                self._leaves(node, video.name, VideoRejected(result.reason, result.message))
            else:
                self._ledger.result(video.name, node.stage, result.status, result.message, result.frames)
        if records:
            self._job.recorder.found(records)
            self._done(node, *(video.name for video in there if self._ledger.entries[video.name].alive))

    def _collect(self, node: Node, video: PreparedVideo, future: PrefectFuture[Any]) -> None:
        future.wait()
        result = self._job.results.pop((node.id, video.name), None)
        if result is None:
            self._leaves(node, video.name, returned(future)[1])
            return
        self._ledger.result(video.name, node.stage, result.status, result.message, result.frames)
        self._done(node, video.name)

    def _done(self, node: Node, *names: str) -> None:
        """A stage has results for videos; the last one decides how it ended for them."""
        if node.id == self.nodes[-1].id:
            self._job.recorder.outcome(*(outcome for name in names for outcome in self._ledger.done(name)))
        for _ in names:
            self._progress.add(1)

    def _leaves(self, node: Node, name: str, error: BaseException | None) -> None:
        self._failed(name, error)
        self._progress.add(len(self.nodes) - list(self.nodes).index(node))

    def _failed(self, name: str, error: BaseException | None) -> None:
        video = self._ledger.entries[name].video
        known = is_known(self._job.resources.store, "" if video is None else video.video_id, error)
        self._ledger.failed(name, error, known_bad=known)
        log.warning("%r leaves the run: %s", name, self._ledger.entries[name].message)

    def evaluate(self, others: Sequence[VideoSource] = (), known_bad: Sequence[str] = ()) -> None:
        """The metrics, if the configuration names labels.

        Args:
            others: videos of the same data set that an earlier run has scored.
            known_bad: names of videos of it that are known to be bad, and no part of this run.
        """
        if self._job.resources.config.evaluate.labels is None:
            return
        scored, unscored = self._ledger.to_evaluate()
        unscored += known_bad
        for name, prepared in videos.prepare_videos(self.run, list(others)).items() if others else ():
            if isinstance(prepared, PreparedVideo):
                scored.append(prepared)
            else:
                unscored.append(name)
        if not scored:
            return
        future = self._workers.submit(
            run_evaluation.evaluate, {"run": self.run, "videos": scored, "unscored": unscored}
        )
        future.wait()
        self._metrics, error = returned(future)
        if error is not None:
            self._evaluation_failed = f"; not evaluated: {error}"
            log.error("the run is not evaluated: %s", error)

    def finish(self) -> State[Any]:
        """Write the run's manifest, publish the artifacts, and say how it ended."""
        outcomes = self._ledger.outcomes()
        if any(outcome.status == "not-run" for outcome in outcomes):
            self._job.resources.check_stop()  # the signal's exception may be lost: libraries catch some
        name, message = run_ending(outcomes)
        if self._evaluation_failed and name == "Completed":
            name = "PartiallyFailed"
        message += self._evaluation_failed
        manifest = self.close(ENDINGS[name], message)
        frames = {outcome.name: self._ledger.frames_of(outcome.name) for outcome in outcomes}
        rows = artifacts.video_rows(manifest.videos, frames)
        state: State[Any] = Completed(message=message) if name == "Completed" else Failed(name=name, message=message)
        decided(state)
        if manifest.shard is None or not manifest.shard.run:  # otherwise the run over the set tells it
            ending_events.tell_failed(manifest, message)
        if self._metrics is not None:
            ending_events.tell_evaluated(manifest.run_id, name, message, self._metrics)
        if not artifacts.publish_run(rows, manifest, name, message, self._metrics, self._found_in_new()):
            hurry(LAST_TRIES_AGAIN)
        return state

    def _found_in_new(self) -> Found | None:
        """What was found in the videos whose segments this run made; None if it was to make none."""
        resources = self._job.resources
        if not resources.graph.has("detect"):
            return None
        scored = [video.name for video in self._ledger.to_evaluate()[0] if "detect" in self._keys.get(video.name, {})]
        new = {name: self._keys[name] for name in scored if "detect" not in self._there.get(name, {})}
        return found_in(resources.store, resources.config, new, len(scored) - len(new))

    def cut_off(self, error: Exception) -> None:
        """Write the manifest of a run that an error of its own has ended."""
        self._ledger.cut_off(error)
        self.close("failed", f"{type(error).__name__}: {error}")

    def close(self, status: str, message: str) -> RunManifest:
        """Write the manifest, once."""
        self._progress.stop()
        if self._manifest is None:
            self._manifest = self._job.recorder.finish(
                status, self._ledger.outcomes(), message=message, metrics=self._metrics
            )
        return self._manifest


def found_record(video: PreparedVideo, node_id: str, result: FoundResult) -> StageRecord:
    """The record of a result that is taken from the store, which says how its stage went."""
    record = StageRecord(video.name, video.video_id, node_id, now_text(), result.fingerprint)
    record.status, record.reason, record.message = result.status, result.reason, result.message
    return record


def quoted(value: T) -> T:
    """A task's argument in which Prefect does not look for futures, item by item."""
    return cast(T, quote(value))


def returned(future: PrefectFuture[Any]) -> tuple[Any, BaseException | None]:
    """What a task returned, or what went wrong."""
    future.wait()  # otherwise its state is asked of the server, where the last one arrives later
    state = future.state
    value = state.result(raise_on_failure=False)
    if state.is_completed():
        return value, None
    return None, value if isinstance(value, BaseException) else None


@contextmanager
def scoring(
    config: LavadConfig,
    run_id: str,
    *,
    refresh: bool = False,
    retry_rejected: bool = False,
    name: str | None = None,
    alone: bool = True,
) -> Iterator[Scoring]:
    """A run, with its worker threads and its record, which is written however the run ends."""
    refresh = refresh or get_current_settings().tasks.refresh_cache
    opened = open_job(config, run_id, refresh=refresh, retry_rejected=retry_rejected, name=name, alone=alone)
    with opened as (run, job):
        begun()
        name_flow_run(run_id)
        workers = Workers(max_workers=workers_of(config))
        work = Scoring(run, job, workers)
        stopped = False
        try:
            with workers:
                try:
                    yield work
                except BaseException:
                    stopped = job.resources.stopping  # by a signal, before the failure stops the other threads
                    job.resources.stop()
                    raise
        except BaseException as error:  # written down and passed on, whatever it is
            if isinstance(error, Exception) and not stopped:
                work.cut_off(error)
            else:
                work.close("interrupted", STOPPED)
            raise
