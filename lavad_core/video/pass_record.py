"""What one decoding pass saw of packets and frames: arrays that :mod:`lavad_core.video.timeline` makes a time line of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_STAMP = np.iinfo(np.int64).min
"""A packet without this time stamp."""

HIDDEN = 1
"""Packet flag: shows no frame (outside the edit list, invisible reference)."""
CORRUPT = 2
"""Packet or frame flag: the demuxer or decoder says that it is damaged."""
FAILED = 4
"""Packet flag: the decoder refused it."""
HEADER = 16
"""Packet flag, beside :data:`HIDDEN`: a codec's header of a stream that was joined after another."""
INTERLACED = 8
"""Frame flag."""

REORDER_FRAMES = 32
"""A step back by up to this many frames can be decode order (H.264 and HEVC reorder 16 at most, fields twice that)."""


@dataclass(frozen=True)
class PassRecord:
    """What one decoding pass saw."""

    packet_pts: NDArray[np.int64]
    """int64 [P], presentation time stamps in decode order; :data:`NO_STAMP` where absent."""
    packet_dts: NDArray[np.int64]
    """int64 [P], decoding time stamps, likewise."""
    packet_flags: NDArray[np.uint8]
    """uint8 [P], flags of each packet."""
    frame_packet: NDArray[np.int64]
    """int64 [F], output order: the packet that each frame came from, -1 unknown."""
    frame_flags: NDArray[np.uint8]
    """uint8 [F], flags of each frame."""
    step: int = 0
    """Ticks from frame to frame by the header's rate; 0 unknown."""
    ticks_per_s: float = 1.0
    """Ticks of the time base per second."""
    damaged: bool = False
    """Whether there was damage at an unknown place (the demuxer reported an error)."""
    duration_s: float = 0.0
    """Seconds that the header announces, apart from the packets' stamps; 0 unknown."""
    announced: int = 0
    """Frames that the header announces; 0 unknown."""
    wrap: int = 0
    """Ticks after which the container's clock begins at 0 again; 0 never."""
    max_pause_s: float = 3600.0
    """A longer step forward, seconds, must be announced by the header."""
