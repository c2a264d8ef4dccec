"""A run over a data set whose shards are flow runs of their own, on whichever workers take them.

What a shard has done is read from the store alone: the record of its run. The orchestrator is asked one thing, whether a
shard's flow run is over without having come to its end, and a server that does not answer only makes the run wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prefect import task
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Failed

from lavad.tasks import ending_events, set_artifacts, shard_flow_runs
from lavad.tasks.artifacts import Progress
from lavad.tasks.client import ClientError, is_away
from lavad.tasks.ending import LAST_TRIES_AGAIN, begun, decided, hurry
from lavad.tasks.flow_run import add_reason, name_flow_run
from lavad.tasks.job import UNCACHED, Job, RunRef, job_of, open_job
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.errors import StoreUnavailable
from lavad_core.evaluation.types import Evaluation
from lavad_core.local_run import STOPPED, first_sources, sources_of
from lavad_core.location import shown
from lavad_core.pipeline.ledger import ENDINGS, NOT_REACHED, run_ending
from lavad_core.plain_text import number_of
from lavad_core.planning.sharding import ShardPlan, plan_shards
from lavad_core.planning.shards import Shard, shard_count
from lavad_core.quoting import first_line
from lavad_core.results.run import keys_of_run, keys_of_video
from lavad_core.run_metrics import evaluate_keys, metrics_of
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome, is_running, load_run, new_run_id, run_path
from lavad_core.runs.sets import ShardOfRun
from lavad_core.runs.video_list import decode_input
from lavad_core.store import mirror

log = logging.getLogger("lavad_core.flow")

T = TypeVar("T")

LOOK_S = 5.0
"""Between two looks at what the shards have done; one takes a request and a file for each shard that is not done."""


@dataclass
class ShardWork:
    """A shard on its way."""

    shard: Shard
    """The shard."""
    run_ids: list[str] = field(default_factory=list)
    """Ids of its runs, the latest last."""
    earlier: int = 0
    """How many of them an earlier try of this run over the set has started."""
    flow_run: Any = None
    """The flow run of the latest, as the server last described it."""
    record: RunManifest | None = None
    """The record of its last run that began, once nothing more comes."""
    why: str = ""
    """Why nothing more comes although videos are left, where the shard itself is the reason."""


class SetRun:
    """One run. Steps: :meth:`plan`, :meth:`issue`, :meth:`look` while :attr:`waiting`, :meth:`finish`."""

    def __init__(self, run: RunRef, job: Job, deployment: str, refresh: bool, most_issues: int) -> None:
        self.run = run
        self._job = job
        self._deployment = deployment
        self._refresh = refresh
        self._most_issues = most_issues
        self._plan: ShardPlan | None = None
        self._works: list[ShardWork] = []
        self._metrics: dict[str, Any] | None = None
        self._evaluation_failed = ""
        self._pending: dict[UUID, float] = {}
        self.evaluation: Evaluation | None = None
        self._manifest: RunManifest | None = None
        self._progress = Progress(0)

    def plan(self, plan: ShardPlan) -> None:
        """Take the shards of a plan; those without a video need no run."""
        self._plan = plan
        self._job.recorder.part_of(ShardOfRun(plan.set_id, 0, len(plan.shards)))
        self._works = [ShardWork(shard) for shard in plan.shards if shard.videos]
        self._progress = Progress(sum(len(shard.videos) for shard in plan.shards))
        self._progress.start()

    def issue(self) -> None:
        """Start what is not started: after a restart of this run, its shards go on as they are."""
        for attempt in count():
            keys = [self._key(work, attempt) for work in self._works if len(work.run_ids) == attempt]
            known = self._answer(partial(shard_flow_runs.known, keys))
            for work in self._works:
                if (flow_run := known.get(self._key(work, attempt))) is not None:
                    work.flow_run = flow_run
                    work.run_ids.append(flow_run.parameters["run_id"])
            if not known:
                break
        for work in self._works:
            work.earlier = len(work.run_ids)
            if not work.run_ids:
                self._start(work)

    def _key(self, work: ShardWork, attempt: int) -> str:
        return f"lavad {self.run.run_id} {work.shard.number} {attempt}"

    def _start(self, work: ShardWork) -> None:
        assert self._plan is not None
        shard, run_id = (
            ShardOfRun(self._plan.set_id, work.shard.number, len(self._plan.shards), self.run.run_id),
            new_run_id(),
        )
        key = self._key(work, len(work.run_ids))
        settings = {**public_settings(self._job.resources.config), "store": shown(self.run.store)}
        parameters = {
            "set_id": shard.set_id,
            "number": shard.number,
            "of": shard.of,
            "of_run": shard.run,
            "settings": settings,
            "run_id": run_id,
            "refresh": self._refresh,
        }
        name = f"{shard} of {shard.run}"
        work.flow_run = self._answer(partial(shard_flow_runs.start, self._deployment, parameters, name, key))
        # Not the one given here, where the answer to an earlier request of this key was lost.
        work.run_ids.append(work.flow_run.parameters["run_id"])

    def _answer(self, ask: Callable[[], T]) -> T:
        """What the server answers, however long it is away; a request under a key may be sent twice."""
        while True:
            try:
                return ask()
            except (ClientError, OSError) as error:
                if not is_away(error):
                    raise
                log.warning("the Prefect server does not answer (%s); asked again", first_line(error))
            time.sleep(LOOK_S)
            self._job.resources.check_stop()

    @property
    def waiting(self) -> bool:
        """Whether a shard is on its way."""
        return any(work.record is None for work in self._works)

    def look(self) -> None:
        """Wait a little, and see which shards are done; issue again those whose process died, or whose end may pass, as often
        as it is allowed."""
        time.sleep(LOOK_S)
        self._job.resources.check_stop()
        going = [work for work in self._works if work.record is None]
        over = shard_flow_runs.over([work.flow_run for work in going], self._pending)
        for work in going:
            try:
                self._see(work, over.get(work.flow_run.id))
            except StoreUnavailable as error:
                log.warning("the store does not say how shard %d is (%s); asked again", work.shard.number, error)

    def _see(self, work: ShardWork, ended: FlowRun | None) -> None:
        """Look at what a shard has done; ``ended`` is its flow run if the server knows that it has ended."""
        store, run_id = Path(self.run.store), work.run_ids[-1]
        dead = ended is not None and not is_running(store, run_id)
        if not _there(store, run_id, ".json") and not dead:
            return
        record, again = _record(store, run_id), len(work.run_ids) == work.earlier
        left = _left(work.shard, record, again=again)
        if left and not dead:
            return  # it was stopped, and its process is about to end
        if left and ended is not None and ended.state is not None and ended.state.is_crashed():
            add_reason(ended, ended.state)
        why = "" if again or not left else shard_flow_runs.hopeless(record, ended)
        if left and not why and len(work.run_ids) - work.earlier < self._most_issues:
            of = number_of(len(left), "video")
            log.warning("shard %d ended with %s left (%s): issued again", work.shard.number, of, run_id)
            self._start(work)
            return
        # One that never began says nothing about what those before it have done.
        earlier = filter(None, (_record(store, one) for one in reversed(work.run_ids)))
        work.record, work.why = record or next(earlier, _nothing(run_id)), why
        self._progress.add(len(work.shard.videos))
        of = number_of(len(work.shard.videos), "video")
        log.info("shard %d is done: %d of %s left%s", work.shard.number, len(left), of, f" ({why})" if why else "")

    @property
    def records(self) -> list[RunManifest]:
        """The records of the shards that have one."""
        return [work.record for work in self._works if work.record is not None and work.record.started]

    def outcomes(self) -> list[VideoOutcome]:
        """How it ended for each video of the set, in the order of the shards."""
        found = []
        for work in self._works:
            known = {video.name: video for video in (work.record.videos if work.record is not None else ())}
            why = work.why or (work.record.message if work.record is not None else "") or NOT_REACHED
            for video in work.shard.videos:
                name = video.source.name
                found.append(known.get(name) or VideoOutcome(name, "", "not-run", "NotReached", why))
        return found

    def evaluate(self) -> None:
        """The metrics of the whole set, if the configuration names labels. Where there can be none, all else is told."""
        if self._job.resources.config.evaluate.labels is None or not any(o.status in SCORED for o in self.outcomes()):
            return
        unscored = [outcome.name for outcome in self.outcomes() if outcome.status not in SCORED]
        run_ids = [record.run_id for record in self.records]
        state = evaluate_shards(self.run, run_ids, unscored, return_state=True)
        self._job.resources.check_stop()
        value = state.result(raise_on_failure=False)
        if isinstance(value, BaseException):
            self._evaluation_failed = f"; not evaluated: {value}"
            log.error("the set is not evaluated: %s", value)
        else:
            self._metrics, self.evaluation = value

    @property
    def has_metrics(self) -> bool:
        """Whether the set was evaluated."""
        return self._metrics is not None

    def finish(self) -> State[Any]:
        """Write the run's manifest, publish the artifacts, and say how it ended."""
        outcomes = self.outcomes()
        name, message = run_ending(outcomes)
        if self._evaluation_failed and name == "Completed":
            name = "PartiallyFailed"
        message += self._given_up() + self._evaluation_failed
        known = {video.name for record in self.records for video in record.videos}
        manifest = self.close(ENDINGS[name], message, [video for video in outcomes if video.name not in known])
        state: State[Any] = Completed(message=message) if name == "Completed" else Failed(name=name, message=message)
        ending_events.tell_failed(replace(manifest, videos=tuple(outcomes)), message)
        decided(state)
        rows = [
            set_artifacts.shard_row(work.shard, work.run_ids, work.flow_run.id, work.record) for work in self._works
        ]
        if not set_artifacts.publish_set(rows, outcomes, manifest, name, message, self._metrics):
            hurry(LAST_TRIES_AGAIN)
        return state

    def _given_up(self) -> str:
        """Which shards were not issued again although videos are left, and why, for the end of a message."""
        shards: dict[str, list[str]] = {}
        for work in self._works:
            if work.why:
                shards.setdefault(work.why, []).append(str(work.shard.number))
        return "".join(f"; {number_of(len(of), 'shard')} ({', '.join(of)}): {why}" for why, of in shards.items())

    def close(self, status: str, message: str, videos: Sequence[VideoOutcome] = ()) -> RunManifest:
        """Write the manifest, once: of the videos only those that no shard's run knows."""
        self._progress.stop()
        if self._manifest is None:
            self._manifest = self._job.recorder.finish(
                status, videos, message=message, metrics=self._metrics, parts=self.records
            )
        return self._manifest


