"""Probe a video and stream its frames, each in a process of its own (:mod:`lavad_core.video.child`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import InternalError, VideoRejected
from lavad_core.video import wanted
from lavad_core.video.limits import Limits
from lavad_core.video.object_copy import local_ends, local_video
from lavad_core.video.prefetch import Prefetch
from lavad_core.video.process import Child
from lavad_core.video.restarting_child import RestartingChild
from lavad_core.video.types import Frame, FrameRequest, Geometry, Probe, VideoHeader, VideoSource

Frames = Generator[Frame, None, None]

TICK_S = 0.5
"""Seconds between the child's signs of life; a quarter of the stall limit where that is shorter."""

GAP_COUNTS = {
    "frames_missing": "frames are missing",
    "decode_errors": "packets were refused by the decoder",
    "demux_errors": "reads failed in the container",
    "corrupt_frames": "frames are damaged",
    "corrupt_packets": "packets are damaged",
    "damaged_stamps": "time stamps are damaged",
    "time_jumps": "jumps of the time stamps were taken out",
    "holes_unfilled": "holes beside damage are longer than the file has room for frames, and were left",
    "stopped_at_packet": "packets were read before the decoder died, and none of those behind",
    "number_jumps": "jumps of the frame numbers, further than the existing images make possible, were taken out",
    "pages_left_out": "pictures behind the first of their file were not read",
    "further_movies": "further movies behind the first of the file were not read: join them by re-encoding",
    "rate_replaced": "frame rate of the header cannot be true: times are by another",
    "other_packets": "packets of another video stream before or behind this one's were not read: join the parts by re-encoding",
    "cut_bytes": "bytes that the container announces are beyond the end of the file",
}
"""The counts that make a video ``ok_with_gaps``, and what each says."""


def probe(source: VideoSource, limits: Limits, folder_frame_rate: float) -> Probe:
    """Decode a whole video once, without its pixels, and find its true frames and time stamps.

    Args:
        folder_frame_rate: frames per second of a folder of frames.

    Raises:
        VideoRejected: with a reason of :data:`lavad_core.video.types.REJECTIONS`; ``changed`` if an image of a folder vanishes
            meanwhile.
    """
    with (
        local_video(source) as near,
        _named(source),
        RestartingChild(_request("probe", near, limits), b"", _bounds(limits)) as child,
    ):
        header, raw = child.receive()
    try:
        return _probe(header, raw, folder_frame_rate)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InternalError(f"the decoding process answered a probe with {header!a:.300}: {error!r}") from None


