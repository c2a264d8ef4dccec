"""Media files through PyAV: opening with a format whitelist, and decoding in presentation order.

The only file that reads with ``av`` (:mod:`lavad_core.video.encode` writes). It runs in the decoding child
(:mod:`lavad_core.video.child`), never in the main process.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.container
import av.logging
import av.stream
import av.subtitles.stream  # PyAV would load it on opening a file, when the memory limit already holds
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from lavad_core.errors import VideoRejected
from lavad_core.video import extent, timeline

MAX_DEMUX_RETRIES = 16
"""Reads in a row that may fail before the rest of a damaged file is given up."""

MAX_FLUSHES = 64
"""Attempts to empty a decoder at the end of a damaged file."""


# Tags that are not UTF-8: PyAV 19 escapes them, 18 (the last for Python 3.11) must be told to.
_OPEN_ARGUMENTS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

_CONVERTER = VideoReformatter()

_OPENED: list[VideoReader] = []
"""Readers are never freed: freeing a decoder waits for its threads while they may wait for the interpreter to log. The process
serves one request and leaves without clean-up."""


@dataclass(frozen=True)
class Decoded:
    """A frame as the decoder gave it.

    Attributes:
        packet: ordinal of the packet it came from, -1 unknown.
        frame: the PyAV frame.
    """

    packet: int
    frame: Any


def library_versions() -> dict[str, str]:
    """PyAV and the FFmpeg libraries that it brings, for ``lavad doctor``."""
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {"PyAV": av.__version__, **libraries}


@contextmanager
def open_video(
    path: str, *, formats: tuple[str, ...], max_pixels: int, threads: int, count_only: bool = False
) -> Iterator[VideoReader]:
    """Open the first video stream of a local file.

    Args:
        path: an absolute path; never taken for a URL.
        formats: FFmpeg's demuxer names that may open it.
        max_pixels: largest frame.
        threads: decoder threads; 0 lets the codec choose.
        count_only: leave out the work that changes pixels but not which frames exist.

    Raises:
        VideoRejected: ``missing``, ``unreadable``, ``empty``, ``format``, ``no-video``, ``too-large``.
    """
    size_bytes, cut_bytes = _inspect(path)
    # Errors are counted (see VideoReader._complained) and nothing is printed.
    av.logging.set_level(av.logging.PANIC)
    options = {
        "format_whitelist": ",".join(formats),
        "protocol_whitelist": "file",
        "max_pixels": str(_allocation_pixels(max_pixels)),
    }
    logged = av.logging.get_last_error()[0]
    try:
        media = av.open("file:" + path, mode="r", options=options, **_OPEN_ARGUMENTS)
    except av.FFmpegError as error:
        raise _refusal(error) from None
    with media:
        if not set(media.format.name.split(",")) & set(",".join(formats).split(",")):
            raise VideoRejected("format", f"the container format {media.format.name} is not one of video.formats")
        reader = VideoReader(media, max_pixels, threads, count_only, logged)
        reader.size_bytes, reader.cut_bytes = size_bytes, cut_bytes
        yield reader


def _inspect(path: str) -> tuple[int, int]:
    """Size of a regular file, and the bytes that it announces but lacks."""
    try:
        # Not blocking: a named pipe with a video's name must not hold the child up.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise VideoRejected("missing", "not a regular file")
            if not status.st_size:
                raise VideoRejected("empty", "the file has zero bytes")
            return status.st_size, extent.missing_bytes(file, status.st_size)
    except FileNotFoundError:
        raise VideoRejected("missing", "the file does not exist") from None
    except OSError as error:
        raise VideoRejected("unreadable", f"the file cannot be read: {error.strerror}") from None


def _refusal(error: av.FFmpegError) -> Exception:
    if error.errno == errno.ENOMEM:
        return MemoryError(str(error.strerror))
    if error.errno in (errno.EACCES, errno.EPERM, errno.EIO):
        return VideoRejected("unreadable", f"the file cannot be read: {error.strerror}")
    return VideoRejected("format", f"not a media file of an allowed format (see video.formats): {error.strerror}")


class VideoReader:
    """One pass over the video stream of an open file.

    Attributes:
        codec, container: names as FFmpeg gives them.
        width, height: coded size from the header, pixels, before rotation.
        time_base: seconds per tick.
        frames_from_header: None where the header says nothing.
        decode_errors, demux_errors: counted while :meth:`decode` runs.
        size_bytes, cut_bytes: of the file; bytes that it announces beyond its end.
    """

    size_bytes: int = 0
    cut_bytes: int = 0

    def __init__(
        self, media: av.container.InputContainer, max_pixels: int, threads: int, count_only: bool, logged: int
    ) -> None:
        stream = _video_stream(media)
        context = stream.codec_context
        if context is None:
            raise VideoRejected("no-frames", "no decoder for the video stream's codec")
        self.width, self.height = context.width, context.height
        if self.width * self.height > max_pixels:
            raise VideoRejected(
                "too-large", f"frames of {self.width}x{self.height} pixels, more than video.max_pixels = {max_pixels}"
            )
        self._media, self._stream, self._context = media, stream, context
        self._max_pixels = max_pixels
        options = {"max_pixels": str(_allocation_pixels(max_pixels))}
        if count_only:
            options |= {"skip_loop_filter": "all", "skip_idct": "all"}
        context.options = options
        context.thread_count = threads
        context.thread_type = "NONE" if threads == 1 else "AUTO"
        self.codec = str(context.name)
        self.container = media.format.name
        self.time_base = Fraction(stream.time_base or Fraction(1, 90000))
        self.frames_from_header: int | None = stream.frames or _tagged_frames(stream)
        self._indexed = len(stream.index_entries) if "mov" in self.container.split(",") else 0
        self.decode_errors = self.demux_errors = 0
        self._pts, self._dts, self._packet_flags = array("q"), array("q"), bytearray()
        self._logged = logged
        # An index that was cut short by an error announces fewer packets than the header.
        complained = self._complained()
        if complained and self._indexed:
            self._indexed = max(self._indexed, stream.frames)
        if complained and self.container == "matroska,webm":
            self.demux_errors += 1
        _OPENED.append(self)

    @property
    def packets(self) -> int:
        """Video packets read so far."""
        return len(self._pts)

    def stamp(self, packet: int) -> int:
        """Presentation time stamp of a packet, ticks; :data:`timeline.NO_STAMP` where it has none."""
        return self._pts[packet] if packet >= 0 else timeline.NO_STAMP

    @property
    def step(self) -> int:
        """Ticks from frame to frame by the header's rate; 0 unknown."""
        rate = self.rate_from_header
        return max(1, round(1 / (rate * self.time_base))) if rate else 0

    @property
    def rate_from_header(self) -> Fraction | None:
        """Frames per second; None where the header says nothing."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return Fraction(rate) if rate else None

    @property
    def duration_s_from_header(self) -> float | None:
        """Of the stream, else of the file; None where neither says it."""
        if self._stream.duration:
            return float(self._stream.duration * self.time_base)
        return self._media.duration / av.time_base if self._media.duration else None

    def decode(self, tick: Callable[[], None]) -> Iterator[Decoded]:
        """All frames in presentation order.

        Each packet's time stamp is replaced by its ordinal on the way into the decoder, which carries stamps from packet to
        frame unchanged: so every frame names its packet, whatever the file's own stamps are.

        Args:
            tick: called for every packet.
        """
        for packet in self._demux():
            tick()
            ordinal = self._note(packet)
            packet.pts = ordinal
            try:
                frames = self._context.decode(packet)
            except av.FFmpegError as error:
                self._failed(error)
                self._packet_flags[ordinal] |= timeline.FAILED
                continue
            for frame in frames:
                yield self._decoded(frame)
        for _ in range(MAX_FLUSHES):
            try:
                frames = self._context.decode(None)
            except EOFError:
                break
            except av.FFmpegError as error:
                self._failed(error)
                continue
            for frame in frames:
                yield self._decoded(frame)
            if not frames:
                break

    def seen(self, frame_packet: array[int], frame_flags: bytearray) -> timeline.Seen:
        """What the pass saw, for :func:`timeline.build`."""
        return timeline.Seen(
            packet_pts=np.asarray(self._pts, dtype=np.int64),
            packet_dts=np.asarray(self._dts, dtype=np.int64),
            packet_flags=np.frombuffer(bytes(self._packet_flags), dtype=np.uint8),
            frame_packet=np.asarray(frame_packet, dtype=np.int64),
            frame_flags=np.frombuffer(bytes(frame_flags), dtype=np.uint8),
            step=self.step,
            ticks_per_s=float(1 / self.time_base),
            damaged=self.demux_errors > 0,
        )

    @property
    def corrupt_packets(self) -> int:
        """Packets that the demuxer says are damaged."""
        return sum(1 for flags in self._packet_flags if flags & timeline.CORRUPT)

    def missing_tail(self) -> int:
        """Frames that the container announces behind the last packet that is in the file."""
        if self._indexed:
            return max(0, self._indexed - self.packets)
        if self.container == "avi" and self.frames_from_header:
            last = max((stamp for stamp in self._dts if stamp != timeline.NO_STAMP), default=-1)
            return max(0, self.frames_from_header - max(self.packets, last + 1))
        if self.container == "matroska,webm" and self.packets:
            if tagged := _tagged_frames(self._stream):
                return max(0, tagged - self.packets)
            last, step_s = max(self._pts), float(self.step * self.time_base)
            announced_s = _seconds(self._stream.metadata.get("DURATION", ""))
            if last != timeline.NO_STAMP and step_s and announced_s:
                short_s = announced_s - float(last * self.time_base) - step_s
                return max(1, int(short_s / step_s)) if short_s > 0.5 * step_s else 0
        return 0

    def _demux(self) -> Iterator[Any]:
        failures = 0
        while failures < MAX_DEMUX_RETRIES:
            try:
                for packet in self._media.demux(self._stream):
                    if self._complained() and self.container == "matroska,webm":
                        self.demux_errors += 1
                    if packet.size:  # an empty packet would put the decoder into its final state
                        failures = 0
                        yield packet
                return
            except av.FFmpegError as error:
                if error.errno == errno.ENOMEM:
                    raise MemoryError(str(error.strerror)) from None
                if error.errno == errno.EIO:
                    raise VideoRejected("unreadable", f"the file cannot be read: {error.strerror}") from None
                self.demux_errors += 1
                failures += 1

    def _complained(self) -> bool:
        """Whether the demuxer logged an error since the last call. Some skip what they cannot read and tell only the log."""
        count, last = av.logging.get_last_error()
        new, self._logged = count != self._logged, count
        return new and last is not None and last[1] == self.container

    def _note(self, packet: Any) -> int:
        hidden = packet.is_discard or not _is_shown(self.codec, packet)
        self._pts.append(timeline.NO_STAMP if packet.pts is None else packet.pts)
        self._dts.append(timeline.NO_STAMP if packet.dts is None else packet.dts)
        self._packet_flags.append(timeline.HIDDEN * hidden | timeline.CORRUPT * bool(packet.is_corrupt))
        return len(self._pts) - 1

    def _failed(self, error: av.FFmpegError) -> None:
        if error.errno == errno.ENOMEM:
            raise MemoryError(str(error.strerror))
        self.decode_errors += 1

    def _decoded(self, frame: Any) -> Decoded:
        if frame.width * frame.height > self._max_pixels:
            raise VideoRejected(
                "too-large", f"a frame of {frame.width}x{frame.height} pixels, more than video.max_pixels"
            )
        ordinal = frame.pts
        return Decoded(ordinal if ordinal is not None and 0 <= ordinal < len(self._pts) else -1, frame)


def _allocation_pixels(max_pixels: int) -> int:
    """What FFmpeg may allocate for a frame: it counts up to 128 pixels of padding on each side. The exact check is ours."""
    return min(2 * max_pixels + (1 << 20), (1 << 31) - 1)


def frame_flags(frame: Any) -> int:
    """:data:`timeline.CORRUPT` and :data:`timeline.INTERLACED` of a decoded frame."""
    return timeline.CORRUPT * bool(frame.is_corrupt) | timeline.INTERLACED * bool(frame.interlaced_frame)


def rotation(frame: Any) -> int:
    """Degrees clockwise, a multiple of 90, that make a decoded frame upright."""
    # PyAV gives the counter-clockwise angle of the display matrix.
    return int(-90 * round(frame.rotation / 90)) % 360


def upright_rgb(frame: Any) -> NDArray[np.uint8]:
    """The picture of a decoded frame: uint8 [height, width, 3], RGB, rotated upright, contiguous.

    Raises:
        MemoryError: it does not fit.
        VideoRejected: ``no-frames``, for a pixel format that cannot be shown as RGB.
    """
    try:
        # One converter for all frames, on this thread: 0.05 ms for 320x240 against 0.6 ms with PyAV's defaults.
        rgb = _CONVERTER.reformat(frame, format="rgb24", threads=1).to_ndarray()
    except av.FFmpegError as error:
        if error.errno in (errno.ENOMEM, errno.EAGAIN):
            raise MemoryError(str(error.strerror)) from None
        raise VideoRejected(
            "no-frames", f"frames of pixel format {frame.format.name} cannot be converted: {error.strerror}"
        ) from None
    return np.ascontiguousarray(np.rot90(rgb, k=-rotation(frame) // 90))


def _video_stream(media: av.container.InputContainer) -> Any:
    streams = [s for s in media.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise VideoRejected("no-video", "a media file without a video stream")
    best = media.streams.best("video")
    return best if best in streams else streams[0]


def _is_shown(codec: str, packet: Any) -> bool:
    """False for the invisible reference frames that VP8 and VP9 keep in packets of their own."""
    if codec == "vp8":
        return bool(memoryview(packet)[0] & 0x10)
    if codec == "vp9":
        data = memoryview(packet)
        is_superframe = data[-1] & 0xE0 == 0xC0
        if is_superframe or data[0] >> 6 != 2 or data[0] & 0x30 == 0x30:
            return True
        return bool(data[0] & 0x08 or data[0] & 0x02)
    return True


def _tagged_frames(stream: Any) -> int | None:
    """Matroska's statistics tag."""
    for key, value in stream.metadata.items():
        if key.split("-")[0] == "NUMBER_OF_FRAMES" and value.isascii() and value.isdigit() and len(value) < 12:
            return int(value)
    return None


def _seconds(text: str) -> float:
    """Seconds of ``HH:MM:SS.fraction``; 0 for anything else."""
    found = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,12})?)", text, re.ASCII)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else 0.0
