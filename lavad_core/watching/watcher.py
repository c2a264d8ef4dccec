"""Scoring files as they come to rest, and telling what was found."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lavad_core.config.schema import EvaluateConfig, LavadConfig
from lavad_core.digest import digest
from lavad_core.errors import InputError, ServiceError, StoreError
from lavad_core.local_run import score_videos
from lavad_core.models.pool import ModelPool
from lavad_core.plain_text import number_of
from lavad_core.reports.reported_set import ReportedSet
from lavad_core.reports.site import write_report
from lavad_core.results.types import ResultSet
from lavad_core.runs.manifest import SCORED, VideoOutcome
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource
from lavad_core.watching.arrivals import Arrival, Arrivals, goes_on
from lavad_core.watching.notices import Due, Notice, NoticeBook
from lavad_core.watching.receivers import Receiver

log = logging.getLogger(__name__)

MOST_TRIES = 3
"""How often a file is tried whose scoring failed for reasons that are not the file's."""

FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 300.0
"""Seconds after a failed scoring until the next try, which double each time, and the most of them."""

Told = Callable[[Due, float], None]
"""Called with what a receiver has just taken, and the seconds from the end of its file until then."""


def watchable(config: LavadConfig) -> LavadConfig:
    """The configuration as files that arrive are scored with it: with segments, and without labels, which know none of them.

    Raises:
        InputError: it names the videos itself.
    """
    if config.imports.list is not None:
        raise InputError("imports.list names the videos of a run; what arrives in a folder is in no list: leave it out")
    kept = tuple(target for target in config.run.targets if target not in ("evaluate", "detect"))
    run = config.run.model_copy(update={"targets": (*kept, "detect")})
    return config.model_copy(update={"run": run, "evaluate": EvaluateConfig()})


