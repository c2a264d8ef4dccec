"""The frames of a video in presentation order, from what demuxing and decoding saw. Pure functions on arrays.

Every packet that should show a frame is compared with the frames that came out of the decoder (each names the packet that
it came from). A packet without a frame is a *gap* at its own time stamp, so that the frames behind it keep the
index that they have in an undamaged copy.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

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
INTERLACED = 8
"""Frame flag."""

REORDER_FRAMES = 32
"""A step back by up to this many frames is decode order (H.264 and HEVC reorder 16 at most, fields twice that); a longer one is
a new time line (a joined transport stream)."""

MAX_JUMP_S = 86400.0
"""A step forward by more than a day is a damaged time stamp."""

NEAR_FRAMES = 16
"""A hole is beside damage that is at most so many frames away: reordering spreads the damage of one packet that far."""

MAX_ODD_FRACTION = 0.1
"""With more frames out of turn than this the stamps are in decode order (AVI) and say nothing about single frames."""

REGULAR_FRACTION = 0.95
"""A video has a constant rate if so many of its steps are equal."""


@dataclass(frozen=True)
class Seen:
    """What one decoding pass saw.

    Attributes:
        packet_pts, packet_dts: int64 [P], decode order; :data:`NO_STAMP` where absent.
        packet_flags: uint8 [P].
        frame_packet: int64 [F], output order: the packet that each frame came from, -1 unknown.
        frame_flags: uint8 [F].
        step: ticks from frame to frame by the header's rate; 0 unknown.
        ticks_per_s: of the time base.
        damaged: damage was met at no known place (the demuxer reported an error).
    """

    packet_pts: NDArray[np.int64]
    packet_dts: NDArray[np.int64]
    packet_flags: NDArray[np.uint8]
    frame_packet: NDArray[np.int64]
    frame_flags: NDArray[np.uint8]
    step: int = 0
    ticks_per_s: float = 1.0
    damaged: bool = False


@dataclass(frozen=True)
class Timeline:
    """Frames in presentation order.

    Attributes:
        pts: int64 [M], strictly increasing.
        gaps: int64 [G], indices without a decoded frame, increasing.
        repaired: frames whose stamp is not the file's own; if > 0 frames are matched by order, not by stamp.
        missing_outside: packets without a frame before the first or after the last decoded frame; not part of ``pts``.
    """

    pts: NDArray[np.int64]
    gaps: NDArray[np.int64]
    repaired: int
    missing_outside: int


def build(seen: Seen, max_frames: int) -> Timeline:
    """Order the frames and find the gaps.

    Args:
        seen: at least one frame.
        max_frames: a hole of a constant-rate video is not filled beyond so many frames.
    """
    missing = _missing_packets(seen)
    known = bool((seen.frame_packet >= 0).all())
    stamps = np.where(known, seen.packet_pts[np.maximum(seen.frame_packet, 0)], NO_STAMP)
    if not known or (stamps == NO_STAMP).any():
        return _by_order(seen, stamps, missing)
    if (np.diff(stamps) > 0).all():
        return _by_stamp(seen, stamps, missing, max_frames)
    flagged = (seen.packet_flags & (CORRUPT | FAILED)).any() or (seen.frame_flags & CORRUPT).any()
    if flagged or len(missing) or seen.damaged:
        # A decoder that lost its references puts some frames out behind their turn, and a stamp may be damaged itself: these
        # frames count as not decoded.
        kept = _longest_increasing(stamps)
        if len(stamps) - len(kept) <= MAX_ODD_FRACTION * len(stamps):
            odd = np.setdiff1d(np.arange(len(stamps)), kept)
            missing = np.union1d(missing, seen.frame_packet[odd])
            seen = replace(seen, frame_packet=seen.frame_packet[kept], frame_flags=seen.frame_flags[kept])
            return _by_stamp(seen, stamps[kept], missing, max_frames)
    return _by_order(seen, stamps, missing)


def _longest_increasing(stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of a longest strictly increasing subsequence."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for position, stamp in enumerate(stamps.tolist()):
        at = bisect_left(tails, stamp)
        before.append(ends[at - 1] if at else -1)
        if at == len(tails):
            tails.append(stamp)
            ends.append(position)
        else:
            tails[at], ends[at] = stamp, position
    chain = [ends[-1]]
    while before[chain[-1]] >= 0:
        chain.append(before[chain[-1]])
    return np.asarray(chain[::-1], dtype=np.int64)


def _missing_packets(seen: Seen) -> NDArray[np.int64]:
    """Packets that should show a frame and did not."""
    shown = np.zeros(len(seen.packet_pts), dtype=bool)
    shown[seen.frame_packet[seen.frame_packet >= 0]] = True
    missing = np.flatnonzero(~shown & (seen.packet_flags & HIDDEN == 0)).astype(np.int64)
    frames = len(seen.frame_packet)
    interlaced = np.count_nonzero(seen.frame_flags & INTERLACED)
    if len(missing) and 2 * interlaced > frames and 0.4 * frames <= len(missing) <= 1.05 * frames:
        # Two fields in two packets make one frame: the packet beside each frame's own is the other field.
        beside = shown[np.maximum(missing - 1, 0)] | shown[np.minimum(missing + 1, len(shown) - 1)]
        missing = missing[~beside | (seen.packet_flags[missing] & (CORRUPT | FAILED) != 0)]
    return missing


def _by_stamp(seen: Seen, stamps: NDArray[np.int64], missing: NDArray[np.int64], max_frames: int) -> Timeline:
    lost = seen.packet_pts[missing]
    # The same stamp as a decoded frame's announces no frame of its own.
    lost = lost[~np.isin(lost, stamps)]
    inside = np.unique(lost[(lost > stamps[0]) & (lost < stamps[-1])])
    pts = np.union1d(stamps, inside)
    outside = int(np.count_nonzero((lost < stamps[0]) | (lost > stamps[-1])))
    holes = _holes(seen, pts, stamps, lost)
    if len(pts) + len(holes) <= max_frames:
        pts = np.union1d(pts, holes)
    return Timeline(pts, np.flatnonzero(~np.isin(pts, stamps)), 0, outside)


def _holes(seen: Seen, pts: NDArray[np.int64], stamps: NDArray[np.int64], lost: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stamps that a constant-rate video lacks beside known damage: the demuxer lost whole packets there.

    Without damage nothing is filled: a variable-rate video that leaves out unchanged frames is healthy.
    """
    none = np.empty(0, dtype=np.int64)
    evidence = np.concatenate(
        (
            lost[lost != NO_STAMP],
            stamps[seen.frame_flags & CORRUPT != 0],
            seen.packet_pts[seen.packet_flags & (CORRUPT | FAILED) != 0],
        )
    )
    evidence = np.sort(evidence[evidence != NO_STAMP])
    if len(pts) < 8 or not (len(evidence) or seen.damaged):
        return none
    steps = np.diff(pts)
    median = float(np.median(steps))
    regular = np.abs(steps - median) <= max(1.0, 0.02 * median)
    if np.count_nonzero(regular) < REGULAR_FRACTION * len(steps):
        return none
    step = float(steps[regular].mean())
    filled = []
    for position in np.flatnonzero(steps > 1.5 * step):
        low, high = pts[position], pts[position + 1]
        times = round(float(high - low) / step)
        if times > 10_000_000 or abs(high - low - times * step) > max(2.0, 0.25 * step):
            continue
        reach = NEAR_FRAMES * step
        near = np.searchsorted(evidence, low - reach) < np.searchsorted(evidence, high + reach, side="right")
        if near or seen.damaged:
            filled.append(low + np.rint(np.arange(1, times) * (float(high - low) / times)).astype(np.int64))
    return np.concatenate(filled) if filled else none


