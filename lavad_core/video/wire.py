"""Length-prefixed messages between the decoding child and its parent.

A message is a JSON header and raw bytes, either of which may be empty. The parent does not trust the child (a decoder
may have been taken over by its input), so the reader states how much it is ready to take.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

PREFIX = struct.Struct("<IQ")
"""Bytes of the JSON header, bytes of the raw part."""

MAX_HEADER_BYTES = 1 << 20
"""Headers hold a few numbers and words; anything longer is not a message of this program."""


class WireError(Exception):
    """The other side does not speak this protocol."""


def pack(header: Mapping[str, Any], raw_bytes: int = 0) -> bytes:
    """The prefix and header of a message; the raw part of ``raw_bytes`` bytes follows it."""
    text = json.dumps(header, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise WireError(f"a header of {len(text)} bytes, limit {MAX_HEADER_BYTES}")
    return PREFIX.pack(len(text), raw_bytes) + text


def receive(read_exactly: Callable[[int], bytes | bytearray], max_raw_bytes: int) -> tuple[dict[str, Any], bytearray]:
    """Read one message.

    Args:
        read_exactly: returns the given number of bytes or raises (EOFError at the end of the stream).
        max_raw_bytes: longest raw part that is accepted.

    Raises:
        EOFError: the stream ended.
        WireError: lengths beyond their limits or a header that is not a JSON object.
    """
    header_bytes, raw_bytes = PREFIX.unpack(read_exactly(PREFIX.size))
    if header_bytes > MAX_HEADER_BYTES or raw_bytes > max_raw_bytes:
        raise WireError(f"a message of {header_bytes} + {raw_bytes} bytes, limits {MAX_HEADER_BYTES} + {max_raw_bytes}")
    try:
        header = json.loads(bytes(read_exactly(header_bytes)))
    except ValueError as error:
        raise WireError(f"a header that is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise WireError(f"a header that is a {type(header).__name__}, not an object")
    return header, bytearray(read_exactly(raw_bytes)) if raw_bytes else bytearray()
