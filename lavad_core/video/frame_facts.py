"""What PyAV's frames and packets say about themselves. Runs in the decoding child."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lavad_core.video.pass_record import CORRUPT, INTERLACED


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as the decoder gave it."""

    packet: int
    """Ordinal of the packet it came from, -1 unknown."""
    frame: Any
    """The PyAV frame."""


def frame_flags(frame: Any) -> int:
    """:data:`seen.CORRUPT` and :data:`seen.INTERLACED` of a decoded frame."""
    return CORRUPT * bool(frame.is_corrupt) | INTERLACED * bool(frame.interlaced_frame)


def rotation(frame: Any) -> int:
    """Degrees clockwise, a multiple of 90, that make a decoded frame upright."""
    # PyAV gives the counter-clockwise angle of the display matrix; a damaged one has none.
    return int(-90 * round(frame.rotation / 90)) % 360 if math.isfinite(frame.rotation) else 0


def is_shown(codec: str, packet: Any) -> bool:
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


OGG_HEADERS = (b"\x80theora", b"\x81theora", b"\x82theora", b"OVP80")
"""The first bytes of packets that hold no picture."""

USELESS_HEADERS = (b"\x81theora", b"OVP80")
"""Comments, and VP8's own: its decoder takes frames only."""


def ogg_header(container: str, packet: Any) -> tuple[bool, bool]:
    """Whether a packet is not a picture but a codec's header, and whether the decoder has a use for it.

    FFmpeg takes those at the beginning of an Ogg file for itself, and gives those of streams that are joined after the first
    as packets.
    """
    if container != "ogg" or packet.size < 7:
        return False, True
    head = bytes(memoryview(packet)[:7])
    return head.startswith(OGG_HEADERS), not head.startswith(USELESS_HEADERS)