def _left(shard: Shard, record: RunManifest | None, *, again: bool) -> list[str]:
    """Names of the shard's videos of which its run does not say how it ended; if they are to be tried ``again`` also those
    that have failed."""
    undone = ("not-run", "failed") if again else ("not-run",)
    ended = {} if record is None else {video.name for video in record.videos if video.status not in undone}
    return [video.source.name for video in shard.videos if video.source.name not in ended]


def _there(store: Path, run_id: str, suffix: str) -> bool:
    path = run_path(store, run_id, suffix)
    mirror.fetch(store, path)
    return path.exists()


def _record(store: Path, run_id: str) -> RunManifest | None:
    """The record of a run; None of one that never began."""
    there = [_there(store, run_id, suffix) for suffix in (".json", ".jsonl")]
    return load_run(store, run_id) if any(there) else None


def _nothing(run_id: str) -> RunManifest:
    """In the place of the record of a run that never began."""
    return RunManifest(run_id, "interrupted", {}, {}, {}, None, "", "", 0.0, 0, {}, {}, ())


@task(name="plan-set", description="Find and probe the videos of the set, and make its shards.", **UNCACHED)
def plan_set(run: RunRef, inputs: list[str], limit: int | None, shards: int | None, devices: int) -> ShardPlan:
    """The shards of the videos that the inputs name, or of the first ``limit`` of them.

    Raises:
        InputError: an input names nothing, or there are too few shards.
    """
    job = job_of(run)
    config = job.resources.config
    found = sources_of(config, [decode_input(text) for text in inputs])
    sources = first_sources(job.recorder, Path(run.store), found, limit)
    return plan_shards(config, sources, shard_count(len(sources), devices, shards), run.run_id)


