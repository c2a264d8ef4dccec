"""One clock for the time stamps of a video that start again, jump, or are damaged. Pure functions on arrays.

Frames come out of the decoder in presentation order, so the order of their stamps says where the clock is broken:

* stamps that start again (joined recordings, a camera that reconnected, a counter that wrapped) begin a new *part*, whose times
  continue one step after the former part's;
* stamps that leave the clock and come back to it (a damaged field, a damaged header of a group of frames) are *damaged*: their
  frames are spread evenly over the hole that they left;
* a step forward that neither the header's duration nor a pause explains is a *jump* and is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lavad_core.video.pass_record import NO_STAMP, REORDER_FRAMES, PassRecord

MAX_STAMP = 1 << 60
"""Stamps beyond this are cut to it, so that differences fit 64 bits."""

FREE_STEPS = 0.75
"""A stamp at least this many steps from all earlier ones is a new frame; a nearer one repeats a frame that was shown."""

LOOK_BACK = 8
"""Stretches of stamps that a later one may continue, counted back from it: damage beside damage."""

RETURN_S = 60.0
"""Stamps that come back to an earlier clock leave at most such a hole in it."""

MIN_JUMP_S = 2.0
"""Seconds below which a step forward is ignored: frames were left out or lost."""

DURATION_SLACK = 0.05
"""The fraction by which a file may be longer than its header says, in addition to :data:`MIN_JUMP_S`."""


@dataclass(frozen=True)
class ClockJump:
    """A step of the stamps that was taken out."""

    stamp: int
    """Stamp of the frame or packet after it, on the new clock."""
    ticks: int
    """How long it was, ticks."""


@dataclass(frozen=True)
class Clock:
    """What was seen, on one clock."""

    seen: PassRecord
    """What was seen, with ``packet_pts`` on the new clock; :data:`NO_STAMP` for packets without a frame whose own stamp
    cannot be true. The very object that was given where nothing is wrong."""
    parts: int = 1
    """Time lines that follow each other, at least 1."""
    damaged: int = 0
    """Frames whose stamp left the clock, and came back."""
    jumps: tuple[ClockJump, ...] = ()
    """Steps that were taken out."""
    moved: int = 0
    """Frames with another stamp than the file's, but for a common offset."""


@dataclass
class _Stretch:
    """Frames ``start`` to ``stop`` (exclusive) whose stamps follow each other; ``part`` is -1 for damaged ones."""

    start: int
    stop: int
    low: int
    high: int
    part: int = field(default=0)


def one_clock(seen: PassRecord, missing: NDArray[np.int64]) -> Clock:
    """Put all packets on one clock.

    Args:
        seen: every frame names a packet that has a stamp.
        missing: packets that should show a frame and did not, increasing.
    """
    raw = np.clip(seen.packet_pts, -MAX_STAMP, MAX_STAMP)
    raw[seen.packet_pts == NO_STAMP] = NO_STAMP
    stamps = raw[seen.frame_packet]
    step = typical_step(stamps, seen.step)
    if not step:
        return Clock(seen)
    reach = REORDER_FRAMES * step
    stretches = _arrange(_stretches(stamps, step, reach, seen), seen, step)
    trusted = np.concatenate([np.full(s.stop - s.start, s.part >= 0) for s in stretches])
    lost = _lost_parts(seen, raw, missing, stretches, trusted, step)
    parts = 1 + max(s.part for s in stretches)
    frame_part = np.concatenate([np.full(s.stop - s.start, s.part) for s in stretches])
    offsets = _offsets(stamps, frame_part, raw[missing], lost, parts, step)
    moved = np.full(len(raw), NO_STAMP, dtype=np.int64)
    on_clock = np.where(frame_part >= 0, stamps + offsets[frame_part], NO_STAMP)
    moved[seen.frame_packet] = _spread(on_clock, step)
    sound = missing[lost >= 0]
    moved[sound] = raw[sound] + offsets[lost[lost >= 0]]
    moved, jumps = _without_jumps(moved, seen, reach, one_part=parts == 1)
    if parts == 1 and trusted.all() and not jumps and len(sound) == len(missing):
        return Clock(seen)
    changed = np.diff(moved[seen.frame_packet] - stamps, prepend=0)
    return Clock(
        replace(seen, packet_pts=moved, packet_dts=np.full(len(raw), NO_STAMP, dtype=np.int64)),
        parts,
        int(np.count_nonzero(~trusted)),
        tuple(jumps),
        len(stamps) - int(np.argmax(changed != 0)) if changed.any() else 0,
    )


