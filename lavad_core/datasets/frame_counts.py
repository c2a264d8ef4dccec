"""Where a list and the scores do not agree on how long a video is: which of the two is probably wrong, and what is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.datasets.names import listed
from lavad_core.datasets.types import LabelReading
from lavad_core.plain_text import number_of

LIKELY_OFF = 2
"""Frames by which lists are off that count from 1, or count the end as one more."""


@dataclass(frozen=True)
class Deviation:
    """A video whose scores do not cover the frames that are counted for it, or more."""

    name: str
    """The name of the video."""
    frames: int
    """How many frames the list counts."""
    scores: int
    """How many scores the video has."""
    interval: int
    """Frames from one score to the next."""

    @property
    def uncovered(self) -> int:
        """Frames that the list counts after the last score's; negative: the last score begins this many past the list's end."""
        beyond = (self.scores - 1) * self.interval + 1 - self.frames
        return -beyond if beyond > 0 else max(self.frames - self.scores * self.interval, 0)


def deviation(name: str, frames: int, scores: int, interval: int) -> Deviation | None:
    """The deviation; None where there is none."""
    found = Deviation(name, frames, scores, interval)
    return found if found.uncovered else None


def counted_frames(frames: int, scores: int, interval: int, tolerance: int) -> int:
    """The frames of a video: as the list says, or as far as the scores go where the two are within the tolerance.

    Arguments are those of :class:`Deviation`; ``tolerance`` is the frames by which the list may be off.
    """
    uncovered = Deviation("", frames, scores, interval).uncovered
    return frames - uncovered if abs(uncovered) <= tolerance else frames


def probable_cause(found: Sequence[Deviation]) -> str:
    """A sentence: what is probably wrong, and the way out.

    A list that counts k frames too many is seen only in the videos whose last step has no more than these k frames; the
    others have a score for them anyway. Scores that are missing for another reason are missing in any number.
    """
    of = f"{len(found)} videos" if len(found) > 1 else "the video"
    off = [one.uncovered for one in found]
    most = max(map(abs, off))
    if max(off) < 0:
        return (
            f"{of}: there are scores for up to {most} frames more than the list counts: the list is of other or shorter "
            "videos, or the scores are of another interval"
        )
    if min(off) < 0 or not all(one.uncovered < one.interval or most == 1 for one in found):
        return (
            f"{of}: scores are missing for up to {most} frames: the scores are probably not complete, or of other videos; the "
            "list is wrong only if its counts are not those of the videos"
        )
    remainders = sorted({one.frames % one.interval for one in found})
    pattern = f"frames % {found[0].interval} = {', '.join(map(str, remainders))}"
    way_out = f"--frame-count-tolerance {most} (evaluate.frame_count_tolerance)"
    if most <= LIKELY_OFF:
        return (
            f"{of}: the list counts up to {number_of(most, 'frame')} more than the scores cover ({pattern}), and nothing "
            f"else is missing: the list is probably wrong, not the scores; if so give {way_out}"
        )
    return (
        f"{of}: only the last score is missing, of up to {most} frames ({pattern}): the scores are of full steps only, or the "
        f"list counts too many frames; {way_out} leaves them out"
    )


def said_of(reading: LabelReading, cut: Sequence[str]) -> str:
    """How files were taken other than as they are published, for the header; empty if they were not. ``cut`` are the names of
    videos for which the tolerance was needed."""
    parts = []
    if reading.first_frame is not None:
        parts.append(f"frames of intervals counted from {reading.first_frame}")
    if tolerance := reading.frame_count_tolerance:
        of = f": {listed(cut)}" if cut else ""
        videos = number_of(len(cut), "video", "were")
        parts.append(f"the list may be off by up to {number_of(tolerance, 'frame')}, which {videos} cut for{of}")
    return "; ".join(parts)
