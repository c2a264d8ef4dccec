"""What is written down of a run, and reading it again. The layout of both files is docs/design/store.md's."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lavad_core.config.secrets import settings_of_record
from lavad_core.errors import DamagedResult, InputError
from lavad_core.location import shown
from lavad_core.plain_text import number_of
from lavad_core.runs.event_log import begins_as, log_is_sealed, read_head, read_log
from lavad_core.runs.liveness import is_locked, unlocked_state
from lavad_core.runs.records import StageRecord, StageTotals, records_of, totals_of
from lavad_core.runs.sets import ShardOfRun, shard_of_record
from lavad_core.seal import seal_of
from lavad_core.store import mirror
from lavad_core.store.faults import store_errors
from lavad_core.suggest import did_you_mean

log = logging.getLogger(__name__)

FOLDER = "runs"
"""Folder of the store that holds the records of runs."""

VideoStatus = Literal["ok", "ok_with_gaps", "rejected", "failed", "not-run"]

SCORED = ("ok", "ok_with_gaps")
"""Outcomes of a video that has results."""

Origin = Literal["run", "import"]

MAX_NAME = 80
"""Characters of a run's name."""

_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{9}-[0-9a-f]{6}")
_LIKE_RUN_ID = re.compile(r"[0-9]{8}(t([0-9]{0,9}|[0-9]{9}-[0-9a-f]{0,6}))?", re.IGNORECASE)
"""An id in upper or lower case, or the beginning of one that has the whole date."""


@dataclass(frozen=True)
class VideoOutcome:
    """How a run ended for a video."""

    name: str
    """The user's name for the video."""
    video_id: str
    """Digest of its content; empty if it could not be read."""
    status: VideoStatus
    """``not-run``: the run ended before the video was done."""
    reason: str = ""
    """The reason in a word, for tables."""
    message: str = ""
    """The reason as a sentence."""
    seconds: float | None = None
    """Wall time of its stages together; None lets the recorder add them up."""
    passes: int = 0
    """How often it was decoded in this run, by the probe included; the recorder counts it."""
    known_bad: bool = False
    """Whether it is rejected for a reason that a person has acknowledged: shown and counted, and no failure of the run."""

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do: it has results, or is known to be bad."""
        return self.status in SCORED or self.known_bad

    @property
    def word(self) -> str:
        """The status, for tables."""
        return "known bad" if self.known_bad else self.status


@dataclass(frozen=True)
class RunManifest:
    """A run."""

    run_id: str
    """Id of the run; ids sort by time of start."""
    status: str
    """The status, as given to ``finish``; ``running`` or ``interrupted`` if that has not happened."""
    config: Mapping[str, Any]
    """The configuration, without secrets."""
    versions: Mapping[str, str]
    """Package to version, of those that it ran with."""
    host: Mapping[str, Any]
    """The machine that it ran on: name of a fact to its value."""
    git_revision: str | None
    """Commit of the program's checkout; None outside of one."""
    started: str
    """When it began, ISO 8601, UTC."""
    ended: str
    """When it ended, ISO 8601, UTC; empty for a run that has not, or was killed."""
    seconds: float
    """Wall time, seconds; to the last record for a killed run."""
    peak_rss_bytes: int
    """Highest resident memory of the process and its children over the whole run, bytes."""
    stages: Mapping[str, StageTotals]
    """Totals by node."""
    work: Mapping[str, int]
    """Counters, all stages together."""
    videos: tuple[VideoOutcome, ...]
    """How the run ended for each video."""
    message: str = ""
    """How it ended, in a sentence; empty for a run that has not, or was killed."""
    metrics: Mapping[str, Any] | None = None
    """The metrics of its evaluation, by name; None if there was none."""
    origin: Origin = "run"
    """``import``: somebody else's results were read; ``config`` says from where, and there is nothing to retry."""
    name: str = ""
    """The name that its user gave it (:func:`checked_name`); empty if none."""
    limit: int | None = None
    """How many of the videos that its inputs name belong to it, the first ones; None where none was left out."""
    shard: ShardOfRun | None = None
    """Which part of a set it is of, or that it is over a set whose parts have runs of their own; None for other runs."""
    altered: tuple[str, ...] = ()
    """One sentence for each part of its files that was changed later. Not on disk."""
    sealed: bool = True
    """Whether its files have digests; those of a run by an earlier version of the program have none. Not on disk."""

    @property
    def limited(self) -> str:
        """What to say about :attr:`limit`; empty for a run of all its videos."""
        return "" if self.limit is None else f"only the first {self.limit} of the videos that were given"


