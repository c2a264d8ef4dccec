"""What a container's structure announces against what demuxing and decoding gave. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lavad_core.video.completeness.result import Completeness
from lavad_core.video.pass_record import HEADER, HIDDEN, INTERLACED, PassRecord
from lavad_core.video.timeline import Timeline

HIDDEN_WRONGLY = "frames are hidden by the edit list that no cut accounts for"


@dataclass(frozen=True)
class MissingFrames:
    """Frames without a picture."""

    total: int
    """The total of an undamaged copy."""
    behind: int
    """How many of these are neither a gap nor a packet outside the decoded span."""
    hidden: int
    """Packets that the container hides and that are counted as healthy."""


def informed(seen: PassRecord, report: Completeness) -> PassRecord:
    """What the pass saw, with what the structure says: whether there is damage, and how many frames there should be."""
    known = report.frames if report.frames and not report.unknown_loss else seen.announced
    return replace(seen, damaged=seen.damaged or bool(report.findings), announced=known)


def missing_frames(report: Completeness, seen: PassRecord, found: Timeline, first_position: int = -1) -> MissingFrames:
    """Count what is missing.

    Args:
        report: what is known about the structure; a finding is added for frames that an edit list hides wrongly.
        seen, found: what the decoding pass saw, and the timeline made of it.
        first_position: byte of the file where the first packet begins, -1 unknown.
    """
    good = len(found.pts) - len(found.gaps)
    flags = seen.packet_flags & (HIDDEN | HEADER) == HIDDEN
    hidden, wrongly = int(np.count_nonzero(flags)), 0
    if report.edits is not None:
        hidden, wrongly = report.edits.hidden(flags, first_position)
    if wrongly:
        report.damage(HIDDEN_WRONGLY, wrongly)
    kept = hidden - wrongly
    known = len(found.gaps) + found.missing_outside
    pairs = 0
    if (seen.frame_flags & INTERLACED != 0).any():
        # Second fields in packets of their own show no frame.
        pairs = max(0, int(np.count_nonzero(seen.packet_flags & HIDDEN == 0)) - good - known)
    behind = max(0, (report.frames or 0) - good - kept - pairs - known)
    return MissingFrames(known + behind, behind, kept)
