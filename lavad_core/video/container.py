"""Media files through PyAV: opening with a format whitelist, and decoding in presentation order.

The only file that reads with ``av`` (:mod:`lavad_core.video.encode` writes). It runs in the decoding child
(:mod:`lavad_core.video.child`), never in the main process.
"""

from __future__ import annotations

import contextlib
import errno
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
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
from lavad_core.video import announced, pass_record
from lavad_core.video.completeness import Completeness, examine
from lavad_core.video.frame_facts import DecodedFrame, is_shown, ogg_header, rotation
from lavad_core.video.other_streams import OtherStreams

MAX_DEMUX_RETRIES = 16
"""How many reads in a row may fail before the rest of a damaged file is given up."""

MAX_NEW_STREAMS = 1000
"""How often PyAV may fail on a stream that did not exist when the file was opened; no packet of the video is lost."""

FAULTS = (
    av.FFmpegError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)
"""What reading and decoding a damaged file raises: FFmpeg's errors, and PyAV's own."""

DEFAULT_PROBE_BYTES = 5_000_000
"""How much FFmpeg reads to find a file's streams."""

MAX_PROBE_BYTES, MAX_ANALYSED_US = 64 << 20, 600_000_000
"""How much is read if that shows no picture: bytes, microseconds."""

OTHER_STREAM_BYTES = 4096
"""If more bytes than these follow a transport stream's last video packet, they are examined."""

MAX_FLUSHES = 64
"""Attempts to empty a decoder at the end of a damaged file."""


# Tags that are not UTF-8: PyAV 19 escapes them, 18 (the last for Python 3.11) must be told to.
_OPEN_ARGUMENTS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

_CONVERTER = VideoReformatter()

_OPENED: list[VideoReader] = []
"""Readers are never freed: freeing a decoder waits for its threads while they may wait for the interpreter to log. The process
serves one request and leaves without clean-up."""


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
    size_bytes, cut_bytes = announced.inspect(path)
    # Errors are counted (see VideoReader._complained) and nothing is printed.
    av.logging.set_level(av.logging.PANIC)
    options = {
        "format_whitelist": ",".join(formats),
        "protocol_whitelist": "file",
        "max_pixels": str(_allocation_pixels(max_pixels)),
    }
    logged = av.logging.get_last_error()[0]
    media = _open(path, options)
    if not _videos(media) and size_bytes > DEFAULT_PROBE_BYTES:
        # The picture may begin later than the sound.
        media.close()
        media = _open(path, options | {"probesize": str(MAX_PROBE_BYTES), "analyzeduration": str(MAX_ANALYSED_US)})
    with media:
        if not set(media.format.name.split(",")) & set(",".join(formats).split(",")):
            raise VideoRejected("format", f"the container format {media.format.name} is not one of video.formats")
        reader = VideoReader(media, max_pixels, threads, count_only, logged)
        reader.path, reader.size_bytes, reader.cut_bytes = path, size_bytes, cut_bytes
        yield reader


def _open(path: str, options: dict[str, str]) -> av.container.InputContainer:
    try:
        media: av.container.InputContainer = av.open("file:" + path, mode="r", options=options, **_OPEN_ARGUMENTS)
        return media
    except FAULTS as error:
        raise _refusal(error) from None


