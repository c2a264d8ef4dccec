"""Frames that an MP4's edit list hides: what a cut needs, or what a damaged header loses. Pure.

A cut by copying begins at a key frame and hides the frames up to where the cut is; they have to be decoded. So frames may be
hidden before the first that is shown, and only as many as the edit list's own duration leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavad_core.video.pass_record import REORDER_FRAMES

USUAL_TIMESCALES = frozenset(
    {100, 600, 1000, 1200, 2400, 2500, 3000, 6000, 10000, 12800, 15360, 24000, 25000, 30000, 44100, 48000, 50000, 60000}
    | {90000, 120000, 240000, 1000000, 10000000}
)
"""Ticks a second of movie headers. Another number, beside hidden frames, is a damaged one."""


@dataclass(frozen=True)
class Edits:
    """The edit list of the video track."""

    seconds: float
    """Seconds of media that it shows; 0 where it has no end, as in fragments."""
    start: int
    """Ticks of the media where it begins."""
    step: float
    """Mean ticks of a sample."""
    ticks_per_s: int
    """Ticks per second of the movie's clock; 0 where it is unknown."""
    usual: bool
    """The movie's time scale is one that writers use."""
    agree: bool
    """The track's header has the same duration as its edit list."""
    media_ticks_per_s: int
    """Ticks per second of the track's clock."""
    durations: NDArray[np.int64]
    """int64 [samples], ticks of each in decode order; empty where the table is damaged or too long."""
    stamps: NDArray[np.int64]
    """int64 [samples], when each is shown, ticks; empty as ``durations``."""
    positions: NDArray[np.int64]
    """int64 [samples], where each begins in the file; empty where the tables are damaged or too long."""
    contradicted: bool = False
    """The media's header has another duration than the table of sample durations."""

    def hidden(self, flags: NDArray[np.bool_], first_position: int) -> tuple[int, int]:
        """How many samples are hidden, and how many of them no cut accounts for.

        Args:
            flags: bool [packets], of those that the demuxer gave, decode order: hidden.
            first_position: byte of the file where the first of them begins, -1 unknown. The demuxer leaves out samples before
                the key frame that the cut needs, and after the end.
        """
        before = int(np.argmax(self.positions == first_position)) if first_position in self.positions else 0
        behind = max(0, len(self.positions) - before - len(flags))
        hidden = np.concatenate((np.ones(before, bool), flags, np.ones(behind, bool)))
        total = int(hidden.sum())
        shown = np.flatnonzero(~hidden)
        if not total or not len(shown):
            return total, total
        if not self.seconds:
            # What comes before the beginning, and nothing else.
            return total, 0 if total <= shown[0] and total * self.step < self.start + self.step else total
        if not (
            self.usual
            and self.agree
            and self.media_ticks_per_s
            and len(self.durations) == len(self.stamps) == len(hidden)
        ):
            return total, total
        # Where the list ends, and where the last sample does: a cut by copying leaves holes among the last frames, and both are
        # written by one hand.
        rounding = 2 * self.media_ticks_per_s / self.ticks_per_s
        end = self.start + self.seconds * self.media_ticks_per_s
        late = self.stamps > end + REORDER_FRAMES * float(np.median(self.durations))
        known_ends = (self.stamps + self.durations)[~late]
        if late[hidden].any() or not len(known_ends) or end - float(known_ends.max()) > rounding:
            return total, total
        # Nobody cuts a tick after a frame's beginning.
        if (hidden & (np.abs(self.start - self.stamps) <= rounding)).any():
            return total, total
        # A cut needs what comes before the frames that it shows, and nothing after the last of them. What lies between them
        # may be what they refer to, but not where the sample durations that hide it are in doubt.
        amid = int(hidden[shown[0] :].sum())
        return total, amid if hidden[-1] or self.contradicted else 0