def typical_step(stamps: NDArray[np.int64], announced: int) -> int:
    """Ticks from frame to frame: the header's where the stamps of the frames agree with it, otherwise theirs; 0 if neither
    says."""
    steps = np.diff(stamps)
    steps = steps[steps > 0]
    if not len(steps):
        return 0
    median = float(np.median(steps))
    return announced if 0.2 * median <= announced <= 5 * median else max(1, round(median))


def _stretches(stamps: NDArray[np.int64], step: int, reach: int, seen: PassRecord) -> list[_Stretch]:
    """Cut where a step is longer than reordering and lost frames make it, or where stamps repeat what was shown."""
    steps = np.diff(stamps)
    far = (steps < -reach) | (steps > max(reach, MIN_JUMP_S * seen.ticks_per_s))
    cuts = set((np.flatnonzero(far) + 1).tolist())
    order = np.argsort(stamps, kind="stable")
    close = np.diff(stamps[order]) < FREE_STEPS * step
    if close.any():
        repeats = np.zeros(len(stamps), dtype=np.bool_)
        repeats[order[:-1][close]] = repeats[order[1:][close]] = True
        for at in (np.flatnonzero((steps < 0) & repeats[1:] & ~far) + 1).tolist():
            start = max((cut for cut in range(max(0, at - 4 * REORDER_FRAMES), at) if cut in cuts), default=0)
            if _repeats(stamps, start, at, step, cuts):
                cuts.add(at)
    bounds = [0, *sorted(cuts), len(stamps)]
    return [_Stretch(a, b, int(stamps[a:b].min()), int(stamps[a:b].max())) for a, b in pairwise(bounds)]


def _repeats(stamps: NDArray[np.int64], start: int, at: int, step: int, cuts: set[int]) -> bool:
    """Whether frames from ``at`` on have places in time that were taken before: two or more, and most of those up to the
    latest time so far. Frames that a decoder put out too late have places of their own."""
    shown = np.sort(stamps[max(start, at - 4 * REORDER_FRAMES) : at])
    stop = at + 1
    while stop < min(len(stamps), at + 4 * REORDER_FRAMES) and stop not in cuts and stamps[stop - 1] <= stamps[stop]:
        if stamps[stop] > shown[-1]:
            break
        stop += 1
    again = stamps[at:stop]
    right = np.searchsorted(shown, again).clip(max=len(shown) - 1)
    nearest = np.minimum(np.abs(shown[right] - again), np.abs(shown[(right - 1).clip(min=0)] - again))
    taken = int(np.count_nonzero(nearest < FREE_STEPS * step))
    return len(again) > 1 and 2 * taken > len(again)


def _arrange(stretches: list[_Stretch], seen: PassRecord, step: int) -> list[_Stretch]:
    """Say which part each stretch belongs to, and which are damaged."""
    placed = stretches[:1]
    for new in stretches[1:]:
        last = placed[-1]
        fits: list[tuple[float, int]] = []
        for back, old in enumerate(placed[-2 : -2 - LOOK_BACK : -1], start=1):
            between, room = new.start - old.stop, (new.low - old.high) / step
            goes_on = old.part == last.part and new.low > last.high
            hole = room - between - 1
            if room > 0 and room > 0.9 * between - 1 and hole * step <= RETURN_S * seen.ticks_per_s and not goes_on:
                fits.append((abs(hole), back))
        if fits:
            _, back = min(fits)
            new.part = placed[-1 - back].part
            for damaged in placed[-back:]:
                damaged.part = -1
            del placed[-back:]
        else:
            forward = new.low - last.high
            # FFmpeg takes a clock that starts again a minute or more before its first stamp for one that wrapped.
            wrapped = seen.wrap and new.low >= seen.wrap and forward > seen.max_pause_s * seen.ticks_per_s
            restarts = forward <= 0 or wrapped
            new.part = last.part + 1 if restarts else last.part
        placed.append(new)
    numbers = {part: number for number, part in enumerate(sorted({s.part for s in placed}))}
    for stretch in stretches:
        stretch.part = numbers.get(stretch.part, -1)
    return stretches