def _refusal(error: Exception) -> Exception:
    if not isinstance(error, av.FFmpegError):
        return VideoRejected("format", f"not a media file that can be opened: {error!a:.300}")
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
    """

    path: str = ""
    """Path of the file."""
    size_bytes: int = 0
    """Size of the file."""
    cut_bytes: int = 0
    """Bytes that the file announces beyond its end."""
    first_position: int = -1
    """Byte of the file where the first packet begins; -1 where it is unknown."""

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
        self.frames_from_header: int | None = stream.frames or announced.tagged_frames(stream.metadata)
        self.decode_errors = self.demux_errors = 0
        self._pts, self._dts, self._packet_flags = array("q"), array("q"), bytearray()
        self._others, self._end = OtherStreams(), 0
        self._logged = logged
        if self._complained() and self.container == "matroska,webm":
            self.demux_errors += 1
        _OPENED.append(self)

    @property
    def packets(self) -> int:
        """Video packets read so far."""
        return len(self._pts)

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
        """The duration of the stream, or of the file; None where neither gives one."""
        if self._stream.duration:
            return float(self._stream.duration * self.time_base)
        return self._media.duration / av.time_base if self._media.duration else None

    def decode(self, tick: Callable[[], None], stop_at: int | None = None) -> Iterator[DecodedFrame]:
        """All frames in presentation order.

        Each packet's time stamp is replaced by its ordinal on the way into the decoder, which carries stamps from packet to
        frame unchanged: so every frame names its packet, whatever the file's own stamps are.

        Args:
            tick: called for every packet.
            stop_at: read no more than this many packets; the one after them ended an earlier process.
        """
        for packet in islice(self._demux(), stop_at):
            tick()
            ordinal = self._note(packet)
            header, useful = ogg_header(self.container, packet)
            if header:
                self._packet_flags[ordinal] |= pass_record.HIDDEN | pass_record.HEADER
            if not useful:
                continue
            packet.pts = ordinal
            try:
                frames = self._context.decode(packet)
            except FAULTS as error:
                self._failed(error)
                self._packet_flags[ordinal] |= pass_record.FAILED
                continue
            for frame in frames:
                yield self._decoded(frame)
        for _ in range(MAX_FLUSHES):
            try:
                frames = self._context.decode(None)
            except EOFError:
                break
            except FAULTS as error:
                self._failed(error)
                continue
            for frame in frames:
                yield self._decoded(frame)
            if not frames:
                break

    def seen(self, frame_packet: array[int], frame_flags: bytearray, max_pause_s: float) -> pass_record.PassRecord:
        """What the pass saw, for :func:`timeline.build`."""
        return pass_record.PassRecord(
            packet_pts=np.asarray(self._pts, dtype=np.int64),
            packet_dts=np.asarray(self._dts, dtype=np.int64),
            packet_flags=np.frombuffer(bytes(self._packet_flags), dtype=np.uint8),
            frame_packet=np.asarray(frame_packet, dtype=np.int64),
            frame_flags=np.frombuffer(bytes(frame_flags), dtype=np.uint8),
            step=self.step,
            ticks_per_s=float(1 / self.time_base),
            damaged=self.demux_errors > 0,
            duration_s=self._own_duration_s() or 0.0,
            announced=self.frames_from_header or 0,
            wrap=announced.WRAPS.get(self.container, 0),
            max_pause_s=max_pause_s,
        )

    def _own_duration_s(self) -> float | None:
        """The duration that the header states, whatever the packets' stamps say."""
        if self.container == "flv":
            return announced.flv_duration_s(self.path)
        return self.duration_s_from_header if announced.OWN_DURATION & set(self.container.split(",")) else None

    @property
    def other_packets(self) -> int:
        """Packets of video streams that lie before or after this one: the recording goes on there."""
        found = self._others.apart(self.packets)
        if found or self.container != "mpegts" or self.size_bytes - self._end < OTHER_STREAM_BYTES:
            return found
        # FFmpeg gives no packets of streams that it did not see at the beginning.
        with contextlib.suppress(VideoRejected), _open(self.path, {"skip_initial_bytes": str(self._end)}) as rest:
            new = [stream for stream in _videos(rest) if stream.id != self._stream.id]
            return sum(1 for packet in rest.demux(new) if packet.size) if new else 0
        return 0

    @property
    def corrupt_packets(self) -> int:
        """Packets that the demuxer says are damaged."""
        return sum(1 for flags in self._packet_flags if flags & pass_record.CORRUPT)

    def examine(self, tick: Callable[[], None]) -> Completeness:
        """What the container's own structure says about this stream; read without the codec library."""
        try:
            step_s, ordinal = float(self.step * self.time_base), _videos(self._media).index(self._stream)
            return examine(self.path, self.container, self._stream.id, step_s, tick, ordinal)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise
            raise VideoRejected("unreadable", f"the file cannot be read: {error.strerror}") from None

    def _demux(self) -> Iterator[Any]:
        failures = new_streams = 0
        while failures < MAX_DEMUX_RETRIES and new_streams < MAX_NEW_STREAMS:
            try:
                for packet in self._media.demux(_videos(self._media)):
                    if self._complained() and self.container == "matroska,webm":
                        self.demux_errors += 1
                    if packet.size and packet.stream_index != self._stream.index:
                        self._others.note(packet.stream_index, self.packets)
                    elif packet.size:  # an empty packet would put the decoder into its final state
                        failures = 0
                        self._end = max(self._end, (packet.pos or 0) + packet.size)
                        yield packet
                return
            except av.FFmpegError as error:
                if error.errno == errno.ENOMEM:
                    raise MemoryError(str(error.strerror)) from None
                if error.errno == errno.EIO:
                    raise VideoRejected("unreadable", f"the file cannot be read: {error.strerror}") from None
                self.demux_errors += 1
                failures += 1
            except LookupError:
                new_streams += 1
            except FAULTS:
                self.demux_errors += 1
                failures += 1

    def _complained(self) -> bool:
        """Whether the demuxer logged an error since the last call. Some skip what they cannot read and tell only the log."""
        count, last = av.logging.get_last_error()
        new, self._logged = count != self._logged, count
        return new and last is not None and last[1] == self.container

    def _note(self, packet: Any) -> int:
        if not self._pts and packet.pos is not None:
            self.first_position = packet.pos
        hidden = packet.is_discard or not is_shown(self.codec, packet)
        self._pts.append(pass_record.NO_STAMP if packet.pts is None else packet.pts)
        self._dts.append(pass_record.NO_STAMP if packet.dts is None else packet.dts)
        self._packet_flags.append(pass_record.HIDDEN * hidden | pass_record.CORRUPT * bool(packet.is_corrupt))
        return len(self._pts) - 1

    def _failed(self, error: Exception) -> None:
        if isinstance(error, av.FFmpegError) and error.errno == errno.ENOMEM:
            raise MemoryError(str(error.strerror))
        self.decode_errors += 1

    def _decoded(self, frame: Any) -> DecodedFrame:
        if frame.width * frame.height > self._max_pixels:
            raise VideoRejected(
                "too-large", f"a frame of {frame.width}x{frame.height} pixels, more than video.max_pixels"
            )
        ordinal = frame.pts
        return DecodedFrame(ordinal if ordinal is not None and 0 <= ordinal < len(self._pts) else -1, frame)


def _allocation_pixels(max_pixels: int) -> int:
    """What FFmpeg may allocate for a frame: it counts up to 128 pixels of padding on each side. The exact check is ours."""
    return min(2 * max_pixels + (1 << 20), (1 << 31) - 1)


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
    streams = _videos(media)
    if not streams:
        raise VideoRejected("no-video", "a media file without a video stream")
    streams = [stream for stream in streams if stream.codec_context is not None] or streams
    best = media.streams.best("video")
    return best if best in streams else streams[0]


def _videos(media: av.container.InputContainer) -> list[Any]:
    return [s for s in media.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
