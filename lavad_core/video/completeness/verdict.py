"""What a container's structure announces against what demuxing and decoding gave. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lavad_core.video.completeness.report import Report
from lavad_core.video.seen import HIDDEN, INTERLACED, Seen
from lavad_core.video.timeline import Timeline

HIDDEN_WRONGLY = "frames are hidden by the edit list that no cut accounts for"


@dataclass(frozen=True)
class Missing:
    """Frames without a picture.

    Attributes:
        total: of an undamaged copy.
        behind: of these, neither a gap nor a packet outside the decoded span.
        hidden: packets that the container hides and that are counted as healthy.
    """

    total: int
    behind: int
    hidden: int


def informed(seen: Seen, report: Report) -> Seen:
    """What the pass saw, with what the structure says: whether there is damage, and how many frames there should be."""
    known = report.frames if report.frames and not report.unknown_loss else seen.announced
    return replace(seen, damaged=seen.damaged or bool(report.findings), announced=known)


def compare(report: Report, seen: Seen, found: Timeline) -> Missing:
    """Count what is missing.

    Args:
        report: of the structure; a finding is added for frames that an edit list hides wrongly.
        seen, found: of the decoding pass.
    """
    good = len(found.pts) - len(found.gaps)
    hidden = seen.packet_flags & HIDDEN != 0
    wrongly = report.edits.hidden_wrongly(hidden) if report.edits is not None else 0
    if wrongly:
        report.damage(HIDDEN_WRONGLY, wrongly)
    kept = int(np.count_nonzero(hidden)) - wrongly
    known = len(found.gaps) + found.missing_outside
    pairs = 0
    if (seen.frame_flags & INTERLACED != 0).any():
        # Second fields in packets of their own show no frame.
        pairs = max(0, len(seen.packet_pts) - wrongly - kept - good - known)
    behind = max(0, (report.frames or 0) - good - kept - pairs - known)
    return Missing(known + behind, behind, kept)