def read_header(source: VideoSource, limits: Limits, folder_frame_rate: float) -> VideoHeader:
    """What the container announces, without decoding: what is really there can differ, and :func:`probe` finds it out.

    Raises:
        VideoRejected: as :func:`probe`, where it shows without decoding.
    """
    header = _announced(source, limits)
    try:
        rate = Fraction(*header["rate"]) if header["rate"] else None
        frames, duration_s = header["frames"], header["duration_s"]
        if source.kind == "frames":
            rate = 1 / _folder_time_base(folder_frame_rate)
        return VideoHeader(
            frames=None if frames is None else int(frames),
            frame_rate=None if rate is None else float(rate),
            duration_s=None if duration_s is None else float(duration_s),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise InternalError(f"the decoding process answered with {header!a:.300}: {error!r}") from None


def _announced(source: VideoSource, limits: Limits) -> dict[str, Any]:
    """The answer of the decoding process; of a long object it is given the ends first, and the whole if they do not do."""
    with local_ends(source) as ends:
        if ends is not None:
            with suppress(VideoRejected), Child(_request("header", ends, limits), b"", **_bounds(limits)) as child:
                return child.receive()[0]
    with (
        local_video(source) as near,
        _named(source),
        Child(_request("header", near, limits), b"", **_bounds(limits)) as child,
    ):
        return child.receive()[0]


@contextmanager
def open_frames(
    source: VideoSource,
    requests: Sequence[FrameRequest],
    probe: Probe,
    limits: Limits,
    queue_frames: int = 64,
    through: Callable[[Frames], Frames] | None = None,
) -> Iterator[Iterator[Frame]]:
    """One pass over a video that delivers the requested frames.

    Frames come in increasing index; one that several requests want is decoded once and comes for each of them, in the order
    of the requests. Decoding stops after the last wanted frame, and when the block ends. A thread reads ahead, so that decoding
    goes on while the caller works on a frame.

    Args:
        queue_frames: frames that may wait, at most.
        through: what becomes of the frames before they wait; in the thread that reads ahead.

    Raises:
        VideoRejected: while frames are read; ``changed`` if frames that the probe saw are not there any more.
        InternalError: a request beyond the video's frames.
    """
    wanted.check_requests(requests, probe.frames)
    header = {
        "requests": [{"resize": r.geometry.resize, "side": r.geometry.side, "every": r.every} for r in requests],
        "frames": probe.frames,
        "strict": probe.status == "ok",
        "stop_at": probe.counts.get("stopped_at_packet") or None,
    }
    packets = () if probe.packets is None else probe.packets
    arrays = [packets, probe.gaps, *(() if r.frames is None else r.frames for r in requests)]
    header["arrays"] = [len(values) for values in arrays]
    raw = b"".join(np.ascontiguousarray(values, dtype="<i8").tobytes() for values in arrays)
    with (
        local_video(source) as near,
        RestartingChild(_request("frames", near, limits) | header, raw, _bounds(limits)) as child,
    ):
        received = _receive_frames(source, child, requests, probe)
        del raw  # bytes of the probe's and the requests' arrays once more
        frames = Prefetch(received if through is None else through(received), queue_frames)
        try:
            yield iter(frames)
        finally:
            child.kill()
            frames.close()


def _receive_frames(
    source: VideoSource, child: RestartingChild, requests: Sequence[FrameRequest], probe: Probe
) -> Frames:
    """Exactly the wanted frames: a child that leaves one out, repeats one or stops early is an error."""
    with _named(source):
        for index, numbers in wanted.needed(requests, probe.frames):
            for number in numbers:
                header, raw = child.receive()
                if header.get("t") != "frame" or (header.get("i"), header.get("r")) != (index, number):
                    raise InternalError(f"the decoding process sent {header!a} where frame {index} was due")
                yield Frame(index, number, _image(header, raw, requests[number].geometry), bool(header.get("s")))
        header, _ = child.receive()
        if header.get("t") != "end":
            raise InternalError(f"the decoding process sent {header!a} after the last frame")


def _image(header: dict[str, Any], raw: bytearray, geometry: Geometry) -> NDArray[np.uint8]:
    height, width = int(header.get("h", 0)), int(header.get("w", 0))
    fits = {
        "native": True,
        "square": height == width == geometry.side,
        "short_side": min(height, width) == geometry.side,
    }[geometry.resize]
    if height < 1 or width < 1 or len(raw) != height * width * 3 or not fits:
        raise InternalError(f"the decoding process sent {len(raw)} bytes as a picture of {width}x{height}")
    image = np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
    image.flags.writeable = False
    return image


def _request(do: str, source: VideoSource, limits: Limits) -> dict[str, Any]:
    return {
        "do": do,
        "kind": source.kind,
        "path": os.fsencode(os.path.abspath(source.path)).hex(),
        "formats": list(limits.formats),
        "max_pixels": limits.max_pixels,
        "max_frames": limits.max_frames,
        "max_memory_bytes": limits.max_memory_bytes,
        "max_pause_s": limits.max_pause_s,
        "threads": limits.threads,
        "stop_at": None,
        "strict": False,
        "delivered": 0,
        "tick_s": min(TICK_S, limits.stall_timeout_s / 4),
    }


def _bounds(limits: Limits) -> dict[str, Any]:
    return {
        "stall_timeout_s": limits.stall_timeout_s,
        "total_timeout_s": limits.total_timeout_s,
        # A message is one picture or 24 bytes for each frame; the child cannot hold more than its memory.
        "max_raw_bytes": max(limits.max_memory_bytes, 24 * limits.max_frames),
    }


@contextmanager
def _named(source: VideoSource) -> Iterator[None]:
    """Put the video's name, escaped, in front of what is wrong with it."""
    try:
        yield
    except VideoRejected as error:
        raise VideoRejected(error.reason, f"{source.name!r}: {error}") from error.__cause__


def _probe(header: dict[str, Any], raw: bytearray, folder_frame_rate: float) -> Probe:
    frames = int(header["frames"])
    values = np.frombuffer(raw, dtype="<i8").astype(np.int64)
    number = int(header["gaps"])
    pts, gaps, packets = values[:frames], values[frames : frames + number], values[frames + number :]
    if frames < 1 or len(pts) != frames or (np.diff(pts) <= 0).any():
        raise ValueError(f"{len(pts)} time stamps for {frames} frames, or not in order")
    if len(gaps) and not (gaps[0] >= 0 and (np.diff(gaps) > 0).all() and gaps[-1] < frames):
        raise ValueError(f"{len(gaps)} gaps beyond {frames} frames, or not in order")
    if number < 0 or len(gaps) != number or len(packets) not in (0, frames):
        raise ValueError(f"{len(gaps)} of {number} gaps, and {len(packets)} packets for {frames} frames")
    pts.flags.writeable = packets.flags.writeable = False
    counts = {str(name): int(value) for name, value in header["counts"].items()}
    findings = [f"{counts[name]} {words}" for name, words in GAP_COUNTS.items() if counts.get(name)]
    jumps = [f"{float(seconds):.1f} s before frame {int(index)}" for index, seconds in header["jumps"]]
    if words := _words(header["findings"]) if "findings" in header else "":
        findings.append(words)
    unchecked = _words(header["unchecked"]) if "unchecked" in header else ""
    if findings and unchecked:
        findings.append(f"{unchecked}, so more may be missing")
    reason = "; ".join(findings) + (f" (jumps: {', '.join(jumps)})" if jumps else "")
    base = header["time_base"]
    return Probe(
        status="ok_with_gaps" if findings else "ok",
        reason=reason,
        frames=frames,
        pts=pts,
        time_base=Fraction(*base) if base else _folder_time_base(folder_frame_rate),
        gaps=tuple(gaps.tolist()),
        width=int(header["width"]),
        height=int(header["height"]),
        rotation=int(header["rotation"]),
        codec=str(header["codec"]),
        container=str(header["container"]),
        frames_from_header=header["frames_from_header"],
        counts=counts,
        packets=packets if len(packets) else None,
        unchecked=unchecked,
    )


def _words(text: Any) -> str:
    """A sentence of the child's own; it is not believed to have none of the file in it."""
    if not isinstance(text, str) or not (text.isascii() and (text.isprintable() or not text)) or len(text) > 2000:
        raise ValueError(f"a sentence like {text!a:.100}")
    return text


def _folder_time_base(frames_per_s: float) -> Fraction:
    # 29.97002997 → 1001/30000: the rates in use are fractions with small parts.
    rate = Fraction(frames_per_s).limit_denominator(1_000_000)
    return 1 / rate if rate else Fraction(1_000_000)