def _lost_parts(
    seen: PassRecord,
    raw: NDArray[np.int64],
    missing: NDArray[np.int64],
    stretches: list[_Stretch],
    trusted: NDArray[np.bool_],
    step: int,
) -> NDArray[np.int64]:
    """The part of each packet without a frame, by the packets with frames around it; -1 where its stamp cannot be true."""
    parts = np.concatenate([np.full(s.stop - s.start, s.part) for s in stretches])[trusted]
    order = np.argsort(seen.frame_packet[trusted], kind="stable")
    packets, parts = seen.frame_packet[trusted][order], parts[order]
    found = np.full(len(missing), -1, dtype=np.int64)
    if not len(missing):
        return found
    pts = raw[missing]
    behind = np.searchsorted(packets, missing)
    left, right = (behind - 1).clip(min=0), behind.clip(max=len(packets) - 1)
    reach = max(REORDER_FRAMES * step, round(MIN_JUMP_S * seen.ticks_per_s))
    from_left, from_right = pts - raw[packets[left]], raw[packets[right]] - pts
    has_left, has_right = behind > 0, behind < len(packets)
    same = has_left & has_right & (parts[left] == parts[right])
    # At a seam no further than its distance in packets allows.
    near_left = same | (from_left <= reach + 2 * step * (missing - packets[left]))
    near_right = same | (from_right <= reach + 2 * step * (packets[right] - missing))
    fits_left = has_left & (from_left >= -reach) & near_left
    fits_right = has_right & (from_right >= -reach) & near_right
    takes_left = np.where(has_left & has_right, np.abs(from_left) <= np.abs(from_right), has_left)
    found = np.where(takes_left & fits_left, parts[left], np.where(~takes_left & fits_right, parts[right], -1))
    found[same & ~(fits_left & fits_right)] = -1
    found[pts == NO_STAMP] = -1
    return found


def _offsets(
    stamps: NDArray[np.int64],
    frame_part: NDArray[np.int64],
    lost: NDArray[np.int64],
    lost_part: NDArray[np.int64],
    parts: int,
    step: int,
) -> NDArray[np.int64]:
    """What each part's stamps are moved by: 0 for the first, the others begin one step after the one before."""
    offsets = np.zeros(parts, dtype=np.int64)
    end = 0
    for part in range(parts):
        own = stamps[frame_part == part] if parts > 1 else stamps
        ends = np.concatenate((own, lost[lost_part == part]))
        if part:
            offsets[part] = end - int(ends.min())
        steps = np.diff(own[-REORDER_FRAMES:])
        steps = steps[steps > 0]
        end = int(ends.max()) + int(offsets[part]) + (max(1, round(float(np.median(steps)))) if len(steps) else step)
    return offsets


def _spread(stamps: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Give frames without a stamp times between those of their neighbours."""
    known = np.flatnonzero(stamps != NO_STAMP)
    if len(known) == len(stamps):
        return stamps
    filled = np.rint(np.interp(np.arange(len(stamps)), known, (stamps[known] - stamps[known[0]]).astype(np.float64)))
    spread = filled.astype(np.int64) + stamps[known[0]]
    return np.where(stamps == NO_STAMP, spread, stamps)


def _without_jumps(
    pts: NDArray[np.int64], seen: PassRecord, reach: int, *, one_part: bool
) -> tuple[NDArray[np.int64], list[ClockJump]]:
    """Take out steps forward that nothing supports; what is left of each is one step."""
    present = pts != NO_STAMP
    times = np.unique(pts[present])
    steps = np.diff(times)
    long = np.flatnonzero(steps > max(reach, MIN_JUMP_S * seen.ticks_per_s))
    if not len(long):
        return pts, []
    # A header that was written before something was joined to the file says nothing about the whole.
    duration = seen.duration_s * seen.ticks_per_s if one_part else 0.0
    out = _unsupported(steps[long], int(times[-1] - times[0]), duration, seen)
    if not len(out):
        return pts, []
    places = long[out]
    step = reach // REORDER_FRAMES
    cut = np.cumsum(steps[places] - step)
    jumps = [
        ClockJump(int(times[at + 1] - taken), int(steps[at]))
        for at, taken in zip(places.tolist(), cut.tolist(), strict=True)
    ]
    before = np.searchsorted(times[places], pts[present], side="left")
    moved = pts.copy()
    moved[present] -= np.concatenate(([0], cut))[before]
    return moved, jumps


def _unsupported(steps: NDArray[np.int64], span: int, duration: float, seen: PassRecord) -> NDArray[np.intp]:
    """Positions of the steps that are not pauses, increasing: those without which the video is as long as its header says;
    where that says nothing, or cannot be met, those that are longer than a pause may be."""
    if duration > 0:
        limit = (1 + DURATION_SLACK) * duration + MIN_JUMP_S * seen.ticks_per_s
        order = np.argsort(-steps, kind="stable")
        left = span - np.concatenate(([0], np.cumsum(steps[order])))
        enough = np.flatnonzero(left <= limit)
        if len(enough) and (not enough[0] or left[enough[0]] >= 0.5 * duration):
            return np.sort(order[: enough[0]])
    return np.flatnonzero(steps > seen.max_pause_s * seen.ticks_per_s)
