"""Whether a media file is whole, as far as its container's own structure tells.

A decoder that meets the end of a shortened file, or a damaged table, often gives fewer frames without an error. Each module
here reads one container's structure, without the codec library: what it announces (counts, durations, sizes, end marks), what
is there, and what is damaged. Sizes in a file are never trusted, and reads are bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from lavad_core.video.completeness import asf, avi, flv, matroska, mp4, ogg, program, transport
from lavad_core.video.completeness.report import Report, Source

__all__ = ["Report", "examine"]

STREAMS = {"h264": "H.264", "hevc": "HEVC", "m4v": "MPEG-4", "mpegvideo": "MPEG"}
"""Demuxers of elementary streams."""


def examine(path: str, container: str, stream: int, step_s: float, tick: Callable[[], None]) -> Report:
    """Check a file's structure.

    Args:
        path: a regular file.
        container: the demuxer that opened it, by FFmpeg's name.
        stream: what the demuxer calls the video stream: the track, PID, serial or stream number.
        step_s: seconds from frame to frame by the header's rate, 0 unknown.
        tick: called for every read.

    Raises:
        OSError: the file cannot be read.
    """
    if container in STREAMS:
        return Report(why_unchecked=f"a raw {STREAMS[container]} stream announces neither its length nor its end")
    with open(path, "rb") as file:
        source = Source(file, os.fstat(file.fileno()).st_size, tick)
        try:
            return _check(source, set(container.split(",")), stream, step_s)
        except (ArithmeticError, LookupError, ValueError):
            # Numbers that fit nowhere: the file's, and no reason to give its video up.
            report = Report(why_unchecked="the container's structure contradicts itself", unknown_loss=True)
            report.damage("a structure of the container that contradicts itself")
            return report


def _check(source: Source, names: set[str], stream: int, step_s: float) -> Report:
    if "mp4" in names:
        return mp4.check(source, stream)
    if "matroska" in names or "webm" in names:
        return matroska.check(source, step_s)
    if "avi" in names:
        return avi.check(source)
    if "flv" in names:
        return flv.check(source, step_s)
    if "asf" in names:
        return asf.check(source, stream, step_s)
    if "ogg" in names:
        return ogg.check(source, stream)
    if "mpegts" in names:
        return transport.check(source, stream)
    if "mpeg" in names:
        return program.check(source)
    return Report(why_unchecked="no check is known for this container")
