"""A media file as a video: its time line, and its pictures. Runs in the decoding child."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import VideoRejected
from lavad_core.video import announced, container, frame_facts, time_base, timeline
from lavad_core.video.answer import Answer, MakePicture, Message, int64, once
from lavad_core.video.completeness import damage_of, verdict
from lavad_core.video.pass_record import CORRUPT
from lavad_core.video.ticker import ticker

MAX_NAMED_JUMPS = 5
"""Jumps that the reason names; the others are counted."""


def probe(path: str, answer: Answer) -> Message:
    """Decode everything, without pixels: header and time line.

    Raises:
        VideoRejected: with the reasons of :func:`container.open_video`, ``no-frames`` or ``too-large``.
    """
    alone = answer.request["threads"] == 1
    try:
        header, parts, damaged = _count(path, answer, answer.request["threads"])
    except MemoryError as error:
        _reject_what_takes_any_memory(path, answer, error)
    except VideoRejected as rejection:
        if alone or rejection.reason != "no-frames":
            raise
        damaged = True  # or there is no memory for this many threads: that would say nothing about the video
    if damaged and not alone:
        # Concealment in several threads is not the same from run to run; results must be.
        header, parts, _ = _count(path, answer, 1)
    return header, parts


def _reject_what_takes_any_memory(path: str, answer: Answer, error: MemoryError) -> NoReturn:
    """A damaged table makes FFmpeg ask for any amount: that is the file's own doing, and will come again.

    Raises:
        VideoRejected: ``no-frames``, if the file's structure is damaged.
        MemoryError: it is not; the limit may be too low for the video.
    """
    tick = ticker(lambda: answer.send({"t": "tick"}, ()), answer.request["tick_s"])
    if words := damage_of(path, tick):
        limit = answer.request["max_memory_bytes"]
        raise VideoRejected(
            "no-frames",
            f"the file is damaged ({words}), and opening it takes more than video.max_memory_bytes = {limit}: repair it, "
            "say by remuxing it",
        ) from None
    raise error


def _open(
    path: str, answer: Answer, threads: int, *, count_only: bool
) -> AbstractContextManager[container.VideoReader]:
    return container.open_video(
        path,
        formats=tuple(answer.request["formats"]),
        max_pixels=answer.request["max_pixels"],
        threads=threads,
        count_only=count_only,
    )


def _count(path: str, answer: Answer, threads: int) -> tuple[dict[str, Any], Sequence[Any], bool]:
    request = answer.request
    frame_packet, flags = array("q"), bytearray()
    first: tuple[int, int, int] | None = None
    with _open(path, answer, threads, count_only=True) as reader:
        for decoded in reader.decode(answer.begin(), request["stop_at"]):
            if first is None:
                first = (decoded.frame.width, decoded.frame.height, frame_facts.rotation(decoded.frame))
            frame_packet.append(decoded.packet)
            flags.append(frame_facts.frame_flags(decoded.frame))
            if len(frame_packet) > request["max_frames"]:
                raise VideoRejected("too-large", f"more frames than video.max_frames = {request['max_frames']}")
        if first is None:
            raise VideoRejected(
                "no-frames", f"none of {reader.packets} packets of codec {reader.codec} could be decoded"
            )
        report = reader.examine(ticker(lambda: answer.send({"t": "tick"}, ()), request["tick_s"]))
        seen = verdict.informed(reader.seen(frame_packet, flags, request["max_pause_s"]), report)
        found = timeline.build(seen, request["max_frames"])
        missing = verdict.missing_frames(report, seen, found, reader.first_position)
        base = time_base.true_time_base(found.pts, reader.time_base, reader.container, path)
        counts = {
            "further_movies": announced.further_movies(path) if "mov" in reader.container.split(",") else 0,
            "rate_replaced": int(base != reader.time_base),
            "frames_decoded": len(frame_packet),
            "frames_missing": missing.total,
            "missing_tail": missing.behind,
            "structure_errors": report.damaged,
            "hidden_packets": missing.hidden,
            "decode_errors": reader.decode_errors,
            "demux_errors": reader.demux_errors,
            "corrupt_frames": sum(1 for value in flags if value & CORRUPT),
            "corrupt_packets": reader.corrupt_packets,
            "cut_bytes": reader.cut_bytes,
            "other_packets": reader.other_packets,
            "timestamps_repaired": found.repaired,
            "damaged_stamps": found.damaged_stamps,
            "time_jumps": len(found.jumps),
            "holes_unfilled": found.unfilled,
            "time_line_parts": found.parts if found.parts > 1 else 0,
            "stopped_at_packet": request["stop_at"] or 0,
        }
        width, height, turned = first
        header = {
            "t": "probe",
            "frames": len(found.pts),
            "time_base": [base.numerator, base.denominator],
            "width": height if turned in (90, 270) else width,
            "height": width if turned in (90, 270) else height,
            "rotation": turned,
            "codec": reader.codec,
            "container": reader.container,
            "frames_from_header": reader.frames_from_header,
            "gaps": len(found.gaps),
            "jumps": [[index, seconds] for index, seconds in found.jumps[:MAX_NAMED_JUMPS]],
            "counts": counts,
            "findings": report.sentence,
            "unchecked": "" if report.end_checked else report.why_unchecked,
        }
    kinds = ("frames_missing", "decode_errors", "demux_errors", "corrupt_frames", "structure_errors")
    damaged = any(counts[key] for key in kinds)
    return header, [int64(found.pts), int64(found.gaps), int64(found.packets)], damaged


def header(path: str, answer: Answer) -> dict[str, Any]:
    """What the container announces."""
    with _open(path, answer, 1, count_only=True) as reader:
        stated = reader.rate_from_header
        return {
            "t": "header",
            "frames": reader.frames_from_header,
            "rate": [stated.numerator, stated.denominator] if stated else None,
            "duration_s": reader.duration_s_from_header,
        }


def frames(
    path: str, answer: Answer, packets: NDArray[np.int64], gaps: NDArray[np.int64]
) -> Iterator[tuple[int, MakePicture]]:
    """Decoded frames with their index, increasing.

    Args:
        packets: the packet that each frame came from in the first pass, -1 for gaps; empty where frames are told by order.
        gaps: indices that no frame came for.
    """
    threads = answer.request["threads"] if answer.request["strict"] else 1
    came = False
    for found in _pass(path, answer, packets, gaps, threads):
        came = True
        yield found
    if not came and threads != 1:  # no memory for this many threads, as in the probe
        yield from _pass(path, answer, packets, gaps, 1)


def _pass(
    path: str, answer: Answer, packets: NDArray[np.int64], gaps: NDArray[np.int64], threads: int
) -> Iterator[tuple[int, MakePicture]]:
    request = answer.request
    by_order = np.setdiff1d(np.arange(request["frames"]), gaps) if not len(packets) else None
    shown = np.flatnonzero(packets >= 0)
    by_packet = np.full(int(packets.max(initial=-1)) + 1, -1, dtype=np.int64)  # the frame of each packet, -1 for none
    by_packet[packets[shown]] = shown
    count, last = 0, -1
    with _open(path, answer, threads, count_only=False) as reader:
        for decoded in reader.decode(answer.begin(), request["stop_at"]):
            if by_order is not None:
                index = int(by_order[count]) if count < len(by_order) else -1
            else:
                # A frame that came out of turn in the first pass was left out there.
                index = int(by_packet[decoded.packet]) if 0 <= decoded.packet < len(by_packet) else -1
            count += 1
            if index > last:
                last = index
                yield index, once(partial(container.upright_rgb, decoded.frame))
            elif request["strict"]:
                raise VideoRejected("changed", "a frame that the first pass over the video did not see")
