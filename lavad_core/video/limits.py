"""What decoding one video may take. Apart from the other types, since the configuration needs it and does without numpy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What decoding one video may take; each is a field of the configuration (``video.*``).

    Attributes:
        max_pixels: of a frame.
        max_frames: of a video.
        max_memory_bytes: address space of the decoding process beyond the libraries' own.
        stall_timeout_s: longest silence of the decoding process, seconds.
        total_timeout_s: longest wait for the decoding process over one pass, seconds.
        formats: demuxers that may open a file, by FFmpeg's names.
        threads: decoder threads; 0 lets the codec choose.
        max_pause_s: longest step from one time stamp to the next that the header need not confirm, seconds.
    """

    max_pixels: int
    max_frames: int
    max_memory_bytes: int
    stall_timeout_s: float
    total_timeout_s: float
    formats: tuple[str, ...]
    threads: int
    max_pause_s: float = 3600.0