@task(name="evaluate", description="Frame-level metrics over all videos of the set.", **UNCACHED)
def evaluate_shards(
    run: RunRef, run_ids: list[str], unscored: list[str]
) -> tuple[dict[str, Any] | None, Evaluation | None]:
    """The metrics over the scored videos of several runs, by their records: no model is needed. And the evaluation that has
    them, unless they were in the store."""
    resources, root = job_of(run).resources, Path(run.store)
    keys: dict[str, Any] = {}
    for run_id in run_ids:
        own = keys_of_run(root, run_id)
        scored = [video for video in load_run(root, run_id).videos if video.status in SCORED]
        keys |= {video.name: keys_of_video(own, video.video_id, video.name) for video in scored}
    made: list[Evaluation] = []
    commit = evaluate_keys(resources.store, resources.config, keys, unscored, made.append)
    return None if commit is None else metrics_of(commit), made[0] if made else None


@contextmanager
def over_set(
    config: LavadConfig, run_id: str, *, deployment: str, refresh: bool, most_issues: int, name: str | None
) -> Iterator[SetRun]:
    """A run over a set, with its record, which is written however the run ends."""
    with open_job(config, run_id, name=name, alone=False) as (run, job):
        begun()
        name_flow_run(run_id)
        work = SetRun(run, job, deployment, refresh, most_issues)
        try:
            yield work
        except BaseException as error:  # written down and passed on, whatever it is
            if isinstance(error, Exception) and not job.resources.stopping:
                work.close("failed", f"{type(error).__name__}: {error}")
            else:
                work.close("interrupted", STOPPED)
            raise