ENDING = ("status", "ended", "seconds", "peak_rss_bytes", "videos", "message", "metrics")
"""Fields that the last line of a finished run's log has."""


def new_run_id(moment: datetime | None = None, token: str | None = None) -> str:
    """An id that sorts by time (UTC, milliseconds) and differs between runs of the same moment.

    Args:
        moment: when the run began, if not now.
        token: six hexadecimal digits, for an id that can be made again.
    """
    at = datetime.now(UTC) if moment is None else moment.astimezone(UTC)
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}-{token or secrets.token_hex(3)}"


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run's id."""
    return _RUN_ID.fullmatch(text) is not None


def run_path(store_root: Path, run_id: str, suffix: str) -> Path:
    """A file of a run; up to date where the store is on an object storage.

    Raises:
        InputError: that is not an id of a run (it may come from a command line).
        StoreUnavailable: the storage cannot be asked.
    """
    if not is_run_id(run_id):
        raise InputError(f"{run_id!r} is not an id of a run; `lavad status --all` lists them")
    path = Path(store_root) / FOLDER / f"{run_id}{suffix}"
    mirror.fetch(Path(store_root), path)
    return path


def list_runs(store_root: Path) -> list[str]:
    """Ids of the runs of a store, oldest first."""
    folder = Path(store_root) / FOLDER
    with store_errors("list", folder):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            names = []
    names += mirror.names(Path(store_root), FOLDER)
    ids = {name.rsplit(".", 1)[0] for name in names if name.endswith((".json", ".jsonl"))}
    return sorted(name for name in ids if _RUN_ID.fullmatch(name))


def checked_name(text: str) -> str:
    """A name for a run, if it can be one.

    Raises:
        InputError: it is empty or long, holds characters that do not print, or would be taken for something else where a run is
            named: an id or the beginning of one, an option, or the ``NAME=ID`` of `lavad plot`.
    """
    if not 0 < len(text) <= MAX_NAME or not text.isprintable() or text != text.strip():
        raise InputError(
            f"{text!r:.100} cannot be the name of a run: 1 to {MAX_NAME} printing characters, no space at an end"
        )
    if _LIKE_RUN_ID.fullmatch(text) or text.startswith("-") or "=" in text:
        raise InputError(f"{text!r} cannot be the name of a run: it would be taken for an id, an option or NAME=ID")
    return text


def names_of_runs(store_root: Path, origin: Origin | None = None) -> dict[str, str]:
    """Id to name of the runs and imports of a store that have one, or of those of one origin, oldest first."""
    return {run_id: name for run_id, name, own, _ in _named(store_root) if origin in (None, own)}


def _named(store_root: Path) -> Iterator[tuple[str, str, Origin, str]]:
    """Id, name, origin, and of what the run is: its id again, or its set's. Only the first lines of each log are read."""
    for run_id in list_runs(store_root):
        head = read_head(run_path(store_root, run_id, ".jsonl"))
        if name := head.get("name"):
            part = shard_of_record(head["shard"])
            whole = run_id if part is None else f"{part.set_id} {part.run if part.number else run_id}"
            yield run_id, str(name), head.get("origin", "run"), whole


