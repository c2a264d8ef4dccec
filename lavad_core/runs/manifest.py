"""What is written down of a run, and reading it again. The layout of both files is docs/design/store.md's."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lavad_core.errors import InputError
from lavad_core.store.faults import store_errors

log = logging.getLogger(__name__)

FOLDER = "runs"
"""Of the store."""

VideoStatus = Literal["ok", "ok_with_gaps", "rejected", "failed", "not-run"]

SCORED = ("ok", "ok_with_gaps")
"""Outcomes of a video that has results."""

Origin = Literal["run", "import"]

_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{9}-[0-9a-f]{6}")


class Counts(dict[str, int]):
    """Counters that begin at 0. (``dataclasses.asdict`` of Python 3.11 cannot copy a defaultdict.)"""

    def __missing__(self, name: str) -> int:
        return 0


@dataclass
class StageRecord:
    """One stage of one video at work, then done. The body of ``recorder.stage`` sets what went on in it.

    Attributes:
        video: the user's name of the video.
        video_id: digest of its content.
        node: id of the stage's node.
        started: ISO 8601, UTC.
        fingerprint: of the result's key; empty if it was not known yet. With it a run's results are found without its
            models and imports.
        cached: the result was in the store.
        status: ``ok``, ``ok_with_gaps``, ``rejected`` or ``failed``.
        reason: a word: why rejected, or the class of the exception.
        message: a sentence.
        work: counters (``runs.work``).
        seconds: wall time; None while it runs.
        cpu_seconds: of the process and its children, work of stages at the same moment included.
        peak_rss_bytes: resident memory of the process and its children.
    """

    video: str
    video_id: str
    node: str
    started: str
    fingerprint: str = ""
    cached: bool = False
    status: str = "ok"
    reason: str = ""
    message: str = ""
    work: Counts = field(default_factory=Counts)
    seconds: float | None = None
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0


@dataclass(frozen=True)
class VideoOutcome:
    """How a run ended for a video.

    Attributes:
        name: the user's name.
        video_id: digest of its content; empty if it could not be read.
        status: ``not-run``: the run ended before the video was done.
        reason: a word, for tables.
        message: a sentence.
        seconds: wall time of its stages together; None lets the recorder add them up.
    """

    name: str
    video_id: str
    status: VideoStatus
    reason: str = ""
    message: str = ""
    seconds: float | None = None


@dataclass
class StageTotals:
    """A stage over all videos of a run.

    Attributes:
        done: videos with a result that was made. cached: with one that was there. failed: ended by an exception, rejections
            included. Of several tries for a video the last one counts.
        seconds, cpu_seconds: sums over all tries. peak_rss_bytes: the highest. work: sums over all tries.
    """

    done: int = 0
    cached: int = 0
    failed: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0
    work: dict[str, int] = field(default_factory=dict)

    def add(self, record: StageRecord, final: bool) -> None:
        """Count a finished record; how it ended only if it is the ``final`` one of its video."""
        if final:
            failed = record.status in ("failed", "rejected")
            self.failed += failed
            self.cached += record.cached and not failed
            self.done += not record.cached and not failed
        self.seconds += record.seconds or 0.0
        self.cpu_seconds += record.cpu_seconds
        self.peak_rss_bytes = max(self.peak_rss_bytes, record.peak_rss_bytes)
        for name, amount in record.work.items():
            self.work[name] = self.work.get(name, 0) + amount


@dataclass(frozen=True)
class RunManifest:
    """A run.

    Attributes:
        run_id: sorts by time of start.
        status: as given to ``finish``; ``running`` or ``interrupted`` if that has not happened.
        config: without secrets. versions, host, git_revision: what it ran on.
        started, ended: ISO 8601, UTC; ``ended`` is empty for a run that has not, or was killed.
        seconds: wall time; to the last record for a killed run.
        peak_rss_bytes: of the process and its children over the whole run.
        stages: totals by node.
        work: counters, all stages together.
        videos: how it ended for each.
        message: how it ended, in a sentence; empty for a run that has not, or was killed.
        metrics: of its evaluation, by name; None if there was none.
        origin: ``import``: somebody else's results were read; ``config`` says from where, and there is nothing to retry.
    """

    run_id: str
    status: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    host: Mapping[str, Any]
    git_revision: str | None
    started: str
    ended: str
    seconds: float
    peak_rss_bytes: int
    stages: Mapping[str, StageTotals]
    work: Mapping[str, int]
    videos: tuple[VideoOutcome, ...]
    message: str = ""
    metrics: Mapping[str, Any] | None = None
    origin: Origin = "run"


def new_run_id() -> str:
    """An id that sorts by time (UTC, milliseconds) and differs between runs of the same moment."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{secrets.token_hex(3)}"


def now_text() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def is_run_id(text: str) -> bool:
    """Whether it has the form of a run's id."""
    return _RUN_ID.fullmatch(text) is not None


def run_path(store_root: Path, run_id: str, suffix: str) -> Path:
    """A file of a run.

    Raises:
        InputError: that is no id of a run (it may come from a command line).
    """
    if not is_run_id(run_id):
        raise InputError(f"{run_id!r} is no id of a run; `lavad status` lists them")
    return Path(store_root) / FOLDER / f"{run_id}{suffix}"


def list_runs(store_root: Path) -> list[str]:
    """Ids of the runs of a store, oldest first."""
    folder = Path(store_root) / FOLDER
    with store_errors("list", folder):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return []
    ids = {name.rsplit(".", 1)[0] for name in names if name.endswith((".json", ".jsonl"))}
    return sorted(name for name in ids if _RUN_ID.fullmatch(name))