@dataclass
class Watcher:
    """Files that arrive are scored, in the order in which they ended, and what is found is told. :meth:`step` does what there
    is to do at the moment."""

    config: LavadConfig
    """What files are scored with (:func:`watchable`)."""
    arrivals: Arrivals
    """Where they arrive."""
    book: NoticeBook
    """What is done, and what is still to be told."""
    receivers: Sequence[Receiver]
    """Whom it is told."""
    pages: Path | None = None
    """Folder of the pages, one folder in it for each run; None for ``cache/reports`` of the store."""
    pages_address: str = ""
    """Where a web server shows that folder; empty for links to the files themselves."""
    most_at_once: int = 16
    """Files that are scored together at most; their notices are told when all of them are scored."""
    keep_models: bool = False
    """Whether models in this process stay loaded from one scoring to the next: their memory must hold all of them."""
    told: Told = lambda due, seconds: None
    """Called after each telling."""
    scored: Callable[[str, int], None] = lambda name, events: None
    """Called with each video that has scores, and how many events it has."""
    latencies_s: list[float] = field(default_factory=list)
    """Seconds from the end of a file to each telling, so far."""
    _failures: int = 0
    _not_before_s: float = 0.0
    _models: ModelPool | None = None

    def step(self) -> bool:
        """Score what has come to rest, and tell what is due; whether there was anything to do.

        Raises:
            InputError: the configuration does not fit, or a model cannot be found.
            StoreUnavailable: the book cannot be written.
        """
        self._tell()  # what a process before this one could not
        waiting = self.book.waiting(self.arrivals.at_rest()) if time.monotonic() >= self._not_before_s else []
        if waiting:
            self._score(waiting[: self.most_at_once])
            self._tell()
        return bool(waiting)

    def close(self) -> None:
        """Free the models that were kept."""
        models, self._models = self._models, None
        if models is not None:
            models.close()

    def _scored(self, paths: Sequence[Path]) -> ResultSet:
        if not self.keep_models:
            return score_videos(self.config, paths)
        if self._models is None:
            self._models = ModelPool(self.config)
        try:
            return score_videos(self.config, paths, models=self._models)
        except BaseException:  # they may have been interrupted in the middle of a call
            self.close()
            raise

    def skip(self, arrivals: Sequence[Arrival]) -> None:
        """Take files as done that are not to be scored."""
        for arrival in arrivals:
            self.book.done(arrival, "skipped", (), ())

    @property
    def idle(self) -> bool:
        """Whether all files are at rest, done and told."""
        names = [receiver.name for receiver in self.receivers]
        at_rest = self.arrivals.at_rest()
        left = self.arrivals.moving or any(map(self.book.tries, at_rest)) or self.book.due(names, later=True)
        return not left and not self.book.waiting(at_rest)

    def _score(self, arrivals: Sequence[Arrival]) -> None:
        paths = [arrival.path for arrival in arrivals]
        try:
            sources = discover(paths)  # asked before: files may be moved away while they are scored
            results = self._scored(paths)
            pages = self._write_pages(results, sources)
        except InputError:
            if all(path.exists() for path in paths):
                raise
            log.warning("a file has gone since it was seen at rest; the others are scored at the next look")
            return
        except (ServiceError, StoreError) as error:
            self._failures += 1
            wait_s = float(min(FIRST_WAIT_S * 2 ** (self._failures - 1), LONGEST_WAIT_S))
            self._not_before_s = time.monotonic() + wait_s
            log.warning("%s wait %.0f s: %s", number_of(len(paths), "file"), wait_s, error)
            return
        self._failures = 0
        assert results.record is not None, "score_videos records its run"
        outcomes = {outcome.name: outcome for outcome in results.record.videos}
        names = {source.path.absolute(): source.name for source in sources}
        for arrival in arrivals:
            if goes_on(arrival):  # what was scored is not the whole of it
                continue
            name = names[arrival.path]
            self._note(arrival, results, outcomes[name], pages.get(name, ""))

    def _note(self, arrival: Arrival, results: ResultSet, outcome: VideoOutcome, page: str) -> None:
        receivers = [receiver.name for receiver in self.receivers]
        facts = {
            "video": outcome.name,
            "path": str(arrival.path),
            "video_id": outcome.video_id,
            "run": results.set_id,
            "page": page,
            "file_ended": datetime.fromtimestamp(arrival.ended_s, UTC).isoformat(timespec="milliseconds"),
            "file_ended_s": arrival.ended_s,
        }
        if outcome.status in SCORED:
            found = _anomalies(results, outcome, facts)
            self.book.done(arrival, outcome.status, found, receivers)
            self.scored(outcome.name, len(found))
            return
        tries = self.book.tries(arrival) + 1
        if outcome.status != "rejected" and tries < MOST_TRIES:
            wait_s = FIRST_WAIT_S * 2**tries
            log.warning("%r is tried again in %.0f s: %s", outcome.name, wait_s, outcome.message)
            self.book.again(arrival, wait_s)
            return
        own = {"file": [str(arrival.path), arrival.size_bytes, arrival.mtime_ns]}
        why = ": ".join(part for part in (outcome.reason, outcome.message) if part)
        notice = _notice("unscored", own, {**facts, "reason": why})
        self.book.done(arrival, outcome.status, [notice], receivers)

    def _write_pages(self, results: ResultSet, given: Sequence[VideoSource]) -> Mapping[str, str]:
        """Name to the address of its page."""
        if not results.names:
            return {}
        parent = self.config.store / "cache" / "reports" if self.pages is None else self.pages
        folder = parent.absolute() / results.set_id
        sources = {source.name: source for source in given}
        try:
            page = write_report(ReportedSet(results, None, sources, self.config.store), None, folder)
        except OSError as error:
            log.warning("no pages in %r: %s", str(folder), error.strerror or error)
            return {}
        base = self.pages_address.rstrip("/")
        return {
            row.name: f"{base}/{results.set_id}/{row.href}" if base else (folder / row.href).as_uri()
            for row in page.rows
        }

    def _tell(self) -> None:
        """Tell what is due, to each receiver in order: one that does not take a notice is not told later ones before it."""
        for receiver in self.receivers:
            for due in self.book.due([receiver.name]):
                ended_s = float(due.notice.body["file_ended_s"])
                latency_s = round(time.time() - ended_s, 3)
                try:
                    receiver.tell(Notice(due.notice.event, {**due.notice.body, "latency_s": latency_s}))
                except ServiceError as error:
                    wait_s = self.book.not_told(due)
                    log.warning("event %s is told again in %.0f s: %s", due.notice.event, wait_s, error)
                    break
                self.book.told(due)
                self.latencies_s.append(time.time() - ended_s)
                self.told(due, self.latencies_s[-1])


def _anomalies(results: ResultSet, outcome: VideoOutcome, facts: Mapping[str, Any]) -> list[Notice]:
    found = results[outcome.name].segments()
    rule = results.rule
    assert found is not None, "detect is among the targets"
    assert rule is not None, "a run has its rule"
    notices = []
    for segment in found.to_pylist():
        own = {"video_id": outcome.video_id, "segment": [segment["start_frame"], segment["end_frame"]]}
        numbers = {
            name: value for name, value in segment.items() if name not in ("segment", "summary", "caption", "kind")
        }
        told = {
            **facts,
            **numbers,
            **({"anomaly": segment["kind"]} if segment.get("kind") else {}),
            "threshold": rule.threshold,
            "smoothing": results.smoothing,
            "reason": segment.get("summary") or segment.get("caption") or "",
        }
        notices.append(_notice("anomaly", own, told))
    return notices


def _notice(kind: str, own: Mapping[str, Any], body: Mapping[str, Any]) -> Notice:
    """A notice whose event id says what it is of: the content and the frames, or the file as it was."""
    event = digest({"kind": kind, **own})
    return Notice(event, {"format": "lavad-notice", "version": 1, "event": event, "kind": kind, **body})
