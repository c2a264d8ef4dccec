"""What decoding one video may take. Apart from the other types, since the configuration needs it and does without numpy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What decoding one video may take; each is a field of the configuration (``video.*``)."""

    max_pixels: int
    """Most pixels of a frame."""
    max_frames: int
    """Most frames of a video."""
    max_memory_bytes: int
    """Address space of the decoding process beyond the libraries' own."""
    stall_timeout_s: float
    """Longest silence of the decoding process, seconds."""
    total_timeout_s: float
    """Longest wait for the decoding process over one pass, seconds."""
    formats: tuple[str, ...]
    """Demuxers that may open a file, by FFmpeg's names."""
    threads: int
    """Decoder threads; 0 lets the codec choose."""
    max_pause_s: float = 3600.0
    """Longest step from one time stamp to the next that the header need not confirm, seconds."""
