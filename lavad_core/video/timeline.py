"""The frames of a video in presentation order, from what demuxing and decoding saw. Pure functions on arrays.

Every packet that should show a frame is compared with the frames that came out of the decoder (each names the packet that
it came from). A packet without a frame is a *gap* at its own time stamp, so that the frames after it keep the
index that they have in an undamaged copy.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lavad_core.video.clock import one_clock, typical_step
from lavad_core.video.pass_record import CORRUPT, FAILED, HIDDEN, INTERLACED, NO_STAMP, REORDER_FRAMES, PassRecord

NEAR_FRAMES = 16
"""A hole is beside damage that is at most this many frames away: reordering spreads the damage of one packet that far."""

MAX_ODD_FRACTION = 0.1
"""With more frames out of turn than this the stamps are in decode order (AVI) and say nothing about single frames."""

REGULAR_FRACTION = 0.95
"""A video has a constant rate if at least this part of its steps is equal."""


HEADER_SLACK = 1.02
"""Headers round the duration, and leave out the last frame's."""

DEFAULT_RATE = 30
"""Frames per second where neither stamps nor header say anything that can be true."""

RATES = (1 / 60, 1000)
"""Frames per second that a header can mean, lowest and highest."""


@dataclass(frozen=True)
class Timeline:
    """Frames in presentation order."""

    pts: NDArray[np.int64]
    """int64 [M], strictly increasing."""
    gaps: NDArray[np.int64]
    """int64 [G], indices without a decoded frame, increasing."""
    packets: NDArray[np.int64]
    """int64 [M], the packet that each frame came from, -1 for gaps; empty if that is not known for every frame, or one
    packet gave several: then frames can only be told by their order."""
    repaired: int
    """Frames whose stamp is not the file's own."""
    missing_outside: int
    """Packets without a frame before the first or after the last decoded frame; not part of ``pts``."""
    unfilled: int = 0
    """Holes beside damage that were left, because the file is too small for this many frames."""
    parts: int = 1
    """Time lines that follow each other."""
    damaged_stamps: int = 0
    """Frames whose stamp left the clock, and came back."""
    jumps: tuple[tuple[int, float], ...] = ()
    """Where steps of the stamps were taken out: frame after it, seconds."""


def build(seen: PassRecord, max_frames: int) -> Timeline:
    """Order the frames and find the gaps.

    Args:
        seen: at least one frame.
        max_frames: a hole of a constant-rate video is not filled beyond this many frames.
    """
    missing = _missing_packets(seen)
    known = bool((seen.frame_packet >= 0).all())
    stamps = np.where(known, seen.packet_pts[np.maximum(seen.frame_packet, 0)], NO_STAMP)
    if not known or (stamps == NO_STAMP).any():
        return _by_order(seen, stamps, missing)
    clock = one_clock(seen, missing)
    found = _on_one_clock(clock.seen, missing, max_frames)
    return replace(
        found,
        repaired=max(found.repaired, clock.moved),
        parts=clock.parts,
        damaged_stamps=clock.damaged,
        jumps=tuple(
            (int(np.searchsorted(found.pts, jump.stamp)), jump.ticks / seen.ticks_per_s) for jump in clock.jumps
        ),
    )


def _on_one_clock(seen: PassRecord, missing: NDArray[np.int64], max_frames: int) -> Timeline:
    stamps = seen.packet_pts[seen.frame_packet]
    if (np.diff(stamps) > 0).all():
        return _by_stamp(seen, stamps, missing, max_frames)
    flagged = (seen.packet_flags & (CORRUPT | FAILED)).any() or (seen.frame_flags & CORRUPT).any()
    if flagged or len(missing) or seen.damaged:
        # A decoder that lost its references puts some frames out after their turn: these count as not decoded.
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


def _missing_packets(seen: PassRecord) -> NDArray[np.int64]:
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


def _by_stamp(seen: PassRecord, stamps: NDArray[np.int64], missing: NDArray[np.int64], max_frames: int) -> Timeline:
    lost = seen.packet_pts[missing]
    # The same stamp as a decoded frame's announces no frame of its own, if it is that frame's neighbour: after a seam whose
    # second part gave no frame, stamps are others' too.
    at = np.searchsorted(stamps, lost).clip(max=len(stamps) - 1)
    again = stamps[at] == lost
    elsewhere = int(np.count_nonzero(again & (np.abs(seen.frame_packet[at] - missing) > REORDER_FRAMES)))
    lost = lost[~again]
    inside = np.unique(lost[(lost > stamps[0]) & (lost < stamps[-1])])
    pts = np.union1d(stamps, inside)
    outside = elsewhere + int(np.count_nonzero((lost < stamps[0]) | (lost > stamps[-1])))
    holes, unfilled = _holes(seen, pts, stamps, lost, max_frames)
    pts = np.union1d(pts, holes)
    places = np.searchsorted(pts, stamps)
    packets = np.full(len(pts), -1, dtype=np.int64)
    packets[places] = seen.frame_packet
    return Timeline(pts, np.setdiff1d(np.arange(len(pts)), places), packets, 0, outside, unfilled)