def find_run(store_root: Path, given: str, origin: Origin | None = None) -> str:
    """The id of the run that is meant by its id, or by its name: then the latest that has it, and a warning says that there
    are others.

    Args:
        store_root: the store's folder.
        given: the id or name.
        origin: what can be used. Another kind of the same name is passed over; it is taken where nothing else has the name,
            so that its user can say what is wrong with it.

    Raises:
        InputError: no run has that name; says the nearest that one has.
    """
    if is_run_id(given):
        return given
    named = list(_named(store_root))
    called = {run_id: own for run_id, name, own, _ in named if name == given}
    if not called:
        raise InputError(
            f"{given!r} is not an id of a run, and no run in {shown(store_root)!r} has that name; `lavad status --all` lists "
            "them" + did_you_mean(given, [name for _, name, _, _ in named])
        )
    found = [run_id for run_id, own in called.items() if own == origin] or list(called)
    wholes = {whole: own for _, name, own, whole in named if name == given}  # the runs of a set's shards are no clash
    if len(wholes) > 1:
        counts = Counter(wholes.values())
        what = " and ".join(number_of(count, own) for own, count in sorted(counts.items(), reverse=True))
        which = f" {called[found[-1]]}" if len(counts) > 1 else ""
        log.warning("%s are named %r; the latest%s is taken: %s", what, given, which, found[-1])
    return found[-1]


def load_run(store_root: Path, run_id: str | None = None, origin: Origin | None = None) -> RunManifest:
    """A run by its id or its name (:func:`find_run`); the latest if none is given. Also one that was killed or still runs, from
    its records.

    Raises:
        InputError: there is no such run.
        StoreUnavailable: its files cannot be read.
    """
    if run_id is None:
        runs = list_runs(store_root)
        if not runs:
            raise InputError(f"store {shown(store_root)!r} has no runs yet; `lavad run` makes one")
        run_id = runs[-1]
        latest = load_run(store_root, run_id)
        return load_run(store_root, latest.shard.run) if latest.shard is not None and latest.shard.run else latest
    run_id = find_run(store_root, run_id, origin)
    path, log_path = (run_path(store_root, run_id, suffix) for suffix in (".json", ".jsonl"))
    with store_errors("read", path):
        try:
            data: bytes | None = path.read_bytes()
        except FileNotFoundError:
            data = None
    altered: list[str] = []
    if data is not None:
        try:
            document = json.loads(data)
            manifest = _parse(document)
            if (why := _not_as_written(document, log_path)) is None:
                end = document.get("log")
                if end is None or begins_as(log_path, end):
                    return manifest
                return replace(manifest, altered=(f"the log {shown(log_path)!r} was changed after it was written",))
            altered.append(f"the record {shown(path)!r} was changed after it was written ({why})")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            altered.append(f"the record {shown(path)!r} does not parse ({error})")
        log.warning("%s; it is not believed: the run is read from its log instead", altered[-1])
    if not log_path.exists():
        if altered:
            raise DamagedResult(f"{altered[-1]}, and there is no log {log_path.name!r} beside it to read instead")
        raise InputError(f"store {shown(store_root)!r} has no run {run_id}; `lavad status --all` lists them")
    return _from_records(store_root, run_id, altered)


def _not_as_written(document: Mapping[str, Any], log_path: Path) -> str | None:
    """What shows that a record was changed; None if nothing does. One without a digest, of an earlier version, is taken."""
    state = seal_of(document)
    if state == "broken":
        return "its digest is another"
    if document["run_id"] != log_path.stem:
        return "it is that of another run"
    if state == "none" and (document.get("format", 1) >= 2 or log_is_sealed(log_path)):
        return "its digest is gone"
    return None


def is_running(store_root: Path, run_id: str) -> bool:
    """Whether a living process records the run: it holds a lock on the records (:mod:`lavad_core.runs.liveness`)."""
    return is_locked(run_path(store_root, run_id, ".jsonl"))


