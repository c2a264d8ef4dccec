"""Whether a media file is whole, as far as its container's own structure tells.

A decoder that meets the end of a shortened file, or a damaged table, often gives fewer frames without an error. Each module
here reads one container's structure, without the codec library: what it announces (counts, durations, sizes, end marks), what
it holds, and what is damaged. Sizes in a file are never trusted, and reads are bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from lavad_core.video.completeness import asf, avi, flv, matroska, mp4, ogg, program, transport
from lavad_core.video.completeness.result import Completeness, FileBytes

__all__ = ["Completeness", "damage_of", "examine"]

HEADS = (
    ("mp4", 4, b"ftyp"),
    ("mp4", 4, b"moov"),
    ("mp4", 4, b"mdat"),
    ("matroska", 0, b"\x1a\x45\xdf\xa3"),
    ("avi", 8, b"AVI "),
    ("flv", 0, b"FLV"),
    ("asf", 0, b"\x30\x26\xb2\x75"),
    ("ogg", 0, b"OggS"),
)
"""Container, and the bytes by which it is known at a place."""

STREAMS = {"h264": "H.264", "hevc": "HEVC", "m4v": "MPEG-4", "mpegvideo": "MPEG"}
"""Demuxers of elementary streams."""


def examine(
    path: str, container: str, stream: int, step_s: float, tick: Callable[[], None], ordinal: int = 0
) -> Completeness:
    """Check a file's structure.

    Args:
        path: a regular file.
        container: the demuxer that opened it, by FFmpeg's name.
        stream: what the demuxer calls the video stream: the track, PID, serial or stream number.
        step_s: seconds from frame to frame by the header's rate, 0 unknown.
        tick: called for every read.
        ordinal: position of the decoded stream among the video streams.

    Raises:
        OSError: the file cannot be read.
    """
    if container in STREAMS:
        return Completeness(why_unchecked=f"a raw {STREAMS[container]} stream announces neither its length nor its end")
    with open(path, "rb") as file:
        source = FileBytes(file, os.fstat(file.fileno()).st_size, tick)
        try:
            return _check(source, set(container.split(",")), stream, step_s, ordinal)
        except (ArithmeticError, LookupError, ValueError):
            # Numbers that fit nowhere: the file's, and no reason to give its video up.
            report = Completeness(why_unchecked="the container's structure contradicts itself", unknown_loss=True)
            report.damage("a structure of the container that contradicts itself")
            return report


def damage_of(path: str, tick: Callable[[], None]) -> str:
    """What is damaged in a file that the codec library could not open, in a sentence; empty where nothing is, or the container
    is not known by its first bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(12)
    for name, place, mark in HEADS:
        if head[place : place + len(mark)] == mark:
            report = examine(path, name, -1, 0.0, tick)
            return "; ".join(report.findings)
    return ""


def _check(source: FileBytes, names: set[str], stream: int, step_s: float, ordinal: int) -> Completeness:
    if "mp4" in names:
        return mp4.check(source, stream)
    if "matroska" in names or "webm" in names:
        return matroska.check(source, step_s, ordinal)
    if "avi" in names:
        return avi.check(source, ordinal)
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
    return Completeness(why_unchecked="no check is known for this container")
