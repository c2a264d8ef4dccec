"""Stages at work, as a run's log has them, and their totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from lavad_core.runs.event_log import EventLog
from lavad_core.runs.work import VIDEOS_DECODED


class Counts(dict[str, int]):
    """Counters that begin at 0. (``dataclasses.asdict`` of Python 3.11 cannot copy a defaultdict.)"""

    def __missing__(self, name: str) -> int:
        return 0


@dataclass
class StageRecord:
    """One stage of one video at work, then done. The body of ``recorder.stage`` sets what went on in it."""

    video: str
    """The user's name of the video."""
    video_id: str
    """Digest of the video's content."""
    node: str
    """Id of the stage's node."""
    started: str
    """When it began, ISO 8601, UTC."""
    fingerprint: str = ""
    """The fingerprint of the result's key; empty if it was not known yet. With it a run's results are found without its
    models and imports."""
    cached: bool = False
    """Whether the result was in the store."""
    status: str = "ok"
    """``ok``, ``ok_with_gaps``, ``rejected`` or ``failed``."""
    reason: str = ""
    """A word: why rejected, or the class of the exception."""
    message: str = ""
    """What went wrong, as a sentence."""
    work: Counts = field(default_factory=Counts)
    """Counters (``runs.work``)."""
    seconds: float | None = None
    """Wall time, seconds; None while it runs."""
    cpu_seconds: float = 0.0
    """Processor time of the process and its children, seconds; work of stages at the same moment is included."""
    peak_rss_bytes: int = 0
    """Highest resident memory of the process and its children, bytes."""
    device_seconds: float = 0.0
    """Seconds in which the stage's model was at work; a part of the stage's time (:mod:`lavad_core.runs.device_clock`)."""
    waited_seconds: float = 0.0
    """Seconds in which it was not, and frames were waited for."""

    @property
    def passes(self) -> int:
        """How often it decoded its video."""
        return self.work[VIDEOS_DECODED]


@dataclass
class StageTotals:
    """A stage over all videos of a run."""

    done: int = 0
    """Videos with a result that was made. Of several tries for a video the last one counts, here and in the next
    two."""
    cached: int = 0
    """Videos with a result that existed."""
    failed: int = 0
    """Videos whose stage ended by an exception, rejections included."""
    seconds: float = 0.0
    """Wall time, summed over videos, seconds."""
    cpu_seconds: float = 0.0
    """Processor time of the process and its children, seconds; work of stages at the same moment is included."""
    peak_rss_bytes: int = 0
    """Highest resident memory of the process and its children while the stage worked, bytes."""
    device_seconds: float = 0.0
    """Seconds in which the stage's model was at work, each counted once for all videos."""
    waited_seconds: float = 0.0
    """Seconds in which it was not, and frames were waited for."""
    work: dict[str, int] = field(default_factory=dict)
    """Unit to amount of work done (:mod:`lavad_core.runs.work`)."""

    @property
    def share_at_work(self) -> float | None:
        """The model's time at work, as a part of that and of the time it waited for frames; None for a stage without frames."""
        return self.device_seconds / (self.device_seconds + self.waited_seconds) if self.waited_seconds else None

    def add(self, record: StageRecord, final: bool) -> None:
        """Count a finished record; how it ended only if it is the ``final`` one of its video."""
        if final:
            failed = record.status in ("failed", "rejected")
            self.failed += failed
            self.cached += record.cached and not failed
            self.done += not record.cached and not failed
        self.seconds += record.seconds or 0.0
        self.cpu_seconds += record.cpu_seconds
        self.device_seconds += record.device_seconds
        self.waited_seconds += record.waited_seconds
        self.peak_rss_bytes = max(self.peak_rss_bytes, record.peak_rss_bytes)
        for name, amount in record.work.items():
            self.work[name] = self.work.get(name, 0) + amount


def records_of(log: EventLog) -> Iterator[StageRecord]:
    """The stages of a log, in the order in which they ended."""
    for line in log.lines:
        if line.get("kind") == "stage":
            known = {f.name: line[f.name] for f in fields(StageRecord) if f.name in line}
            yield StageRecord(**{**known, "work": Counts(line.get("work", {}))})


def totals_of(records: Sequence[StageRecord]) -> tuple[dict[str, StageTotals], dict[str, int]]:
    """Totals by node, and the work of all. Of several tries of a stage for a video the last one says how it ended."""
    stages: dict[str, StageTotals] = {}
    work: Counter[str] = Counter()
    last = {(record.node, record.video, record.video_id): record for record in records}
    for record in records:
        final = last[record.node, record.video, record.video_id] is record
        stages.setdefault(record.node, StageTotals()).add(record, final)
        work.update(record.work)
    return stages, dict(work)


def summed(
    parts: Sequence[tuple[Mapping[str, StageTotals], Mapping[str, int]]],
) -> tuple[dict[str, StageTotals], dict[str, int]]:
    """The totals by node, and the work, of several runs together."""
    stages: dict[str, StageTotals] = {}
    work: Counter[str] = Counter()
    for own, own_work in parts:
        work.update(own_work)
        for node, totals in own.items():
            mine = stages.setdefault(node, StageTotals())
            mine.peak_rss_bytes = max(mine.peak_rss_bytes, totals.peak_rss_bytes)
            mine.work = dict(Counter(mine.work) + Counter(totals.work))
            for name in ("done", "cached", "failed", "seconds", "cpu_seconds", "device_seconds", "waited_seconds"):
                setattr(mine, name, getattr(mine, name) + getattr(totals, name))
    return stages, dict(work)
