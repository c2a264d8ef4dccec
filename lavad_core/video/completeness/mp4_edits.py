"""Frames that an MP4's edit list hides: what a cut needs, or what a damaged header loses. Pure.

A cut by copying begins at a key frame and hides the frames up to where the cut is; they have to be decoded. So frames may be
hidden before the first that is shown, and only as many as the edit list's own duration leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

USUAL_TIMESCALES = frozenset(
    {100, 600, 1000, 1200, 2400, 2500, 3000, 6000, 10000, 12800, 15360, 24000, 25000, 30000, 44100, 48000, 50000, 60000}
    | {90000, 120000, 240000, 1000000, 10000000}
)
"""Ticks a second of movie headers. Another number, beside hidden frames, is a damaged one."""


@dataclass(frozen=True)
class Edits:
    """The edit list of the video track.

    Attributes:
        seconds: of media that it shows.
        ticks_per_s: of the movie; 0 unknown.
        usual: the movie's time scale is one that writers use.
        agree: the track's header has the same duration as its edit list.
        media_ticks_per_s: of the track.
        durations: int64 [samples], ticks of each in decode order; empty where the table is damaged or too long.
    """

    seconds: float
    ticks_per_s: int
    usual: bool
    agree: bool
    media_ticks_per_s: int
    durations: NDArray[np.int64]

    def hidden_wrongly(self, hidden: NDArray[np.bool_]) -> int:
        """How many hidden packets a cut does not account for.

        Args:
            hidden: bool [packets], decode order.
        """
        total = int(hidden.sum())
        if not total:
            return 0
        if not (self.usual and self.agree and self.media_ticks_per_s and len(self.durations) == len(hidden)):
            return total
        shown = np.flatnonzero(~hidden)
        if not len(shown):
            return total
        lacking = self.seconds * self.media_ticks_per_s - float(self.durations[~hidden].sum())
        if lacking > 0.5 * float(np.median(self.durations)) + 2 * self.media_ticks_per_s / self.ticks_per_s:
            return total
        # A cut needs what comes before the frames that it shows, and nothing behind the last of them.
        return int(hidden[shown[0] :].sum()) if hidden[-1] else 0