def _by_order(seen: Seen, stamps: NDArray[np.int64], missing: NDArray[np.int64]) -> Timeline:
    """No usable stamps on the frames: their order is the decoder's, gaps are placed by decode order."""
    frames = len(stamps)
    by_packet = np.argsort(seen.frame_packet, kind="stable")
    before = np.searchsorted(seen.frame_packet[by_packet], missing)
    places = by_packet[np.maximum(before - 1, 0)]
    inside = (before > 0) & (before < frames) & (places < frames - 1)
    lost, places = missing[inside], places[inside]
    source = np.concatenate((seen.frame_packet, lost))
    # By place; a frame comes before the packets that are placed behind it.
    order = np.lexsort((source, np.arange(len(source)) >= frames, np.concatenate((np.arange(frames), places))))
    source = source[order]
    gaps = np.flatnonzero(order >= frames)
    pts, changed = _stamps(seen, source)
    return Timeline(pts, gaps, max(1, changed), int(np.count_nonzero(~inside)))


def _stamps(seen: Seen, source: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Strictly increasing stamps for packets ``source`` in presentation order, and how many are not the file's own."""
    raw = np.where(source >= 0, seen.packet_pts[np.maximum(source, 0)], NO_STAMP)
    dts = np.where(source >= 0, seen.packet_dts[np.maximum(source, 0)], NO_STAMP)
    if (raw == NO_STAMP).any() and (dts != NO_STAMP).all():
        raw = dts
    valid = raw != NO_STAMP
    step = seen.step or _median_step(raw[valid])
    count = np.arange(len(raw))
    if not valid.any():
        return count * step, len(raw)
    anchor = np.maximum.accumulate(np.where(valid, count, -1))
    anchor = np.where(anchor < 0, int(np.argmax(valid)), anchor)
    pts = raw[anchor] + (count - anchor) * step
    if (np.maximum.accumulate(pts) - pts).max() <= REORDER_FRAMES * step:
        pts = np.sort(pts)  # stamps in decode order (AVI): the frames' times are the same set, sorted
    else:
        steps = np.diff(pts)
        jump = (steps < -REORDER_FRAMES * step) | (steps > MAX_JUMP_S * seen.ticks_per_s)
        pts = pts[0] + np.concatenate(([0], np.cumsum(np.where(jump, step, steps))))
    pts = np.maximum.accumulate(pts - count) + count
    return pts.astype(np.int64), int(np.count_nonzero(pts != raw))


def _median_step(stamps: NDArray[np.int64]) -> int:
    steps = np.diff(np.unique(stamps))
    return max(1, int(np.median(steps))) if len(steps) else 1
