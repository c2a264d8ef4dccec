"""Recording a run while it goes on."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lavad_core.errors import InternalError, VideoRejected
from lavad_core.masking import masked, masked_text
from lavad_core.runs import environment
from lavad_core.runs.event_log import line_of, log_digest
from lavad_core.runs.liveness import hold_lock
from lavad_core.runs.manifest import (
    ENDING,
    Origin,
    RunManifest,
    VideoOutcome,
    checked_name,
    run_path,
)
from lavad_core.runs.records import StageRecord, summed, totals_of
from lavad_core.runs.sampler import Sampler
from lavad_core.runs.sender import RecordSender
from lavad_core.runs.sets import ShardOfRun, note_run
from lavad_core.runs.video_list import sources_digest
from lavad_core.seal import sealed
from lavad_core.store import mirror
from lavad_core.store.faults import store_errors
from lavad_core.store.local import make_folders, sync_folder
from lavad_core.user_files import replacing

__all__ = ["Listener", "RunRecorder", "StageRecord"]

Listener = Callable[[StageRecord], None]
"""Called with a record when it starts (``seconds`` is None) and when it has finished; from the thread that works."""


def now_text() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _stage_line(record: StageRecord) -> dict[str, Any]:
    work = {name: int(amount) for name, amount in record.work.items()}
    return {**vars(record), "work": work, "ended": now_text()}


def _outcome_line(outcome: VideoOutcome) -> dict[str, Any]:
    """As earlier versions of the program wrote it, where nothing is new."""
    return {name: value for name, value in asdict(outcome).items() if name != "known_bad" or value}


def _encoded(manifest: RunManifest, log_path: Path) -> bytes:
    """JSON for people and programs; ASCII, so that names in it do nothing to a terminal. It holds its digest, and that of the
    log of the run as it is now."""
    values = {**asdict(manifest), "videos": [_outcome_line(video) for video in manifest.videos]}
    del values["altered"], values["sealed"]
    # A run without a name, a limit and a shard has the record that it had before there were any.
    values = {name: value for name, value in values.items() if name not in ("name", "limit", "shard") or value}
    beside = {"log": log_digest(log_path), "sources": sources_digest(log_path.with_suffix(".sources"))}
    return (json.dumps(sealed({"format": 2, **values, **beside}), indent=2) + "\n").encode("ascii")


class RunRecorder:
    """Records a run; safe with threads.

    ``runs/<run id>.jsonl`` has a line for the run, then one for every stage that ended and every video whose outcome is
    known, each on disk before the work goes on: a killed run can be read. ``runs/<run id>.json`` is written by
    :meth:`finish`. Neither holds a secret that has the form of one (:mod:`lavad_core.masking`).

    Args:
        run_id: from :func:`lavad_core.runs.manifest.new_run_id`.
        config: the configuration, as JSON-like values.
        listeners: for progress bars.
        origin: ``import`` for what somebody else computed.
        name: the name of the run, see :func:`~lavad_core.runs.manifest.checked_name`; None for none.

    Raises:
        InputError: ``name`` cannot be one.
        StoreUnavailable: the records cannot be written; from every method that writes.
    """

    def __init__(
        self,
        store_root: Path,
        run_id: str,
        *,
        config: Mapping[str, Any],
        listeners: Sequence[Listener] = (),
        origin: Origin = "run",
        name: str | None = None,
    ) -> None:
        self.run_id = run_id
        self._root = Path(store_root).absolute()
        self._path = run_path(self._root, run_id, ".jsonl")
        self._listeners = list(listeners)
        self._guard = threading.Lock()
        self._sampler = Sampler()
        self._finished: list[StageRecord] = []
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)  # of each video's finished stages
        self._passes: Counter[tuple[str, str]] = Counter()
        self._active: list[StageRecord] = []
        self._outcomes: dict[tuple[str, str], VideoOutcome] = {}
        self._writer, self._lines = secrets.token_hex(4), 0
        self._start = time.monotonic()
        self._header: dict[str, Any] = {
            "run_id": run_id,
            "config": masked(config),
            "versions": environment.versions(),
            "host": environment.host(),
            "git_revision": environment.git_revision(),
            "started": now_text(),
            "origin": origin,
            **({} if name is None else {"name": checked_name(name)}),
        }
        with store_errors("write", self._path):
            make_folders(self._path.parent)
            self._file: int | None = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666
            )
            hold_lock(self._file)
            sync_folder(self._path.parent)
        self._sender = RecordSender(self._root, self._path)
        self._append(("run", self._header))

    def limited(self, limit: int | None) -> None:
        """Note that only the first ``limit`` of the videos belong to the run, others are left out; None notes nothing."""
        if limit is not None:
            self._header["limit"] = limit
            self._append(("limit", {"limit": limit}))

    def part_of(self, shard: ShardOfRun) -> None:
        """Note which part of a set the run is of."""
        self._header["shard"] = shard
        self._append(("shard", asdict(shard)))
        note_run(self._path.parent.parent, shard, self.run_id)

    @contextmanager
    def stage(self, video: str, video_id: str, node: str) -> Iterator[StageRecord]:
        """Record what the body does.

        An exception is recorded as ``failed`` with its class and message (a VideoRejected as ``rejected`` with its
        reason) and goes on.
        """
        record = StageRecord(video, video_id, node, now_text())
        measure = self._sampler.begin()
        with self._guard:
            self._active.append(record)
        start = time.monotonic()
        try:
            self._tell(record)
            yield record
        except BaseException as error:
            record.message = str(error)
            if isinstance(error, VideoRejected):
                record.status, record.reason = "rejected", error.reason
            else:
                record.status, record.reason = "failed", type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - start
            record.cpu_seconds = round(self._sampler.end(measure), 3)
            record.peak_rss_bytes = measure.peak_rss_bytes
            record.message = masked_text(record.message)
            record.seconds = round(seconds, 4)
            record.device_seconds = round(record.device_seconds, 4)
            record.waited_seconds = round(record.waited_seconds, 4)
            with self._guard:
                self._active = [other for other in self._active if other is not record]
                self._finished.append(record)
                self._seconds[video, video_id] += record.seconds
                self._passes[video, video_id] += record.passes
            self._append(("stage", _stage_line(record)))
            self._tell(record)

    def found(self, records: Sequence[StageRecord]) -> None:
        """Record results that were in the store, all at once: of a whole data set they are thousands."""
        for record in records:
            record.cached, record.seconds, record.message = True, 0.0, masked_text(record.message)
        with self._guard:
            self._finished += records
        self._append(*(("stage", _stage_line(record)) for record in records))
        for record in records:
            self._tell(record)

    def outcome(self, *outcomes: VideoOutcome) -> None:
        """Record how the run ended for videos as soon as it is known, for the case that the run is killed."""
        clean = [self._completed(outcome) for outcome in outcomes]
        with self._guard:
            self._outcomes |= {(one.name, one.video_id): one for one in clean}
        self._append(*(("video", {**_outcome_line(one), "ended": now_text()}) for one in clean))

    def totals(self) -> dict[str, int]:
        """Work counters of all stages, those at work included."""
        with self._guard:
            records = [*self._finished, *self._active]
        work: Counter[str] = Counter()
        for record in records:
            work.update(dict(record.work))
        return dict(work)

    @property
    def records(self) -> list[StageRecord]:
        """What has finished, in order."""
        with self._guard:
            return list(self._finished)

    @property
    def peak_rss_bytes(self) -> int:
        """Highest resident memory of the process and its children while a stage was at work."""
        return self._sampler.peak_rss_bytes

    def finish(
        self,
        status: str,
        videos: Sequence[VideoOutcome] | None = None,
        *,
        message: str = "",
        metrics: Mapping[str, Any] | None = None,
        parts: Sequence[RunManifest] = (),
    ) -> RunManifest:
        """Write the manifest, replace-by-rename, and stop recording.

        Args:
            status: a word for the whole run.
            videos: how it ended for each; None takes those given to :meth:`outcome`.
            message, metrics: see :class:`~lavad_core.runs.manifest.RunManifest`.
            parts: the runs of the shards of which this run is; their work is counted as its own.
        """
        with self._guard:
            outcomes = list(self._outcomes.values()) if videos is None else list(videos)
            stages, work = summed([totals_of(self._finished), *((part.stages, part.work) for part in parts)])
        manifest = RunManifest(
            **self._header,
            status=status,
            ended=now_text(),
            seconds=round(time.monotonic() - self._start, 3),
            peak_rss_bytes=self.peak_rss_bytes,
            stages=stages,
            work=work,
            videos=tuple(self._completed(outcome) for outcome in outcomes),
            message=masked_text(message),
            metrics=metrics,
        )
        # The log has it too: a record that is lost or altered is read from there.
        values = {**asdict(manifest), "videos": [_outcome_line(video) for video in manifest.videos]}
        ending = {name: value for name, value in values.items() if name in ENDING and value is not None}
        self._append(("end", ending))
        target = self._path.with_suffix(".json")
        with store_errors("write", target):
            with replacing(target) as draft, open(draft, "wb") as file:
                file.write(_encoded(manifest, self._path))
                file.flush()
                os.fsync(file.fileno())
                self._sender.close()
                mirror.send(self._root, self._path)
                mirror.send(self._root, target, draft)
            sync_folder(target.parent)
        self.close()
        return manifest

    def close(self) -> None:
        """Stop recording; without :meth:`finish` before it, the run reads as interrupted."""
        self._sampler.close()
        self._sender.close()
        with self._guard:
            descriptor, self._file = self._file, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _completed(self, outcome: VideoOutcome) -> VideoOutcome:
        seconds = outcome.seconds
        with self._guard:
            if seconds is None:
                seconds = round(self._seconds.get((outcome.name, outcome.video_id), 0.0), 4)
            passes = self._passes[outcome.name, outcome.video_id]
        return replace(outcome, message=masked_text(outcome.message), seconds=seconds, passes=passes)

    def _tell(self, record: StageRecord) -> None:
        for listener in self._listeners:
            listener(record)

    def _append(self, *lines: tuple[str, Mapping[str, Any]]) -> None:
        """Lines of the log, each of a kind and with its values; on disk when this returns."""
        with self._guard, store_errors("write", self._path):
            if self._file is None:
                raise InternalError(f"run {self.run_id} is no longer recorded: it was finished or closed")
            try:
                data = b"".join(
                    line_of(kind, values, self._writer, number)
                    for number, (kind, values) in enumerate(lines, self._lines)
                )
            except (TypeError, ValueError) as error:
                raise InternalError(f"a record of run {self.run_id} holds what JSON cannot say: {error}") from error
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                data = b"\n" + data  # a full disk, or a kill before a resumption, had cut the line before
            while data:  # a write that is cut short says why when it is tried again
                data = data[os.write(self._file, data) :]
            self._lines += len(lines)
            os.fsync(self._file)
