"""How a run goes for each video. Pure: what happened is put in; outcomes and the run's end come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lavad_core.errors import GivenUp, Interrupted, NotAsked, VideoRejected
from lavad_core.runs.manifest import SCORED, VideoOutcome, VideoStatus
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.types import VideoSource

NOT_REACHED = "the run ended before this video was done"

BETWEEN = "; "
"""Between what several stages say about a video."""


@dataclass
class LedgerEntry:
    """A video of the run."""

    source: VideoSource
    """The source, as the user named it."""
    video: PreparedVideo | None = None
    """None until its content is known."""
    status: VideoStatus = "not-run"
    """``not-run`` until it is decided."""
    reason: str = ""
    """Why it ended as it did, in a word."""
    message: str = NOT_REACHED
    """The same in a sentence."""
    frames: int | None = None
    """The frames of the video, None until it has been probed."""
    same_as: str = ""
    """Name of the video of the same content that is computed in its place; empty if it is computed itself."""
    known_bad: bool = False
    """Whether it is rejected, and known to be bad."""
    alive: bool = True
    """Whether later stages take it: false once one of its stages has failed or rejected it."""
    notes: list[str] = field(default_factory=list)
    """What its stages said about their results, in order."""


class Ledger:
    """The videos of a run, in the order in which the user named them."""

    def __init__(self, sources: Sequence[VideoSource]) -> None:
        self.entries = {source.name: LedgerEntry(source) for source in sources}
        self._computed: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
        self._same: dict[str, list[str]] = {}

    def prepared(self, video: PreparedVideo) -> None:
        """A video's content is known. A video with the same results as an earlier one is not computed again."""
        entry = self.entries[video.name]
        entry.video = video
        first = self._computed.setdefault((video.video_id, tuple(sorted(video.imports.items()))), video.name)
        if first != video.name:
            entry.same_as = first
            self._same.setdefault(first, []).append(video.name)

    def failed(self, name: str, error: BaseException | None, *, known_bad: bool = False) -> None:
        """A video leaves the chain; ``known_bad`` if that is acknowledged."""
        entry = self.entries[name]
        entry.known_bad = known_bad
        entry.alive = False
        if isinstance(error, VideoRejected):
            entry.status, entry.reason = "rejected", error.reason
        elif isinstance(error, GivenUp | Interrupted | NotAsked):
            entry.status, entry.reason = "not-run", type(error).__name__
        else:
            entry.status, entry.reason = "failed", type(error).__name__ if error is not None else "Unknown"
        entry.message = str(error) if error is not None else "the task run ended without a result and without an error"
        if isinstance(error, VideoRejected):  # what an earlier stage said about its result may be why
            entry.message = BETWEEN.join([entry.message, *entry.notes])

    def cut_off(self, error: BaseException) -> None:
        """The run ends here with an error of its own: that is why nothing is decided about the rest of its videos."""
        for entry in self.entries.values():
            if entry.alive and entry.status == "not-run":
                entry.reason, entry.message = type(error).__name__, str(error)

    def result(self, name: str, stage: str, status: str, message: str = "", frames: int | None = None) -> None:
        """A stage has a result for a video. What each stage says about its own is kept: one must not hide the other.

        Args:
            status: the commit's: ``ok`` or ``ok_with_gaps``.
            frames: how many the video has, if the stage is ``probe``.
        """
        entry = self.entries[name]
        if stage == "probe":
            entry.frames = frames
        if status == "ok_with_gaps":
            entry.reason = "gaps"
        if message and message not in entry.notes:
            entry.notes.append(message)

    @property
    def live(self) -> list[PreparedVideo]:
        """Videos that are computed and have not left the chain."""
        return [e.video for e in self.entries.values() if e.alive and e.video is not None and not e.same_as]

    def done(self, name: str) -> list[VideoOutcome]:
        """A video that is still alive has all its results; its outcome, and those of videos of the same content."""
        entry = self.entries[name]
        entry.status = "ok_with_gaps" if entry.reason == "gaps" else "ok"
        entry.message = BETWEEN.join(entry.notes)
        return [self._outcome(own, self.entries[own]) for own in (name, *self._same.get(name, ()))]

    def all_stages_done(self) -> None:
        """What is still alive has all its results."""
        for video in self.live:
            self.done(video.name)

    def to_evaluate(self) -> tuple[list[PreparedVideo], list[str]]:
        """The videos that have scores, and the names of those that have none."""
        done = {outcome.name for outcome in self.outcomes() if outcome.status in SCORED}
        scored = [e.video for e in self.entries.values() if e.video is not None and e.source.name in done]
        return scored, [name for name in self.entries if name not in done]

    def outcomes(self) -> list[VideoOutcome]:
        """One for each video of the user; those of the same content as another end as that one does."""
        return [self._outcome(name, entry) for name, entry in self.entries.items()]

    def _outcome(self, name: str, entry: LedgerEntry) -> VideoOutcome:
        shown = entry
        if entry.same_as:
            first = self.entries[entry.same_as]
            note = f"same content as {first.source.name!r}"
            message = f"{note}; {first.message}" if first.message else note
            shown = replace(first, source=entry.source, message=message)
        video_id = entry.video.video_id if entry.video is not None else ""
        seconds = 0.0 if entry.same_as else None
        return VideoOutcome(
            name, video_id, shown.status, shown.reason, shown.message, seconds, known_bad=shown.known_bad
        )

    def frames_of(self, name: str) -> int | None:
        """Frames of a video, if known."""
        entry = self.entries[name]
        return self.entries[entry.same_as].frames if entry.same_as else entry.frames


ENDINGS = {"Completed": "completed", "PartiallyFailed": "partially-failed", "Failed": "failed"}
"""How a run ends: name of the flow run's last state to the status of the run's record."""


def run_ending(outcomes: Sequence[VideoOutcome]) -> tuple[str, str]:
    """One of :data:`ENDINGS`, and a message: ``3 of 290 videos have no scores (2 failed, 1 rejected)``."""
    missing = [outcome for outcome in outcomes if not outcome.settled]
    known = sum(outcome.known_bad for outcome in outcomes)
    ending = f", {known} known to be bad" if known else ""
    if not missing:
        gaps = sum(outcome.status == "ok_with_gaps" for outcome in outcomes)
        scored = f"{len(outcomes) - known} of {len(outcomes)} videos scored"
        return "Completed", scored + (f", {gaps} with gaps" if gaps else "") + ending
    counts = Counter(outcome.status for outcome in missing)
    parts = ", ".join(f"{counts[status]} {status}" for status in ("failed", "rejected", "not-run") if counts[status])
    name = "PartiallyFailed" if any(outcome.status in SCORED for outcome in outcomes) else "Failed"
    return name, f"{len(missing)} of {len(outcomes)} videos have no scores ({parts}){ending}"