def _parse(values: Mapping[str, Any]) -> RunManifest:
    names = {f.name for f in fields(RunManifest)} - {"altered", "sealed"}
    known = {name: values[name] for name in names if name in values}
    known["config"] = settings_of_record(values["config"])
    known["stages"] = {node: StageTotals(**totals) for node, totals in values["stages"].items()}
    known["videos"] = tuple(VideoOutcome(**video) for video in values["videos"])
    known["shard"] = shard_of_record(values.get("shard"))
    return RunManifest(**known, sealed=seal_of(values) == "whole")


def _from_records(store_root: Path, run_id: str, altered: Sequence[str]) -> RunManifest:
    log_path = run_path(store_root, run_id, ".jsonl")
    running = is_locked(log_path)
    header: dict[str, Any] = {}
    ending: dict[str, Any] = {}
    outcomes: dict[tuple[str, str], VideoOutcome] = {}
    last, limit, shard = "", None, None
    log = read_log(log_path)
    for line in log.lines:
        if line.get("kind") == "run":
            header, ending = {**line, "started": header.get("started", line.get("started", ""))}, {}
        elif line.get("kind") == "video":
            outcome = VideoOutcome(**{f.name: line[f.name] for f in fields(VideoOutcome) if f.name in line})
            outcomes[outcome.name, outcome.video_id] = outcome
        elif line.get("kind") == "limit":
            limit = line["limit"]
        elif line.get("kind") == "shard":
            shard = shard_of_record(line)
        elif line.get("kind") == "end":
            ending = {name: line[name] for name in ENDING if name in line}
        last = line.get("ended", last)
    records = list(records_of(log))
    stages, work = totals_of(records)
    started = header.get("started", "")
    host = header.get("host", {})
    status, message = ("running", "") if running else unlocked_state(host.get("name"), last or started)
    if "videos" in ending:
        ending["videos"] = tuple(VideoOutcome(**video) for video in ending["videos"])
    found = {
        "status": status,
        "message": message,
        "ended": "",
        "seconds": _seconds_between(started, last),
        "peak_rss_bytes": max((record.peak_rss_bytes for record in records), default=0),
        "videos": tuple({**_unfinished(records, status), **outcomes}.values()),
        **ending,
    }
    return RunManifest(
        run_id=run_id,
        config=settings_of_record(header.get("config", {})),
        versions=header.get("versions", {}),
        host=host,
        git_revision=header.get("git_revision"),
        started=started,
        stages=stages,
        work=work,
        origin=header.get("origin", "run"),
        name=header.get("name", ""),
        limit=limit,
        shard=shard,
        altered=(*altered, *(f"the log of the run was changed after it was written: {why}" for why in log.altered)),
        sealed=log.sealed,
        **found,
    )


def _unfinished(records: Sequence[StageRecord], run: str) -> dict[tuple[str, str], VideoOutcome]:
    """What records alone say about the videos of a ``running`` or ``interrupted`` run: failed and rejected ones for certain;
    the others were not known to be done."""
    videos: dict[tuple[str, str], list[StageRecord]] = {}
    for record in records:
        videos.setdefault((record.video, record.video_id), []).append(record)
    found = {}
    for (name, video_id), own in videos.items():
        seconds, passes = sum(record.seconds or 0.0 for record in own), sum(record.passes for record in own)
        last = {record.node: record for record in own}  # of several tries
        end = next((record for record in last.values() if record.status in ("failed", "rejected")), None)
        status: VideoStatus = "not-run"
        ended = "the run is going on" if run == "running" else "the run was interrupted"
        reason, message = run, f"{ended}; stages finished: {', '.join(last)}"
        if end is not None:
            status, reason, message = "rejected" if end.status == "rejected" else "failed", end.reason, end.message
        found[name, video_id] = VideoOutcome(name, video_id, status, reason, message, seconds, passes)
    return found


def _seconds_between(started: str, ended: str) -> float:
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except ValueError:
        return 0.0