def load_run(store_root: Path, run_id: str | None = None) -> RunManifest:
    """A run; the latest if no id is given. Also one that was killed or still runs, from its records.

    Raises:
        InputError: there is no such run.
        StoreUnavailable: its files cannot be read.
    """
    if run_id is None:
        runs = list_runs(store_root)
        if not runs:
            raise InputError(f"store {str(store_root)!r} has no runs yet; `lavad run` makes one")
        run_id = runs[-1]
    path = run_path(store_root, run_id, ".json")
    with store_errors("read", path):
        try:
            data: bytes | None = path.read_bytes()
        except FileNotFoundError:
            data = None
    if data is not None:
        try:
            return _parse(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning("the manifest %r does not parse (%s); read from the run's records instead", str(path), error)
    if not run_path(store_root, run_id, ".jsonl").exists():
        raise InputError(f"store {str(store_root)!r} has no run {run_id}; `lavad status` lists them")
    return _from_records(store_root, run_id)


def load_records(store_root: Path, run_id: str) -> Iterator[StageRecord]:
    """The stages of a run, in the order in which they ended. A line cut by a kill or a full disk is left out."""
    for line in _lines(store_root, run_id):
        if line.get("kind") == "stage":
            known = {f.name: line[f.name] for f in fields(StageRecord) if f.name in line}
            yield StageRecord(**{**known, "work": Counts(line.get("work", {}))})


def _lines(store_root: Path, run_id: str) -> Iterator[dict[str, Any]]:
    path = run_path(store_root, run_id, ".jsonl")
    with store_errors("read", path):
        try:
            file = open(path, "rb")  # noqa: SIM115 (closed below)
        except FileNotFoundError:
            return
        with file:
            for line in file:
                try:
                    fields = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(fields, dict):
                    yield fields


def is_running(store_root: Path, run_id: str) -> bool:
    """Whether a living process on this machine records the run: it holds a lock on the records."""
    path = run_path(store_root, run_id, ".jsonl")
    with store_errors("read", path):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def encode(manifest: RunManifest) -> bytes:
    """JSON for people and programs; ASCII, so that names in it are inert on a terminal."""
    return (json.dumps({"format": 1, **asdict(manifest)}, indent=2) + "\n").encode("ascii")


def _parse(values: Mapping[str, Any]) -> RunManifest:
    known = {f.name: values[f.name] for f in fields(RunManifest) if f.name in values}
    known["stages"] = {node: StageTotals(**totals) for node, totals in values["stages"].items()}
    known["videos"] = tuple(VideoOutcome(**video) for video in values["videos"])
    return RunManifest(**known)


def totals_of(records: Sequence[StageRecord]) -> tuple[dict[str, StageTotals], dict[str, int]]:
    """Totals by node, and the work of all. Of several tries of a stage for a video the last one says how it ended."""
    stages: dict[str, StageTotals] = {}
    work: dict[str, int] = {}
    last = {(record.node, record.video, record.video_id): record for record in records}
    for record in records:
        final = last[record.node, record.video, record.video_id] is record
        stages.setdefault(record.node, StageTotals()).add(record, final)
        for name, amount in record.work.items():
            work[name] = work.get(name, 0) + amount
    return stages, work


def _from_records(store_root: Path, run_id: str) -> RunManifest:
    running = is_running(store_root, run_id)
    header: dict[str, Any] = {}
    outcomes: dict[tuple[str, str], VideoOutcome] = {}
    last = ""
    for line in _lines(store_root, run_id):
        if line.get("kind") == "run":
            header = {**line, "started": header.get("started", line.get("started", ""))}
        elif line.get("kind") == "video":
            outcome = VideoOutcome(**{f.name: line[f.name] for f in fields(VideoOutcome)})
            outcomes[outcome.name, outcome.video_id] = outcome
        last = line.get("ended", last)
    records = list(load_records(store_root, run_id))
    stages, work = totals_of(records)
    started = header.get("started", "")
    return RunManifest(
        run_id=run_id,
        status="running" if running else "interrupted",
        config=header.get("config", {}),
        versions=header.get("versions", {}),
        host=header.get("host", {}),
        git_revision=header.get("git_revision"),
        started=started,
        ended="",
        seconds=_seconds_between(started, last),
        peak_rss_bytes=max((record.peak_rss_bytes for record in records), default=0),
        stages=stages,
        work=work,
        videos=tuple({**_unfinished(records), **outcomes}.values()),
        origin=header.get("origin", "run"),
    )


def _unfinished(records: Sequence[StageRecord]) -> dict[tuple[str, str], VideoOutcome]:
    """What records alone say of videos: failed and rejected ones for certain; the others were not known to be done."""
    videos: dict[tuple[str, str], list[StageRecord]] = {}
    for record in records:
        videos.setdefault((record.video, record.video_id), []).append(record)
    found = {}
    for (name, video_id), own in videos.items():
        seconds = sum(record.seconds or 0.0 for record in own)
        last = {record.node: record for record in own}  # of several tries
        end = next((record for record in last.values() if record.status in ("failed", "rejected")), None)
        if end is not None:
            status: VideoStatus = "rejected" if end.status == "rejected" else "failed"
            found[name, video_id] = VideoOutcome(name, video_id, status, end.reason, end.message, seconds)
        else:
            nodes = ", ".join(last)
            message = f"the run was interrupted; stages finished: {nodes}"
            found[name, video_id] = VideoOutcome(name, video_id, "not-run", "interrupted", message, seconds)
    return found


def _seconds_between(started: str, ended: str) -> float:
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except ValueError:
        return 0.0