def _holes(
    seen: PassRecord, pts: NDArray[np.int64], stamps: NDArray[np.int64], lost: NDArray[np.int64], max_frames: int
) -> tuple[NDArray[np.int64], int]:
    """Stamps that a constant-rate video lacks beside known damage (the demuxer lost whole packets there), shortest holes
    first as long as the file has room for this many frames; and how many holes were left.

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
        return none, 0
    steps = np.diff(pts)
    median = float(np.median(steps))
    regular = np.abs(steps - median) <= max(1.0, 0.02 * median)
    if np.count_nonzero(regular) < REGULAR_FRACTION * len(steps):
        return none, 0
    step = float(steps[regular].mean())
    room = _room(seen, len(pts), len(stamps), step, max_frames)
    filled, left = [none], 0
    found = np.flatnonzero(steps > 1.5 * step)
    for position in found[np.argsort(steps[found], kind="stable")].tolist():
        low, high = int(pts[position]), int(pts[position + 1])
        times = round((high - low) / step)
        if abs(high - low - times * step) > max(2.0, 0.25 * step):
            continue
        reach = NEAR_FRAMES * step
        near = np.searchsorted(evidence, low - reach) < np.searchsorted(evidence, high + reach, side="right")
        if not (near or seen.damaged):
            continue
        if times - 1 > room:
            left += 1
            continue
        room -= times - 1
        filled.append(low + np.rint(np.arange(1, times) * ((high - low) / times)).astype(np.int64))
    return np.concatenate(filled), left


def _room(seen: PassRecord, frames: int, decoded: int, step: float, max_frames: int) -> int:
    """How many frames the file can have beside the known ones: as many as the header says, by number and by duration; where
    it says nothing, or less than there is, not more than were decoded."""
    announced = [seen.announced] if seen.announced else []
    if seen.duration_s:
        announced.append(int(HEADER_SLACK * seen.duration_s * seen.ticks_per_s / step) + 1)
    credible = [number for number in announced if number >= frames]
    return min(*credible, max_frames) - frames if credible else min(frames + decoded, max_frames) - frames


def _by_order(seen: PassRecord, stamps: NDArray[np.int64], missing: NDArray[np.int64]) -> Timeline:
    """No usable stamps on the frames: their order is the decoder's, gaps are placed by decode order."""
    frames = len(stamps)
    by_packet = np.argsort(seen.frame_packet, kind="stable")
    before = np.searchsorted(seen.frame_packet[by_packet], missing)
    places = by_packet[np.maximum(before - 1, 0)]
    inside = (before > 0) & (before < frames) & (places < frames - 1)
    lost, places = missing[inside], places[inside]
    source = np.concatenate((seen.frame_packet, lost))
    # By place; a frame comes before the packets that are placed after it.
    order = np.lexsort((source, np.arange(len(source)) >= frames, np.concatenate((np.arange(frames), places))))
    source = source[order]
    gaps = np.flatnonzero(order >= frames)
    pts, changed = _stamps(seen, source)
    packets = np.where(order >= frames, -1, source)
    if (seen.frame_packet < 0).any() or len(np.unique(seen.frame_packet)) < frames:
        packets = packets[:0]  # not every frame has a packet of its own
    return Timeline(pts, gaps, packets, max(1, changed), int(np.count_nonzero(~inside)))


def _stamps(seen: PassRecord, source: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Strictly increasing stamps for packets ``source`` in presentation order, and how many are not the file's own."""
    raw = np.where(source >= 0, seen.packet_pts[np.maximum(source, 0)], NO_STAMP)
    dts = np.where(source >= 0, seen.packet_dts[np.maximum(source, 0)], NO_STAMP)
    if (raw == NO_STAMP).any() and (dts != NO_STAMP).all():
        raw = dts
    valid = raw != NO_STAMP
    count = np.arange(len(raw))
    low, high = seen.ticks_per_s / RATES[1], seen.ticks_per_s / RATES[0]
    announced = seen.step if low <= seen.step <= high or not seen.step else round(seen.ticks_per_s / DEFAULT_RATE)
    own = np.unique(raw[valid])
    if 2 * len(own) <= len(raw):  # none, or the same again and again
        return count * max(1, announced or round(seen.ticks_per_s / DEFAULT_RATE)), len(raw)
    step = max(1, announced or typical_step(own, 0))
    anchor = np.maximum.accumulate(np.where(valid, count, -1))
    anchor = np.where(anchor < 0, int(np.argmax(valid)), anchor)
    pts = raw[anchor] + (count - anchor) * step
    if (np.maximum.accumulate(pts) - pts).max() <= REORDER_FRAMES * step:
        pts = np.sort(pts)  # stamps in decode order (AVI): the frames' times are the same set, sorted
    else:
        steps = np.diff(pts)
        jump = (steps < -REORDER_FRAMES * step) | (steps > seen.max_pause_s * seen.ticks_per_s)
        pts = pts[0] + np.concatenate(([0], np.cumsum(np.where(jump, step, steps))))
    pts = np.maximum.accumulate(pts - count) + count
    return pts.astype(np.int64), int(np.count_nonzero(pts != raw))
